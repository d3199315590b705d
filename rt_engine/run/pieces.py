"""Records that together do what one record does: the same bits, each of them its own part of the output. Pure.

    pieces_of("conv_f32", record, 4)     four records, say of 784 pixels each, in whatever order, on whatever threads

`rt_engine.run.axes` says along what a kernel's records can be cut; here one axis is chosen, and the record is cut.
"""

import itertools
from typing import Any

from numpy.typing import NDArray

from rt_engine.kernels.interface.fields import Fields
from rt_engine.program.program import ABSENT
from rt_engine.run.axes import FAMILIES, Axis, Reading

_LONG = 4
"""From so many tiles of a piece on, pieces are whole tiles."""


def pieces_of(kernel: str, record: NDArray[Any], parts: int) -> list[NDArray[Any]]:
    """Up to `parts` records that together do what this one does; the record itself where it cannot be cut.

    Args:
        kernel: name of the record's kernel.
        record: an element of `interface.record.RECORD`.
        parts: at least 1; more gives shorter pieces. There may be fewer, and they need not be of the same length.
    """
    family = FAMILIES.get(kernel)
    if family is None or parts < 2:
        return [record]
    values = Reading(family.fields, record)
    cuts = [
        (axis, borders)
        for axis in family.axes(values, family.item)
        if is_apart(family.fields, record, axis)
        and len(borders := borders_of(getattr(values, axis.size), unit_of(family.fields, axis), parts, axis)) > 2
    ]
    if not cuts:
        return [record]
    # Half as many as asked for are enough, where less of what others wrote has to be read.
    axis, borders = max(cuts, key=lambda cut: (2 * len(cut[1]) > parts, -cut[0].shared, len(cut[1])))
    return [part_of(family.fields, record, axis, *ends) for ends in itertools.pairwise(borders)]


def is_apart(fields: Fields, record: NDArray[Any], axis: Axis) -> bool:
    """Does no piece read what another one writes? In place, an operand has to move as the output does."""
    places = {name: place.index for name, place in fields.places.items() if place.kind == "operand"}
    where = {name: int(record["operand"][index]) for name, index in places.items()}
    return all(
        axis.moves.get(name, 0) == axis.moves.get(out, 0)
        for out in fields.written
        for name, offset in where.items()
        if offset == where[out] != ABSENT
    )


def unit_of(fields: Fields, axis: Axis) -> int:
    """How many of `axis.size` pieces are multiples of: the lowest bit of an operand is not part of its offset."""
    odd = any(move % 2 and fields.places[name].kind == "operand" for name, move in axis.moves.items())
    return axis.unit * 2 if odd and axis.unit % 2 else axis.unit


def borders_of(size: int, unit: int, parts: int, axis: Axis) -> list[int]:
    """Where pieces begin and end: as alike as tiles allow, none shorter than `axis.least`."""
    count = min(parts, max(size // max(unit, axis.least), 1))
    step = axis.tile if axis.tile % unit == 0 and size >= _LONG * axis.tile * count else unit
    inner = sorted({round(i * size / count / step) * step for i in range(1, count)})
    return [0, *(at for at in inner if axis.least <= at <= size - axis.least), size]


def part_of(fields: Fields, record: NDArray[Any], axis: Axis, first: int, end: int) -> NDArray[Any]:
    """The record of what lies from `first` until `end` along an axis."""
    part = record.copy()
    for name, move in axis.moves.items():
        place = fields.places[name]
        if place.kind == "size" or int(record[place.kind][place.index]) != ABSENT:
            assert place.kind != "operand" or first * move % 2 == 0, f"{name} would be a constant"
            part[place.kind][place.index] += first * move
    part["size"][fields.places[axis.size].index] = end - first
    return part
