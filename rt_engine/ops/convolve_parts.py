"""Where a dilated window reaches beyond the image, parts of the output see different taps; no operator of its own.

    8 pixels, kernel 3, dilation 4: pixels 0..3 see taps 1 and 2, pixels 4..7 see taps 0 and 1

    axis by axis:  [0..3: taps 1, 2] [4..7: taps 0, 1]       in two dimensions: four parts of 4 of 9 taps each

A part is a convolution of its own, from its taps alone; its pixels are then put in their places. The parts follow from the shapes
alone, and the order of each sum stays.

In the same way columns (output channels) of a kernel whose taps at the ends are all zero are computed without those. The phases
of a transposed convolution are such columns:

    taps 0 and 1 of 3x3 with stride 2, one axis      phase 0: [w1  0]  phase 1: [w2 w0]
                                in two dimensions      1, 2, 2 and 4 taps for four times 4
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from itertools import product as combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.ops.window import Window

TILE = 6
"""Pixels that are worked on at once: a part of 7 takes as long as one of 12."""
WEIGHTS = 15
"""Reading the weights of a tap takes as long as so many pixels."""
PAYS = 0.8
"""Parts are made where they take less than that of the whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """Outputs first .. first + window.out, which see the taps tap .. tap + window.kernel; one entry per axis."""

    window: Window
    first: tuple[int, ...]
    tap: tuple[int, ...]

    @property
    def time(self) -> int:
        """In steps of a tap for a pixel."""
        pixels = self.window.outputs
        return (-(-pixels // TILE) * TILE + WEIGHTS) * self.window.taps


def _runs(window: Window, axis: int) -> Iterator[tuple[int, int, int, int]]:
    """(first output, outputs, first tap, taps) of each run of outputs that see the same taps."""
    at = window.positions(axis)
    inside = (at >= 0) & (at < window.size[axis])
    seen = inside.any(1)
    first = np.where(seen, inside.argmax(1), 0)
    last = np.where(seen, window.kernel[axis] - inside[:, ::-1].argmax(1), 1)
    edges = np.flatnonzero((np.diff(first) != 0) | (np.diff(last) != 0)) + 1
    for begin, end in zip([0, *edges], [*edges, window.out[axis]], strict=True):
        yield int(begin), int(end - begin), int(first[begin]), int(last[begin] - first[begin])


def parts_of(window: Window) -> list[Part]:
    """The parts of a convolution that pays to be split, along the axes that make it fastest; else one part, all of it."""
    whole = [(0, window.out[axis], 0, window.kernel[axis]) for axis in range(len(window.size))]
    split = [list(_runs(window, axis)) for axis in range(len(window.size))]
    best = [_part(window, whole)]
    time = PAYS * best[0].time
    for chosen in combinations((False, True), repeat=len(whole)):
        axes = [split[a] if yes else [whole[a]] for a, yes in enumerate(chosen)]
        if prod(len(runs) for runs in axes) > 27:
            continue
        found = [_part(window, runs) for runs in combinations(*axes)]
        if len(found) > 1 and sum(part.time for part in found) < time:
            best, time = found, sum(part.time for part in found)
    return best


def _part(window: Window, runs: list[tuple[int, int, int, int]] | tuple[tuple[int, int, int, int], ...]) -> Part:
    first, out, tap, kernel = (tuple(values) for values in zip(*runs, strict=True))
    steps = zip(window.begin, first, window.strides, tap, window.dilations, strict=True)
    begin = tuple(b - o * s - t * d for b, o, s, t, d in steps)
    return Part(replace(window, out=out, kernel=kernel, begin=begin), first, tap)


PAYS_COLUMNS = 0.85
"""As `PAYS`, for columns; the time to move them is in the estimate."""

MOST_COLUMN_PARTS = 64
"""Beyond which all columns are computed at once: zeros that lie anyhow."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Output channels first .. first + count, all of whose weights lie under the taps begin .. end - 1 of each axis."""

    first: int
    count: int
    begin: tuple[int, ...]
    end: tuple[int, ...]

    def window(self, whole: Window) -> Window:
        """That of these taps alone."""
        steps = zip(whole.begin, self.begin, whole.dilations, strict=True)
        kernel = tuple(e - b for b, e in zip(self.begin, self.end, strict=True))
        return replace(whole, kernel=kernel, begin=tuple(b - t * d for b, t, d in steps))

    def joined(self, other: "Columns") -> "Columns":
        """With those that follow."""
        begin, end = map(min, self.begin, other.begin), map(max, self.end, other.end)
        return Columns(self.first, self.count + other.count, tuple(begin), tuple(end))

    def time(self, pixels: int, run: int, lanes: int) -> int:
        """In multiplications of half a vector."""
        taps = prod(e - b for b, e in zip(self.begin, self.end, strict=True))
        return (-(-pixels // TILE) * TILE + WEIGHTS) * taps * run * -(-self.count // lanes)

    def move(self, pixels: int, lanes: int) -> int:
        """The time to put them into their place."""
        return pixels * (14 + 6 * -(-self.count // lanes)) + 300


def columns_of(window: Window, w: NDArray[Any], lanes: int) -> list[Columns]:
    """The parts of the columns of w [taps..., run, columns] that pay to be computed by themselves; else one part, all of them.

    Args:
        lanes: elements of half a vector.
    """
    whole = Columns(0, w.shape[-1], (0,) * len(window.kernel), window.kernel)
    if window.taps == 1:
        return [whole]
    used = (w != 0).any(-2)
    if used.all():
        return [whole]
    found: list[Columns] = []
    for column in range(w.shape[-1]):
        one = _column(used[..., column], column)
        if found and (found[-1].begin, found[-1].end) == (one.begin, one.end):
            found[-1] = found[-1].joined(one)
        else:
            found.append(one)
    if len(found) > MOST_COLUMN_PARTS:
        return [whole]

    def time(part: Columns) -> int:
        return part.time(window.outputs, w.shape[-2], lanes) + part.move(window.outputs, lanes)

    while len(found) > 1:
        gains = [time(a) + time(b) - time(a.joined(b)) for a, b in pairwise(found)]
        at = int(np.argmax(gains))
        if gains[at] < 0:
            break
        found[at : at + 2] = [found[at].joined(found[at + 1])]
    pays = sum(map(time, found)) < PAYS_COLUMNS * whole.time(window.outputs, w.shape[-2], lanes)
    return found if pays else [whole]


def _column(used: NDArray[np.bool_], column: int) -> Columns:
    """One column, and the box of the taps that it uses: at least one."""
    at = np.argwhere(used)
    low, high = (at.min(0), at.max(0)) if at.size else (np.zeros(used.ndim, int), np.zeros(used.ndim, int))
    return Columns(column, 1, tuple(int(v) for v in low), tuple(int(v) + 1 for v in high))
