"""Records of `kernels.quantise`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QUANTISE = Fields(
    "quantise",
    operands="x scale zero out",
    sizes="rows n scale_row scale_inner nbytes",
    params="low high",
)
"""The strides, those of `elementwise.BROADCAST`, are of scale and zero point; `nbytes`, 1 or 2, is of an element of out."""
