"""Time, as a task's clock tells it: what a cycle acts on is noted, what it only measures is not."""

from rt_engine.recording.record_block import CLOCKS
from rt_native.lang import atomic_load, call1, call2, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.task_block import TASK, Control

_T = offsets(TASK)
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
