"""What a station publishes: single values of the database, by name, with what is said of them once.

    Tags.temperature   in area plant.In, LREAL at byte 8, degC     -> Point 3
    Tasks.axis.State   in area Tasks.axis, UINT at byte 41         -> Point 4

    Group   the points of one area: bytes of a moment -> those values that have changed since the last look

Arrays are published element by element. `unpack` reads an area with one `struct`, with gaps where nobody looks.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from fieldbus.tags import Quality
from plc_bindings.data.database import Database
from plc_bindings.data.types import SCALARS, Array, Leaf, Scalar, String

Value = bool | int | float | str
RANGES: Final = {
    s.name: (-(1 << 8 * s.size - 1), (1 << 8 * s.size - 1) - 1) if s.char.islower() else (0, (1 << 8 * s.size) - 1)
    for s in SCALARS.values()
    if s.char in "bhiqBHIQ"
}
"""Of the integers."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value: `index` is its number among all. `low`, `high`: outside of them it is no value."""

    index: int
    name: str
    type: Scalar | String
    area: int
    offset: int
    unit: str = ""
    comment: str = ""
    low: float = -math.inf
    high: float = math.inf
    deadband: float = 0.0
    is_writable: bool = False

    def differs(self, value: Value, last: Value | None) -> bool:
        """Is it worth a message after the last one?"""
        if last is None or type(value) is not type(last):
            return True
        if isinstance(value, bool | str) or isinstance(last, str):
            return value != last
        if not (math.isfinite(value) and math.isfinite(last)):
            return repr(value) != repr(last)
        return abs(value - last) > self.deadband if self.deadband else value != last


Change = tuple[Point, Value]


class Group:
    """The points of one area, in the order of its bytes."""

    def __init__(self, area: int, points: Sequence[Point], device: str) -> None:
        self.area, self.device = area, device
        self.points = tuple(points)
        codes, at = ["<"], 0
        for point in self.points:
            codes.append(f"{point.offset - at}x{_code(point.type)}")
            at = point.offset + point.type.size
        self._struct = struct.Struct("".join(codes))
        self._last: list[Value | None] = [None] * len(self.points)
        self.quality: Quality | None = None
        """Of the last look."""

    def values(self, data: bytes) -> Iterator[Change]:
        """All of them."""
        for point, raw in zip(self.points, self._struct.unpack_from(data), strict=True):
            yield point, _text(raw) if isinstance(raw, bytes) else raw

    def changed(self, data: bytes, quality: Quality) -> list[Change]:
        """Those that are worth a message after the last ones; all, when the quality is another."""
        if quality != self.quality:
            self.forget()
            self.quality = quality
        found = []
        for place, (point, value) in enumerate(self.values(data)):
            if point.differs(value, self._last[place]):
                self._last[place] = value
                found.append((point, value))
        return found

    def forget(self) -> None:
        """The next look gives all values."""
        self._last = [None] * len(self.points)


@dataclass(frozen=True)
class Points:
    """All points. `devices`: name of a link whose tags are there -> whether its clients write them."""

    all: tuple[Point, ...]
    groups: tuple[Group, ...]
    devices: Mapping[str, bool]

    @cached_property
    def by_name(self) -> Mapping[str, Point]:
        """Lower-case name -> point."""
        return {point.name.lower(): point for point in self.all}


def points(
    database: Database, publish: Sequence[str], writable: Sequence[str], deadband: Mapping[str, float]
) -> Points:
    """The values whose names these patterns mean (`Tags.*`, `Tasks.*.WakeUp.*`), in the order of the database; also what is writable.

    `deadband`: pattern -> how much a value may differ from the one that was sent last; the first that means it counts.
    """
    may = database.writable(writable)
    found: list[Point] = []
    for symbol in database.symbols:
        for name, leaf in symbol.leaves():
            is_writable = may.allows(symbol.area, leaf.offset, leaf.type.size)
            if not is_writable and not _means(publish, name):
                continue
            band = next((width for pattern, width in deadband.items() if _means((pattern,), name)), 0.0)
            said = (leaf.unit, leaf.comment, symbol.low, symbol.high, band, is_writable)
            for element, type_, offset in _scalars(name, leaf):
                found.append(Point(len(found), element, type_, symbol.area, offset, *said))
    groups: list[Group] = []
    devices: dict[str, bool] = {}
    for number, area in enumerate(database.areas):
        inside = sorted((point for point in found if point.area == number), key=lambda point: point.offset)
        if inside:
            link, dot, end = area.name.rpartition(".")
            device = link if dot and end in ("In", "Out") and inside[0].name.startswith("Tags.") else ""
            groups.append(Group(number, inside, device))
            if device:
                devices[device] = devices.get(device, False) or area.can_write
    return Points(tuple(found), tuple(groups), devices)


def _scalars(name: str, leaf: Leaf) -> Iterator[tuple[str, Scalar | String, int]]:
    if not isinstance(leaf.type, Array):
        yield name, leaf.type, leaf.offset
        return
    element = leaf.type.element
    assert isinstance(element, Scalar)
    for i in range(leaf.type.count):
        yield f"{name}[{i}]", element, leaf.offset + i * element.size


def _means(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _code(type_: Scalar | String) -> str:
    return f"{type_.size}s" if isinstance(type_, String) else type_.char


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")
