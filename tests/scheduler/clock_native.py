"""A clock in native code for millions of cycles: sleeping takes it to the wanted time at once.

state   0 now   8 sleeps left   16 address of the task's control word, set to STOP after the last
"""

from rt_native.lang import atomic_store, export, load_i64, store_i64

_STOP = 2


@export
def fast_now(state):
    """The time."""
    return load_i64(state)


@export
def fast_sleep(state, until_ns):
    """It is `until_ns` now."""
    if until_ns > load_i64(state):
        store_i64(state, until_ns)
        left = load_i64(state + 8) - 1
        store_i64(state + 8, left)
        if left == 0:
            atomic_store(load_i64(state + 16), _STOP)
    return 0
