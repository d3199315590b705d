"""Modbus addresses as a station file writes them: `"holding 40"`, `"input 12 CDAB"`, `"coil 3"`, `"holding 7.3"`.

The register number is the protocol's own, counted from 0: what data sheets call 40001 is `holding 0`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fieldbus.modbus.protocol import ADDRESSES
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
    r"(?P<table>[a-z]+)\s*[ :]\s*(?P<register>\d+)(?:\.(?P<bit>\d+))?(?:\s+(?P<order>[A-Za-z]{4}))?", re.IGNORECASE
)
_BITS: Final = 16


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a Modbus device: table, register or bit number (from 0), and the order of values wider than 16 bits.

    `bit` (0 is the least significant) picks one bit of a register; `order` is None where the address does not say.
    """

    table: str
    register: int
    bit: int | None = None
    order: str | None = None

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
        """`holding 40..41`, `holding 7.3`, `coil 2`."""
        last = self.last(type_name, count)
        bit = "" if self.bit is None else f".{self.bit}"
        return f"{self.table} {self.register}{bit}" + (f"..{last}" if last > self.register else "")


def parse_address(text: str) -> Address:
    """Read `"TABLE REGISTER[.BIT] [ORDER]"`.

    Raises:
        ValueError: says which part is wrong and what is allowed.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f'"{text}" is no Modbus address; write "TABLE REGISTER[.BIT] [ORDER]", for example "holding 40 CDAB"'
        )
    table, register = match["table"].lower(), int(match["register"])
    bit = None if match["bit"] is None else int(match["bit"])
    order = match["order"] and match["order"].upper()
    if table not in TABLES:
        raise ValueError(unknown("table", table, TABLES))
    if order is not None and order not in ORDERS:
        raise ValueError(unknown("byte order", order, ORDERS))
    if register > LAST_REGISTER:
        raise ValueError(
            f"{table} {register} is beyond {LAST_REGISTER}; numbers count from 0: what manuals call 40001 is holding 0"
        )
    if bit is not None and (bit >= _BITS or table in BIT_TABLES):
        raise ValueError(f"{table} {register}.{bit}: only a register of holding or input has bits, 0 to 15")
    return Address(table, register, bit, order)
