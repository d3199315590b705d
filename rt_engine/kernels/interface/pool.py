"""Records of `kernels.pool`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

POOL = Fields(
    "pool",
    operands="x out table counts",
    sizes="images in_pixels pixels taps channels average",
    writes="out",
)
"""`table` is int32 [pixels, taps], byte offsets in an image, -1 for padding. `counts` has a divisor for each output pixel;
`average` is 0 for a maximum."""

MAX_INDEX = Fields(
    "max_index",
    operands="x out index table places",
    sizes="images in_pixels pixels taps channels",
    writes="out index",
)
"""`places` is int32 [pixels, taps]: the numbers of the pixels under the taps in the order that the indices count them."""
