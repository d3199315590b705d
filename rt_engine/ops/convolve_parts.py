"""Where a dilated window reaches beyond the image, parts of the output see different taps; no operator of its own.

    8 pixels, kernel 3, dilation 4: pixels 0..3 see taps 1 and 2, pixels 4..7 see taps 0 and 1

    axis by axis:  [0..3: taps 1, 2] [4..7: taps 0, 1]       in two dimensions: four parts of 4 of 9 taps each

A part is a convolution of its own, from its taps alone; its pixels are then put in their places. The parts follow from the shapes
alone, and the order of each sum stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product as combinations
from math import prod

import numpy as np

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
