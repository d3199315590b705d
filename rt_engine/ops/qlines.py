"""Lines of outputs of an integer convolution of every channel for itself, as `kernels.qdepthwise` works through them. Pure.

a window of 3 x 3 is three quads, of the three taps of a row, or of a column, and one of weight 0

    along the first axis    stride 1: rows 0 1 2, then 1 2 3: two quads again        stride 2: rows 0 1 2, then 2 3 4: one
    along the last axis     the same with columns

Where there are few channels, pixels of a row stand side by side in a block of 64; then lines go along the first axis.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.ops.window import Window

_QUAD, _BLOCK, _CHUNKS = 4, 64, (8, 16, 32)
"""Taps of a quad, channels of the largest block, and bytes between gaps that the kernel knows."""


def side_by_side(window: Window, channels: int, packed: bool) -> tuple[int, int]:
    """How many neighbouring pixels of a row are seen as more channels, and the bytes of x of each where there is a gap behind it.

    `packed`: the sums become bytes, of weights that are bytes.
    """
    times = 1
    if window.strides[-1] == 1:
        while window.out[-1] % (2 * times) == 0 and 2 * times * channels <= _BLOCK:
            times *= 2
    elif channels in _CHUNKS and window.strides[-1] == 2 and packed:
        times = _BLOCK // channels
        if not window.out[-1] % times and _moved(window, 0, times) == 2:
            return times, channels
        times = 1
    return times, 0


@dataclass(frozen=True, slots=True)
class Lines:
    """Outputs one behind the other along an axis, as `QDEPTHWISE` says them."""

    axis: int
    starts: NDArray[Any]
    count: int
    x_step: int
    out_step: int
    out_line: int
    fresh: int


def _moved(window: Window, axis: int, times: int) -> int:
    """By how many of its three quads a window moves to the next along an axis; 0 where they are not three, or not the same ones."""
    moved, rest = divmod(window.strides[axis], window.dilations[axis])
    fits = window.kernel[axis] == 3 and window.taps // 3 in (_QUAD - 1, _QUAD) and moved in (1, 2) and not rest
    return moved if fits and (axis < len(window.kernel) - 1 or times == 1) else 0


def lines_of(window: Window, starts: NDArray[Any], steps: list[int], times: int, channels: int) -> Lines:
    """Lines along the longer of the first and the last axis, where a window of three quads moves by one or two of them.

    `times` pixels of the last axis are one output of `channels`: then it is the first one. Where windows are others, lines along
    the last axis, whose windows have nothing in common.
    """
    last = len(window.kernel) - 1
    out = (*window.out[:-1], window.out[-1] // times)
    grid = starts.reshape(out)

    fresh = {axis: _moved(window, axis, times) for axis in (0, last)}
    axis = max(fresh, key=lambda a: (fresh[a] > 0, out[a], a))
    axis = axis if fresh[axis] else last
    count = out[axis]
    if axis == last:
        x_step, out_step, out_line = steps[last] * window.strides[last] * times, channels, count * channels
    else:
        x_step, out_step, out_line = steps[0] * window.strides[0], prod(out[1:]) * channels, channels
    first = np.moveaxis(grid, axis, 0)[0].ravel()
    return Lines(axis, first, count, x_step, out_step, out_line, fresh[axis])


def whole_quads(places: NDArray[Any]) -> NDArray[Any]:
    """Places of taps, the last one again up to whole quads: its neighbour is read already."""
    return np.concatenate([places, np.repeat(places[-1:], -len(places) % _QUAD)])
