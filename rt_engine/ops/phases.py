"""A transposed convolution as a plain one for each phase of its output, constant weights. No operator of its own."""

from dataclasses import dataclass
from itertools import product as combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the blocks of a transposed convolution lie; one entry per spatial axis."""

    block: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    """Elements cut off at the start."""


@dataclass(frozen=True, slots=True)
class PhaseAxis:
    """One axis of a transposed convolution as a plain one: output o = stride * q + phase - first, of inputs around q."""

    stride: int
    first: int
    begin: int
    """Padding of the plain convolution."""
    taps: int
    out: int
    """Places q."""

    def kernel(self, phase: int, tap: int, before: int, dilation: int, size: int) -> int:
        """The element of the kernel that input q + tap - begin meets in this phase; -1 for none."""
        reach = phase + before - self.first - (tap - self.begin) * self.stride
        return reach // dilation if reach >= 0 and reach % dilation == 0 and reach // dilation < size else -1


def phase_axis(at: Geometry, axis: int, out: int) -> PhaseAxis:
    """The offset of the phases that needs the fewest taps."""
    stride, found = at.strides[axis], []
    for first in range(stride):
        reach = at.before[axis] - first
        places = [
            (r + reach - k * at.dilations[axis]) // stride
            for r in range(stride)
            for k in range(at.block[axis])
            if (r + reach - k * at.dilations[axis]) % stride == 0
        ]
        found.append((max(places) - min(places) + 1, first, -min(places)))
    taps, first, begin = min(found)
    return PhaseAxis(stride, first, begin, taps, (out - 1 + first) // stride + 1)


def phase_weights(w: NDArray[Any], at: Geometry, axes: list[PhaseAxis], group: int) -> NDArray[Any]:
    """[C, M / group, kernel...] -> [taps..., C / group, group * phases * (M / group)]."""
    each, columns, rank = w.shape[0] // group, w.shape[1], len(axes)
    strides, taps = [a.stride for a in axes], [a.taps for a in axes]
    out = np.zeros((*taps, each, group, *strides, columns), w.dtype)
    split = w.reshape(group, each, *w.shape[1:])
    for tap in combinations(*(range(t) for t in taps)):
        for phase in combinations(*(range(s) for s in strides)):
            where = [axes[a].kernel(phase[a], tap[a], at.before[a], at.dilations[a], at.block[a]) for a in range(rank)]
            if min(where) >= 0:  # [group, each, columns] -> [each, group, columns]
                place: Any = (*tap, slice(None), slice(None), *phase)
                source: Any = (..., *where)
                out[place] = split[source].transpose(1, 0, 2)
    return out.reshape(*taps, each, group * prod(strides) * columns)
