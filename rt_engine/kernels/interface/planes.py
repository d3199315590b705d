"""Records of `kernels.planes`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

PLANES = Fields(
    "planes",
    operands="x w bias table out",
    sizes="images x_image depth columns pixels",
    params="low high",
    writes="out",
)
"""x [images, x_image] -> out [images, columns, pixels].

    out[m, p] = clip(bias[m] + sum over k of w[k, m] * x[p + table[k]], low, high)

table       int32 [depth], byte offsets in an image: channels and shifts of a window over planes of one padded picture, each of
            which is one long line. Behind an image there is room for a vector
w           [depth, columns]
"""
