"""Structured Text in the making: lines, loops, constants, local variables, and what a call of the block costs.

writer.constant(w)  ->  rt_c1            VAR CONSTANT rt_c1 : ARRAY [0..447] OF REAL := [...]
writer.element(b, i)->  rt_t2[rt_i]      element i of a buffer: an input, an output, a temporary, or a literal
with writer.loop("i", 64) as i:          rt_i := 0; WHILE rt_i < 64 DO ... END_WHILE; a loop of one turn is no loop: i = "0"
    writer.line(f"...[{i}] := 0.0;")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import frexp, inf, isfinite, ldexp
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_engine.ops.base import Refusal
from rt_engine.program.calls import Buffer, Storage

PREFIX: Final = "rt_"
"""Of all names that the block makes up."""
TYPES: Final = {"float32": "REAL", "float64": "LREAL", "int32": "DINT", "int64": "DINT", "bool": "BOOL"}
"""NumPy's name -> type in the block. Class labels are small: 64-bit integers that PLCs may lack are not needed."""
WIDTH: Final = 100
"""Characters of a line of constants, and of the first comment; compilers limit lines."""
DINT_LIMIT: Final = 1 << 31


def type_of(dtype: np.dtype[Any]) -> str:
    """The type of elements.

    Raises:
        Refusal: the block has none for it.
    """
    if dtype.name not in TYPES:
        raise Refusal(f"elements of type {dtype.name} are not inlined", f"cast to one of {', '.join(TYPES)}")
    return TYPES[dtype.name]


POWER: Final = 64
"""Of two: what numbers outside of REAL's range are products of."""


def beyond(value: Any) -> bool:
    """Is it a number of LREAL that REAL does not reach? matiec takes no literal for it."""
    size, single = abs(float(value)), np.finfo(np.float32)
    return bool(np.finfo(np.float64).tiny <= size < inf) and not float(single.tiny) <= size <= float(single.max)


def number(value: Any, dtype: np.dtype[Any], name: str = "") -> str:
    """A literal that reads back as the same bits: 9 significant digits for REAL, 17 for LREAL; `1.0E-5`, never `1E-5`.

    What is too small to be normal is 0.0, as in the engine. LREAL that REAL does not reach is a product: `Writer.literal`.

    Raises:
        Refusal: infinite or NaN, for which there is no literal, or too large for DINT; with the tensor's name.
    """
    of = f" of '{name}'" if name else ""
    if dtype.kind == "b":
        return "TRUE" if value else "FALSE"
    if dtype.kind != "f":
        if not -DINT_LIMIT <= int(value) < DINT_LIMIT:
            raise Refusal(
                f"the constant {value}{of} does not fit DINT", "use smaller numbers, as class labels for instance"
            )
        return str(int(value))
    if not isfinite(value):
        raise Refusal(
            f"one of its constants{of} is {value}, which Structured Text cannot write", "train the model again"
        )
    if abs(value) < np.finfo(dtype).tiny:
        return "0.0"
    if (
        abs(value) == np.finfo(np.float32).max and dtype.itemsize == 4
    ):  # its 9 digits are rounded up, beyond what REAL holds
        return f"{'-' if value < 0 else ''}3.40282346E38"
    mantissa, _, exponent = f"{float(value):.{9 if dtype.itemsize == 4 else 17}g}".partition("e")
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}E{int(exponent)}" if exponent else mantissa


def wrapped(values: Sequence[str], indent: str) -> str:
    """Values with commas between them, on lines of `WIDTH`."""
    lines, line = [], indent
    for i, value in enumerate(values):
        piece = value + (", " if i < len(values) - 1 else "")
        if len(line) + len(piece) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += piece
    return "\n".join([*lines, line])


def place(*terms: tuple[str, int] | int) -> str:
    """An index: the sum of `name * factor` and numbers, without what is zero."""
    fixed, parts = 0, []
    for term in terms:
        name, factor = (str(term), 1) if isinstance(term, int) else term
        if name.isdigit():
            fixed += int(name) * factor
        elif factor:
            parts.append(name if factor == 1 else f"{name} * {factor}")
    return " + ".join([*parts, *([str(fixed)] if fixed or not parts else [])])


