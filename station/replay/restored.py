"""A recording -> its tasks, as they ran: made from the station file inside it, with the models that ran, without a device.

    station file of the recording --values alone--> tables --> tags, windows, guards, steps
    [links.NAME]                                           --> private channels: nothing is opened, sent or asked
    [models.NAME]                                          --> the versions that ran, by their SHA-256

Whatever else the file names (certificates, servers, a store) is not needed, and not looked for. A step of the user's own is code: that
which came with a recording is run only where somebody says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import rt_engine
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Tag
from rt_engine import Model, ModelSlot
from rt_engine.contract.terms import Contract
from rt_engine.errors import EngineError, RecordingError
from rt_engine.read.source import BYTES, Source
from rt_engine.recording import Recording, TaskLayout, Version
from scheduler.errors import ReplayError
from scheduler.task import Task
from station.errors import StationFileError
from station.file.config import StationConfig
from station.file.reading import StationFile, read_as_it_ran
from station.file.view import tags_of
from station.replay.models import Missing, Search, versions_of
from station.store.starting import Kept
from station.terms.instead import ENVELOPE, SLOT
from station.terms.steps import FunctionStep
from station.terms.tables import TagTable
from station.terms.tasks import TaskTable
from station.wiring.parts import Builder

NAME: Final = "station.toml"
WHAT_HELPS: Final = (
    "--models FOLDER looks there (a folder of models, or the store of the station); `models` of [recorder] attaches them to "
    "the next recordings"
)


class MissingModelError(ReplayError):
    """A task has a model, and none of its versions is found."""


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A task as it ran.

    Args:
        models: version -> model, of the task's own model; empty where it has none.
        slot: its name in the station file; "": it has no model.
        missing: what ran and is nowhere; records of those versions cannot be repeated.
        others: "monitor", "fallback", "late" -> version -> model, of the models that the task has there.
    """

    task: Task
    layout: TaskLayout
    models: Mapping[int, Model] = field(default_factory=dict)
    slot: str = ""
    missing: tuple[Missing, ...] = ()
    others: Mapping[str, Mapping[int, Model]] = field(default_factory=dict)


def restored(
    recording: Recording,
    task: str,
    search: Search,
    *,
    steps: Path | None = None,
    trusted: bool = False,
    instead: Mapping[str, Model] | None = None,
) -> Restored:
    """A task of a recording.

    Args:
        task: its name.
        search: where models are looked for.
        steps: a folder with the task's own step, which then is run instead of that in the recording.
        trusted: run a step that came with the recording.
        instead: name in the station file -> a model that takes the place of those that ran; they are not looked for.

    Raises:
        MissingModelError: see there.
        ReplayError: there is no station file in the recording, or the task cannot be made of it: it says what is missing, and what
            would help.
        RecordingError: there is no such task, or its layout changes.
    """
    layout = recording.task(task).layout
    if not recording.station_text:
        raise ReplayError("the recording has no station file in it: how its tasks are made is not known")
    with tempfile.TemporaryDirectory(prefix="rt-engine-replay-") as place:
        return _Restoring(recording, layout, search, Path(place), steps, trusted, instead or {}).restored()


