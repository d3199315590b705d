"""Modbus addresses as a station file writes them: `"holding 40"`, `"input 12 CDAB"`, `"coil 3"`, `"unit 2 holding 7.3"`.

The register number is the protocol's own, counted from 0: what data sheets call 40001 is `holding 0`. Without a unit it is the
link's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fieldbus.modbus.protocol import ADDRESSES
from station.links.shared.foreign_addresses import counted_in_manuals, meant
from station.terms.findings import unknown

TABLES: Final = ("holding", "input", "coil", "discrete")
ORDERS: Final = ("ABCD", "CDAB", "BADC", "DCBA")
WRITABLE_TABLES: Final = ("holding", "coil")
BIT_TABLES: Final = ("coil", "discrete")
LAST_REGISTER: Final = ADDRESSES - 1
REGISTERS_OF_TYPE: Final = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
}

_FORM: Final = re.compile(
    r"(?:unit\s+(?P<unit>\d+)\s+)?(?P<table>[a-z]+)\s*[ :]\s*(?P<register>0x[0-9a-f]+|\d+)(?:\.(?P<bit>\d+))?"
    r"(?:\s+(?P<order>[A-Za-z]{4}))?",
    re.IGNORECASE,
)
_HEX: Final = ("0x", "0X")
_BITS: Final = 16
_UNITS: Final = range(256)


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a Modbus device: table, register or bit number (from 0), and the order of values wider than 16 bits.

    `bit` (0 is the least significant) picks one bit of a register; `order` and `unit` are None where the address does not say.
    """

    table: str
    register: int
    bit: int | None = None
    order: str | None = None
    unit: int | None = None

    def span(self, type_name: str, count: int) -> range:
        """What `count` values of this type take, in bits: of a bit table, or 16 for each register."""
        if self.table in BIT_TABLES:
            return range(self.register, self.register + count)
        if self.bit is not None:
            return range(self.register * _BITS + self.bit, self.register * _BITS + self.bit + 1)
        return range(self.register * _BITS, (self.register + REGISTERS_OF_TYPE[type_name] * count) * _BITS)

    def last(self, type_name: str, count: int) -> int:
        """The last register, or bit, that `count` values of this type take."""
        last = self.span(type_name, count).stop - 1
        return last if self.table in BIT_TABLES else last // _BITS

    def text(self, type_name: str, count: int) -> str:
        """`holding 40..41`, `holding 7.3`, `coil 2`: without the unit."""
        last = self.last(type_name, count)
        bit = "" if self.bit is None else f".{self.bit}"
        return f"{self.table} {self.register}{bit}" + (f"..{last}" if last > self.register else "")


def as_in_manuals(address: Address) -> str:
    """What is rather meant by a number that looks as manuals count; empty: it does not."""
    register = counted_in_manuals(address.register)
    if register is None or register[0] != address.table:
        return ""
    return (
        f"{address.table} {address.register} is counted from 0; if a manual says {address.register}, "
        f'it means "{address.table} {register[1]}"'
    )


def parse_address(text: str) -> Address:
    """Read `"[unit N] TABLE REGISTER[.BIT] [ORDER]"`.

    Raises:
        ValueError: says which part is wrong and what is allowed.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        form = 'write "[unit N] TABLE REGISTER[.BIT] [ORDER]", for example "holding 40 CDAB" or "unit 2 input 7"'
        raise ValueError(f'"{text}" is no Modbus address; {meant(text) or form}')
    table, register = match["table"].lower(), int(match["register"], 0 if match["register"][:2] in _HEX else 10)
    bit = None if match["bit"] is None else int(match["bit"])
    order = match["order"] and match["order"].upper()
    if table not in TABLES:
        raise ValueError(
            f'"{text}" is no Modbus address; {hint}' if (hint := meant(text)) else unknown("table", table, TABLES)
        )
    if order is not None and order not in ORDERS:
        raise ValueError(unknown("byte order", order, ORDERS))
    if register > LAST_REGISTER:
        place = counted_in_manuals(register) or ("holding", 0)
        named = register if counted_in_manuals(register) else 40001
        raise ValueError(
            f"{table} {register} is beyond {LAST_REGISTER}; numbers count from 0: "
            f"what manuals call {named} is {place[0]} {place[1]}"
        )
    if bit is not None and (bit >= _BITS or table in BIT_TABLES):
        raise ValueError(f"{table} {register}.{bit}: only a register of holding or input has bits, 0 to 15")
    unit = None if match["unit"] is None else int(match["unit"])
    if unit is not None and unit not in _UNITS:
        raise ValueError(f"unit {unit}: units go from 0 to {_UNITS[-1]}")
    return Address(table, register, bit, order, unit)
