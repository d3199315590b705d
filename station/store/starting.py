"""Which version of each model a station starts with, and the loading of it.

    the station file's model   if it is another one than it named before: who replaced the file gets what he put there
    else the committed version of the store; where that is damaged, the one before, and so on
    else the station file's model

A version that is whole and does not load any more is the user's to decide: it is an error, as for the station file's model.
Versions that came with one change go back together: no slot runs the new one while another runs the old. A store that cannot
be opened or written keeps no station from starting. Whatever is not as it was left is said in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import rt_engine
from rt_engine import Model
from rt_engine.binding import Binding
from rt_engine.change import ChangeState
from rt_engine.errors import EngineError, ShapeBindingError
from rt_engine.read.source import Source, opened
from station.errors import StoreError
from station.machine.computer import Level
from station.store.store import KEEP, STATION_FILE, Ended, Recovered, Store, Version

_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the station file says of a slot's model."""

    file: Path
    binding: Binding


@dataclass(frozen=True, slots=True)
class Said:
    """Something about a slot's version that who starts the station should know; `slot` is empty for the store as a whole.

    `sha256`, `state`: of a version whose change ended with the station before.
    """

    slot: str
    text: str
    level: Level = "warn"
    sha256: str = ""
    state: ChangeState = ChangeState.NONE


@dataclass(frozen=True, slots=True)
class Begun:
    """The model that a slot starts with, and which version it is; None: it is not in the store."""

    model: Model
    version: Version | None = None


@dataclass(slots=True)
class Kept:
    """The store of a station that starts: open, or the reason why there is none."""

    store: Store | None = None
    recovered: Recovered | None = None
    trouble: str = ""
    """Why the store cannot be used; empty: it can, or none is wanted."""
    said: list[Said] = field(default_factory=list)
    """What was found and done, in its order."""


@contextmanager
def kept_in(folder: Path | None, keep: int = KEEP) -> Iterator[Kept]:
    """The store in a folder, held until the end; a `Kept` without one where it cannot be used, or None is wanted."""
    kept = Kept()
    if folder is not None:
        store = Store(folder, keep)
        try:
            kept.recovered = store.open()
        except StoreError as error:
            kept.trouble = str(error)
            kept.said.append(Said("", f"{error}; the station file's models run, and no update survives a restart"))
        else:
            kept.store = store
            kept.said += [Said("", note) for note in kept.recovered.notes]
            kept.said += [said for ended in kept.recovered.ended for said in _ended(store, ended)]
    try:
        yield kept
    finally:
        if kept.store is not None:
            kept.store.close()


