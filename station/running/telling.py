"""What a station says of itself: how it is now (`Snapshot`), how its run went (`Report`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from plc_bindings.security.chain import START
from scheduler.status import Action, TaskStatus
from station.machine.computer import Computer, Fact
from station.machine.probes import examine
from station.machine.rights import facts_of, merged
from station.show.events import did
from station.show.identity import identity
from station.show.picture import Picture
from station.show.reasons import note
from station.show.report import LateCycle, Report, TagRange
from station.show.snapshot import LinkView, MonitorView, ServerView, Snapshot, TaskView
from station.show.tags import TagView, matching, views

if TYPE_CHECKING:
    from fieldbus.link.link import Link
    from plc_bindings.net.serving import ServerStatus
    from plc_bindings.security.audit import AuditLog
    from scheduler.rights import Grant
    from scheduler.scheduler import Scheduler
    from scheduler.stats import TaskStats
    from station.change.changes import Changes
    from station.change.heard import Heard
    from station.file.reading import StationFile
    from station.running.recording import RecordingSide
    from station.running.watching import Watching
    from station.show.events import Diary
    from station.wiring.parts import Parts

NS: Final = 1e9


class Telling:
    """Of one station. `safe_confirmed`: link -> did its device confirm the safe values of the end? `servers`: how they are."""

    def __init__(
        self,
        file: StationFile,
        parts: Parts,
        scheduler: Scheduler,
        heard: Heard,
        diary: Diary,
        audit: AuditLog,
        changes: Changes,
        recording: RecordingSide,
        watching: Watching,
        servers: Callable[[], Mapping[str, ServerStatus]],
    ) -> None:
        self._file, self._config, self._parts, self._scheduler = file, file.config, parts, scheduler
        self._heard, self._diary, self._audit, self._changes = heard, diary, audit, changes
        self._recording, self._watching, self._servers = recording, watching, servers
        self.safe_confirmed: dict[str, bool] = {}
        self._examined: tuple[Fact, ...] = ()
        self._started = datetime.now(UTC)
        self._begin_s = self._end_s = 0.0
        self._last_tags: tuple[TagView, ...] = ()

    def begin(self) -> None:
        """A run begins."""
        self._started, self._begin_s, self._end_s = datetime.now(UTC), time.monotonic(), 0.0
        self._last_tags = ()
        self.safe_confirmed.clear()

    def keep_tags(self) -> None:
        """From now on tags are as they are now: what follows makes them safe."""
        self._last_tags = self.tags()

    def end(self) -> None:
        """The run is over."""
        self._end_s = time.monotonic()

    def tags(self, patterns: Iterable[str] = (), most: int | None = None) -> tuple[TagView, ...]:
        """The tags that the patterns mean (`tank.*`), not more than that; all, where there is no pattern.

        Raises:
            KeyError: a pattern means none; the message names the nearest.
        """
        tags = self._config.tags
        return views(self._parts.links, tags, matching(patterns, list(tags))[:most])

    def snapshot(self, tags: int | None = 0) -> Snapshot:
        """The station now, with so many of its tags; None: all."""
        stats = self._scheduler.stats()
        now_s = self._end_s or time.monotonic()
        head = self._audit.head or START
        return Snapshot(
            station=self._config.station.name,
            pid=os.getpid(),
            running_s=now_s - self._begin_s if self._begin_s else 0.0,
            tasks=tuple(self._task_view(stats[name], table.model or "") for name, table in self._config.tasks.items()),
            links=tuple(self._link_view(name, link) for name, link in self._parts.links.items()),
            models=self._heard.files,
            rights=tuple(str(grant) for grant in merged(self._rights()) if not grant.granted),
            servers=self._server_views(),
            tags=self._last_tags[:tags] or self.tags(most=tags),
            tag_count=len(self._config.tags),
            changes=self._changes.views(),
            audit_number=head.number,
            audit_head=head.hash if head.number else "",
            recorder=self._recording.view(),
        )

    def report(self) -> Report:
        """What the run leaves behind."""
        pictures = [(f"Task {name}", self._task_pictures(name)) for name in self._config.tasks]
        links = {name: link.status() for name, link in self._parts.links.items()}
        trips = tuple(Picture.of(f"{name}, round trip", status.round_trip) for name, status in links.items())
        phases = tuple(
            Picture.of(f"{name}, off the phase of the reference clock", status.clock_offsets)
            for name, status in links.items()
            if status.clock_offsets is not None
        )
        cpu = next((t.cpu for t in self._scheduler.tasks), None)
        cycle_us = max(1, min((task.cycle_ns for task in self._config.tasks.values()), default=10**6) // 1000)
        machine = Computer(wanted_cpu=cpu, grants=self._rights(), cycle_us=cycle_us)
        return Report(
            started=self._started.astimezone(),
            snapshot=self.snapshot(tags=None),
            pictures=(*pictures, *([("Round trips of the links", (*trips, *phases))] if trips else [])),
            events=self._diary.events,
            rights=facts_of(self._rights(), machine),
            machine=self._examined or tuple(examine(machine)),
            identity=identity(self._file, self._started.astimezone(), self._heard.files, self._heard.hashes, machine),
            tags=self._tag_ranges(),
            worst=self._worst_cycles(),
            station_file=self._file.lines.text,
            is_final=self._end_s > 0.0,
        )

    def report_so_far(self) -> Report:
        """The same while it runs; the machine is examined once."""
        self._examined = self._examined or self.report().machine
        return self.report()

    def _rights(self) -> tuple[Grant, ...]:
        """What the threads of tasks and links asked of the system."""
        return (*self._scheduler.rights, *self._parts.grants)

    def _tag_ranges(self) -> tuple[TagRange, ...]:
        tags, seen = self._config.tags, self._scheduler.ranges()
        return tuple(
            TagRange(name, tag.unit, one.seen, one.least, one.mean, one.greatest)
            for name, tag in tags.items()
            if (one := seen.get(name)) is not None
        )

    def _worst_cycles(self) -> tuple[LateCycle, ...]:
        return tuple(
            LateCycle(task.name, cycle.tick_ns / NS - self._begin_s, cycle.complete_ns, did(cycle))
            for task in self._scheduler.tasks
            for cycle in self._scheduler.worst(task.name)
        )

    def _task_pictures(self, name: str) -> tuple[Picture, ...]:
        wake_up, execution = self._scheduler.histograms(name)
        pictures = [Picture.of("wake-up, after the tick", wake_up), Picture.of("execution of a cycle", execution)]
        reaction = self._scheduler.reaction(name)
        if reaction.count:
            pictures.append(Picture.of("reaction: input came to output sent", reaction))
        return tuple(pictures)

    def _task_view(self, stats: TaskStats, model: str) -> TaskView:
        silent = stats.action == Action.LIVE or not stats.cycles or stats.status == TaskStatus.STOPPED
        words = "" if silent else note(stats.action, stats.status)
        if (monitor := MonitorView.of(stats.monitor)) is not None:
            words = "; ".join(filter(None, (words, monitor.words)))
        if stats.slices is not None:
            words = "; ".join(filter(None, (words, stats.slices.complaint)))
        view = TaskView.of(stats, model, words, self._watching.starting.get(stats.name, 0))
        return replace(view, due_ns=view.due_ns + self._scheduler.shift_ns)

    def _link_view(self, name: str, link: Link) -> LinkView:
        table = self._config.links[name]
        return LinkView.of(name, table.describe(), link.status(), self.safe_confirmed.get(name), table.is_called)

    def _server_views(self) -> tuple[ServerView, ...]:
        status = self._servers()
        return tuple(
            ServerView(name, s.address, s.clients, s.requests, s.refused, {**s.counts, **s.gauges}, s.trouble)
            for name, s in status.items()
        )
