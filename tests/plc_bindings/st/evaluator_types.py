"""Types and values of Structured Text for the evaluator.

BOOL -> bool    SINT ... ULINT, BYTE ... LWORD, TIME (ms) -> int    REAL (rounded to float32), LREAL -> float
STRING -> str   ARRAY -> list (of lists, if it has several dimensions)   STRUCT -> Record   FUNCTION_BLOCK -> its instance
PVOID -> Pointer, or None
"""

from __future__ import annotations

import copy
import ctypes
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any


class StructuredTextError(Exception):
    """The text is wrong, does something that compilers or PLCs do in different ways, or is not understood here."""


@dataclass(frozen=True)
class Rules:
    """What a program may do. `codesys`: pointers, methods, integers that widen by themselves, as TwinCAT and CODESYS have them.
    `exact`: a real that becomes infinite or NaN, and a conversion to integers or bits that loses some, are errors."""

    codesys: bool
    exact: bool


@dataclass(frozen=True)
class Elementary:
    """`kind`: bool, int, bits, real, string, time, pointer; or any_int, any_real: a literal."""

    name: str
    kind: str
    low: int = 0
    high: int = 0

    def default(self) -> Any:
        return {"bool": False, "real": 0.0, "string": "", "pointer": None}.get(self.kind, 0)

    def check(self, value: Any) -> Any:
        """A value that fits, rounded to float32 where the type is REAL."""
        plain, wanted = _WANTED.get(self.kind, (int, Integral))
        if type(value) is not plain and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise StructuredTextError(f"{value!r} is no {self.name}")
        if plain is float:
            return single(float(value)) if self.name == "REAL" else float(value)
        if plain is int:
            if not self.low <= value <= self.high:
                raise StructuredTextError(f"{value} does not fit {self.name}")
            return int(value)
        if self.kind == "string" and len(value) > self.high:
            raise StructuredTextError(f"{value!r} does not fit {self.name}")
        return value


@dataclass(frozen=True)
class ArrayType:
    low: int
    high: int
    element: Any

    @property
    def name(self) -> str:
        return f"ARRAY [{self.low}..{self.high}] OF {self.element.name}"

    def default(self) -> list[Any]:
        return [self.element.default() for _ in range(self.low, self.high + 1)]

    def check(self, value: Any) -> list[Any]:
        values = [self.element.check(v) for v in value]
        if len(values) != self.high - self.low + 1:
            raise StructuredTextError(f"{len(values)} values for {self.name}")
        return values


@dataclass(eq=False)
class StructType:
    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    initial: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def default(self) -> Record:
        return Record(
            self, {n: self.initial[n]() if n in self.initial else t.default() for n, t in self.fields.items()}
        )

    def check(self, value: Any) -> Record:
        found = self.default()
        given = value.values if isinstance(value, Record) else {k.lower(): v for k, v in value.items()}
        for name, v in given.items():
            if name not in self.fields:
                raise StructuredTextError(f"{self.name} has no {name}")
            found.values[name] = self.fields[name].check(v)
        return found


class Memory:
    """Variables of a structure, or of a block's instance: attributes, in any case, that are checked when they are set."""

    def __init__(self, types: Mapping[str, Any], values: dict[str, Any]) -> None:
        self.__dict__.update(types=types, values=values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name.lower()]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        put(self.types[name.lower()], self.values, name.lower(), value)

    def at(self, name: str) -> Pointer:
        """Its bytes."""
        return Pointer(cells(self.types[name.lower()], self.values, name.lower()))


class Record(Memory):
    """A value of a STRUCT."""

    def __init__(self, type_: StructType, values: dict[str, Any]) -> None:
        super().__init__(type_.fields, values)
        self.__dict__["type"] = type_

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Record:
        return Record(self.type, copy.deepcopy(self.values))

    def __repr__(self) -> str:
        return f"{self.type.name}({self.values})"


@dataclass(frozen=True)
class Cell:
    """A variable of an elementary type: the list or dictionary that holds its value, and where."""

    type: Elementary
    holder: Any
    key: Any

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    def set(self, value: Any) -> None:
        self.holder[self.key] = self.type.check(value)

    def bytes(self) -> bytes:
        if self.type.kind == "string":
            return str(self.value).encode().ljust(self.type.high + 1, b"\0")
        return struct.pack("<" + _CODES[self.type.name], self.value)

    def load(self, data: bytes) -> None:
        if self.type.kind == "string":
            self.set(data.split(b"\0", 1)[0].decode())
        else:
            self.set(*struct.unpack("<" + _CODES[self.type.name], data))


