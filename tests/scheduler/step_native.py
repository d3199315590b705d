"""Steps for the tests, compiled by `Step.compile`."""

from rt_native.lang import export, load_f64, load_i64, store_f64, store_i64


@export
def negate(inputs, n_in, outputs, n_out, state):
    """outputs = -outputs."""
    for i in range(n_out):
        store_f64(outputs + 8 * i, -load_f64(outputs + 8 * i))
    return 0


@export
def touch(inputs, n_in, outputs, n_out, state):
    """Write to one more page of the area whose address is in state[0], until state[1] pages are touched: one fault
    each."""
    done = load_i64(state + 16)
    if done < load_i64(state + 8):
        store_i64(load_i64(state) + 4096 * done, 1)
        store_i64(state + 16, done + 1)
    return 0


@export
def too_few(inputs, outputs):
    """Not a step: two arguments."""
    return 0
