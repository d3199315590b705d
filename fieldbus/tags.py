"""Tags: what one value in a device is called, means, and where it lies."""

import math
import struct
import warnings
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from importlib import import_module
from typing import Any, Literal

from fieldbus.errors import TagError


class Quality(IntEnum):
    """How far a sample can be trusted. The numbers are the same in native code and in the process image."""

    GOOD = 0
    STALE = 1
    """The device missed a beat: these are the last good values, and their age is still within the link's timeout."""
    BAD = 2
    """No valid value: never written, connection lost, refused, or too old."""


class Order(StrEnum):
    """Where the bytes of a value lie, A being the most significant of a 32-bit value: the order on the wire.

    | order | 16 bit | 32 bit | 64 bit   | also known as                          |
    |-------|--------|--------|----------|----------------------------------------|
    | ABCD  | AB     | ABCD   | ABCDEFGH | big-endian: the Modbus specification   |
    | CDAB  | AB     | CDAB   | GHEFCDAB | low word first: mbpoll's default float |
    | BADC  | BA     | BADC   | BADCFEHG | bytes swapped in each word             |
    | DCBA  | BA     | DCBA   | HGFEDCBA | little-endian: ADS                     |
    """

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


@dataclass(frozen=True, slots=True)
class NumberType:
    """A type in the device: its `struct` character, its size, and the range of values that it holds."""

    name: str
    char: str
    nbytes: int
    low: float
    high: float

    @property
    def is_float(self) -> bool:
        """Whether it holds fractions, NaN and inf."""
        return self.char in "fd"


