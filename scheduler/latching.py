"""What a task's model was given in a cycle, copied from outside while the task rests: nothing is asked of the cycle.

cycle k         rest          cycle k + 1       rest
---------|  copy of the    |----------------|  copy of inputs   |---      the state before k + 1, and what went into it and
         |  state          |                |  and outputs      |         came out: of one cycle, if no third lay between
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from scheduler.clock import Clock
from scheduler.trace import Latched

if TYPE_CHECKING:
    from rt_engine import Context

TRIES: Final = 40
REST_NS: Final = 20_000
"""To copy some tensors takes less, as a rule; a task that rests no longer is not asked."""
LONGEST_NS: Final = 1_000_000_000
"""So long a cycle is waited for, besides the task's period."""
Counters = Callable[[], Mapping[str, Any]]


def latch(
    context: Callable[[], Context], counters: Counters, tick_ns: Callable[[], int], clock: Clock, period_ns: int
) -> Latched | None:
    """Inputs, outputs and the state before of one cycle; None: it never rested long enough.

    Args:
        context: of the version that is active.
        counters: of the task, of one moment (`TaskRunner.counters`).
        tick_ns: of its newest cycle.
    """
    before: tuple[Latched, Mapping[str, Any]] | None = None
    for _ in range(TRIES):
        found = _at_rest(context, counters, tick_ns, clock)
        if found is None or not found[0].state:
            if found is not None:
                return found[0]
            time.sleep(REST_NS / 1e9)
            continue
        if before is not None and _follows(before[1], found[1]):
            return replace(found[0], state=before[0].state)
        before = found
        _wait_for_next(found[1]["cycles"], counters, period_ns)
    return None


def _at_rest(
    context: Callable[[], Context], counters: Counters, tick_ns: Callable[[], int], clock: Clock
) -> tuple[Latched, Mapping[str, Any]] | None:
    """A copy that was begun and ended between two cycles, and the counters of then."""
    before = counters()
    if before["due_ns"] - clock.now_ns() < REST_NS:
        return None
    one = context()
    copies = ({name: view.copy() for name, view in views.items()} for views in (one.inputs, one.outputs, one.state))
    found = Latched(before["version"], tick_ns(), *copies)
    after = counters()
    is_same = after["cycles"] == before["cycles"] and clock.now_ns() < after["due_ns"]
    return (found, before) if is_same else None


def _follows(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Is it the next cycle, of the same version, with nothing reset in between?"""
    same = ("version", "state_resets", "state_restores")
    return second["cycles"] == first["cycles"] + 1 and all(first[name] == second[name] for name in same)


def _wait_for_next(cycles: int, counters: Counters, period_ns: int) -> None:
    until = time.monotonic_ns() + period_ns + LONGEST_NS
    while counters()["cycles"] == cycles and time.monotonic_ns() < until:
        time.sleep(min(REST_NS, period_ns // 8) / 1e9)
