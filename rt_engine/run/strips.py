"""Layers that work row by row, one behind the other, cut together: a piece is all of them, for some of the rows. Pure.

    records    conv 1x1    swish       add         conv 3x3: reads the rows beside its own, so another fan-out begins
    piece 0    conv        swish       add         rows 0 to 3216
    piece 1    conv        swish       add         rows 3216 to 6400

Nobody waits between the layers, and a core reads what it has just made itself: `run.touching` says what. Rows are whatever the first
record is cut along: pixels of an image, rows of a matrix. A later record may count elements; a border between two pieces is at the
same part of each, but that of a margin which a copy follows is where the copy's is.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from rt_engine.kernels.interface.movement import FILL
from rt_engine.program.program import Program
from rt_engine.run.axes import FAMILIES, TALL, Axis, Reading
from rt_engine.run.chains import Step
from rt_engine.run.jumps import borders
from rt_engine.run.pieces import borders_of, is_apart, part_of, unit_of
from rt_engine.run.touching import Touched, touched

Records = NDArray[Any]
MOST = 24
"""Records of a strip: each is compared with all before it."""
_PATTERN = 8
"""Bytes that a fill repeats."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Along what a record is cut, and where its pieces begin and end."""

    axis: Axis
    borders: list[int]


@dataclass(frozen=True, slots=True)
class Strip:
    """The records from `first` to `end` - 1 of a program, each as it is cut."""

    first: int
    cuts: list[Cut]

    @property
    def end(self) -> int:
        """Behind the last record."""
        return self.first + len(self.cuts)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.cuts[0].borders) - 1


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
        axis, rows = strip.cuts[0].axis, strip.cuts[0].borders[-1]
        fewer = range(min(parts, rows // (2 * TALL) if axis.tile == TALL else parts), strip.count - 1, -1)
        finer = (self._grown(strip.first, axis, count, len(strip.cuts)) for count in fewer)
        strip = next((found for found in finer if found is not None and found.end == strip.end), strip)
        return [
            [
                Step(part_of(self._fields(at), self._records[at], cut.axis, *cut.borders[piece : piece + 2]))
                for at, cut in enumerate(strip.cuts, strip.first)
            ]
            for piece in range(strip.count)
        ]

    def _from(self, first: int, threads: int) -> Strip | None:
        """The strip that begins at a record."""
        found = (self._grown(first, axis, threads, MOST) for axis in self._axes(first))
        strips = [strip for strip in found if strip is not None and len(strip.cuts) > 1]
        return max(strips, key=lambda strip: len(strip.cuts), default=None)

    def _grown(self, first: int, axis: Axis, parts: int, most: int) -> Strip | None:
        """As many records behind `first` as can be cut as this one is in so many parts; None, where it cannot."""
        rows = self._size(first, axis)
        begin = Cut(axis, borders_of(rows, unit_of(self._fields(first), axis), parts, axis))
        touches = self._touched(first, begin)
        if len(begin.borders) < 3 or touches is None:
            return None
        cuts, before, end = [begin], [touches], min(first + most, len(self._records))
        while (at := first + len(cuts)) < end and at not in self._begins:
            joined = self._joined(at, begin.borders, before) or self._filled(at, begin.borders, before)
            if not joined:
                break
            cuts += [cut for cut, _ in joined]
            before += [found for _, found in joined]
        return Strip(first, cuts[:most])

    def _joined(self, at: int, ends: list[int], before: list[Touched]) -> list[tuple[Cut, Touched]]:
        """How a record is cut that goes with those before it, and what its pieces touch; nothing, where it cannot be."""
        for axis in self._axes(at):
            size = self._size(at, axis)
            places = [end * size / ends[-1] for end in ends]
            shortest = min(b - a for a, b in pairwise(places))
            any_row = axis.tile == TALL <= shortest  # the last tile of a piece may be a smaller one
            unit = unit_of(self._fields(at), replace(axis, unit=1) if any_row else axis)
            if shortest >= axis.least and all(place % unit == 0 for place in places[:-1]):
                cut = Cut(axis, [int(place) for place in places])
                found = self._touched(at, cut)
                if found is not None and all(found.is_apart(other) for other in before):
                    return [(cut, found)]
        return []

    def _filled(self, at: int, ends: list[int], before: list[Touched]) -> list[tuple[Cut, Touched]]:
        """The same of a margin and what is copied into it: the margin is cut where the pieces of the copy begin."""
        if (
            at + 1 in self._begins
            or not at + 1 < len(self._records)
            or self._names[at] != FILL.name
            or not self._may[at]
        ):
            return []
        copied, values = self._joined(at + 1, ends, before), self._reading(at)
        begins = [max(begin - values.out, 0) // _PATTERN * _PATTERN for _, found in copied for begin in found.begins()]
        cut = Cut(Axis("nbytes", {"out": 1}, each={}), [0, *begins[1:], values.nbytes])
        if not copied or any(a >= b for a, b in pairwise(cut.borders)):
            return []
        found = self._touched(at, cut)
        return (
            [(cut, found), *copied]
            if found is not None and all(found.is_apart(o) for o in (*before, copied[0][1]))
            else []
        )

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

    def _touched(self, at: int, cut: Cut) -> Touched | None:
        return touched(self._program, self._names[at], self._records[at], cut.axis, cut.borders)

    def _size(self, at: int, axis: Axis) -> int:
        return int(getattr(self._reading(at), axis.size))

    def _reading(self, at: int) -> Reading:
        return Reading(self._fields(at), self._records[at])

    def _fields(self, at: int) -> Any:
        return FAMILIES[self._names[at]].fields
