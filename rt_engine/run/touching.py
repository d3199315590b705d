"""Which bytes of the arena the pieces of a record touch: may they be done while others do pieces of another record? Pure.

What lies in a row is a span; where a table leads are single places. What is read for nothing, behind the end of a tensor, is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.conv import CONV, DEPTHWISE
from rt_engine.kernels.interface.movement import COPY_STRIDED
from rt_engine.kernels.interface.pool import POOL
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.interface.qpool import QMAX_POOL
from rt_engine.program.program import Program
from rt_engine.run.axes import FAMILIES, Axis, Family, Reading

Places = NDArray[np.int64]
Spans = list[tuple[int, int]]
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Touched:
    """Rows of `writes` and `spans` are: number of the piece, first, end."""

    writes: Places
    spans: Places
    """What is written, and what is read in a row."""
    looked_up: list[tuple[int, Places, int]]
    """What a table leads to: number of the piece, where it reads, in rising order, and how many bytes at each place."""

    def is_apart(self, other: "Touched") -> bool:
        """Does no piece write what another piece of the other record touches, nor the other way round?"""
        return not (_meets(self.writes, other) or _meets(other.writes, self))

    def begins(self) -> list[int]:
        """The first byte that each piece writes."""
        return [int(self.writes[self.writes[:, 0] == i, 1].min()) for i in range(int(self.writes[:, 0].max()) + 1)]


def touched(program: Program, kernel: str, record: Any, axis: Axis, borders: Sequence[int]) -> Touched | None:
    """By pieces that begin and end at `borders` along an axis; None, where that is not known."""
    family, writes, reads, looked_up = FAMILIES[kernel], list[Any](), list[Any](), list[Any]()
    values = Reading(family.fields, record)
    for piece, ends in enumerate(pairwise(borders)):
        found = _by_piece(program, family, values, axis, ends)
        if found is None:
            return None
        writes += [(piece, *span) for span in found[0]]
        reads += [(piece, *span) for span in found[1]]
        looked_up += [(piece, *places) for places in found[2]]
    spans = np.array(writes + reads, np.int64).reshape(-1, 3)
    return Touched(spans[: len(writes)], spans, looked_up)


def _by_piece(
    program: Program, family: Family, values: Reading, axis: Axis, ends: tuple[int, int]
) -> tuple[Spans, Spans, list[tuple[Places, int]]] | None:
    """What one piece writes, reads in a row, and looks up."""
    fields, each, (first, end) = family.fields, axis.each or {}, ends
    writes, reads, looked_up = Spans(), Spans(), list[tuple[Places, int]]()
    if fields.name == COPY_STRIDED.name:
        return _copied(program, values, family.item, ends)
    for name in (name for name, place in fields.places.items() if place.kind == "operand"):
        begin, move = getattr(values, name), axis.moves.get(name, axis.moves.get(f"{name}_first", 0))
        if begin % 2:  # a constant, or nothing
            continue
        if f"{name}_first" in axis.moves or (name == "x" and "x_first" in fields.places):
            begin += getattr(values, f"{name}_first")
        if name == "x" and fields.name in _LOOKED_UP and name in each:
            starts = _LOOKED_UP[fields.name](program, values, axis, ends)
            if starts is None:
                return None
            looked_up.append((begin + starts, each[name]))
            continue
        if move <= 0:
            return None
        span = begin + first * move, begin + (end - 1) * move + each.get(name, move)
        (writes if name in fields.written else reads).append(span)
    writes.extend(_zeroed(fields.name, values, family.item))
    return writes, reads, looked_up


def _constants(program: Program, at: int, count: int) -> NDArray[np.int32] | None:
    """Numbers among the weights; None, where it is no constant."""
    return program.weights.view(np.int32, at - 1, count) if at % 2 else None


def _of_windows(program: Program, values: Reading, axis: Axis, ends: tuple[int, int]) -> Places | None:
    """A row of the table has a place for each tap; none, where it is negative."""
    first, end = ends
    found = _constants(program, values.table + 4 * values.taps * first, values.taps * (end - first))
    return None if found is None else _sorted(found[found >= 0])


def _of_quads(program: Program, values: Reading, axis: Axis, ends: tuple[int, int]) -> Places | None:
    return _of_lines(program, values, ends, (0, 1), int(values.depth) // 4)


def _of_taps(program: Program, values: Reading, axis: Axis, ends: tuple[int, int]) -> Places | None:
    return _of_lines(program, values, ends, (0, 1), int(values.taps))


def _of_channels(program: Program, values: Reading, axis: Axis, ends: tuple[int, int]) -> Places | None:
    all_lines, all_of_a_line = (0, int(values.pixels)), (0, max(int(values.count), 1))
    lines, of_a_line = (all_lines, ends) if axis.size == "count" else (ends, all_of_a_line)
    return _of_lines(program, values, lines, of_a_line, 4 * int(values.quads), int(values.x_step))


def _of_lines(
    program: Program, values: Reading, lines: tuple[int, int], of_a_line: tuple[int, int], taps: int, step: int = 0
) -> Places | None:
    """Integer kernels: the table has the places of lines of outputs, and elsewhere those of taps; in a line they are `step` apart."""
    starts = _constants(program, values.table + 4 * lines[0], lines[1] - lines[0])
    steps = _constants(program, values.table + (int(values.offsets) or 4 * values.pixels), taps)
    if starts is None or steps is None:
        return None
    along = np.arange(*of_a_line) * step
    return _sorted((np.unique(steps)[:, None, None] + along[:, None] + starts).ravel())


_LOOKED_UP = {
    CONV.name: _of_windows,
    DEPTHWISE.name: _of_windows,
    POOL.name: _of_windows,
    QCONV.name: _of_quads,
    QMAX_POOL.name: _of_taps,
    QDEPTHWISE.name: _of_channels,
}
"""Records -> where in an image, of which x is the begin, a piece reads."""


def _sorted(places: NDArray[Any]) -> Places:
    """Each once, in rising order: to sort them would take ten times as long."""
    if not places.size:
        return np.zeros(0, np.int64)
    low = int(places.min())
    is_read = np.zeros(int(places.max()) - low + 1, bool)
    is_read[places - low] = True
    return np.flatnonzero(is_read) + low


def _copied(
    program: Program, values: Reading, item: int, ends: tuple[int, int]
) -> tuple[Spans, Spans, list[Any]] | None:
    """Of a copy between strided tensors, whose table has the extent and both steps of each dimension."""
    table = _constants(program, values.table, 6 * int(values.rank))
    if table is None:
        return None
    dims = table.view(np.int64).reshape(-1, 3)
    first, counts = int(values.begin) + ends[0], [ends[1] - ends[0], *dims[1:, 0].tolist()]
    found = list[Spans]()
    for name, steps in (("out", dims[:, 2]), ("x", dims[:, 1])):
        begin, place = getattr(values, name), getattr(values, f"{name}_first") + first * int(steps[0])
        reach = [(count - 1) * int(step) for count, step in zip(counts, steps, strict=True)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        found.append([] if begin % 2 else [(begin + (place + low) * item, begin + (place + high + 1) * item)])
    return found[0], found[1], []


def _zeroed(family: str, values: Reading, item: int) -> Spans:
    """What a convolution writes besides its output: zeros, behind the pixels of its input."""
    if family not in (CONV.name, DEPTHWISE.name) or not values.zeros:
        return []
    end = values.x + values.x_pixels * values.x_channels * item
    return [(end - values.zeros * item, end)]


def _meets(writes: Places, other: Touched) -> bool:
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
