"""What the page of a station shows of it (`station.page.source.Source`): plain values, made when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from fieldbus.link.state import LINK_STATISTICS
from fieldbus.tags import Tag
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.audit import AuditLog, changes_of
from plc_bindings.security.chain import lines
from rt_engine import TensorSpec
from rt_native import version
from scheduler.scheduler import Scheduler
from scheduler.stats import TASK_STATISTICS
from station.change.changes import Changes
from station.change.heard import Heard
from station.file.config import StationConfig
from station.page.source import Measures, TaskTimes
from station.page.trends import KEEPS_S, STEPS_MS, Column, Trends
from station.recorder.shelf import Kept
from station.running.inside import Inside
from station.running.recording import NO_RECORDER, RecordingSide
from station.running.seen import Cycles, columns_of
from station.show.events import Diary, Event
from station.show.picture import Picture
from station.show.recorder import RecorderView
from station.show.snapshot import Snapshot
from station.show.tags import TagView, to_json
from station.show.verdict import judge
from station.wiring.parts import Parts

MOST_EVENTS: Final = 500
MOST_LINES: Final = 50
MOST_FILES: Final = 200
"""Recordings that are listed."""
MOST_WHY: Final = 200
"""Letters of why somebody wants a recording."""


@dataclass(frozen=True, slots=True)
class Behind:
    """What of a station its page is made from."""

    config: StationConfig
    parts: Parts
    scheduler: Scheduler
    heard: Heard
    changes: Changes
    diary: Diary
    audit: AuditLog
    snapshot: Callable[[], Snapshot]
    tags: Callable[[Sequence[str]], Sequence[TagView]]
    servers: Callable[[], Mapping[str, ServerStatus]]
    reset_state: Callable[[str, str], str]
    recording: RecordingSide
    record: Callable[[str, str], str]


class StationPage:
    """See `station.page.source.Source`. Any thread."""

    def __init__(self, behind: Behind) -> None:
        self._b, self._trends = behind, Trends()
        drain = behind.recording.drain
        self._sees_cycles = drain is not None
        if drain is not None:
            drain.listen(Cycles(self._trends, {name: tag.unit for name, tag in behind.config.tags.items()}))
        tasks = behind.config.tasks.items()
        of = {slot: [name for name, task in tasks if task.model == slot] for slot in behind.parts.slots}
        self._inside = Inside(behind.parts.slots, of, behind.scheduler)
        self.avoid = behind.parts.cpus

    def status(self) -> dict[str, Any]:
        """`rt-engine status --json`, with the verdict on the run until now, and the time."""
        snapshot = self._b.snapshot()
        verdict = [asdict(remark) for remark in judge(snapshot)]
        return {**snapshot.to_json(), "verdict": verdict, "now": _utc(time.time())}

    def histograms(self) -> dict[str, Any]:
        """As the report has them."""
        found: dict[str, list[Picture]] = {}
        for task in self._b.scheduler.tasks:
            wakeup, execution = self._b.scheduler.histograms(task.name)
            reaction = self._b.scheduler.reaction(task.name)
            pictures = [Picture.of("wake-up, after the tick", wakeup), Picture.of("execution of a cycle", execution)]
            if reaction.count:
                pictures.append(Picture.of("reaction: input came to output sent", reaction))
            found[task.name] = pictures
        for name, link in self._b.parts.links.items():
            status = link.status()
            found.setdefault(name, []).append(Picture.of("round trip", status.round_trip))
            if status.clock_offsets is not None:
                found[name].append(Picture.of("off the phase of the reference clock", status.clock_offsets))
        return {name: [asdict(picture) for picture in pictures] for name, pictures in found.items()}

    def tags(self, patterns: Sequence[str]) -> list[Any]:
        """The tags that the patterns mean, now."""
        return list(to_json(tuple(self._b.tags(patterns))))

    def facts(self) -> dict[str, Any]:
        """The words for what is counted; steps of trends."""
        shown = ("name", "heading", "meaning", "is_fault", "is_live")
        statistics = {"task": TASK_STATISTICS, "link": LINK_STATISTICS}
        words = {of: [{key: getattr(one, key) for key in shown} for one in all_] for of, all_ in statistics.items()}
        return {"statistics": words, "trends": {"steps_ms": STEPS_MS, "keeps_s": KEEPS_S}}

    def trends(self, tags: Sequence[str], step_ms: int, after: int) -> dict[str, Any]:
        """Least and greatest of each tag in steps."""
        return self._trends.read(tags, step_ms, after)

    def sample(self) -> None:
        """The tags now, where no drain tells of every cycle."""
        if self._sees_cycles:
            return
        names = list(self._b.config.tags)
        values = {one.tag.name: one for link in self._b.parts.links.values() for one in link.values(set(names))}

        def columns() -> list[Column]:
            return [column for name in names if name in values for column in _columns(values[name].tag)]

        rows = [number for name in names if name in values for number in values[name].values]
        self._trends.add("sampled", columns, np.array([time.monotonic_ns()]), np.array([rows], np.float64))

    def events(self, after: int) -> dict[str, Any]:
        """The newest events after that number."""
        last, events = self._b.diary.after(max(after, 0))
        first = last - len(events) + 1
        numbered = list(enumerate(events, first))[-MOST_EVENTS:]
        return {"last": last, "events": [_event(number, event) for number, event in numbered]}

    def models(self) -> list[Any]:
        """What is in the slots."""
        files, hashes = self._b.heard.files, self._b.heard.hashes
        return [self._model(slot, files[slot], hashes[slot]) for slot in self._b.config.models]

    def _model(self, slot: str, file: str, sha256: str) -> dict[str, Any]:
        slot_of = self._b.parts.slots[slot]
        model = slot_of.model
        return {
            "slot": slot,
            "file": file,
            "sha256": sha256,
            "version": slot_of.version,
            "inputs": [_spec(spec) for spec in model.inputs],
            "outputs": [_spec(spec) for spec in model.outputs],
            "tasks": [name for name, task in self._b.config.tasks.items() if task.model == slot],
        }

    def recordings(self) -> dict[str, Any]:
        """The recorder and its files, the newest first."""
        table, view = self._b.config.recorder, self._b.recording.view()
        if table is None or view is None:
            return {"recorder": None, "recordings": [], "why": NO_RECORDER}
        tasks = list(table.tasks or self._b.config.tasks)
        kept = [_recording(one, table.folder, tasks, view) for one in reversed(self._b.recording.kept()[-MOST_FILES:])]
        recorder = {
            "state": view.line,
            "mode": view.mode,
            "folder": table.folder,
            "quota_bytes": view.quota,
            "used_bytes": view.nbytes,
            "dropped": view.dropped + view.lost,
            "triggers": view.triggers,
            "trouble": view.trouble,
        }
        return {"recorder": recorder, "recordings": kept}

    def audit(self) -> dict[str, Any]:
        """The newest changes that the log has."""
        path = changes_of(self._b.audit.path)
        found = _newest(path)
        head = self._b.audit.head
        keys = ("number", "time", "who", "what", "outcome")
        return {
            "number": head.number if head else 0,
            "head": head.hash if head and head.number else "",
            "log": path.name,
            "lines": [{key: entry.get(key) for key in keys} for entry in found],
        }

    def graph(self, slot: str) -> dict[str, Any]:
        """Operators, edges, time of each."""
        return self._inside.graph(slot)

    def tensor(self, slot: str, node: str) -> dict[str, Any]:
        """What an operator made of the inputs of the newest cycle."""
        return self._inside.tensor(slot, node)

    def measures(self) -> Measures:
        """The numbers."""
        scheduler, snapshot = self._b.scheduler, self._b.snapshot()
        times = {
            task.name: TaskTimes(*scheduler.histograms(task.name), scheduler.reaction(task.name))
            for task in scheduler.tasks
        }
        return Measures(
            station=snapshot.station,
            version=version.TEXT,
            running_s=snapshot.running_s,
            tasks=scheduler.stats(),
            times=times,
            links={name: link.status() for name, link in self._b.parts.links.items()},
            servers=self._b.servers(),
            models=self._b.heard.hashes,
            changes=self._b.changes.views(),
            recorder=_counted(snapshot.recorder),
        )

    def command(self, name: str, arguments: Mapping[str, Any], who: str) -> str:
        """Do it; `who` is in the audit log."""
        if name == "commit":
            return self._b.changes.commit(_text(arguments, "slot"), who)
        if name == "rollback":
            return self._b.changes.roll_back(_text(arguments, "slot"), who)
        if name == "reset-state":
            return self._b.reset_state(_text(arguments, "task"), who)
        return self._b.record(str(arguments.get("why", ""))[:MOST_WHY], who)


def _columns(tag: Tag) -> list[Column]:
    return columns_of(tag.name, tag.count, tag.unit)


def _recording(one: Kept, folder: str, tasks: list[str], view: RecorderView) -> dict[str, Any]:
    name = one.path.name
    is_open = view.is_recording and name == view.newest.rpartition("/")[2]
    with suppress(OSError):
        return {
            "name": name,
            "tasks": tasks,
            "begin": one.begun.isoformat(),
            "end": None if is_open else _utc(one.path.stat().st_mtime),
            "bytes": one.size,
            "why": one.why,
            "is_open": is_open,
            "replay": f"rt-engine replay {folder}/{name}",
        }
    return {"name": name, "why": "it has just gone"}


def _counted(view: RecorderView | None) -> dict[str, float]:
    """What a recorder counts, by the names of `station.page.metrics`."""
    if view is None:
        return {}
    return {
        "recording": float(view.is_recording),
        "trouble": float(bool(view.trouble)),
        "files": view.files,
        "bytes": view.nbytes,
        "quota_bytes": view.quota,
        "triggers_total": view.triggers,
        "dropped_cycles_total": view.dropped,
        "lost_cycles_total": view.lost,
        "removed_files_total": view.removed,
    }


def _text(arguments: Mapping[str, Any], key: str) -> str:
    value = arguments.get(key)
    if not isinstance(value, str):
        raise ValueError(f'expected {{"{key}": "NAME"}}')
    return value


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _event(number: int, event: Event) -> dict[str, Any]:
    return {
        "number": number,
        "at_s": round(event.at_s, 3),
        "when": event.when.astimezone(UTC).isoformat(timespec="milliseconds"),
        "kind": event.kind,
        "subject": event.subject,
        "text": event.text,
        "level": event.level,
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": str(spec.dtype), "shape": list(spec.shape)}


def _newest(path: Path) -> list[Mapping[str, Any]]:
    try:
        found = [line.entry for line in lines(path) if line.entry is not None]
    except OSError:
        return []
    return found[-MOST_LINES:]
