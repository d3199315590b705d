"""A step for `tests.scheduler.kill_campaign`: outputs are twice the inputs; it counts its cycles in memory that survives the process.

state   0 address of the counter
"""

from rt_native.lang import export, load_f64, load_i64, store_f64, store_i64


@export
def witness(inputs, n_in, outputs, n_out, state):
    """Count, then compute."""
    counter = load_i64(state)
    store_i64(counter, load_i64(counter) + 1)
    for i in range(n_out):
        store_f64(outputs + 8 * i, 2.0 * load_f64(inputs + 8 * i))
    return 0
