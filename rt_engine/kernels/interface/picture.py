"""Records of `kernels.picture`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

PICTURE = Fields(
    "picture",
    operands="x w bias table room out",
    sizes="channels height width window depth lines pixels columns top step",
    params="low high",
    writes="out room",
)
"""x [channels, height, width] -> out [lines, pixels, columns], two pixels of x further for each pixel.

    out[line, p, m] = clip(bias[m] + sum over k of w[k, m] * room[p + table[k]], low, high)

window      lines of the picture under one of the output; the first of them is `top` for the first line, `step` further for each
            next one. What lies outside is zeros
room        [`kept_of` lines of the picture, channels, even or odd, `pitch_of` pixels], a ring: the n-th line from the first `top` on
            lies in place n % kept. Behind it the results of a line, as long for each column, and a turned block
table       int32 [kept / step, depth], byte offsets in the room: an even or odd pixel of a channel and a line of the window. A row
            for each place in the ring where windows begin: no more than `lines`
w           [depth, columns]; columns are whole half vectors
"""

EDGE = 16
"""Zeros before and behind the pixels of a line in the room."""
SIDE = 8
"""Pixels and columns of a turned block."""


def pitch_of(width: int, pixels: int) -> int:
    """Numbers of a line of the room: whole vectors of half of the pixels of x, or of all of the output, and both edges."""
    return (max((width + 1) // 2, pixels) + 15) // 16 * 16 + 2 * EDGE


def kept_of(window: int, step: int) -> int:
    """Lines of the picture in the room: as many as a window has, and whole steps."""
    return (window + step - 1) // step * step


def room_numbers(channels: int, kept: int, columns: int, pitch: int) -> int:
    """Of the room."""
    return (2 * channels * kept + columns) * pitch + SIDE * SIDE
