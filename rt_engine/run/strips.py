"""Layers that work row by row, one behind the other, cut together: a piece is all of them, for some of the rows. Pure.

    records    conv 1x1    swish       add         conv 3x3: reads the rows beside its own, so another fan-out begins
    piece 0    conv        swish       add         rows 0 to 3216
    piece 1    conv        swish       add         rows 3216 to 6400

Nobody waits between the layers, and a core reads what it has just made itself. Rows are whatever the first record is cut along: pixels
of an image, rows of a matrix. A later record may count elements; a border between two pieces is at the same part of each.
"""

from collections.abc import Iterator, Sequence, Set
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
_FAR = np.iinfo(np.int64).max
_ELEMENT, _MOST_BYTES = 4, np.iinfo(np.int32).max
"""What offsets in a table are multiples of, and beyond what none is."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Bytes of the arena that the pieces of a record touch. Rows of `writes` and `spans` are: number of the piece, first, end."""

    writes: NDArray[np.int64]
    spans: NDArray[np.int64]
    """What is written, and what is read in a row."""
    looked_up: list[tuple[int, NDArray[np.int64], int]]
    """What a table leads to: number of the piece, where it reads, in rising order, and how many bytes at each place."""

    def is_apart(self, other: "Touched") -> bool:
        """Does no piece write what another piece of the other record touches, nor the other way round?"""
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
    """Those of one program; `records` are the program's, as they are quickest here, `may` says which of them may be cut, and none goes
    on behind what is in `ends`."""

    def __init__(self, program: Program, records: Records, may: Sequence[bool], ends: Set[int] = frozenset()) -> None:
        self._program, self._records, self._may = program, records, may
        self._names = [program.kernels[int(kernel)] for kernel in records["kernel"]]
        self._begins = borders(program.kernels, records) | ends

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
        begin = self._touched(first, axis, ends, rows)
        if begin is None:
            return None
        axes, touched = [axis], [begin]
        for at in range(first + 1, min(first + most, len(self._records))):
            joined = None if at in self._begins else self._joined(at, ends, rows, touched)
            if joined is None:
                break
            axes.append(joined[0])
            touched.append(joined[1])
        return Strip(first, axes, ends)

    def _joined(self, at: int, ends: list[int], rows: int, before: list[Touched]) -> tuple[Axis, Touched] | None:
        """The axis along which a record goes with those before it, and what its pieces touch; None, where none does."""
        for axis in self._axes(at):
            size, unit = self._size(at, axis), unit_of(self._fields(at), axis)
            places = [end * size / rows for end in ends]
            shortest = min(b - a for a, b in pairwise(places))
            unit = 1 if axis.tile == TALL <= shortest else unit  # the last tile of a piece may be a smaller one
            if shortest >= axis.least and all(place % unit == 0 for place in places[:-1]):
                touched = self._touched(at, axis, ends, rows)
                if touched is not None and all(touched.is_apart(other) for other in before):
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

    def _touched(self, at: int, axis: Axis, ends: list[int], rows: int) -> Touched | None:
        """What the pieces of a record touch; None, where that is not known."""
        size, writes, reads, looked_up = self._size(at, axis), list[Any](), list[Any](), list[Any]()
        for piece, (a, b) in enumerate(pairwise(ends)):
            found = self._touched_by(at, axis, a * size // rows, b * size // rows)
            if found is None:
                return None
            writes += [(piece, *span) for span in found[0]]
            reads += [(piece, *span) for span in found[1]]
            looked_up += [(piece, *places) for places in found[2]]
        spans = np.array(writes + reads, np.int64).reshape(-1, 3)
        return Touched(spans[: len(writes)], spans, looked_up)

    def _touched_by(self, at: int, axis: Axis, first: int, end: int) -> tuple[list[Any], list[Any], list[Any]] | None:
        """What one piece writes, reads in a row, and looks up."""
        fields, values, each = self._fields(at), self._reading(at), axis.each or {}
        writes, reads, looked_up = list[Any](), list[Any](), list[Any]()
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
                looked_up.append((begin + starts, each["x"]))
                continue
            if move <= 0:
                return None
            span = begin + first * move, begin + (end - 1) * move + each.get(name, move)
            (writes if name in fields.written else reads).append(span)
        writes.extend(_zeroed(fields.name, values, FAMILIES[self._names[at]].item))
        return writes, reads, looked_up

    def _looked_up(self, values: Reading, first: int, end: int) -> NDArray[np.int64] | None:
        """Where in an image a table leads for some of its pixels; None, where it is no constant."""
        table, taps = values.table, values.taps
        if table % 2 == 0:
            return None
        found = self._program.weights.view(np.int32, table - 1 + 4 * taps * first, taps * (end - first))
        found = found[found >= 0] // _ELEMENT
        low = found.min(initial=_MOST_BYTES)
        is_read = np.zeros(
            max(int(found.max(initial=0)) - int(low) + 1, 0), bool
        )  # sorting them takes ten times as long
        is_read[found - low] = True
        places: NDArray[np.int64] = (np.flatnonzero(is_read) + low) * _ELEMENT
        return places

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


def _meets(writes: NDArray[np.int64], other: Touched) -> bool:
    """Does a piece write what another piece of the other record touches?"""
    piece, first, end = writes.T[:, :, None]
    whose, start, stop = other.spans.T
    if bool(((piece != whose) & (first < stop) & (start < end)).any()):
        return True
    for number, starts, nbytes in other.looked_up:
        by_others = writes[writes[:, 0] != number]
        nearest = np.append(starts, _FAR)[np.searchsorted(starts, by_others[:, 1] - nbytes, "right")]
        if bool((nearest < by_others[:, 2]).any()):
            return True
    return False
