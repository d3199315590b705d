"""How much calls have to do, so that what is computed at load ends. Pure."""

from collections.abc import Sequence

from rt_engine.program.calls import Call

MOST_AT_LOAD = 1 << 32
"""Units that computing constants may take, about a nanosecond each: a file of a few bytes can ask for any number of them."""
MOST_IN_A_RUN = 1 << 40
"""Units of one run: loops within loops multiply, and nobody waits so long."""
_MACS, _CALL = 16, 16
"""Multiply-accumulates in a unit, and units that a call takes with no element at all. An element takes one."""


def units(calls: Sequence[Call], loops: Sequence[tuple[int, int]]) -> int:
    """Units of all calls; those in a loop count as often as it may run."""
    often = [1] * (len(calls) + 1)
    for first, last in sorted(loops, key=lambda ends: ends[0] - ends[1]):
        trips = max(int(calls[last].record.trips), 1)
        for i in range(first, last + 1):
            often[i] *= trips
    return sum(times * _units(call) for times, call in zip(often, calls, strict=False))


def _units(call: Call) -> int:
    elements = call.elements or sum(buffer.size for buffer in call.operands if buffer is not None)
    return _CALL + call.macs // _MACS + elements
