"""Records of `kernels.normalise`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

SOFTMAX = Fields("softmax", operands="x out", sizes="rows n")
"""Also of log_softmax."""

LAYER_NORM = Fields(
    "layer_norm",
    operands="x scale bias out mean? deviation?",
    sizes="rows n statistics about_zero",
    params="epsilon",
    writes="out mean deviation",
)
"""`mean` and `deviation`, the inverse one, are [rows]; `statistics` is their type, FLOAT or DOUBLE."""