class Beginning:
    """The versions of all slots of a station that starts: first `models`, then, if the station can run with them, `settle`.

    What is to be said of them is added to `kept.said`.
    """

    def __init__(self, kept: Kept, wanted: Mapping[str, Wanted]) -> None:
        self._kept, self._wanted = kept, wanted
        self._files: dict[str, Source | EngineError] = {}
        self._begun: dict[str, Begun | EngineError] = {}
        self._replaced: list[str] = []
        """Slots whose model in the station file is another one than before."""

    def models(self) -> Mapping[str, Begun | EngineError]:
        """The model that each slot starts with, or why there is none."""
        for slot, one in self._wanted.items():
            try:
                self._files[slot] = opened(one.file)
            except EngineError as error:
                self._files[slot] = error
        store = self._kept.store
        if store is not None:
            for slot in self._wanted:
                self._take_file(store, slot)
            waiting = [slot for slot in self._wanted if slot not in self._begun]
            while waiting:
                waiting += self._from_store(store, waiting.pop(0))
        for slot in self._wanted:
            if slot not in self._begun:
                self._begun[slot] = self._from_file(slot)
        return {slot: self._begun[slot] for slot in self._wanted}

    def _say(self, slot: str, text: str, level: Level = "warn") -> None:
        self._kept.said.append(Said(slot, text, level))

    def settle(self) -> Mapping[str, Version]:
        """The station file's models that are other ones than before are committed; gives the version of each slot that has one."""
        store = self._kept.store
        for slot in self._replaced if store is not None else ():
            begun, file = self._begun[slot], self._files[slot]
            assert isinstance(begun, Begun) and isinstance(file, Source) and store is not None
            try:
                words = store.take_file(slot, file)
                self._begun[slot] = replace(begun, version=store.committed(slot))
                if words:
                    self._say(slot, words)
                self._keep_program(store, slot, begun.model)
            except (StoreError, EngineError) as error:
                self._say(slot, f"{error}; it runs, and will be looked at again at the next start")
        begun_with = ((slot, begun) for slot, begun in self._begun.items() if isinstance(begun, Begun))
        return {slot: begun.version for slot, begun in begun_with if begun.version is not None}

    def _take_file(self, store: Store, slot: str) -> None:
        """The station file's model, if it is another one than before."""
        file = self._files[slot]
        error = file if isinstance(file, EngineError) else None
        if isinstance(file, Source):
            try:
                if store.is_known_file(slot, file):
                    return
                self._begun[slot] = Begun(self._loaded(file, slot))
                self._replaced.append(slot)
            except EngineError as caught:
                error = caught
        if error is not None and store.committed(slot) is not None:
            self._say(slot, f"the station file's model cannot be used: {error}")

    def _from_store(self, store: Store, slot: str) -> list[str]:
        """Begin with the committed version; gives the slots that must begin with another one after all."""
        version = store.committed(slot)
        if version is None:
            return []
        try:
            self._begun[slot] = Begun(self._loaded_version(store, version), version)
        except StoreError as error:
            return self._back(store, version, error)
        except EngineError as error:  # whole, but what the station file says of it has changed, or this program has
            words = error.in_toml if isinstance(error, ShapeBindingError) else error
            self._begun[slot] = EngineError(f"{title(version)}, which was committed, does not load: {words}")
            return []
        file = self._files[slot]
        if store.file_version(slot) != version.sha256:
            other = self._wanted[slot].file.name if isinstance(file, Source) else "the station file's"
            self._say(slot, f"{title(version)} runs, not {other}", "ok")
        return []

    def _back(self, store: Store, version: Version, error: StoreError) -> list[str]:
        """A committed version that is damaged, and all that came with it, give way to those before."""
        together = store.together(version.slot)
        hashes = {name: one.sha256 for name, one in together.items()}
        why = f"{title(version)} is lost: {error}"
        store.give_way(hashes, f"{why}; the version before is taken")
        for name in together:
            self._begun.pop(name, None)
            if name != version.slot and name in self._wanted:
                self._say(name, f"goes back to the version before, together with {version.slot}")
        before = store.committed(version.slot)
        self._say(version.slot, f"{why}; {title(before) if before else 'the model of the station file'} runs")
        return [name for name in together if name in self._wanted]

    def _loaded_version(self, store: Store, version: Version) -> Model:
        """A version of the store, from its compiled program if that is good; else compiled again, and kept.

        Raises:
            StoreError: its file is damaged. The station file's own is taken in its place, where it is the same.
            EngineError: it does not run (any more).
        """
        wanted = self._wanted[version.slot]
        program = store.files.program(version.sha256, wanted.binding)
        if program is not None:
            try:
                return _named(rt_engine.load(program, **wanted.binding.options), version)
            except EngineError:
                pass  # it is made again
        try:
            source = store.source(version)
        except StoreError:
            file = self._files[version.slot]
            if not isinstance(file, Source) or not store.is_same(file, version):
                raise
            source = file
            store.add(version.slot, file, STATION_FILE)
            self._say(version.slot, f"{title(version)} was damaged in the store, and was copied from {file.name} again")
        model = _named(self._loaded(source, version.slot), version)
        self._keep_program(store, version.slot, model)
        return model

    def _keep_program(self, store: Store, slot: str, model: Model) -> None:
        """Keep what was compiled, for the next start; where that cannot be, it is compiled again."""
        wanted = self._wanted[slot]
        if store.is_program(model.sha256):
            return
        try:
            store.put_program(model.sha256, _program(model), wanted.binding)
        except StoreError as error:
            self._say(slot, f"{error}; the next start compiles it again")

    def _from_file(self, slot: str) -> Begun | EngineError:
        file = self._files[slot]
        if isinstance(file, EngineError):
            return file
        try:
            return Begun(self._loaded(file, slot))
        except EngineError as error:
            return error

    def _loaded(self, source: Source, slot: str) -> Model:
        wanted = self._wanted[slot]
        return rt_engine.load(source, **wanted.binding.options)


def title(version: Version) -> str:
    """What people call a version: its number, file, hash."""
    return f"version {version.number} ({version.name}, {version.sha256[:_DIGITS]})"


def _named(model: Model, version: Version) -> Model:
    """A model of the store under the name and hash of the file that came."""
    return Model(replace(model.program, sha256=version.sha256), Path(version.name).stem or "model")


def _program(model: Model) -> bytes:
    from rt_engine.program.rtp_writer import to_bytes

    return to_bytes(model.program)


def _ended(store: Store, ended: Ended) -> Iterator[Said]:
    """What was under way when the station ended, slot by slot."""
    became = "rolled back" if ended.state == ChangeState.ROLLED_BACK else "rejected"
    for slot, sha256 in ended.slots.items():
        runs = store.committed(slot)
        yield Said(
            slot,
            f"{title(store.version(slot, sha256))} is {became}: {ended.why}; "
            + (f"{title(runs)} runs" if runs else "the station file's model runs"),
            sha256=sha256,
            state=ended.state,
        )
