"""Data types as a PLC sees them (IEC 61131-3): scalars, strings, arrays, structures; packed without gaps, low byte first.

Struct("ST_RtTask")      CycleCount : ULINT      offset 0, 8 bytes
                         WakeUp     : ST_RtLatency        8
                         ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from rt_engine.kernels.interface.dtypes import DType


@dataclass(frozen=True)
class Scalar:
    """One number. `char` is its code in `struct` and NumPy (little-endian)."""

    name: str
    char: str
    size: int


@dataclass(frozen=True)
class String:
    """STRING(length): `length` bytes of UTF-8 and a NUL."""

    length: int

    @property
    def name(self) -> str:
        """As IEC 61131-3 writes it."""
        return f"STRING({self.length})"

    @property
    def size(self) -> int:
        """Bytes, with the NUL."""
        return self.length + 1


@dataclass(frozen=True)
class Array:
    """`count` elements in a row, [0..count-1]."""

    element: Type
    count: int

    @property
    def name(self) -> str:
        """As IEC 61131-3 writes it."""
        return f"ARRAY [0..{self.count - 1}] OF {self.element.name}"

    @property
    def size(self) -> int:
        """Bytes."""
        return self.element.size * self.count


@dataclass(frozen=True)
class Field:
    """One element of a structure. `name` is an IEC identifier; `names`: what its numbers stand for, (name, number) each."""

    name: str
    type: Type
    unit: str = ""
    comment: str = ""
    names: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Struct:
    """Fields in a row, without gaps."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return sum(field.type.size for field in self.fields)

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Field name -> byte offset."""
        offsets, at = {}, 0
        for field in self.fields:
            offsets[field.name] = at
            at += field.type.size
        return offsets


Type = Scalar | String | Array | Struct

_CHARS = {"b": "?", "f": "__fd", "i": "bhiq", "u": "BHIQ"}
"""Kind -> codes by the size, 1, 2, 4 or 8 bytes."""


def _scalar(t: DType) -> Scalar:
    return Scalar(t.plc, _CHARS[t.kind][t.nbytes.bit_length() - 1], t.nbytes)


SCALARS: dict[str, Scalar] = {
    t.numpy: _scalar(t) for t in sorted(DType, key=lambda t: (t.kind == "f", t.nbytes, t.kind)) if t.plc
}
"""NumPy's name -> the type; what is not here (float16, int4, ...) no PLC has."""

BOOL, REAL, LREAL = SCALARS["bool"], SCALARS["float32"], SCALARS["float64"]
SINT, INT, DINT, LINT = (SCALARS[f"int{bits}"] for bits in (8, 16, 32, 64))
USINT, UINT, UDINT, ULINT = (SCALARS[f"uint{bits}"] for bits in (8, 16, 32, 64))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar, a string, or an array of scalars within a type: its path below the symbol, and its byte offset."""

    path: str
    type: Scalar | String | Array
    offset: int
    unit: str = ""
    comment: str = ""
    names: tuple[tuple[str, int], ...] = ()


def counted(*names: str) -> tuple[tuple[str, int], ...]:
    """`Field.names` of an enumeration from 0."""
    return tuple((name, number) for number, name in enumerate(names))


def in_words(names: tuple[tuple[str, int], ...]) -> str:
    """`0 idle, 1 running`, for a comment."""
    return ", ".join(f"{number} {name}" for name, number in names)


def leaves(
    type_: Type,
    path: str = "",
    offset: int = 0,
    unit: str = "",
    comment: str = "",
    names: tuple[tuple[str, int], ...] = (),
) -> Iterator[Leaf]:
    """All leaves in the order of their bytes; arrays of structures are opened, arrays of scalars are one leaf."""
    if isinstance(type_, Struct):
        for field in type_.fields:
            below, at = f"{path}.{field.name}" if path else field.name, offset + type_.offsets[field.name]
            yield from leaves(field.type, below, at, field.unit, field.comment, field.names)
    elif isinstance(type_, Array) and not isinstance(type_.element, Scalar):
        for i in range(type_.count):
            yield from leaves(type_.element, f"{path}[{i}]", offset + i * type_.element.size, unit, comment)
    else:
        yield Leaf(path, type_, offset, unit, comment, names)


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]", re.ASCII)


def find(type_: Type, path: str) -> tuple[Type, int] | None:
    """(type, byte offset) of a path within a type, such as `.WakeUp.P99` or `[3]`; case does not matter. None: no such."""
    offset = at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        at = step.end()
        if step[1] is not None:
            if not isinstance(type_, Struct):
                return None
            field = next((f for f in type_.fields if f.name.lower() == step[1].lower()), None)
            if field is None:
                return None
            offset += type_.offsets[field.name]
            type_ = field.type
        else:
            index = int(step[2])
            if not isinstance(type_, Array) or index >= type_.count:
                return None
            offset += index * type_.element.size
            type_ = type_.element
    return type_, offset


def identifier(name: str) -> str:
    """A name as IEC 61131-3 allows it: letters, digits and single underscores, not beginning with a digit."""
    plain = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)).rstrip("_")
    return plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"


def distinct(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if there is one that a PLC does not tell from it: `x-1` and `x_1`, `x` and `X`."""
    tries = (f"{name}_{number}" if number else name for number in count())
    fresh = next(tried for tried in tries if tried.lower() not in taken)
    taken.add(fresh.lower())
    return fresh
