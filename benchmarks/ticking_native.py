"""A clock for `benchmarks.tap_cost`: sleeping takes it to the wanted time, and notes how long the cycle before really took.

state   0 now   8 cycles left   16 address of the task's control word, set to STOP after the last   24 where the next duration goes
        32 when this cycle really began, 0: not yet   40 how long it really sleeps
"""

from rt_native.lang import CLOCK_MONOTONIC, atomic_store, clock_nanosleep, export, load_i64, now_ns, stack, store_i64

_STOP, _ABSOLUTE, _SECOND = 2, 1, 1_000_000_000


@export
def ticking_now(state):
    """The time of the task's own."""
    return load_i64(state)


@export
def ticking_sleep(state, until_ns):
    """It is `until_ns` now."""
    timespec = stack(16)
    ended, began = now_ns(timespec), load_i64(state + 32)
    if until_ns <= load_i64(state):
        return 0
    if began != 0:
        store_i64(load_i64(state + 24), ended - began)
        store_i64(state + 24, load_i64(state + 24) + 8)
    store_i64(state, until_ns)
    left = load_i64(state + 8) - 1
    store_i64(state + 8, left)
    if left == 0:
        atomic_store(load_i64(state + 16), _STOP)
    pause = load_i64(state + 40)
    if pause > 0:
        until = ended + pause
        store_i64(timespec, until // _SECOND)
        store_i64(timespec + 8, until % _SECOND)
        clock_nanosleep(CLOCK_MONOTONIC, _ABSOLUTE, timespec, 0)
    store_i64(state + 32, now_ns(timespec))
    return 0