class Pointer:
    """The bytes of variables in a row."""

    def __init__(self, found: Iterable[Cell]) -> None:
        self.cells = list(found)

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all."""
        data = b"".join(cell.bytes() for cell in self.cells)
        if size is not None and not 0 <= size <= len(data):
            raise StructuredTextError(f"{size} bytes read of a variable of {len(data)}")
        return data[:size]

    def write(self, data: bytes, start: int = 0) -> None:
        """Over the bytes from `start` on; the others stay."""
        old = self.read()
        if not 0 <= start <= len(old) - len(data):
            raise StructuredTextError(f"{len(data)} bytes written from byte {start} on of a variable of {len(old)}")
        new, at = old[:start] + data + old[start + len(data) :], 0
        for cell in self.cells:
            part = slice(at, at := at + len(cell.bytes()))
            if old[part] != new[part]:
                cell.load(new[part])

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Pointer:
        return self


def cells(type_: Any, holder: Any, key: Any) -> Iterator[Cell]:
    """All elementary variables of `holder[key]`, in the order of their bytes."""
    if isinstance(type_, Elementary) and (type_.name in _CODES or type_.kind == "string"):
        yield Cell(type_, holder, key)
    elif isinstance(type_, ArrayType):
        for i in range(len(holder[key])):
            yield from cells(type_.element, holder[key], i)
    elif isinstance(type_, StructType):
        for name, inner in type_.fields.items():
            yield from cells(inner, holder[key].values, name)
    else:
        raise StructuredTextError(f"{type_.name} has no bytes to point to")


def buffer(data: bytes) -> Pointer:
    """An ARRAY OF BYTE with these, to point to."""
    return Pointer(cells(ArrayType(0, len(data) - 1, ELEMENTARY["byte"]), [list(data)], 0))


def put(type_: Any, holder: Any, key: Any, value: Any) -> None:
    """`holder[key] := value`, checked; an array or structure stays where it is, so that pointers to it stay good."""
    if isinstance(type_, Elementary):
        holder[key] = type_.check(value)
    else:
        overwrite(holder[key], type_.check(value))


def overwrite(old: Any, new: Any) -> None:
    """An array or structure takes the values of another of its type."""
    if isinstance(old, Memory):
        old, new = old.values, new.values
    for key in old if isinstance(old, dict) else range(len(old)):
        if isinstance(old[key], list | Memory):
            overwrite(old[key], new[key])
        else:
            old[key] = new[key]


def single(value: float) -> float:
    """Rounded to float32."""
    return ctypes.c_float(value).value


def _whole(name: str, bits: int, kind: str, signed: bool) -> Elementary:
    return Elementary(name, kind, -(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)


BOOL = Elementary("BOOL", "bool")
REAL, LREAL = Elementary("REAL", "real"), Elementary("LREAL", "real")
TIME = _whole("TIME", 32, "time", signed=False)
ANY_INT = Elementary("integer literal", "any_int", -(1 << 63), (1 << 64) - 1)
ANY_REAL = Elementary("real literal", "any_real")
DINT = _whole("DINT", 32, "int", signed=True)
ELEMENTARY: dict[str, Elementary] = {
    t.name.lower(): t
    for t in (
        BOOL,
        REAL,
        LREAL,
        TIME,
        *(_whole(n, 8 << i, "int", signed=True) for i, n in enumerate(("SINT", "INT", "DINT", "LINT"))),
        *(_whole(n, 8 << i, "int", signed=False) for i, n in enumerate(("USINT", "UINT", "UDINT", "ULINT"))),
        *(_whole(n, 8 << i, "bits", signed=False) for i, n in enumerate(("BYTE", "WORD", "DWORD", "LWORD"))),
    )
}


_WANTED: dict[str, tuple[Any, Any]] = {
    "real": (float, Real),
    "bool": (bool, bool),
    "string": (str, str),
    "pointer": (Pointer, Pointer | None),
}
_CODES = {
    "BOOL": "?", "BYTE": "B", "WORD": "H", "DWORD": "I", "LWORD": "Q", "SINT": "b", "INT": "h", "DINT": "i", "LINT": "q",
    "USINT": "B", "UINT": "H", "UDINT": "I", "ULINT": "Q", "REAL": "f", "LREAL": "d", "TIME": "I",
}  # fmt: skip
PVOID = Elementary("PVOID", "pointer")


def string_type(length: int = 80) -> Elementary:
    return Elementary(f"STRING({length})", "string", 0, length)


CODESYS: dict[str, Elementary] = {
    "pvoid": PVOID,
    "hresult": DINT,
    "t_maxstring": string_type(255),
    "t_amsnetid": string_type(23),
    "t_amsport": ELEMENTARY["uint"],
}


def fits(source: Any, target: Any, rules: Rules) -> bool:
    """May a value of `source` be assigned to `target` without a conversion that is written down?"""
    if source is target or source == target:
        return True
    if not isinstance(source, Elementary) or not isinstance(target, Elementary):
        return False
    if source.kind == "any_int":
        return target.kind in ("int", "bits", "real", "any_real")
    if rules.codesys and source.kind in ("int", "bits") and target.kind in ("int", "bits"):
        return target.low <= source.low and source.high <= target.high
    return (source.kind == "any_real" and target.kind == "real") or source.kind == target.kind == "string"


def common(left: Any, right: Any, where: str, rules: Rules) -> Any:
    """The type of an operation on both: the same, but for literals. Compilers differ in what else they widen."""
    for type_ in (right, left, *([ELEMENTARY["lint"]] if rules.codesys else [])):
        if fits(left, type_, rules) and fits(right, type_, rules):
            return type_
    raise StructuredTextError(f"{where}: {left.name} beside {right.name}; write the conversion")
