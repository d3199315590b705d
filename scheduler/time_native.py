"""Time, as a task's clock tells it."""

from rt_native.lang import atomic_load, call1, call2, inline, load_i64
from rt_native.memory import offsets
from scheduler.task_block import TASK, Control

_T = offsets(TASK)
_CONTROL, _CLOCK, _NOW, _SLEEP = _T.control, _T.clock, _T.clock_now, _T.clock_sleep
_STOP = int(Control.STOP)
_SLICE = 100_000_000  # a longer sleep is cut, so that a slow task stops soon


@inline
def now(task):  # type: ignore[no-untyped-def]
    """The time in nanoseconds."""
    return call1(load_i64(task + _NOW), load_i64(task + _CLOCK))


@inline
def sleep_until(task, due):  # type: ignore[no-untyped-def]
    """Sleep until `due`, or until the task is told to stop."""
    clock, sleep = load_i64(task + _CLOCK), load_i64(task + _SLEEP)
    time = now(task)
    while due - time > _SLICE and atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, time + _SLICE)
        time = now(task)
    if atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, due)
