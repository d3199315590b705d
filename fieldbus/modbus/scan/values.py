"""Where a value lies that a person sees: every place, type, word order and usual scale that gives it.

registers    .. 41AC 0000 ..          ABCD float32 at 8 = 21.5        cost 0: plain
             .. 0000 41AC ..          CDAB float32
             .. 00D7 ..               int16 x 0.1 = 21.5              cost 1
             .. 0000 00D7 ..          int32 x 0.1, or the int16 behind it
             .. 0BAD ..               int16 x 0.1 - 273.15, of a temperature

Many places give 21.5 by chance. When the value changes those that do not follow are dropped: `still`. Two never part: floats of
the one and the other word order around the same register, which has sign, exponent and the first bits of both: `are_twins`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fieldbus.modbus.scan.blocks import BIT_TABLES, Block, Table

TYPES: Final = {
    "int16": ("i2", 0.0),
    "uint16": ("u2", 0.5),
    "float32": ("f4", 0.0),
    "int32": ("i4", 3.0),
    "uint32": ("u4", 3.5),
    "float64": ("f8", 2.0),
    "int64": ("i8", 6.0),
}
"""Type -> how NumPy calls it, and how much less likely it is than the plain ones."""
ORDERS: Final = {"ABCD": 0.0, "CDAB": 0.5, "DCBA": 2.0, "BADC": 2.5}
SCALES: Final = {1.0: 0.0, 0.1: 1.0, 0.01: 1.5, 0.001: 2.0, 10.0: 3.0, 100.0: 4.0, 1000.0: 4.0, 0.5: 4.0, 0.0001: 4.0}
FLOAT_SCALE_COST: Final = 3.0
NOT_EXACT_COST: Final = 0.6
TEMPERATURES: Final = {-273.15: 3.0, -40.0: 5.0, -50.0: 5.0, -100.0: 5.0}
"""Offsets of temperatures: kelvins, and sensors whose zero is the least that they measure."""
TEMPERATURE_UNITS: Final = frozenset(("degc", "°c", "c", "celsius", "deg c", "grad"))


@dataclass(frozen=True, slots=True)
class Place:
    """`value = raw * scale + offset` of this type and order, at this register or bit."""

    table: str
    register: int
    type: str
    order: str = "ABCD"
    scale: float = 1.0
    offset: float = 0.0

    @property
    def width(self) -> int:
        """Registers, or bits, that it takes."""
        return 1 if self.type == "bool" else np.dtype(TYPES[self.type][0]).itemsize // 2

    @property
    def cost(self) -> float:
        """How far-fetched it is."""
        if self.type == "bool":
            return 0.0
        float_scaled = FLOAT_SCALE_COST if self.type.startswith("float") and self.scale != 1.0 else 0.0
        offset = TEMPERATURES.get(self.offset, 0.0)
        return TYPES[self.type][1] + ORDERS[self.order] + SCALES[self.scale] + offset + float_scaled


@dataclass(frozen=True, slots=True)
class Found:
    """A place, what was read there, and whether it could as well be of the unsigned type."""

    place: Place
    value: float
    maybe_unsigned: bool = False
    off: float = 0.0
    """How far it is from what was looked for."""

    @property
    def cost(self) -> float:
        """How far-fetched it is; the likeliest place costs least."""
        return self.place.cost + (NOT_EXACT_COST if self.off > 1e-6 * max(1.0, abs(self.value)) else 0.0)

    @property
    def places(self) -> tuple[Place, ...]:
        """The place, and the same with the unsigned type if it may be that one."""
        return (self.place, replace(self.place, type=f"u{self.place.type}")) if self.maybe_unsigned else (self.place,)


def tolerance_of(text: str) -> float:
    """Of a value as it was typed: half of its last digit, at least a thousandth of it; raises `ValueError` for no number."""
    value = float(text)
    digits = text.lower().partition("e")[0].partition(".")[2]
    exponent = int(text.lower().partition("e")[2] or 0)
    return max(0.5 * 10.0 ** (exponent - len(digits)), abs(value) / 1000)


def places(tables: Iterable[Table], value: float, tolerance: float, unit: str = "") -> list[Found]:
    """All places that give `value`, the plainest first."""
    offsets = [0.0, *(TEMPERATURES if unit.strip().lower() in TEMPERATURE_UNITS else ())]
    found = [f for t in tables for b in t.blocks for f in _of_block(t.name, b, value, tolerance, offsets)]
    return _ranked(found, value)


def still(known: Iterable[Place], tables: Iterable[Table], value: float, tolerance: float) -> list[Found]:
    """Those of `known` places that give `value` now, the plainest first."""
    blocks = {table.name: table.blocks for table in tables}
    found = []
    for place in known:
        for block in blocks.get(place.table, ()):
            if block.start <= place.register and place.register + place.width <= block.end:
                now = value_at(block, place)
                if abs(now - value) <= tolerance:
                    found.append(Found(place, now))
    return _ranked(found, value)


def value_at(block: Block, place: Place) -> float:
    """What lies at a place of a block."""
    if place.type == "bool":
        return float(block.values[place.register - block.start])
    raw = _raws(block, place.type, place.order)[place.register - block.start]
    return float(raw) * place.scale + place.offset


def apart(found: Sequence[Found]) -> list[Found]:
    """The plainest of each place: none overlaps another."""
    kept: list[Found] = []
    for one in found:
        if not any(_overlap(k.place, one.place) for k in kept):
            kept.append(one)
    return kept


def are_twins(one: Place, other: Place) -> bool:
    """Are these floats whose most significant register is the same? They differ in less than a hundredth, for ever."""
    return one != other and one.type.startswith("float") and _twin_key(one) == _twin_key(other)


def _twin_key(place: Place) -> tuple[object, ...]:
    is_swapped = place.order in ("BADC", "DCBA")
    top = place.register + (place.width - 1 if place.order in ("CDAB", "DCBA") else 0)
    return place.table, place.type, place.scale, place.offset, is_swapped, top


def _overlap(one: Place, other: Place) -> bool:
    return one.table == other.table and bool(set(_span(one)) & set(_span(other)))


def _span(place: Place) -> range:
    return range(place.register, place.register + place.width)


def _of_block(table: str, block: Block, value: float, tolerance: float, offsets: Sequence[float]) -> Iterator[Found]:
    if table in BIT_TABLES:
        if value in (0.0, 1.0):
            yield from (
                Found(Place(table, block.start + n, "bool"), value) for n, v in enumerate(block.values) if v == value
            )
        return
    for type_name, (char, _) in TYPES.items():
        is_word = np.dtype(char).itemsize == 2
        for order in ("ABCD", "BADC") if is_word else ORDERS:
            with np.errstate(all="ignore"):  # bytes that are no float
                raws = _raws(block, type_name, order).astype(np.float64)
            for scale in SCALES:
                for offset in offsets:
                    with np.errstate(all="ignore"):
                        scaled = raws * scale + offset
                        fits = np.flatnonzero(np.abs(scaled - value) <= tolerance)
                    for i in fits:
                        place = Place(table, block.start + int(i), type_name, order, scale, offset)
                        yield Found(place, float(scaled[i]))


def _raws(block: Block, type_name: str, order: str) -> NDArray[np.generic]:
    """The number that begins at each register, as far as the block has all its words."""
    char = TYPES[type_name][0]
    words = np.array(block.values, ">u2")
    if order in ("BADC", "DCBA"):
        words = words.byteswap()
    width = np.dtype(char).itemsize // 2
    if len(words) < width:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(words, width)
    if order in ("CDAB", "DCBA"):
        windows = windows[:, ::-1]
    return np.ascontiguousarray(windows).view(f">{char}")[:, 0]


def _ranked(found: list[Found], value: float) -> list[Found]:
    """Plainest and nearest first, of twins the nearer; an unsigned number that is the same as a signed one is told there."""
    by_place = {one.place: one for one in found}
    kept = []
    for one in found:
        if replace(one.place, type=one.place.type.removeprefix("u")) in by_place and one.place.type.startswith("u"):
            continue
        has_twin = replace(one.place, type=f"u{one.place.type}") in by_place
        kept.append(replace(one, maybe_unsigned=has_twin, off=abs(one.value - value)))
    costs = {one.place: min(k.cost for k in kept if k is one or are_twins(k.place, one.place)) for one in kept}
    return sorted(kept, key=lambda f: (costs[f.place], f.off, f.place.table, f.place.register))
