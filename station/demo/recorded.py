"""What the demo's station has recorded, read, run again, tried with another network and explained: facts for the claims.

    folder of recordings --at_tick, saved_in--> a file --saved, again, otherwise, reasons--> station.demo.recording_checks

Nothing of it needs the station, or the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

import rt_engine.recording
from rt_engine.errors import EngineError
from rt_engine.recording import Recording
from scheduler.errors import SchedulerError
from station.demo import recording_checks as checks
from station.demo.checks import Check
from station.demo.recording_checks import NS, Again, Moved, Otherwise, Reasons, Saved
from station.recorder.shelf import Shelf
from station.replay.asking import Asked, ask
from station.replay.explained import explain_recording
from station.replay.repeat import How, repeat

STATION: Final = "demo"
FOLDER: Final = "recordings"
AXIS: Final = "x"
SAVED: Final = re.compile(r"saved in (\S+\.mcap)")
SEEN_NS: Final = NS // 2
"""So long after a push its strongest answer is looked for."""
FAILURES: Final = (EngineError, SchedulerError, OSError)


@dataclass(slots=True)
class Ticks:
    """When things happened that are looked up in the recordings, CLOCK_MONOTONIC; 0: they did not."""

    trial: int = 0
    """A version on trial was found bad."""
    push: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the recordings: claims, and the lines that tell people how to go on."""

    claims: tuple[Check, ...]
    words: tuple[str, ...] = field(default=())


def shelf(folder: Path) -> Shelf:
    """The recordings of a demo that leaves all in `folder`."""
    return Shelf(folder / FOLDER, STATION)


def look_into(folder: Path, ticks: Ticks, network: Path, tolerance: float) -> Found:
    """All claims of a demo's recordings. What cannot be done is a claim that fails, and says why."""
    trial, push = at_tick(folder, ticks.trial), at_tick(folder, ticks.push)
    if trial is None or push is None:
        what = "the trial" if trial is None else "the push"
        return Found(
            (Check(f"what happened around {what} was recorded", False, f"there is no such cycle in {folder / FOLDER}"),)
        )
    seen = reasons(push, ticks.push)
    claims = (
        checks.same_bits(again(trial, ticks.trial)),
        checks.would_have_differed(otherwise(push, network, tolerance), network.name),
        checks.explained(seen[0]),
    )
    return Found(claims, tuple(_words(folder, trial, push, network, tolerance, seen[1])))


def at_tick(folder: Path, tick_ns: int) -> Path | None:
    """The newest recording with a cycle of axis x at a tick, or soon after it."""
    for kept in reversed(shelf(folder).kept()):
        try:
            task = rt_engine.recording.open(kept.path).task(AXIS)
        except FAILURES:
            continue
        first, last, _, _ = task.span
        if len(task) and first <= tick_ns <= last:
            return kept.path
    return None


def saved_in(folder: Path, words: str) -> Path | None:
    """The file in which a station says that it has saved what a killed one left; None: it has not said so yet."""
    found = SAVED.findall(words)
    return folder / FOLDER / found[-1] if found else None


def saved(path: Path | None) -> dict[str, Saved]:
    """Each task in a recording that has cycles there."""
    found: dict[str, Saved] = {}
    if path is not None:
        recording = rt_engine.recording.open(path)
        for name in recording.tasks:
            cycles = recording.task(name).records()
            if len(cycles):
                first, last = int(cycles["number"][0]), int(cycles["number"][-1])
                lost = last - first + 1 - len(np.unique(cycles["number"]))
                found[name] = Saved(first, last, lost, int(cycles["tick_ns"][-1]))
    return found


def again(path: Path, tick_ns: int) -> list[Again]:
    """Every task of a recording, run again."""
    try:
        recording = rt_engine.recording.open(path)
        return [
            Again(
                one.task,
                repeated=one.found.cycles if one.found else 0,
                equal=one.found.equal if one.found else 0,
                seconds=one.found.seconds if one.found else 0.0,
                life_s=one.found.cycles * one.period_ns / NS if one.found else 0.0,
                at_tick=_has(recording, one.task, tick_ns),
                left_out={why.value: count for why, count in one.found.left_out.items()} if one.found else {},
                why=one.why,
            )
            for one in repeat(recording, How())
        ]
    except FAILURES as error:
        return [Again(path.name, 0, 0, 0.0, 0.0, False, {}, str(error))]


def _has(recording: Recording, task: str, tick_ns: int) -> bool:
    first, stop = recording.task(task).rows(tick_ns, tick_ns + 1)
    return stop > first


def otherwise(path: Path, network: Path, tolerance: float) -> Otherwise | str:
    """What a network would have put out on axis x; or why that cannot be said."""
    try:
        asking = ask(rt_engine.recording.open(path), Asked(task=AXIS, tolerance=tolerance))
        (found,) = asking.run(asking.load(network))
    except FAILURES as error:
        return str(error)
    one = found.outputs[0]
    return Otherwise(one.terms.name, one.terms.unit, found.compared, one.largest, tolerance, one.beyond)


def reasons(path: Path, push_ns: int) -> tuple[Reasons | str, int]:
    """Why axis x answered a push as it did, in the cycle of its strongest answer, and the tick of that; or why that cannot be said."""
    try:
        recorded = rt_engine.recording.open(path).task(AXIS)
        cycles = recorded.records(push_ns, push_ns + SEEN_NS)
        forces = recorded.layout.raw(cycles)[:, 0]
        if not np.isfinite(forces).any():
            return "no cycle behind the push is recorded", 0
        tick_ns = int(cycles["tick_ns"][np.nanargmax(np.where(np.isfinite(forces), np.abs(forces), np.nan))])
        _, found, facts = explain_recording(path, str(tick_ns), How(tasks=(AXIS,)))
    except FAILURES as error:
        return str(error), 0
    influence, output = found.influence, recorded.layout.outputs[0]
    moved = []
    for place in influence.ranked(0) if influence else ():
        source = influence.sources[place] if influence else None
        assert source is not None and influence is not None
        moved.append(Moved(str(source.label), source.value, source.label.unit, float(influence.effects[0, place])))
    value = influence.targets[0].value if influence else float("nan")
    same = dict(facts).get("this run", "").startswith("the same bits")
    return Reasons(output.name, output.unit, value, (tick_ns - push_ns) / NS, same, tuple(moved)), tick_ns


def _words(folder: Path, trial: Path, push: Path, network: Path, tolerance: float, tick_ns: int) -> Iterator[str]:
    """Where the files are, and what to do with them."""
    kept = shelf(folder).kept()
    size = sum(one.size for one in kept) / 1e6
    yield f"recordings: {len(kept)} files, {size:.1f} MB, in {folder / FOLDER}. See for yourself:"
    for command in (
        f"replay {trial}",
        f"replay {push} --task {AXIS} --model {network} --tolerance {tolerance:g} --html {folder / 'what-if.html'}",
        f"explain {push} --task {AXIS} --at {tick_ns} -o {folder / 'why.html'}",
    ):
        yield f"   rt-engine {command}"
