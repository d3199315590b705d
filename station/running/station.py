"""A station: built from its file, started, watched, updated, stopped with safe outputs, reported.

start   servers, tasks, links    a task without good inputs keeps its outputs safe: nothing waits for a device;
                                 links at last: a start that fails has written to no device
stop    tasks                    their outputs are safe
        links                    all at once; each writes the safe values to its device, and says if that was confirmed
        servers                  at last, so that PLC clients can still read the safe values
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from fieldbus.link.link import Link
from plc_bindings.net.serving import ServerStatus
from rt_engine.apart import Apart
from rt_engine.read.source import Source
from scheduler.status import State
from station.change.answer import Updated
from station.change.heard import Heard
from station.change.wired import changes_of
from station.errors import Problem, RefusedError
from station.file.reading import StationFile
from station.machine.computer import Level
from station.recorder.shelf import Kept as KeptFile
from station.running.page import Behind as PageBehind
from station.running.page import StationPage
from station.running.recording import RecordingSide
from station.running.telling import Telling
from station.running.watching import Watching
from station.show.events import Diary, EventKind
from station.show.live import LIVE_TAGS, REFRESH_S, View
from station.show.report import Report
from station.show.snapshot import Snapshot
from station.show.tags import TagView
from station.show.verdict import LATE_NS
from station.store.starting import Kept, title
from station.terms.findings import unknown
from station.wiring.parts import build
from station.wiring.plc_side import CONTROL_SOCKET, Behind, PlcSide, audit_log, plc_side, signed_in

WATCH_S: Final = 0.05
UPDATE_PATIENCE_S: Final = 60.0
VIEW_PATIENCE_S: Final = 1.0
NS: Final = 1e9
NS_PER_MS: Final = 1e6
WORKER: Final = "station.replay.gate_worker"
"""Examines new versions, in a process of its own."""


class Station:
    """Everything that a station file describes, wired. A context manager: runs from entry to exit.

    Args:
        file: what it is made of.
        kept: its store (`station.store.starting.kept_in`); without one its models are those of the file.

    Raises:
        StationFileError: a model cannot run, or tags do not fit it.
        TaskError: a task cannot work.
    """

    def __init__(self, file: StationFile, kept: Kept | None = None) -> None:
        self.file, self.diary = file, Diary()
        self._kept = kept or Kept()
        self._parts = build(file, self._kept)
        self.recording = RecordingSide(file, self._parts, self._kept, self._told_by_recorder)
        """What records its cycles, and hands them to who listens."""
        self._scheduler = self.recording.scheduler()
        self._audit = audit_log(file)
        for said in self._kept.said:
            if said.slot:
                facts = {"state": said.state.name, "sha256": said.sha256} if said.sha256 else {}
                self._audit.record_change("the station", f"model {said.slot}", said.text, slot=said.slot, **facts)
        self._apart = Apart(avoid=self._parts.cpus, worker=WORKER)
        self._plc: PlcSide | None = None
        self._heard = Heard(
            self.diary,
            self._audit,
            plc=lambda: self._plc,
            files={name: table.file for name, table in file.config.models.items()}
            | {
                name: title(version)
                for name, version in self._parts.versions.items()
                if self._kept.store is not None and self._kept.store.file_version(name) != version.sha256
            },
            hashes={name: model.sha256 for name, model in self._parts.models.items()},
        )
        self.changes = changes_of(file, self._parts, self._scheduler, self._apart, self._heard, self.recording.places)
        """What becomes of new versions of its models."""
        self.recording.bind(self._scheduler, self.changes, lambda: self._heard.files)
        self._watching = Watching(self.diary, self._parts.links, self._scheduler, self._audit)
        self._telling = Telling(
            file,
            self._parts,
            self._scheduler,
            self._heard,
            self.diary,
            self._audit,
            self.changes,
            self.recording,
            self._watching,
            self._server_status,
        )
        if file.config.servers:
            self._plc = self._servers_side()
        self._begun: list[str] = []
        """The links that were started."""
        self.is_making_safe = False
        """Are outputs being made safe? That takes a bounded time, and must not be interrupted."""
        self._asks: SimpleQueue[None] = SimpleQueue()
        """Who asks the station to end puts something in. No `Event`: a signal that comes while its lock is held would hang."""
        self._view_failed = False

    @property
    def name(self) -> str:
        """The station's name."""
        return self.file.config.station.name

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about how tags lie in the models; those of the file alone are the file's."""
        return self._parts.warnings

    # --- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Station:
        self._telling.begin()
        self._apart.open()
        self.changes.start(self._kept.store, self._kept.trouble)
        self._begun.clear()
        self.diary.begin()
        self._watching.begin()
        self.diary.note("run", self.name, f"starts, process {os.getpid()}", "ok")
        for said in self._kept.said:
            self.diary.note("update" if said.slot else "station", said.slot or "store", said.text, said.level)
        self._audit.start()
        try:
            if self._plc is not None:
                self._plc.start()
            self.recording.start()
            self._scheduler.start()
            for name, link in self._parts.links.items():
                link.start()
                self._begun.append(name)
        except BaseException:
            self._make_safe(driven_only=True)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.is_making_safe = True  # before anything that could be interrupted
        self._watch()
        self._note("run", self.name, "stops", good=True)
        self._make_safe()
        self._watching.look_at_outputs()
        self._note("run", self.name, "stopped", good=True)
        self.diary.flush(is_last=True)
        self._telling.end()

    def _make_safe(self, driven_only: bool = False) -> None:
        """Stop the tasks, then all links at the same time, so that one dead device does not keep the others waiting.

        `driven_only`: a device to which nothing was written yet is left as it is.
        """
        self.is_making_safe = True
        self.changes.ask_to_stop()
        self._apart.close()  # an update that is under way is refused
        try:
            self._scheduler.stop()
        finally:
            links = {name: self._parts.links[name] for name in self._begun}
            safe = {name: not driven_only or link.has_driven for name, link in links.items()}
            for name, link in links.items():
                link.ask_to_stop(safe[name])
            try:
                for name, link in links.items():
                    self._stop_link(name, link, safe[name])
            finally:
                self.changes.stop()
                if self._plc is not None:
                    self._plc.stop()
                self._audit.stop()
                self.is_making_safe = False
                self.recording.stop()

    def _stop_link(self, name: str, link: Link, safe: bool) -> None:
        confirmed = link.stop(safe)
        table = self.file.config.links[name]
        has_device = link.has_driven or not table.is_called  # no client has read outputs that one could act on
        if safe and has_device and any(tag.direction == "out" for tag in link.tags):
            self._telling.safe_confirmed[name] = confirmed
            by = table.confirmed_by
            words = f"written, {by}" if confirmed else f"NOT {by}"
            self._note("link", name, f"safe values {words}", confirmed)

    def run(self, view: View, seconds: float | None = None, beat: Callable[[], None] = lambda: None) -> None:
        """Watch and show until `request_stop`, or until `seconds` have passed; each look at the station ends with a `beat`.

        What shows is a thread of its own: a terminal that takes no more text must not keep the station from stopping.
        """
        until_s = time.monotonic() + seconds if seconds is not None else float("inf")
        done = threading.Event()
        shows = threading.Thread(target=self._show_until, args=(view, done), name="view", daemon=True)
        shows.start()
        try:
            while not self._is_asked(WATCH_S) and time.monotonic() < until_s:
                self._watch()
                beat()
            self._telling.keep_tags()
        finally:
            done.set()
            shows.join(VIEW_PATIENCE_S)
        self._asks = SimpleQueue()  # who asked more than once meant this run

    def ticks(self) -> bool:
        """Does every task tick? None hangs, and none is behind by more than two of its periods (two seconds at least)."""
        now_ns = self._scheduler.now_ns()
        return all(
            self._scheduler.state(task.name) == State.RUNNING
            and now_ns - self._scheduler.counters(task.name)["due_ns"] < max(LATE_NS, 2 * task.period_ns)
            for task in self._scheduler.tasks
        )

    def request_stop(self) -> None:
        """Let `run` return soon, or as soon as it begins. Any thread, and any signal's handler."""
        self._asks.put(None)

    def _is_asked(self, patience_s: float) -> bool:
        """Does somebody ask the station to end, now or within that time?"""
        try:
            self._asks.get(timeout=patience_s)
        except Empty:
            return False
        return True

    # --- what others ask ----------------------------------------------------------------------------------------------

    def update(self, slot: str, file: Path | Source, who: str = CONTROL_SOCKET) -> Updated:
        """A new version of a slot's model, as the station file says; `changes.update` has more. Any thread.

        Raises:
            KeyError, RefusedError: see `station.change.changes.Changes.update`.
        """
        return self.changes.update({slot: file}, who)

    def reset_state(self, task: str, who: str = CONTROL_SOCKET) -> str:
        """What a task's model and step keep begins anew in its next cycle. See `station.running.control.Controlled`. Any thread."""
        table = self.file.config.tasks.get(task)
        if table is None:
            raise KeyError(unknown("task", task, self.file.config.tasks))
        if not (table.model and self._parts.slots[table.model].model.state) and table.step is None:
            raise RefusedError(
                f"task {task} keeps nothing from cycle to cycle: it has no step, and model {table.model} has no state"
            )
        self._scheduler.reset_state(task)
        self._audit.record_change(who, f"task {task}", "state reset")
        return f"the state of task {task} begins anew in its next cycle"

    def reset_drive(self, drive: str, who: str = CONTROL_SOCKET) -> str:
        """Have a drive reset its fault. See `station.running.control.Controlled`. Any thread."""
        links = {name: link for link in self._parts.links.values() for name in link.resettable}
        if drive not in links:
            raise KeyError(unknown("drive", drive, links))
        links[drive].reset_fault(drive)
        self._audit.record_change(who, f"drive {drive}", "fault reset")
        return f"drive {drive} is told to reset its fault; {links[drive].name}'s note in the status says whether it did"

    def record(self, why: str, who: str = CONTROL_SOCKET) -> str:
        """Keep the cycles around now. See `station.running.control.Controlled`. Any thread."""
        message = self.recording.record(why)
        self._note("recorder", "trigger", f"by {who}{f': {why}' if why else ''}", good=True)
        return message

    def _record_for_client(self) -> None:
        with suppress(RefusedError):  # it is in the status why
            self.record("", "a PLC client")

    def recordings(self) -> list[KeptFile]:
        """Its files. See `station.running.control.Controlled`. Any thread."""
        return self.recording.kept()

    def _told_by_recorder(self, words: str, level: Level) -> None:
        self.diary.note("recorder", "recorder", words, level)

    def _servers_side(self) -> PlcSide:
        page = StationPage(
            PageBehind(
                config=self.file.config,
                parts=self._parts,
                scheduler=self._scheduler,
                heard=self._heard,
                changes=self.changes,
                diary=self.diary,
                audit=self._audit,
                snapshot=self.snapshot,
                tags=self.tags,
                servers=self._server_status,
                reset_state=self.reset_state,
                recording=self.recording,
                record=self.record,
            )
        )
        behind = Behind(
            *(self._replaced, signed_in(self._kept.store), self.changes, self._told_of_client, page),
            self.recording.shown(self._record_for_client),
        )
        return plc_side(self.file, self._parts, self._scheduler, self._audit, behind)

    def _told_of_client(self, who: str, what: str, outcome: str) -> None:
        """What a client did or was refused; the audit log has each, the events what a flood leaves of it."""
        level: Level = "bad" if "refused" in outcome else "ok"
        self.diary.note("client", who, f"{what}: {outcome}", level, among="clients")

    def _replaced(self, slot: str, model: Source, who: str, signature: bytes) -> Updated:
        """What a client uploaded goes the way of any new version."""
        return self.changes.update({slot: model}, who, signature=signature)

    def tags(self, patterns: Iterable[str] = (), most: int | None = None) -> tuple[TagView, ...]:
        """See `Telling.tags`."""
        return self._telling.tags(patterns, most)

    def snapshot(self, tags: int | None = 0) -> Snapshot:
        """The station now, with so many of its tags; None: all."""
        return self._telling.snapshot(tags)

    def report(self) -> Report:
        """What the run leaves behind."""
        return self._telling.report()

    def report_so_far(self) -> Report:
        """The same while it runs; the machine is examined once."""
        return self._telling.report_so_far()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _show_until(self, view: View, done: threading.Event) -> None:
        """Show the newest state again and again. A screen or log that cannot be written does not stop the control."""
        try:
            with view:
                self._show(view)
                while not done.wait(REFRESH_S):
                    self._show(view)
                self._show(view)
        except (OSError, ValueError) as error:
            self._note_view(error)

    def _show(self, view: View) -> None:
        try:
            view.show(self.snapshot(LIVE_TAGS))
        except (OSError, ValueError) as error:  # a full disk; a character that the terminal does not have
            self._note_view(error)

    def _note_view(self, error: OSError | ValueError) -> None:
        if not self._view_failed:
            why = getattr(error, "strerror", None) or error
            self._note("station", "output", f"cannot be written, control goes on: {why}", good=False)
        self._view_failed = True

    def _server_status(self) -> dict[str, ServerStatus]:
        servers = self._plc.servers if self._plc is not None else {}
        return {name: server.status() for name, server in servers.items()}

    def _watch(self) -> None:
        self._watching.look()
        self.recording.look()

    def _note(self, kind: EventKind, subject: str, text: str, good: bool) -> None:
        self.diary.note(kind, subject, text, "ok" if good else "bad")
