"""Many recordings on many workers: cut at checkpoints, replayed in parallel, merged in order.

    files --by station--> lives --segments at checkpoints--> jobs --spread--> replies --by station, task, time--> Many

Exactness merges: every segment begins with all that the task remembered, so what each says of its cycles is what one replay of the
whole would say. The first difference is that of the earliest segment with one.
"""

from __future__ import annotations

import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, Final

import rt_engine
from rt_engine.recording import Recording, Segment
from rt_engine.recording.file import RecordingFile
from scheduler.replay import Replayed
from station.replay import places
from station.replay.pieces import lives
from station.replay.pool import Given, Pool
from station.replay.repeat import NS, difference_to_json
from station.replay.spreading import Outcome, spread
from station.replay.worker import Ask, work

CYCLES: Final = 500_000
"""Of a segment, about: a second's work, so that what a job costs besides is nothing."""
LEAST: Final = 20_000
"""Below that a segment is not cut further: to set a task up takes longer."""
Step = Callable[[int, int], None]
"""(cycles done, cycles in all)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A task of a station's recording, run again in segments."""

    station: str
    task: str
    period_ns: int
    offset_ns: int
    found: Replayed
    segments: int
    cpu_s: float = 0.0
    """Of all workers: reading, unpacking, replaying."""
    failed: tuple[str, ...] = ()
    """Why segments could not be run, each with when it is."""
    missing: tuple[str, ...] = ()
    """Models that ran and are nowhere."""

    @property
    def is_equal(self) -> bool:
        """Was every cycle that could be repeated the same, was there one, and was no segment left out?"""
        return self.found.is_equal and self.found.cycles > 0 and not self.failed

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        found = self.found
        first = None if found.first is None else difference_to_json(found.first, self.offset_ns)
        return {
            "station": self.station, "task": self.task, "recorded": found.recorded, "repeated": found.cycles,
            "equal": found.equal, "is_equal": self.is_equal, "segments": self.segments, "core_seconds": self.cpu_s,
            "left_out": {why.name.lower(): count for why, count in found.left_out.items()}, "first_difference": first,
            "failed": list(self.failed), "missing": list(self.missing),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Many:
    """All parts, and what it took. `lost`: workers that went away; `again`: what was tried a second time, and why."""

    parts: tuple[Part, ...]
    seconds: float
    lanes: Mapping[int, int]
    """Lanes of a vector -> segments that were run with it."""
    workers: Mapping[str, int]
    """Worker -> segments."""
    again: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    """Files that are no recordings, or cannot be read."""

    @property
    def is_equal(self) -> bool:
        """Was every part?"""
        return bool(self.parts) and all(part.is_equal for part in self.parts) and not self.unread

    @property
    def cycles(self) -> int:
        """Repeated, in all."""
        return sum(part.found.cycles for part in self.parts)

    @property
    def recorded_s(self) -> float:
        """Of machines' time."""
        return sum(part.found.recorded * part.period_ns for part in self.parts) / NS

    @property
    def cpu_s(self) -> float:
        """Of all workers, for all parts."""
        return sum(part.cpu_s for part in self.parts)

    @property
    def speed(self) -> float:
        """Cycles per second, all workers together, with reading, sending and waiting."""
        return self.cycles / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "is_equal": self.is_equal, "cycles": self.cycles, "seconds": self.seconds, "cycles_per_second": round(self.speed),
            "recorded_seconds": self.recorded_s, "workers": dict(self.workers),
            "lanes": {str(lanes): count for lanes, count in self.lanes.items()}, "again": list(self.again), "lost": list(self.lost),
            "unread": list(self.unread), "parts": [part.to_json() for part in self.parts],
        }  # fmt: skip


def replay_many(
    where: Iterable[str | Path],
    on: Executor | Pool,
    *,
    tasks: Iterable[str] = (),
    ask: Ask | None = None,
    cycles: int = CYCLES,
    step: Step | None = None,
) -> Many:
    """Replay all recordings in folders, or at addresses, on an executor's workers.

    Args:
        where: files, folders with all that is below them, addresses of fsspec; as this process and all workers see them.
        on: any `concurrent.futures.Executor` that can pickle, or a pool (`station.replay.pool`).
        tasks: only these; by default all.
        ask: where models and steps are.
        cycles: of a segment, about; segments end where checkpoints are.
        step: is told how far it is.

    Raises:
        RecordingError: there is no recording.
        FleetError: an address cannot be asked.
    """
    begin = time.perf_counter()
    ask = ask or Ask()
    pool = Given(on) if isinstance(on, Executor) else on
    known, unread = stations(places.found(where))
    plans = list(_plans(known, frozenset(tasks), cycles, pool))
    total, done = sum(plan.cycles for plan in plans), 0
    jobs = ({**ask.job(*one), "plan": number} for number, plan in enumerate(plans) for one in plan.segments)
    replies: dict[int, list[Outcome]] = {number: [] for number in range(len(plans))}
    for outcome in spread(jobs, work, pool):
        replies[outcome.job["plan"]].append(outcome)
        done += 0 if outcome.done is None else outcome.done["found"].recorded
        if step is not None:
            step(done, total)
    outcomes = [one for found in replies.values() for one in found]
    return Many(
        parts=tuple(_merged(plan, replies[number]) for number, plan in enumerate(plans)),
        seconds=time.perf_counter() - begin,
        lanes=Counter(one.lanes for one in outcomes if one.done is not None),
        workers=Counter(one.worker for one in outcomes if one.done is not None),
        again=tuple(str(failure) for one in outcomes if one.done is not None for failure in one.failures),
        lost=tuple(pool.lost()),
        unread=unread,
    )


# --- files -> stations -> segments ------------------------------------------------------------------------------------------