@dataclass(slots=True)
class Writer:
    """Collects the block. `names`: storage of an input or output -> its variable's name."""

    names: dict[Storage, str]
    single: set[Storage]
    """Inputs and outputs that are one value and no array."""
    lines: list[str] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)
    """Name -> type."""
    cost: Counter[str] = field(default_factory=Counter)
    known: dict[Storage, NDArray[Any]] = field(default_factory=dict)
    """What calls computed from constants alone."""
    bounded: dict[Storage, int] = field(default_factory=dict)
    """Indices that a search made: they are below this."""
    types: dict[Storage, str] = field(default_factory=dict)
    _products: dict[float, str] = field(default_factory=dict)
    _written: dict[int, str] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    _depth: int = 0
    _times: int = 1

    def line(self, text: str, **cost: int) -> None:
        """Add a line of the body; `cost` counts what it does when it runs once."""
        self.lines.append("    " * self._depth + text)
        for what, times in cost.items():
            self.cost[what] += times * self._times

    def block(self, text: str, names: Mapping[str, str], **cost: int) -> None:
        """Add lines with `$name` replaced."""
        for name, value in sorted(names.items(), key=lambda entry: -len(entry[0])):
            text = text.replace(f"${name}", value)
        for line in text.strip("\n").split("\n"):
            self.line(line)
        for what, times in cost.items():
            self.cost[what] += times * self._times

    @contextmanager
    def loop(self, counter: str, count: int) -> Iterator[str]:
        """`count` turns; gives what stands for the index. No FOR: compilers disagree on how often one runs (ADR 48)."""
        if count == 1:
            yield "0"
            return
        name = self.local(counter, "DINT")
        self.line(f"{name} := 0;")
        self.line(f"WHILE {name} < {count} DO")
        self._depth, self._times = self._depth + 1, self._times * count
        yield name
        self.line(f"{name} := {name} + 1;")
        self._depth, self._times = self._depth - 1, self._times // count
        self.line("END_WHILE;")

    def local(self, name: str, type_: str) -> str:
        """A local variable; one name has one type."""
        name = PREFIX + name
        assert self.locals.setdefault(name, type_) == type_, (name, type_)
        return name

    def value(self, name: str, dtype: np.dtype[Any]) -> str:
        """A local variable for a number of a tensor."""
        type_ = type_of(dtype)
        return self.local(name if type_ == "REAL" else f"{name}_{type_.lower()}", type_)

    def constant(self, values: NDArray[Any], name: str = "") -> str:
        """The name of an array of constants; `name` is the tensor's that they are of.

        Raises:
            Refusal: one of them cannot be written.
        """
        if values.dtype.kind in "fi":
            odd = ~np.isfinite(values) if values.dtype.kind == "f" else abs(values.astype(np.float64)) >= DINT_LIMIT
            if odd.any():
                number(values[odd][0], values.dtype, name)
        known = self._written.get(id(values))
        if known is None:
            self._kept.append(values)
            known = self._written[id(values)] = f"{PREFIX}c{len(self.constants) + 1}"
            self.constants[known] = values.reshape(-1)
        return known

    def literal(self, value: Any, dtype: np.dtype[Any], name: str = "") -> str:
        """A number in an expression; a constant of its type, if compilers that take literals as LREAL would make another of it."""
        if dtype == np.float64 and beyond(value):
            return self._product(float(value))
        text = number(value, dtype, name)
        if dtype.kind == "f" and float(text) != float(value):
            known = next((n for n, c in self.constants.items() if not c.ndim and c.dtype == dtype and c == value), None)
            if known is None:
                known = f"{PREFIX}c{len(self.constants) + 1}"
                self.constants[known] = np.asarray(value, dtype)
            return known
        return f"({text})" if text.startswith("-") else text

    def _product(self, value: float) -> str:
        """The variable that holds a number which no literal of every compiler says; `first` computes it."""
        known = self._products.get(value)
        if known is None:
            known = self._products[value] = self.local(f"w{len(self._products) + 1}", "LREAL")
        return known

    def first(self) -> list[str]:
        """Lines in front of all others: numbers outside of REAL's range, as products of powers of two. All steps are exact."""
        arrays = {n: c for n, c in self.constants.items() if c.dtype == np.float64 and c.ndim}
        wide = {f"{n}[{i}]": float(c[i]) for n, c in arrays.items() for i in np.flatnonzero([beyond(v) for v in c])}
        wide |= {name: value for value, name in self._products.items()}
        if not wide:
            return []
        power = self.local("p", "LREAL")
        return [
            f"{power} := {number(2.0**POWER, np.dtype(np.float64))};",
            *(f"{name} := {_factors(value, power)};" for name, value in wide.items()),
        ]

    def known_value(self, buffer: Buffer) -> NDArray[Any] | None:
        """The buffer's value, if it does not depend on the inputs."""
        return self.known.get(buffer.storage, buffer.storage.value)

    def element(self, buffer: Buffer, index: str) -> str:
        """Element `index` (flat) of a buffer, as text."""
        storage, value = buffer.storage, self.known_value(buffer)
        if value is not None:
            flat = value.reshape(-1)
            if flat.size == 1 or index.isdigit():
                return self.literal(flat[0 if flat.size == 1 else int(index)], value.dtype, buffer.name)
            return f"{self.constant(value, buffer.name)}[{index}]"
        type_ = type_of(buffer.dtype)
        if self.types.setdefault(storage, type_) != type_:
            why = f"'{buffer.name}' and another of its tensors, of different types, are the same memory"
            raise Refusal(why, "export the model again")
        if storage in self.single:
            return self.names[storage]
        if storage not in self.names:
            name = self.names[storage] = f"{PREFIX}t{len(self.types)}"
            count = storage.nbytes // buffer.dtype.itemsize
            self.locals[name] = f"ARRAY [0..{count - 1}] OF {type_}" if count > 1 else type_
            if count <= 1:
                self.single.add(storage)
                return name
        return f"{self.names[storage]}[{index}]"

    @property
    def elements(self) -> int:
        """Numbers that the block keeps: constants and arrays."""
        arrays = (t.split("..")[1].split("]")[0] for t in self.locals.values() if t.startswith("ARRAY"))
        return sum(c.size for c in self.constants.values()) + sum(int(last) + 1 for last in arrays)

    def declarations(self) -> str:
        """The sections VAR CONSTANT and VAR; after `first`."""
        fixed, set_ = "", ""
        for name, values in self.constants.items():
            if not values.ndim:
                fixed += f"    {name} : {type_of(values.dtype)} := {number(values[()], values.dtype)};\n"
                continue
            wide = values.dtype == np.float64 and any(map(beyond, values))
            literals = ["0.0" if wide and beyond(v) else number(v, values.dtype) for v in values]
            head = f"    {name} : ARRAY [0..{len(literals) - 1}] OF {type_of(values.dtype)} := [\n"
            text = f"{head}{wrapped(literals, ' ' * 8)}];\n"
            fixed, set_ = (fixed, set_ + text) if wide else (fixed + text, set_)
        set_ += "".join(f"    {n} : {t};\n" for n, t in self.locals.items())
        return (f"VAR CONSTANT\n{fixed}END_VAR\n" if fixed else "") + (f"VAR\n{set_}END_VAR\n" if set_ else "")


def _factors(value: float, power: str) -> str:
    """A number as its digits, times or divided by 2**64 as often as is needed."""
    times = (frexp(value)[1] - 1) // POWER
    digits = number(ldexp(value, -POWER * times), np.dtype(np.float64))
    return digits + f" {'*' if times > 0 else '/'} {power}" * abs(times)
