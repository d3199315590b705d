"""How a run went: one remark each on deadlines, outputs, links and the end, the worst first. Pure.

Outputs that are safe before a task's inputs were good for the first time are no fault: every run begins so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rt_engine.change import ChangeState
from station.machine.computer import Level
from station.show.changes import STATES
from station.show.reasons import reasons
from station.show.recorder import doubts
from station.show.snapshot import Snapshot
from station.terms.durations import format_duration

LATE_NS: Final = 2_000_000_000
"""A task ticks when it is behind by no more than two of its periods, or this."""
_CAUSES: Final = ("SCHED_FIFO", "no CPU quota", "no RT throttling")
"""Rights without which ticks are lost, as their grants are named."""
_RANK: Final[dict[Level, int]] = {"bad": 0, "warn": 1, "ok": 2}


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about a run, and how good that is."""

    level: Level
    text: str


def judge(snapshot: Snapshot) -> tuple[Remark, ...]:
    """All remarks on a run that has ended; never empty; the first has the level of the whole."""
    checks = (_ends, _hangs, _outputs, _links, _changes, _recorder, _deadlines)
    return tuple(sorted((r for check in checks for r in check(snapshot)), key=lambda remark: _RANK[remark.level]))


def unwell(snapshot: Snapshot, asked_ns: int) -> Iterator[str]:
    """What is wrong with a running station now: tasks that do not tick, outputs that are not live, links that are not up.

    Nothing: it is healthy. A link that no PLC client has called yet is none that was lost. `asked_ns`: CLOCK_MONOTONIC before
    the station was asked.
    """
    for task in snapshot.tasks:
        late_ns = asked_ns - task.due_ns
        if task.is_hung or task.note:
            yield f"{task.name}: {'hangs inside a cycle' if task.is_hung else task.note}"
        elif not task.cycles:
            yield f"{task.name}: no cycle yet"
        elif late_ns > max(LATE_NS, 2 * task.cycle_ns):
            yield f"{task.name}: its cycle is {format_duration(late_ns, 2)} late"
    for link in snapshot.links:
        if link.state != "up" and (link.errors or link.state in ("down", "degraded")):
            yield f"{link.name} {link.state}" + (f": {link.last_error}" if link.last_error else "")


def _deadlines(snapshot: Snapshot) -> Iterator[Remark]:
    cycles = sum(task.cycles for task in snapshot.tasks)
    missed = sum(task.counters.get("missed", 0) for task in snapshot.tasks)
    overruns = sum(task.overruns for task in snapshot.tasks)
    if not cycles and not snapshot.tasks:
        asked = sum(server.requests for server in snapshot.servers)
        yield Remark("ok" if asked else "warn", f"No tasks; the servers answered {asked:,} requests")
    elif not cycles:
        yield Remark("bad", "No task ran a single cycle")
    elif missed or overruns:
        text = f"{missed:,} of {cycles + missed:,} ticks did not run; {overruns:,} overruns"
        lacking = ", ".join(right.partition(":")[0] for right in snapshot.rights if right.startswith(_CAUSES))
        yield Remark("warn", f"{text}; not granted: {lacking}" if lacking else text)
    else:
        yield Remark("ok", f"All {cycles:,} cycles met their deadline")


def _hangs(snapshot: Snapshot) -> Iterator[Remark]:
    hung = ", ".join(task.name for task in snapshot.tasks if task.is_hung)
    if hung:
        yield Remark("bad", f"Hung inside a cycle, outputs taken away and made safe: {hung}")


def _outputs(snapshot: Snapshot) -> Iterator[Remark]:
    for task in snapshot.tasks:
        if task.never_live:
            yield Remark("bad", f"{task.name}: outputs were safe in all {task.cycles:,} cycles: {reasons(task)}")
            continue
        counts = {word: task.counters.get(word, 0) for word in ("safe", "held")}
        if task.unlive > task.starting:
            shown = " and ".join(f"{word} in {count:,}" for word, count in counts.items() if count)
            begin = f" ({task.starting:,} of them at the start)" if task.starting else ""
            yield Remark("warn", f"{task.name}: outputs were {shown} of {task.cycles:,} cycles{begin}: {reasons(task)}")


def _links(snapshot: Snapshot) -> Iterator[Remark]:
    for link in snapshot.links:
        reason = link.last_error if link.never_up else link.lost_reason or link.last_error
        why = f": {reason}" if reason else ""
        if link.never_up and link.is_called:
            yield Remark("warn", f"{link.name}: no PLC client has called")
        elif link.never_up:
            yield Remark("bad", f"{link.name} was never up{why}")
        elif link.timeouts:
            times = "once" if link.timeouts == 1 else f"{link.timeouts:,} times"
            yield Remark("warn", f"{link.name}: PLC clients stopped writing {times}{why}")
        elif link.reconnects:
            times = "once" if link.reconnects == 1 else f"{link.reconnects:,} times"
            yield Remark("warn", f"{link.name} was lost {times}{why}")


def _changes(snapshot: Snapshot) -> Iterator[Remark]:
    """What was taken back; a file that the gate refused was never part of the run."""
    for view in snapshot.changes:
        was_seen = view.state == ChangeState.REJECTED and view.cycles
        if was_seen or view.state == ChangeState.ROLLED_BACK:
            yield Remark("warn", f"{view.slot}: {view.file} was {STATES[view.state]}: {view.reason}")


def _recorder(snapshot: Snapshot) -> Iterator[Remark]:
    for text in doubts(snapshot.recorder) if snapshot.recorder is not None else ():
        yield Remark("warn", f"recorder: {text}")


def _ends(snapshot: Snapshot) -> Iterator[Remark]:
    silent = ", ".join(link.name for link in snapshot.links if link.safe_confirmed is False)
    if silent:
        yield Remark("bad", f"Safe values NOT confirmed by: {silent}")
