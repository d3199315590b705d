"""Arithmetic about ticks and deadlines: pure integers, the same functions in native code and in tests.

The ticks of a task are `epoch + k * period`, on one grid for all tasks of a scheduler. A cycle serves one tick and has
to end before the next. All times are nanoseconds of one clock.

    tick        deadline                      a late end:        a late wake-up:
     |-- cycle --|                             |-----cycle----|        asleep      |--cycle
     k          k+1          k+2               k      k+1     |k+2     k     k+1   | k+2
                                               k+1 is missed, k+2 next             k and k+1 are missed, k+2 is served

A task never catches up by running cycles in a burst: what was missed is counted and left.
"""

from math import lcm


def tick_at_or_after(now_ns: int, epoch_ns: int, period_ns: int) -> int:
    """The first tick that is not before `now_ns`."""
    return epoch_ns - (epoch_ns - now_ns) // period_ns * period_ns


def tick_served(due_ns: int, woke_ns: int, epoch_ns: int, period_ns: int) -> int:
    """The tick that a cycle serves which waited for `due_ns` and woke at `woke_ns`: the newest that has come."""
    return max(due_ns, epoch_ns + (woke_ns - epoch_ns) // period_ns * period_ns)


def next_due(tick_ns: int, done_ns: int, epoch_ns: int, period_ns: int) -> int:
    """The tick to wait for after a cycle for `tick_ns` that ended at `done_ns`: the next, or the first still ahead."""
    return max(tick_ns + period_ns, epoch_ns - (epoch_ns - done_ns) // period_ns * period_ns)


def missed_ticks(due_ns: int, tick_ns: int, next_ns: int, period_ns: int) -> int:
    """How many ticks from `due_ns` to before `next_ns` no cycle served, when `tick_ns` was the only one served."""
    return (next_ns - due_ns) // period_ns - 1


def is_late(due_ns: int, tick_ns: int, now_ns: int, period_ns: int) -> bool:
    """Has a cycle missed a deadline: did it wake a tick too late, or is it still at work at the next tick?"""
    return tick_ns != due_ns or now_ns > tick_ns + period_ns


def next_in_row(due_ns: int, tick_ns: int, step_ns: int) -> int:
    """The next of a row of ticks `step_ns` apart, when the one due at `due_ns` is served at `tick_ns`; due 0: the row begins."""
    return tick_ns + step_ns if due_ns == 0 else due_ns + ((tick_ns - due_ns) // step_ns + 1) * step_ns


def watchdog_tripped(tripped: int, late_in_a_row: int, on_time_in_a_row: int, limit: int) -> int:
    """1 while outputs must be safe: after `limit` late cycles in a row, until `limit` were on time. Limit 0: never."""
    if limit <= 0:
        return 0
    if tripped:
        return 0 if on_time_in_a_row >= limit else 1
    return 1 if late_in_a_row >= limit else 0


def common_period(periods_ns: tuple[int, ...]) -> int:
    """The least time after which the ticks of all tasks coincide again."""
    return lcm(*periods_ns)
