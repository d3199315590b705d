"""Layers that work row by row, one behind the other, cut together: a piece is all of them, for some of the rows. Pure.

    records    conv 1x1    swish       add         conv 3x3: reads the rows beside its own, so another fan-out begins
    piece 0    conv        swish       add         rows 0 to 3216
    piece 1    conv        swish       add         rows 3216 to 6400

Nobody waits between the layers, and a core reads what it has just made itself. Rows are whatever the first record is cut along: pixels
of an image, rows of a matrix. A later record may count elements; a border between two pieces is at the same part of each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.program.program import Program
from rt_engine.run.axes import FAMILIES, TALL, Axis, Reading
from rt_engine.run.chains import Step
from rt_engine.run.jumps import borders
from rt_engine.run.pieces import borders_of, is_apart, part_of, unit_of

Records = NDArray[Any]
MOST = 24
"""Records of a strip: each is compared with all before it."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Bytes of the arena that one piece of a record touches: `nbytes` from each of `reads[i][0]` on; what it writes, as ranges."""

    reads: list[tuple[NDArray[np.int64], int]]
    writes: list[tuple[int, int]]

    def is_apart(self, other: "Touched") -> bool:
        """Does neither write what the other one reads or writes?"""
        return not (_meets(self.writes, other) or _meets(other.writes, self))


@dataclass(frozen=True, slots=True)
class Strip:
    """The records from `first` to `end` - 1 of a program, each with the axis along which all are cut."""

    first: int
    axes: list[Axis]
    borders: list[int]
    """Of the pieces, in what the first record counts."""

    @property
    def end(self) -> int:
        """Behind the last record."""
        return self.first + len(self.axes)


