"""What `rt-engine demo --plc` claims of the PLC program's calls, each claim a pure function of all of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.demo.checks import Check

AXES: Final = 2
CYCLE_S: Final = 0.01
LEAST_SHARE: Final = 0.5
"""Of the cycles that a program has time for."""
AROUND: Final = 50
"""Cycles before and after the change of model, as many as are compared with."""
BUSY_CYCLES: Final = 15
"""The PLC program is a plain process: so many cycles may be left out around an update that has nothing to do with them.
A call that kept the machine waiting would leave out more, and engage its brake."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as the PLC program wrote it down."""

    cycle: int
    axis: int
    begun_ns: int
    took_ns: int
    status: int
    version: int


def read_calls(file: Path) -> list[Call]:
    """All calls of the PLC program's own record."""
    with file.open(encoding="utf-8", newline="") as source:
        return [Call(**{name: int(text) for name, text in row.items()}) for row in csv.DictReader(source)]


def all_answered(calls: Sequence[Call], seconds: float) -> Check:
    """Every call has an answer with status 0; each cycle asked for both axes.

    `seconds`: how long the program ran at least; a program that stood still asked too little. Whether the answers came in
    time, the machine says: its drives brake without.
    """
    bad = sum(call.status != 0 for call in calls)
    slowest_ms = max((call.took_ns for call in calls), default=0) / 1e6
    cycles = len({call.cycle for call in calls})
    whole = len(calls) == AXES * cycles
    ok = not bad and whole and cycles >= LEAST_SHARE * seconds / CYCLE_S
    left_out = f"{left_out_between(calls, 0, 1 << 62)} cycles left out" if calls else "no cycle"
    words = f"{len(calls):,} calls in {cycles:,} cycles, {bad} without outputs, {left_out}, slowest {slowest_ms:.1f} ms"
    return Check("every call of the PLC was answered", ok, words)


def taken_between_two_calls(calls: Sequence[Call]) -> Check:
    """The version goes from 1 to 2 once, and never back."""
    calls = [call for call in calls if call.status == 0]
    versions = [call.version for call in calls]
    first = versions.index(2) if 2 in versions else len(versions)
    ok = 0 < first < len(versions) and set(versions[:first]) == {1} and set(versions[first:]) == {2}
    if not ok:
        return Check("the better network took over between two calls", False, f"versions seen: {sorted(set(versions))}")
    gap_ms = (calls[first].begun_ns - calls[first - 1].begun_ns) / 1e6
    words = f"version 1 in cycle {calls[first - 1].cycle:,}, version 2 in cycle {calls[first].cycle:,}"
    first_ms = calls[first].took_ns / 1e6
    return Check(
        "the better network took over between two calls",
        True,
        f"{words}, {gap_ms:.1f} ms later; its first call took {first_ms:.2f} ms",
    )


def no_cycle_missed(calls: Sequence[Call]) -> Check:
    """No more cycles were left out around the change than elsewhere, but for what a busy computer does."""
    claim = "no cycle was missed for it"
    change = next((call.cycle for call in calls if call.version == 2), None)
    if change is None:
        return Check(claim, False, "there was no change")
    around = left_out_between(calls, change - AROUND, change + AROUND)
    begins = range(calls[0].cycle, change - 3 * AROUND, 2 * AROUND)
    calm = max((left_out_between(calls, begin, begin + 2 * AROUND) for begin in begins), default=0)
    words = f"{around} of the {2 * AROUND} cycles around it were left out, up to {calm} of as many without it"
    return Check(claim, around <= calm + BUSY_CYCLES, words)


def left_out_between(calls: Sequence[Call], begin: int, end: int) -> int:
    """Cycles from `begin` to before `end` that never began, between the first and the last that did."""
    begin, end = max(begin, calls[0].cycle), min(end, calls[-1].cycle + 1)
    return max(end - begin, 0) - len({call.cycle for call in calls if begin <= call.cycle < end})