def _integer(name: str, char: str, bits: int, signed: bool) -> NumberType:
    # The largest float64 that does not round up past the type: exact below 2**53, 1024 less than 2**63 above.
    low, top = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    high = top - 1 if bits <= 32 else math.nextafter(float(top), 0.0)
    return NumberType(name, char, bits // 8, float(low), float(high))


_MOST_ULPS = 64
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
_FLOAT64_MAX = math.nextafter(math.inf, 0.0)

TYPES: dict[str, NumberType] = {
    t.name: t
    for t in (
        NumberType("bool", "?", 1, 0.0, 1.0),
        _integer("int8", "b", 8, True),
        _integer("int16", "h", 16, True),
        _integer("int32", "i", 32, True),
        _integer("int64", "q", 64, True),
        _integer("uint8", "B", 8, False),
        _integer("uint16", "H", 16, False),
        _integer("uint32", "I", 32, False),
        _integer("uint64", "Q", 64, False),
        NumberType("float32", "f", 4, -_FLOAT32_MAX, _FLOAT32_MAX),
        NumberType("float64", "d", 8, -_FLOAT64_MAX, _FLOAT64_MAX),
    )
}
"""Name -> type. Values are float64 in the process image, so 64-bit integers are exact up to 2**53 only."""

IEC_TYPES: dict[str, str] = {
    "BOOL": "bool",
    "SINT": "int8",
    "INT": "int16",
    "DINT": "int32",
    "LINT": "int64",
    "USINT": "uint8",
    "BYTE": "uint8",
    "UINT": "uint16",
    "WORD": "uint16",
    "UDINT": "uint32",
    "DWORD": "uint32",
    "ULINT": "uint64",
    "LWORD": "uint64",
    "REAL": "float32",
    "LREAL": "float64",
}
"""What a type is called in a PLC -> here."""


class Address:
    """Where a tag lies in a device: each kind of link has addresses of its own, beside the link."""

    __slots__ = ()

    @property
    def place(self) -> str:
        """The place alone, for people; empty: it has no number."""
        return ""

    @property
    def byte_order(self) -> Order | None:
        """The order of a value's bytes, where devices of this kind differ in it; None: they do not."""
        return None

    def moved(self, count: int) -> "Address | None":
        """The place so many registers later; None: there is none, or places are not counted."""
        return None


@dataclass(frozen=True, slots=True)
class Tag:
    """One value, or `count` values, in a device: `value = raw * scale + offset`, in engineering units.

    `direction` is seen from the controller: "in" is a sensor, "out" an actuator. An output is clipped to `low`..`high`
    and, when it is NaN or inf, replaced by `safe`; an input outside of them is no value: NaN, quality BAD. So is one whose
    raw number is in `not_available`, as the type has it: 0x8000 of an int16 is -32768. Raises `TagError` if the parts
    contradict each other: what can be sent must fit the device's type.
    """

    name: str
    type: str
    direction: Literal["in", "out"]
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    safe: float = 0.0
    count: int = 1
    address: Address | None = None
    not_available: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise TagError("a tag needs a name")
        if self.type not in TYPES:
            raise TagError(f"tag {self.name!r}: unknown type {self.type!r}; there are {', '.join(TYPES)}")
        if self.direction not in ("in", "out"):
            raise TagError(
                f"tag {self.name!r}: direction {self.direction!r} is neither 'in' (sensor) nor 'out' (actuator)"
            )
        if self.count < 1:
            raise TagError(f"tag {self.name!r}: count {self.count} is below 1")
        if not (math.isfinite(self.scale) and self.scale != 0.0 and math.isfinite(self.offset)):
            raise TagError(
                f"tag {self.name!r}: scale {self.scale} and offset {self.offset} must be finite, and scale not 0"
            )
        if not self.low <= self.high:
            raise TagError(f"tag {self.name!r}: low {self.low} is not below high {self.high}")
        if self.direction == "out":
            self._check_safe()
        self._check_not_available()

    def _check_not_available(self) -> None:
        if self.not_available and (self.direction == "out" or self.type == "bool"):
            kind = "an output" if self.direction == "out" else "a bool"
            raise TagError(f'tag {self.name!r}: {kind} has no numbers that mean "not available"')
        for raw in self.not_available:
            if as_held(self.number, raw) is None:
                raise TagError(f"tag {self.name!r}: not_available {raw:.17g} is no number of {self.type}")

    def _check_safe(self) -> None:
        if not (self.low <= self.safe <= self.high and math.isfinite(self.safe)):
            raise TagError(f"tag {self.name!r}: safe value {self.safe} is outside its limits {self.low} to {self.high}")
        low, high = self.representable
        if not low <= self.safe <= high:
            raise TagError(
                f"tag {self.name!r}: safe value {self.safe} does not fit {self.type}: that holds {low} to {high}"
            )

    @property
    def number(self) -> NumberType:
        """The type in the device."""
        return TYPES[self.type]

    @property
    def unavailable(self) -> tuple[float, ...]:
        """The raw numbers that mean "not available", as a decoder gives them."""
        return tuple(held for raw in self.not_available if (held := as_held(self.number, raw)) is not None)

    @property
    def representable(self) -> tuple[float, float]:
        """Lowest and highest value, in engineering units, that the type in the device can hold."""
        ends = [_nearest_held(self, raw) for raw in (self.number.low, self.number.high)]
        return min(ends), max(ends)

    def raw(self, value: float) -> float:
        """The number in the device, not yet rounded, for a value in engineering units."""
        return (value - self.offset) / self.scale


def as_held(number: NumberType, raw: float) -> float | None:
    """What a device of this type means by `raw`: 0x8000 of an int16 is -32768; None: it has no such number."""
    if number.is_float:
        if math.isfinite(raw) and not number.low <= raw <= number.high:
            return None
        (held,) = struct.unpack("<" + number.char, struct.pack("<" + number.char, raw))
        return float(held)
    if not math.isfinite(raw) or int(raw) != raw:
        return None
    top = 2 ** (8 * number.nbytes)
    whole = int(raw) - top if number.low < 0 and top // 2 <= int(raw) < top else int(raw)
    return float(whole) if int(number.low) <= whole < int(number.low) + top else None


def _nearest_held(tag: Tag, raw: float) -> float:
    """The value of `raw`, moved by the few ulps that rounding costs, so that its way back stays in the range."""
    value = raw * tag.scale + tag.offset
    for _ in range(_MOST_ULPS):
        if tag.number.low <= tag.raw(value) <= tag.number.high:
            return value
        value = math.nextafter(value, tag.offset)
    raise TagError(f"tag {tag.name!r}: scale {tag.scale:g} and offset {tag.offset:g} are too large for {tag.type}")


_MOVED = {"AdsAddress": "fieldbus.ads.address", "ModbusAddress": "fieldbus.modbus.address"}


def __getattr__(name: str) -> Any:
    """Addresses belong to their protocols; under their old names they are understood for one release."""
    if name in _MOVED:
        warnings.warn(f"write: from {_MOVED[name]} import {name}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(_MOVED[name]), name)
    raise AttributeError(f"module 'fieldbus.tags' has no attribute {name!r}")
