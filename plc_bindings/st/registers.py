"""How values lie in Modbus registers, and the Structured Text that puts them there and takes them out.

    REAL    bits := RT_RealToBits(stIn.x[i])     aRegisters[2 * i] := high word, aRegisters[2 * i + 1] := low word

Compilers of the portable kind have neither pointers nor unions: what has a sign or a point becomes its bits by arithmetic.
A value of up to 16 bits has a register of its own; of 32 bits two; of 64 bits four, in the order that the server says
(`fieldbus.tags.Order`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from plc_bindings.data.types import Array, Struct, Type
from plc_bindings.st.project import Order


@dataclass(frozen=True, slots=True)
class Carrier:
    """How a type becomes an unsigned number of 16, 32 or 64 bits and back; `{}` is the value."""

    bits: str
    to_bits: str
    from_bits: str

    @property
    def registers(self) -> int:
        """Registers of one value."""
        return {"UINT": 1, "UDINT": 2, "ULINT": 4}[self.bits]


CARRIERS: Final = {
    "BOOL": Carrier("UINT", "BOOL_TO_UINT({})", "{} <> 0"),
    "SINT": Carrier("UINT", "RT_IntToBits(SINT_TO_INT({}))", "INT_TO_SINT(RT_BitsToInt({}))"),
    "USINT": Carrier("UINT", "USINT_TO_UINT({})", "UINT_TO_USINT({})"),
    "INT": Carrier("UINT", "RT_IntToBits({})", "RT_BitsToInt({})"),
    "UINT": Carrier("UINT", "{}", "{}"),
    "DINT": Carrier("UDINT", "RT_DintToBits({})", "RT_BitsToDint({})"),
    "UDINT": Carrier("UDINT", "{}", "{}"),
    "REAL": Carrier("UDINT", "RT_RealToBits({})", "RT_BitsToReal({})"),
    "LINT": Carrier("ULINT", "RT_LintToBits({})", "RT_BitsToLint({})"),
    "ULINT": Carrier("ULINT", "{}", "{}"),
    "LREAL": Carrier("ULINT", "RT_LrealToBits({})", "RT_BitsToLreal({})"),
}
VARIABLES: Final = {"UINT": "nWord", "UDINT": "nBits", "ULINT": "nWide"}
"""The variable of a block that holds a number of bits on its way."""

_LOW_FIRST: Final = ("CDAB", "DCBA")
_SWAPPED: Final = ("BADC", "DCBA")


def carrier(type_: Type) -> Carrier:
    """That of a scalar, or of an array's elements."""
    return CARRIERS[(type_.element if isinstance(type_, Array) else type_).name]


def count(struct: Struct) -> int:
    """Registers of a structure."""
    return sum(carrier(field.type).registers * _length(field.type) for field in struct.fields)


def _length(type_: Type) -> int:
    return type_.count if isinstance(type_, Array) else 1


def of_number(number: int, size: int, order: Order) -> list[int]:
    """The registers of an unsigned number: `of_number(16#11223344, 2, "CDAB")` is `[16#3344, 16#1122]`."""
    parts = [number >> 16 * (size - 1 - i) & 0xFFFF for i in range(size)]
    if order in _LOW_FIRST:
        parts.reverse()
    if order in _SWAPPED:
        parts = [(part & 0xFF) << 8 | part >> 8 for part in parts]
    return parts


def joined(at: list[str], order: Order) -> str:
    """The unsigned number in the registers `at` (expressions, first to last)."""
    parts = [_swapped(part, order) for part in at]
    if len(parts) == 1:
        return parts[0]
    bits = {2: "UDINT", 4: "ULINT"}[len(at)]
    if order in _LOW_FIRST:
        parts.reverse()
    terms = [
        f"UINT_TO_{bits}({part})" + (f" * {65536**power}" if power else "")
        for part, power in zip(parts, reversed(range(len(parts))), strict=True)
    ]
    return " + ".join(terms)


def split(bits: str, size: int, order: Order) -> list[str]:
    """The registers of the unsigned number in the variable `bits`, as expressions."""
    if size == 1:
        return [_swapped(bits, order)]
    kind = {2: "UDINT", 4: "ULINT"}[size]
    parts = [
        f"{kind}_TO_UINT(({bits} / {65536**power}) MOD 65536)" if power else f"{kind}_TO_UINT({bits} MOD 65536)"
        for power in reversed(range(size))
    ]
    if order in _LOW_FIRST:
        parts.reverse()
    return [_swapped(part, order) for part in parts]


def _swapped(register: str, order: Order) -> str:
    return f"RT_SwapBytes({register})" if order in _SWAPPED else register


def pack(struct: Struct, order: Order) -> list[str]:
    """Lines that put `stIn` into `aRegisters`."""
    return list(_fields(struct, order, "stIn", 0, packing=True))


def unpack(struct: Struct, order: Order, first: int) -> list[str]:
    """Lines that take `stOut` out of `aRegisters`, from register `first` on."""
    return list(_fields(struct, order, "stOut", first, packing=False))


def _fields(struct: Struct, order: Order, variable: str, at: int, packing: bool) -> Iterator[str]:
    for field in struct.fields:
        found, length = carrier(field.type), _length(field.type)
        value = f"{variable}.{field.name}"
        if isinstance(field.type, Array):
            yield "i := 0;"
            yield f"WHILE i < {length} DO"
            step = f"{found.registers} * i" if found.registers > 1 else "i"
            places = [f"aRegisters[{at + word} + {step}]" for word in range(found.registers)]
            yield from (f"    {line}" for line in _value(found, f"{value}[i]", places, order, packing))
            yield "    i := i + 1;"
            yield "END_WHILE;"
        else:
            places = [f"aRegisters[{at + word}]" for word in range(found.registers)]
            yield from _value(found, value, places, order, packing)
        at += found.registers * length


def _value(found: Carrier, value: str, places: list[str], order: Order, packing: bool) -> Iterator[str]:
    holder = VARIABLES[found.bits]
    if packing:
        yield f"{holder} := {found.to_bits.format(value)};"
        for place, part in zip(places, split(holder, found.registers, order), strict=True):
            yield f"{place} := {part};"
    else:
        yield f"{holder} := {joined(places, order)};"
        yield f"{value} := {found.from_bits.format(holder)};"