def stations(paths: Iterable[str]) -> tuple[dict[str, Recording], tuple[str, ...]]:
    """The recordings of each station by its name, one where several computers have stations of that name; and what is no recording."""
    by_station: dict[tuple[str, str], list[RecordingFile]] = {}
    unread = []
    for path in paths:
        try:
            (file,) = rt_engine.recording.open([path], places.source).files
        except (rt_engine.errors.RecordingError, OSError) as error:
            unread.append(f"{path}: {error}" if path not in str(error) else str(error))
            continue
        by_station.setdefault((_name(file.station_text), file.about.get("machine", "")), []).append(file)
    names = Counter(name for name, _ in by_station)
    return {
        name if names[name] == 1 else f"{name} ({machine or number})": Recording(tuple(sorted(files, key=_begin)))
        for number, ((name, machine), files) in enumerate(by_station.items(), 1)
    }, tuple(unread)


def _name(text: str) -> str:
    try:
        return str(tomllib.loads(text).get("station", {}).get("name", "")) or "station"
    except (tomllib.TOMLDecodeError, AttributeError):
        return "station"


def _begin(file: RecordingFile) -> int:
    return min((chunk.head.start for chunk in file.contents.chunks), default=0)


_Stretch = tuple[tuple[str, ...], str, str, int | None, int | None]
"""As `Ask.job` wants it: files, task, boot, first and last tick, or None for all that there is of that boot."""


@dataclass(frozen=True, slots=True)
class _Plan:
    station: str
    task: str
    offset_ns: int
    cycles: int
    segments: tuple[_Stretch, ...] = field(default=())


def _plans(known: Mapping[str, Recording], tasks: frozenset[str], cycles: int, pool: Pool) -> Iterator[_Plan]:
    """Of each station, each life of its models, each task. To find checkpoints takes reading: nothing is cut that need not be."""
    every = [
        (station, life, task)
        for station, recording in known.items()
        for life in lives(recording)
        for task in life.tasks
        if (not tasks or task in tasks) and len(life.task(task))
    ]
    total = sum(len(life.task(task)) for _, life, task in every)
    length = min(cycles, max(LEAST, total // max(pool.most, 1)))
    for station, life, task in every:
        found = life.task(task)
        most = round(len(found) / length)
        stretches = tuple(_cut(life, task, most) if most > 1 else _whole(life, task))
        yield _Plan(station, task, int(life.about.get("offset_ns") or 0), len(found), stretches)


def _whole(recording: Recording, task: str) -> Iterator[_Stretch]:
    """What there is of each boot of its machine."""
    for boot in recording.task(task).record_rows.boots:
        yield tuple(file.path for file in recording.files if file.boot == boot), task, boot, None, None


def _cut(recording: Recording, task: str, most: int) -> Iterator[_Stretch]:
    """At checkpoints; each goes on to the first record of the next, whose checkpoint is what the task remembers at its end."""
    every = list(recording.task(task).segments(most))
    for one, following in zip_longest(every, every[1:]):
        goes_on = following is not None and following.boot == one.boot
        yield (
            _paths(recording, one, following.first_ns if goes_on else one.last_ns),
            task,
            one.boot,
            one.first_ns,
            one.last_ns,
        )


def _paths(recording: Recording, segment: Segment, last_ns: int) -> tuple[str, ...]:
    """The files that have something of a segment's time, up to that tick."""
    found = []
    for file in recording.files:
        first, last = segment.first_ns + file.offset_ns, last_ns + file.offset_ns
        if file.boot == segment.boot and any(
            c.head.start <= last and c.head.end >= first for c in file.contents.chunks
        ):
            found.append(file.path)
    return tuple(found)


# --- replies -> parts ---------------------------------------------------------------------------------------------------------


def _merged(plan: _Plan, outcomes: list[Outcome]) -> Part:
    order = {one: number for number, one in enumerate(plan.segments)}

    def at(outcome: Outcome) -> int:
        job = outcome.job
        return order[tuple(job["paths"]), job["task"], job["boot"], job["first_ns"], job["last_ns"]]

    outcomes = sorted(outcomes, key=at)
    replies = [one.done for one in outcomes if one.done is not None]
    found: list[Replayed] = [reply["found"] for reply in replies]
    left_out = sum((Counter(one.left_out) for one in found), Counter())
    whole = Replayed(
        task=plan.task,
        recorded=sum(one.recorded for one in found),
        cycles=sum(one.cycles for one in found),
        equal=sum(one.equal for one in found) - _unlike(outcomes),
        first=next((one.first for one in found if one.first is not None), None),
        left_out=left_out,
        seconds=sum(one.seconds for one in found),
    )
    failed = tuple(f"{_when(one.job)}: {'; '.join(map(str, one.failures))}" for one in outcomes if one.done is None)
    missing = tuple(dict.fromkeys(text for reply in replies for text in reply["missing"]))
    period_ns = max((reply["period_ns"] for reply in replies), default=0)
    cpu_s = sum(reply["cpu_s"] for reply in replies)
    return Part(plan.station, plan.task, period_ns, plan.offset_ns, whole, len(plan.segments), cpu_s, failed, missing)


def _unlike(outcomes: list[Outcome]) -> int:
    """How often a segment began with something else than the one before remembered, and its first cycle was the same nevertheless."""
    return sum(
        not one.done["ends_same"] and following.done["begins_same"]
        for one, following in pairwise(outcomes)
        if one.done is not None and following.done is not None
    )


def _when(job: Mapping[str, Any]) -> str:
    is_whole = job["first_ns"] is None
    return ", ".join(job["paths"]) if is_whole else f"ticks {job['first_ns']} to {job['last_ns']}"
