"""What of a station records: rings for its tasks, a drain for who listens, a recorder where the file wants one.

    tasks --taps--> rings in shared memory --drain--> listeners (`drain.listen`: the page)
                                                \\--> recorder --> files
    the rings of a process that was killed --salvage--> a file, at the next start

Nothing of it is there where the file has neither `[recorder]` nor a server that shows cycles. Nothing of it keeps control from
running: what cannot be had is told, and is in the status.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from plc_bindings.data.changes import ChangeView
from plc_bindings.data.recorder_area import RecorderNumbers, RecorderShown
from rt_engine.recording.contents import ARITHMETIC, Version
from rt_native.target import host
from scheduler.errors import RingError
from scheduler.ring import boot_id
from scheduler.scheduler import Scheduler
from scheduler.tap import TapTerms
from station.change.seen_again import Places
from station.errors import RefusedError, UnsafeFolderError
from station.file.reading import StationFile
from station.file.recorder_checks import conditions
from station.machine.computer import Level
from station.recorder.drain import Drain
from station.recorder.home import Home, SavedFacts, facts_path, forget_stem, ring_path, write_facts
from station.recorder.models import ModelFiles
from station.recorder.pieces import Clocks, Facts
from station.recorder.recorder import Recorder, Tell, capacity, checkpoints
from station.recorder.salvage import salvage
from station.recorder.shelf import Kept, Shelf
from station.running.finding import identity
from station.show.recorder import RecorderView
from station.store.starting import Kept as KeptStore
from station.terms.steps import FunctionStep
from station.wiring.parts import Parts

CLOCKS: Final = Clocks(time.monotonic_ns, time.time_ns)
NO_RECORDER: Final = "this station records nothing: its file has no [recorder]"
SALVAGE_S: Final = 30.0
"""How often it is tried again."""
PATIENCE_S: Final = 5.0


class ChangesLike(Protocol):
    """What is asked of the changes."""

    def views(self) -> Iterable[ChangeView]:
        """The newest of each slot."""

    def paths(self) -> Iterable[str]:
        """Where their files came from."""


class RecordingSide:
    """See the module.

    Args:
        file: the station's.
        parts: what was wired.
        kept: its store.
        tell: hears what people should know.
    """

    def __init__(self, file: StationFile, parts: Parts, kept: KeptStore, tell: Tell) -> None:
        self._file, self._parts, self._hear = file, parts, tell
        self._early: list[tuple[str, Level]] | None = []
        """What is to be told when the run begins."""
        config = file.config
        self.table = config.recorder
        self._tasks = [
            name for name in config.tasks if self.table is not None and name in (self.table.tasks or config.tasks)
        ]
        """Those that are recorded; a page sees all."""
        self.drain: Drain | None = None
        self.recorder: Recorder | None = None
        self.trouble = ""
        """Why nothing can be recorded."""
        self.shelf = Shelf(file.beside(self.table.folder if self.table else ""), config.station.name)
        self._home = Home(config.station.name, identity(file.path))
        self._stem: Path | None = None
        self._said: tuple[Version, ...] = ()
        self._sources: dict[str, str] = {}
        """Steps, as they run."""
        self._lives: Callable[[], Mapping[str, str]] = dict
        self._changes: ChangesLike | None = None
        store = kept.store.files if kept.store is not None else None
        self._models = ModelFiles(self.table.models if self.table else 0, store, self._model_paths)
        self._done = threading.Event()
        self._salvager: threading.Thread | None = None

    def _tell(self, words: str, level: Level) -> None:
        if self._early is None:
            self._hear(words, level)
        else:
            self._early.append((words, level))

    # --- made ---------------------------------------------------------------------------------------------------------

    def scheduler(self) -> Scheduler:
        """The station's scheduler; its tasks have taps where somebody wants their cycles."""
        terms = self._terms()
        for is_last in (False, True) if terms else ():
            try:
                return Scheduler(self._parts.tasks, taps=terms)
            except RingError as error:
                if is_last:
                    self._cannot(str(error))
                else:
                    self._salvage()  # what a killed process has left may take the room
        return Scheduler(self._parts.tasks)

    def _terms(self) -> dict[str, TapTerms]:
        wants = any(server.wants_records for server in self._file.config.servers.values())
        names = list(self._file.config.tasks) if wants else self._tasks
        if not names:
            return {}
        if self.table is None:
            self._home.sweep()
        try:
            self._stem = self._home.new()
        except (OSError, UnsafeFolderError) as error:
            self._cannot(str(error))
            return {}
        periods = {task.name: task.period_ns for task in self._parts.tasks}
        terms = {}
        for number, name in enumerate(names):
            table = self.table if name in self._tasks else None
            terms[name] = TapTerms(
                path=ring_path(self._stem, number),
                capacity=capacity(table, periods[name]),
                checkpoint_ns=table.checkpoint_ns if table else NEVER_NS,
                checkpoints=checkpoints(table, periods[name]),
            )
        return terms

    def _cannot(self, why: str) -> None:
        self.trouble = why
        self._tell(f"nothing is recorded, control goes on: {why}", "bad")

    def bind(self, scheduler: Scheduler, changes: ChangesLike, lives: Callable[[], Mapping[str, str]]) -> None:
        """What it records is there now. `lives`: slot -> file that is live."""
        self._scheduler, self._changes, self._lives = scheduler, changes, lives
        rings = scheduler.rings
        if not rings:
            return
        self.drain = Drain(rings.values(), lambda words: self._tell(words, "bad"))
        if self.table is None or not self._tasks:
            return
        recorded = [name for name in rings if name in self._tasks]
        self._sources = {name: text for name, path in self._files() if (text := _read(path)) is not None}
        facts = Facts(
            layouts=tuple(rings[name].layout for name in recorded),
            station=self._file.lines.text,
            about=self._about(),
            versions=self.versions,
            model=self._models.read,
            files={name: text.encode() for name, text in self._sources.items()},
        )
        counts = {name: tag.count for name, tag in self._file.config.tags.items()}
        when = conditions(self.table, counts)
        clocks = Clocks(scheduler.now_ns, CLOCKS.utc)  # records tell the time as ticks have it
        self.recorder = Recorder(
            self.table, self.shelf, self.drain, facts, when, self._count, self._tell, clocks, recorded
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Before the tasks: their first cycles are seen."""
        early, self._early = self._early or [], None
        for words, level in early:
            self._hear(words, level)
        self._done.clear()
        self._write_facts()
        if self.recorder is not None:
            self.recorder.start()
        if self.drain is not None:
            self.drain.start()
        if self.table is not None:
            self._salvager = threading.Thread(target=self._salvage_until, name="salvage", daemon=True)
            self._salvager.start()

    def stop(self) -> None:
        """After the tasks: all that they did is written, if the disk takes it in time; else the next start saves it."""
        self._done.set()
        if self.drain is not None:
            self.drain.stop()
        is_written = self.recorder is None or self.recorder.stop()
        if self._salvager is not None:
            self._salvager.join(PATIENCE_S)
        if self._stem is not None and is_written:
            for ring in self._scheduler.rings.values():
                ring.path.unlink(missing_ok=True)
            forget_stem(self._stem)

    def look(self) -> None:
        """Now and then: what a salvage would have to say is kept."""
        if self._stem is not None and self.versions() != self._said:
            self._write_facts()

    def _salvage_until(self) -> None:
        while not self._salvage() and not self._done.wait(SALVAGE_S):
            pass

    def _salvage(self) -> bool:
        """Save what a process has left that was killed; gives whether that is done."""
        if self.table is None:
            return True
        try:
            for saved in salvage(self._home, self.shelf, self.table.compression, CLOCKS.utc):
                self._tell(saved.words, "warn")
        except OSError as error:
            self._tell(f"what was left of the run before cannot be saved yet: {error.strerror or error}", "bad")
            return False
        return True

    # --- what others ask ----------------------------------------------------------------------------------------------

    def record(self, why: str) -> str:
        """Keep what lies around now; in words what is kept.

        Raises:
            RefusedError: there is no recorder.
        """
        if self.recorder is None:
            raise RefusedError(self.trouble or NO_RECORDER)
        return self.recorder.record(why)

    def kept(self) -> list[Kept]:
        """The files that there are, oldest first. Looks into a folder.

        Raises:
            RefusedError: there is no recorder, or the folder cannot be read.
        """
        if self.table is None:
            raise RefusedError(NO_RECORDER)
        try:
            return self.shelf.kept()
        except OSError as error:
            raise RefusedError(f"{self.shelf.folder} cannot be read: {error.strerror}") from error

    def view(self) -> RecorderView | None:
        """The recorder now; None: the file has none."""
        if self.recorder is not None:
            return self.recorder.view()
        return (
            None
            if self.table is None
            else RecorderView(
                self.table.mode,
                False,
                0,
                0,
                self.table.quota,
                0,
                0,
                0,
                0,
                "",
                self.trouble or "it has not been started",
            )
        )

    def places(self) -> Places:
        """Where what tasks do now is recorded. Returns at once."""
        if self.recorder is None or self.table is None:
            return Places()
        view, folder = self.recorder.view(), self.shelf.folder
        keeps = self.table.mode == "continuous" or {"disagreement", "rollback"} & set(self.table.on)
        return Places(str(folder / view.newest) if view.is_recording else "", str(folder) if keeps else "")

    def shown(self, record: Callable[[], object]) -> RecorderShown | None:
        """What PLC clients see of it; `record`: what their trigger does. None: the file has no recorder."""
        return RecorderShown(self._numbers, record) if self.table is not None else None

    def _numbers(self) -> RecorderNumbers:
        view = self.view()
        if view is None:
            return RecorderNumbers()
        state = 2 if view.trouble else int(view.is_recording)
        counts = view.triggers, view.files, view.nbytes, view.quota, view.dropped, view.lost
        return RecorderNumbers(state, *counts, view.newest, view.trouble)

    # --- what a recording says ----------------------------------------------------------------------------------------

    def versions(self) -> tuple[Version, ...]:
        """Task, number -> model, of all that runs in recorded tasks or may run next."""
        slots = {name: slot.live for name, slot in self._parts.slots.items()}
        known = {name: {version: model.sha256} for name, (model, version) in slots.items()}
        for view in self._changes.views() if self._changes is not None else ():
            if view.candidate and view.sha256:
                known[view.slot].setdefault(view.candidate, view.sha256)
        return tuple(
            Version(task, number, sha256, slot)
            for task in self._tasks
            for slot in self._slots_of(task)
            for number, sha256 in known.get(slot, {}).items()
        )

    def _slots_of(self, task: str) -> Iterator[str]:
        """Its own model first; then those that look at it, or stand in for it."""
        table = self._file.config.tasks[task]
        named = (
            table.model,
            table.monitor.model if table.monitor else None,
            table.fallback.use.removeprefix("slot:") if table.fallback else None,
            table.on_late.model if table.on_late else None,
        )
        yield from (slot for slot in dict.fromkeys(named) if slot in self._parts.slots)

    def _count(self, task: str, kind: str) -> int:
        if kind == "monitor":
            return int(self._scheduler.counters(task)["monitor_verdicts"])
        slot = self._parts.slots.get(self._file.config.tasks[task].model or "")
        if slot is None or slot.change is None:
            return 0
        stats = self._scheduler.second(task)
        if stats is None:
            return 0
        beyond = sum(one.beyond + one.not_finite for one in stats.differences)
        return beyond + (stats.failed + stats.not_finite + stats.outside if stats.mode == "shadow" else 0)

    def _about(self) -> dict[str, str]:
        return {
            "machine": platform.node(),
            ARITHMETIC: host().arithmetic,
            "station": self._file.config.station.name,
            "boot_id": boot_id().hex(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        }

    def _model_paths(self) -> Iterator[Path]:
        for table in self._file.config.models.values():
            yield self._file.beside(table.file)
        coming = self._changes.paths() if self._changes is not None else ()
        for place in (*self._lives().values(), *coming):
            yield self._file.beside(place)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Name in a recording, and path, of what tasks are made of besides models."""
        for task in self._tasks:
            step = self._file.config.tasks[task].step
            if isinstance(step, FunctionStep):
                name = step.function.rpartition(":")[0]
                yield name, self._file.beside(name)

    def _write_facts(self) -> None:
        """What a salvage must say, where it would be looked for."""
        if self._stem is None or self.table is None:
            return
        self._said = self.versions()
        hashes = {version.sha256 for version in self._said}
        models = {sha256: str(path.absolute()) for sha256 in hashes if (path := self._models.path(sha256)) is not None}
        with suppress(OSError):
            write_facts(
                facts_path(self._stem),
                SavedFacts(self._file.lines.text, self._about(), self._said, models, self._sources),
            )


NEVER_NS: Final = 1 << 62
"""A page needs no checkpoints."""


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
