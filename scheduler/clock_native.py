"""The system clock of a task: CLOCK_MONOTONIC, and a sleep to an absolute time. A test's clock has the same two."""

from rt_native.lang import CLOCK_MONOTONIC, clock_nanosleep, export, now_ns, stack, store_i64

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
