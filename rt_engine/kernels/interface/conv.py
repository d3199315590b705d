"""Records of `kernels.conv`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

CONV = Fields(
    "conv",
    operands="x w bias out table addend?",
    sizes="images x_pixels out_pixels taps run columns groups x_channels out_channels zeros",
    params="low high block? cut? panel?",
    writes="out",
)
"""x [images, x_pixels, x_channels] -> out [images, out_pixels, out_channels].

run         how many neighbouring elements lie under one tap: the channels of a group, or several pixels' where the input has
            padding of its own
columns     output channels of a group
table       int32 [out_pixels, taps], byte offsets in an image; behind it, from the next multiple of 64 on, 256 unused bytes.
            Taps in the padding point at the last `zeros` elements of an image, which belong to no pixel: the kernel sets them to zero
addend      has the shape of `out`, and may be `out`
block, cut  as `interface.blocking` says; the pixels of an image are the rows
panel       half vectors of a full panel of `w`: 2, which all panels have then, or 8; 0 is 8
"""

DEPTHWISE = Fields(
    "depthwise",
    operands="x w bias out table addend?",
    sizes="images x_pixels out_pixels taps width step begun x_channels out_channels zeros",
    params="low high block? line?",
    writes="out",
)
"""As `CONV`, every channel for itself.

line    outputs of a line of an image, whose windows share pixels: a row of a window is `width` taps, the window of the next output
        lies `step` pixels further, and the record's first pixel comes `begun` outputs behind the first of a line.
        0: nothing is known of it, and those three mean nothing
"""

NARROW_PANEL = 2
"""Half vectors of a panel that lies as it is read, from the first byte to the last: what processors fetch ahead by themselves."""

CUT = 128
"""Longest piece of a sum over taps and channels: such a piece of a panel, 32 KB, is worked through for all pixels."""

NARROW = 4
"""Panels of up to so many half vectors are worked through pixel by pixel, in pieces that are as much longer."""

TALLEST = 8
"""No tile of a product has more output pixels than that."""