class Strips:
    """Those of one program; `records` are the program's, as they are quickest here, `may` says which of them may be cut."""

    def __init__(self, program: Program, records: Records, may: Sequence[bool]) -> None:
        self._program, self._records, self._may = program, records, may
        self._names = [program.kernels[int(kernel)] for kernel in records["kernel"]]
        self._begins = borders(program.kernels, records)

    def longest(self, threads: int) -> Iterator[Strip]:
        """Strips of at least two records, in order, each as long as it can be."""
        at = 0
        while at < len(self._records):
            strip = self._from(at, threads)
            if strip is not None:
                yield strip
            at = at + 1 if strip is None else strip.end

    def pieces(self, strip: Strip, parts: int) -> list[list[Step]]:
        """Up to so many pieces, at least those that the strip has."""
        rows, axis = strip.borders[-1], strip.axes[0]
        fewer = range(min(parts, rows // (2 * TALL) if axis.tile == TALL else parts), len(strip.borders) - 1, -1)
        finer = (self._grown(strip.first, axis, count, len(strip.axes)) for count in fewer)
        strip = next((found for found in finer if found is not None and found.end == strip.end), strip)
        return [
            [Step(self._part(strip.first + i, axis, ends, rows)) for i, axis in enumerate(strip.axes)]
            for ends in pairwise(strip.borders)
        ]

    def _from(self, first: int, threads: int) -> Strip | None:
        """The strip that begins at a record."""
        found = (self._grown(first, axis, threads, MOST) for axis in self._axes(first))
        strips = [strip for strip in found if strip is not None and len(strip.axes) > 1]
        return max(strips, key=lambda strip: len(strip.axes), default=None)

    def _grown(self, first: int, axis: Axis, parts: int, most: int) -> Strip | None:
        """As many records behind `first` as can be cut as this one is in so many parts; None, where it cannot."""
        rows = self._size(first, axis)
        ends = borders_of(rows, unit_of(self._fields(first), axis), parts, axis)
        if len(ends) < 3:
            return None
        axes, touched = [axis], [self._touched(first, axis, ends, rows)]
        if None in touched:
            return None
        for at in range(first + 1, min(first + most, len(self._records))):
            joined = None if at in self._begins else self._joined(at, ends, rows, touched)
            if joined is None:
                break
            axes.append(joined[0])
            touched.append(joined[1])
        return Strip(first, axes, ends)

    def _joined(self, at: int, ends: list[int], rows: int, before: list[Any]) -> tuple[Axis, list[Touched]] | None:
        """The axis along which a record goes with those before it, and what its pieces touch; None, where none does."""
        for axis in self._axes(at):
            size, unit = self._size(at, axis), unit_of(self._fields(at), axis)
            places = [end * size / rows for end in ends]
            shortest = min(b - a for a, b in pairwise(places))
            unit = 1 if axis.tile == TALL <= shortest else unit  # the last tile of a piece may be a smaller one
            if shortest >= axis.least and all(place % unit == 0 for place in places[:-1]):
                touched = self._touched(at, axis, ends, rows)
                if touched is not None and all(_is_apart(touched, others) for others in before):
                    return axis, touched
        return None

    def _axes(self, at: int) -> list[Axis]:
        """Along which a record may be cut together with others: where that is no dearer than to cut it alone."""
        family = FAMILIES.get(self._names[at])
        if family is None or not self._may[at]:
            return []
        record, values = self._records[at], self._reading(at)
        axes = [
            axis
            for axis in family.axes(values, family.item)
            if getattr(values, axis.size) > 1 and is_apart(family.fields, record, axis)
        ]
        least = min((axis.shared for axis in axes), default=0.0)
        return [axis for axis in axes if axis.each is not None and axis.shared <= least]

    def _touched(self, at: int, axis: Axis, ends: list[int], rows: int) -> list[Touched] | None:
        """What each piece of a record touches; None, where that is not known."""
        size = self._size(at, axis)
        found = [self._touched_by(at, axis, a * size // rows, b * size // rows) for a, b in pairwise(ends)]
        return [one for one in found if one is not None] if None not in found else None

    def _touched_by(self, at: int, axis: Axis, first: int, end: int) -> Touched | None:
        fields, values, each = self._fields(at), self._reading(at), axis.each or {}
        touched = Touched([], [])
        for name in (name for name, place in fields.places.items() if place.kind == "operand"):
            begin, move = getattr(values, name), axis.moves.get(name, axis.moves.get(f"{name}_first", 0))
            if begin % 2:  # a constant, or nothing
                continue
            if f"{name}_first" in axis.moves:
                begin += getattr(values, f"{name}_first")
            if name == "x" and "table" in axis.moves:
                starts = self._looked_up(values, first, end)
                if starts is None:
                    return None
                touched.reads.append((begin + starts, each["x"]))
                continue
            if move <= 0:
                return None
            span = begin + first * move, begin + (end - 1) * move + each.get(name, move)
            if name in fields.written:
                touched.writes.append(span)
            else:
                touched.reads.append((np.array(span[:1]), span[1] - span[0]))
        touched.writes.extend(_zeroed(fields.name, values, FAMILIES[self._names[at]].item))
        return touched

    def _looked_up(self, values: Reading, first: int, end: int) -> NDArray[np.int64] | None:
        """Where in an image a table leads for some of its pixels; None, where it is no constant."""
        table, taps = values.table, values.taps
        if table % 2 == 0:
            return None
        found = np.unique(self._program.weights.view(np.int32, table - 1 + 4 * taps * first, taps * (end - first)))
        return found[found >= 0].astype(np.int64)

    def _part(self, at: int, axis: Axis, ends: tuple[int, int], rows: int) -> Any:
        first, end = (place * self._size(at, axis) // rows for place in ends)
        return part_of(self._fields(at), self._records[at], axis, first, end)

    def _size(self, at: int, axis: Axis) -> int:
        return int(getattr(self._reading(at), axis.size))

    def _reading(self, at: int) -> Reading:
        return Reading(self._fields(at), self._records[at])

    def _fields(self, at: int) -> Any:
        return FAMILIES[self._names[at]].fields


def _zeroed(family: str, values: Reading, item: int) -> list[tuple[int, int]]:
    """What a convolution writes besides its output: zeros, behind the pixels of its input."""
    if family != "conv" or not values.zeros:
        return []
    end = values.x + values.x_pixels * values.x_channels * item
    return [(end - values.zeros * item, end)]


def _is_apart(pieces: list[Touched], others: list[Touched]) -> bool:
    """Does no piece of a record write what another piece of an earlier one touches, or the other way round?"""
    return all(a.is_apart(b) for i, a in enumerate(pieces) for j, b in enumerate(others) if i != j)


def _meets(writes: list[tuple[int, int]], other: Touched) -> bool:
    """Does one of these ranges lie over something that the other one touches?"""
    for first, end in writes:
        if any(first < stop and start < end for start, stop in other.writes):
            return True
        if any(bool(((starts < end) & (starts + nbytes > first)).any()) for starts, nbytes in other.reads):
            return True
    return False
