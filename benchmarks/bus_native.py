"""A task's cycle on a bus, without the task: read, write, and how long that took. A native module: the compiler imports it."""

from fieldbus.exchange.block import Phase
from rt_native.lang import CLOCK_MONOTONIC, call5, clock_nanosleep, export, now_ns, stack, store_i64

_READS, _WRITES = int(Phase.READS), int(Phase.WRITES)
_SECOND = 1_000_000_000


@export
def bus_cycles(table, carry_out, area, period_ns, cycles, times):  # type: ignore[no-untyped-def]
    """So many cycles; both phases together, in nanoseconds each, go to `times`."""
    timespec = stack(16)
    due = now_ns(timespec)
    for i in range(cycles):
        begun = now_ns(timespec)
        call5(carry_out, table, 1, _READS, begun + period_ns // 2, area)
        call5(carry_out, table, 1, _WRITES, begun + period_ns, area)
        store_i64(times + 8 * i, now_ns(timespec) - begun)
        due += period_ns
        store_i64(timespec, due // _SECOND)
        store_i64(timespec + 8, due % _SECOND)
        clock_nanosleep(CLOCK_MONOTONIC, 1, timespec, 0)
    return 0
