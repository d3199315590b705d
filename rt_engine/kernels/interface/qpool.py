"""Records of `kernels.qpool`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QMAX_POOL = Fields(
    "qmax_pool", operands="x out table", sizes="pixels taps channels images x_image", params="offsets?", writes="out"
)
"""`pixels` are the output's, `x_image` is the bytes of an image of x. `offsets`: bytes from the table to the offsets of its
taps; 0: behind its pixels.
"""
