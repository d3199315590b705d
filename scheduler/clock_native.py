"""The system clock of a task: CLOCK_MONOTONIC, and a sleep to an absolute time. A test's clock has the same two."""

from rt_native.lang import (
    CLOCK_MONOTONIC,
    atomic_load,
    call1,
    clock_nanosleep,
    export,
    load_i64,
    now_ns,
    stack,
    store_i64,
)
from rt_native.memory import offsets
from scheduler.grid_block import GRID

_G = offsets(GRID)
_SHIFT, _MACHINE_NOW, _MACHINE = _G.shift_ns, _G.clock_now, _G.clock
_ABSOLUTE = 1  # TIMER_ABSTIME
_INTERRUPTED = 4  # EINTR
_SECOND = 1_000_000_000


@export
def clock_now(clock):  # type: ignore[no-untyped-def]
    """The time in nanoseconds."""
    return now_ns(stack(16))


@export
def clock_sleep(clock, until_ns):  # type: ignore[no-untyped-def]
    """Sleep until a time; gives 0 (or an errno, at once, if the kernel refuses)."""
    timespec = stack(16)
    store_i64(timespec, until_ns // _SECOND)
    store_i64(timespec + 8, until_ns % _SECOND)
    status = clock_nanosleep(CLOCK_MONOTONIC, _ABSOLUTE, timespec, 0)
    while status == _INTERRUPTED:
        status = clock_nanosleep(CLOCK_MONOTONIC, _ABSOLUTE, timespec, 0)
    return status


@export
def grid_now(grid):  # type: ignore[no-untyped-def]
    """The time as ticks have it."""
    return call1(load_i64(grid + _MACHINE_NOW), load_i64(grid + _MACHINE)) - atomic_load(grid + _SHIFT)
