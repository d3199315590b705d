"""A native module of the tests: call a kernel as the executor does, with denormals flushed to zero."""

from rt_native.lang import call2, export, flush_denormals, restore_float_mode


@export
def call_flushed(kernel, arena, record):
    """Call a kernel with denormals flushed; gives its status."""
    mode = flush_denormals()
    status = call2(kernel, arena, record)
    restore_float_mode(mode)
    return status