class _Restoring:
    def __init__(
        self,
        recording: Recording,
        layout: TaskLayout,
        search: Search,
        place: Path,
        steps: Path | None,
        trusted: bool,
        instead: Mapping[str, Model],
    ) -> None:
        self._recording, self._layout, self._search, self._place = recording, layout, search, place
        self._steps, self._trusted, self._instead = steps, trusted, instead
        self._name = layout.task
        self._versions = versions_of(recording, self._name)
        self._missing: list[Missing] = []

    def restored(self) -> Restored:
        sources = {slot: self._sources(slot, known) for slot, known in self._versions.items()}
        files = {slot: self._beside(slot, found or self._as_wired(slot)) for slot, found in sources.items()}
        try:
            file = read_as_it_ran(
                self._recording.station_text, self._place / NAME, files, [self._name], self._contracts(files)
            )
        except StationFileError as error:
            for missing in self._missing:  # it may be wired by that one's contract
                if any("cannot be read" in p.message and files[missing.slot] in p.message for p in error.problems):
                    raise MissingModelError(self._no_model(missing.slot)) from error
            raise ReplayError(f"the station file in the recording cannot be read: {_problems(error)}") from error
        table = file.config.tasks.get(self._name)
        if table is None:
            raise ReplayError(f"the station file in the recording has no task {self._name}")
        models = {slot: self._load(file, slot, found) for slot, found in sources.items()}
        for slot, model in self._instead.items():
            models[slot] = dict.fromkeys((*self._versions.get(slot, {}), *models.get(slot, {})) or (1,), model)
        slots = slots_of(table)
        for slot in slots.values():
            if not models.get(slot):
                raise MissingModelError(self._no_model(slot))
        self._bring_step(table.step)
        try:
            task = WithoutDevices(file, models).task(self._name, is_checked=bool(self._instead))
        except StationFileError as error:
            raise ReplayError(
                f"task {self._name} cannot be made of the station file in the recording: {_problems(error)}"
            ) from error
        of = {whose: models[slot] for whose, slot in slots.items()}
        return Restored(task, self._layout, of.pop("", {}), table.model or "", tuple(self._missing), of)

    def _sources(self, slot: str, known: Mapping[int, Version]) -> dict[int, Source]:
        """Version -> its file, of those that are found."""
        found: dict[int, Source] = {}
        for number, version in known.items() if slot not in self._instead else ():
            source = self._search.find(version.sha256)
            if source is None:
                self._missing.append(Missing(slot, number, version.sha256))
            else:
                found[number] = source
        return found

    def _as_wired(self, slot: str) -> dict[int, Source]:
        """What ran where now another model is run: a task that is wired by contract is wired by that one's."""
        for number, version in self._versions[slot].items() if slot in self._instead else ():
            if (source := self._search.find(version.sha256)) is not None:
                return {number: source}
        return {}

    def _contracts(self, files: Mapping[str, str]) -> dict[str, Contract]:
        """Those of the models that take the place of one that is nowhere."""
        found: dict[str, Contract] = {}
        for slot, model in self._instead.items():
            with suppress(EngineError):  # a contract that is broken says nothing
                if not (self._place / files.get(slot, "?")).is_file() and model.contract is not None:
                    found[slot] = model.contract
        return found

    def _beside(self, slot: str, found: Mapping[int, Source]) -> str:
        """The name of a file with one of the versions, for who reads contracts; one that is not there where none was found."""
        name = f"model-{sorted(self._versions).index(slot)}"
        for source in found.values():
            if isinstance(source.data, BYTES):
                name += ".rtp" if source.is_program else ".onnx"
                (self._place / name).write_bytes(source.data)
                break
        return name

    def _load(self, file: StationFile, slot: str, found: Mapping[int, Source]) -> dict[int, Model]:
        """A file that is several versions is loaded once."""
        table, models, known = file.config.models.get(slot), dict[int, Model](), dict[str, Model]()
        for number, source in found.items():
            sha256 = self._versions[slot][number].sha256
            try:
                options = {} if table is None else table.binding.options
                models[number] = known.get(sha256) or rt_engine.load(source, **options)
                known[sha256] = models[number]
            except EngineError as error:
                self._missing.append(Missing(slot, number, sha256, str(error)))
        return models

    def _no_model(self, slot: str) -> str:
        wanted = [str(missing) for missing in self._missing if missing.slot == slot]
        which = "; ".join(wanted) or f"model {slot}: the recording does not say which file it was"
        return f"task {self._name} cannot run without its model. {which}. {WHAT_HELPS}; --model FILE tries another one"

    def _bring_step(self, step: object) -> None:
        """The source of the task's own step, beside the station file."""
        if not isinstance(step, FunctionStep):
            return
        name = step.function.rpartition(":")[0]
        target = self._place / name
        if PurePosixPath(name).is_absolute() or not target.resolve().is_relative_to(self._place.resolve()):
            raise ReplayError(
                f"task {self._name}: its step {name} does not lie beside the station file; copy it to --steps FOLDER"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._steps is not None:
            self._copy(self._steps / name, target)
            return
        attached = self._recording.attachments.get(name)
        if attached is None:
            raise ReplayError(
                f"task {self._name}: its step {name} is not in the recording; --steps FOLDER says where it is"
            )
        if not self._trusted:
            raise ReplayError(
                f"task {self._name} has a step of its own, {name}, which is code. That in the recording is run only if you "
                "trust who made it: --run-steps; --steps FOLDER takes your own file"
            )
        try:
            target.write_bytes(attached.read())
        except RecordingError as error:
            raise ReplayError(f"task {self._name}: its step {name} in the recording is damaged: {error}") from error

    def _copy(self, source: Path, target: Path) -> None:
        for path in [source, *source.parent.glob("*.py")]:  # what it imports lies beside it
            try:
                (target.parent / path.name).write_bytes(path.read_bytes())
            except OSError as error:
                raise ReplayError(f"task {self._name}: its step {path} cannot be read: {error.strerror}") from error


def _problems(error: StationFileError) -> str:
    """What is wrong with it: its lines, without the place where it lay for a moment."""
    problems = [problem for problem in error.problems if problem.severity == "error"]
    lines = (f"line {p.line}: " if p.line else "" for p in problems)
    keys = (f"{p.key}: {p.message}" if p.key else p.message for p in problems)
    return "; ".join(line + key for line, key in zip(lines, keys, strict=True))


def slots_of(table: TaskTable) -> dict[str, str]:
    """The models of a task: "" -> its own, "monitor", "fallback", "late" -> those that look at it, or stand in for it."""
    named = {
        "": table.model,
        "monitor": table.monitor.model if table.monitor and table.monitor.model != ENVELOPE else None,
        "fallback": table.fallback.use.removeprefix(SLOT)
        if table.fallback and table.fallback.use.startswith(SLOT)
        else None,
        "late": table.on_late.model if table.on_late else None,
    }
    return {whose: slot for whose, slot in named.items() if slot is not None}


class WithoutDevices(Builder):
    """Tasks whose links are channels, and no more."""

    def __init__(self, file: StationFile, models: Mapping[str, Mapping[int, Model]]) -> None:
        super().__init__(file, Kept())
        self._models = models

    def task(self, name: str, is_checked: bool = False) -> Task:
        """One of the file; raises StationFileError. `is_checked`: tags and models have to mean the same, as at a start."""
        self.make_parts(is_checked)
        return next(task for task in self.parts.tasks if task.name == name)

    def load_models(self) -> None:
        """A slot for each model that there is, with its first version."""
        for slot, versions in self._models.items():
            for number in list(versions)[:1]:  # what was live when the recording began
                self.parts.models[slot] = versions[number]
                self.parts.slots[slot] = ModelSlot(versions[number], slot)
                self.parts.slots[slot].begin_at(number)

    def make_links(self) -> None:
        """None of them goes anywhere."""
        self.parts.links.update(no_devices(self._config))  # type: ignore[arg-type]  # tasks ask no more of a link


def no_devices(config: StationConfig) -> dict[str, NoDevice]:
    """In the place of every link of a station file: channels, and nothing behind them."""
    return {
        name: NoDevice(name, {tag: _tag(tag, table) for tag, table in tags_of(config, name).items()})
        for name in config.links
    }


class NoDevice:
    """In the place of a link: gives channels."""

    def __init__(self, name: str, tags: Mapping[str, Tag]) -> None:
        self._name, self._tags = name, tags

    def subscribe(self, image: ProcessImage, tags: Sequence[str], reader: str) -> Channel:
        """As a link's."""
        return image.channel(f"{self._name}->{reader}", [self._tags[t] for t in tags], writer=self._name, reader=reader)

    def drive(self, image: ProcessImage, tags: Sequence[str], writer: str) -> Channel:
        """As a link's."""
        return image.channel(f"{writer}->{self._name}", [self._tags[t] for t in tags], writer=writer, reader=self._name)


def _tag(name: str, table: TagTable) -> Tag:
    """A tag without an address."""
    more: dict[str, Any] = {
        key: getattr(table, key) for key in ("unit", "scale", "offset", "low", "high", "safe", "count")
    }
    return Tag(name, table.type, table.direction, **more)
