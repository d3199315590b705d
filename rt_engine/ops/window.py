"""Where the windows of a convolution or a pooling lie; no operator of its own.

    input, one axis      . . 0 1 2 3 4 5 .          . padding
    window of output 0   ^   ^   ^                  kernel 3, dilation 2, 2 of padding at the start
    window of output 1     ^   ^   ^                stride 1

A table has a row per output pixel and a column per tap, both in row-major order; it says which input pixel lies there,
or -1 where padding does. Everything that slides a window reads such a table, so no kernel knows of strides, dilations or
padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import Refusal

MOST_ENTRIES = 1 << 26
"""Windows times taps beyond which a layer is refused: its table would not fit any controller."""


@dataclass(frozen=True, slots=True)
class Window:
    """The windows of one layer over its spatial axes."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    """Padding before the first pixel, negative where the first window begins behind it; that behind the last follows from `out`."""
    out: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """Number of input pixels."""
        return prod(self.size)

    @property
    def outputs(self) -> int:
        """Number of output pixels."""
        return prod(self.out)

    @property
    def taps(self) -> int:
        """Number of pixels in a window."""
        return prod(self.kernel)

    def positions(self, axis: int) -> NDArray[np.int64]:
        """[out, kernel] of one axis: the input position under each tap; outside of 0 .. size - 1 is padding."""
        starts = np.arange(self.out[axis], dtype=np.int64) * self.strides[axis] - self.begin[axis]
        return starts[:, None] + np.arange(self.kernel[axis], dtype=np.int64) * self.dilations[axis]

    def table(self) -> NDArray[np.int64]:
        """[outputs, taps]: the index of the input pixel under each tap, -1 for padding.

        Raises:
            Refusal: it is larger than any controller's memory.
        """
        if self.outputs * self.taps > MOST_ENTRIES:
            raise Refusal(f"{self.outputs} windows of {self.taps} taps", "check its kernel_shape and pads")
        return pixels_at([self.positions(axis) for axis in range(len(self.size))], self.size)

    def pads(self) -> bool:
        """Does any window reach into padding?"""
        ends = (int(self.positions(a).max(initial=0)) for a in range(len(self.size)))
        return any(b > 0 for b in self.begin) or any(end >= size for end, size in zip(ends, self.size, strict=True))


def pixels_at(positions: Sequence[NDArray[np.int64]], size: Sequence[int]) -> NDArray[np.int64]:
    """[windows, taps]: the index in an image of `size` of each combination, -1 outside; of an axis it is at [windows, taps]."""
    rank = len(size)
    index, inside = np.zeros((1,) * (2 * rank), np.int64), np.ones((1,) * (2 * rank), bool)
    for axis, at in enumerate(positions):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = at.shape
        index = index * size[axis] + at.reshape(shape)
        inside = inside & ((at >= 0) & (at < size[axis])).reshape(shape)
    windows = prod(at.shape[0] for at in positions)
    return np.where(inside, index, -1).reshape(windows, -1)


def seen(window: Window, w: NDArray[Any]) -> tuple[Window, NDArray[Any]]:
    """The window and its weights [taps..., ...] without the taps at the ends of an axis that only ever see padding.

    What they would add is zero times a weight: sums are the same, but that a -0 stays one, and that infinite weights there make
    no NaN. (Other runtimes skip them too.)
    """
    kernel, begin, dilations = list(window.kernel), list(window.begin), list(window.dilations)
    for axis, size in enumerate(window.size):
        at = window.positions(axis)
        found = np.flatnonzero(((at >= 0) & (at < size)).any(0))
        first, last = (int(found[0]), int(found[-1]) + 1) if found.size else (0, 1)
        w = w[(slice(None),) * axis + (slice(first, last),)]
        kernel[axis], begin[axis] = last - first, begin[axis] - first * dilations[axis]
        dilations[axis] = dilations[axis] if kernel[axis] > 1 else 1
    if tuple(kernel) == window.kernel:
        return window, w
    return replace(window, kernel=tuple(kernel), begin=tuple(begin), dilations=tuple(dilations)), np.ascontiguousarray(
        w
    )


def window_of(node: ir.Node, size: Sequence[int], out: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of an ONNX node (Conv, MaxPool, AveragePool, and their kin), attributes checked.

    Args:
        node: has strides, dilations, pads, auto_pad.
        size, out: spatial shapes of the input and of the output, channels left out.
        kernel: taps per axis.

    Raises:
        Refusal: attributes that do not fit.
    """
    rank = len(size)
    strides, dilations = (_per_axis(node, name, rank) for name in ("strides", "dilations"))
    begin = _begin(node, size, out, kernel, strides, dilations)
    for values, least, what in ((kernel, 1, "kernel_shape"), (strides, 1, "strides"), (dilations, 1, "dilations")):
        if len(values) != rank or any(not least <= v <= 1 << 20 for v in values):
            raise Refusal(f"{what} {list(values)} for {rank} spatial axes", "correct the attribute")
    if any(not 0 <= b <= 1 << 20 for b in begin):
        raise Refusal(f"pads {begin} are negative", "use Pad or Slice")
    return Window(tuple(size), tuple(kernel), strides, dilations, begin, tuple(out))


def _per_axis(node: ir.Node, name: str, rank: int) -> tuple[int, ...]:
    attribute = node.attributes.get(name)
    return (1,) * rank if attribute is None else tuple(int(v) for v in attribute.as_ints())


def _begin(
    node: ir.Node,
    size: Sequence[int],
    out: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[int, ...]:
    """Padding at the start of each axis; SAME puts an odd pixel at the end (UPPER) or at the start (LOWER)."""
    attribute = node.attributes.get("auto_pad")
    auto = "NOTSET" if attribute is None else attribute.as_string()
    if auto in ("NOTSET", ""):
        given = node.attributes.get("pads")
        pads = (0,) * (2 * len(size)) if given is None else tuple(int(v) for v in given.as_ints())
        if len(pads) != 2 * len(size) or any(p < 0 for p in pads):
            raise Refusal(f"pads {list(pads)} for {len(size)} spatial axes", "correct the attribute, or use Pad")
        return pads[: len(size)]
    if auto == "VALID":
        return (0,) * len(size)
    totals = [
        max((o - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, o, k, s, d in zip(size, out, kernel, strides, dilations, strict=True)
    ]
    return tuple(t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in totals)
