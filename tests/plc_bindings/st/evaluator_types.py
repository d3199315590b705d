"""Types and values of Structured Text for the evaluator.

BOOL -> bool    SINT ... ULINT, BYTE ... LWORD, TIME (ms) -> int    REAL (rounded to float32), LREAL -> float
STRING -> str   ARRAY -> list (of lists, if it has several dimensions)   STRUCT -> Record   FUNCTION_BLOCK -> its instance
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class StructuredTextError(Exception):
    """The text is wrong, does something that compilers or PLCs do in different ways, or is not understood here."""


@dataclass(frozen=True)
class Elementary:
    """`kind`: bool, int, bits, real, string, time; or any_int, any_real: a literal, which takes the type of what is beside it."""

    name: str
    kind: str
    low: int = 0
    high: int = 0

    def default(self) -> Any:
        return {"bool": False, "real": 0.0, "string": ""}.get(self.kind, 0)

    def check(self, value: Any) -> Any:
        """A value that fits, rounded to float32 where the type is REAL."""
        if self.kind == "real":
            return single(float(value)) if self.name == "REAL" else float(value)
        if self.kind == "bool":
            if value not in (True, False):
                raise StructuredTextError(f"{value} is not a BOOL")
            return bool(value)
        if self.kind == "string":
            return str(value)[: self.high]
        if int(value) != value or not self.low <= value <= self.high:
            raise StructuredTextError(f"{value} does not fit {self.name}")
        return int(value)


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


class Record:
    """A value of a STRUCT: fields as attributes, in any case."""

    def __init__(self, type_: StructType, values: dict[str, Any]) -> None:
        self.__dict__["type"], self.__dict__["values"] = type_, values

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name.lower()]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.values[name.lower()] = self.type.fields[name.lower()].check(value)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Record:
        return Record(self.type, copy.deepcopy(self.values))

    def __repr__(self) -> str:
        return f"{self.type.name}({self.values})"


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


def string_type(length: int = 80) -> Elementary:
    return Elementary(f"STRING({length})", "string", 0, length)


def fits(source: Any, target: Any) -> bool:
    """May a value of `source` be assigned to `target` without a conversion that is written down?"""
    if source is target or source == target:
        return True
    if isinstance(source, ArrayType) and isinstance(target, ArrayType):
        same = (source.low, source.high) == (target.low, target.high)
        return same and fits(source.element, target.element) and fits(target.element, source.element)
    if not isinstance(source, Elementary) or not isinstance(target, Elementary):
        return False
    if source.kind == "any_int":
        return target.kind in ("int", "bits", "real", "any_real")
    return (source.kind == "any_real" and target.kind == "real") or source.kind == target.kind == "string"


def common(left: Any, right: Any, where: str) -> Any:
    """The type of an operation on both: the same, but for literals. Compilers differ in what else they widen."""
    if fits(left, right):
        return right
    if fits(right, left):
        return left
    raise StructuredTextError(f"{where}: {left.name} beside {right.name}; write the conversion")
