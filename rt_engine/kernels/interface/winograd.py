"""Records of `kernels.winograd`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

WINOGRAD_IN = Fields("winograd_in", operands="x v table", sizes="tiles channels", writes="v")
"""`table` has the byte offset of each pixel of a patch in an image, -1 for padding."""

WINOGRAD_OUT = Fields(
    "winograd_out",
    operands="m bias out places addend?",
    sizes="tiles channels outputs",
    params="low high",
    writes="out",
)
"""`outputs` of a tile of a line; `places` has the byte offset of each output pixel, -1 for none."""
