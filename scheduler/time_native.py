"""Time, as a task's clock tells it: what a cycle acts on is noted, what it only measures is not. And when ticks are due by it."""

from fieldbus.exchange.block import EXCHANGE
from rt_engine.recording.record_block import CLOCKS
from rt_native.lang import atomic_load, atomic_store, call1, call2, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.grid_block import GRID
from scheduler.task_block import TASK, Control

_T, _SHIFT_NOW = offsets(TASK), offsets(GRID).shift_ns
_GRID, _SHIFT, _LEADS, _CLOCK_SHIFT = _T.grid, _T.shift_ns, _T.leads, offsets(EXCHANGE).clock_shift
_CONTROL, _CLOCK, _NOW, _SLEEP = _T.control, _T.clock, _T.clock_now, _T.clock_sleep
_READS, _READINGS, _LAST = _T.reads, _T.readings, CLOCKS - 1
_STOP = int(Control.STOP)
_SLICE = 100_000_000  # a longer sleep is cut, so that a slow task stops soon


@inline
def measured(task):  # type: ignore[no-untyped-def]
    """The time in nanoseconds, for who only counts it, or judges a version on trial by it: a replay needs no such time."""
    return call1(load_i64(task + _NOW), load_i64(task + _CLOCK))


@inline
def now(task):  # type: ignore[no-untyped-def]
    """The time in nanoseconds, for what the cycle does with it: noted, so that a replay is told the same."""
    time, reads = measured(task), load_i64(task + _READS)
    store_i64(task + _READINGS + 8 * min(reads, _LAST), time)
    store_i64(task + _READS, reads + 1)
    return time


@inline
def forget_readings(task):  # type: ignore[no-untyped-def]
    """A cycle begins: it has not asked yet."""
    store_i64(task + _READS, 0)


@inline
def sleep_until(task, due):  # type: ignore[no-untyped-def]
    """Sleep until `due`, or until the task is told to stop."""
    clock, sleep = load_i64(task + _CLOCK), load_i64(task + _SLEEP)
    time = measured(task)
    while due - time > _SLICE and atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, time + _SLICE)
        time = measured(task)
    if atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, due)


# --- the grid ------------------------------------------------------------------------------------------------------------


@inline
def shift_of(task):  # type: ignore[no-untyped-def]
    """How much later than its number the tick of this cycle is due on the clock."""
    return load_i64(task + _SHIFT)


@inline
def look_at_grid(table, count):  # type: ignore[no-untyped-def]
    """The tasks of a thread are about to wait: their next cycles are shifted as the grid is now; gives by how much."""
    first = load_i64(table)
    shift = atomic_load(load_i64(first + _GRID) + _SHIFT_NOW)
    store_i64(first + _SHIFT, shift)
    for number in range(1, count):
        store_i64(load_i64(table + 8 * number) + _SHIFT, shift)
    return shift


@inline
def lead(task, following):  # type: ignore[no-untyped-def]
    """Of the task that carries out the exchange with a bus clock: shift the grid as that wants it, from the next tick on."""
    exchange = load_i64(task + _LEADS)
    if exchange != 0:
        step, grid = load_i64(exchange + _CLOCK_SHIFT), load_i64(task + _GRID)
        if step != 0:
            shift = load_i64(grid + _SHIFT_NOW)
            atomic_store(grid + _SHIFT_NOW, shift + call2(step, exchange, following + shift))
