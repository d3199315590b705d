"""What a value is called in a slave -> the type of a tag, and why some have none.

Numbers of the data types: ETG.1000.6, table 64 (those of CiA 301), and ETG.1020 for the bit types.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type of CoE: what it is called, its bits (0: as many as its entry has), and a tag's type; empty: no tag has it."""

    name: str
    bits: int
    type: str = ""


DATA_TYPES: Final[dict[int, DataType]] = {
    0x0001: DataType("BOOL", 1, "bool"),
    0x0002: DataType("SINT", 8, "int8"),
    0x0003: DataType("INT", 16, "int16"),
    0x0004: DataType("DINT", 32, "int32"),
    0x0005: DataType("USINT", 8, "uint8"),
    0x0006: DataType("UINT", 16, "uint16"),
    0x0007: DataType("UDINT", 32, "uint32"),
    0x0008: DataType("REAL", 32, "float32"),
    0x0009: DataType("STRING", 0),
    0x000A: DataType("ARRAY OF BYTE", 0),
    0x000B: DataType("ARRAY OF UINT", 0),
    0x000C: DataType("TIME_OF_DAY", 48),
    0x000D: DataType("TIME_DIFFERENCE", 48),
    0x000F: DataType("DOMAIN", 0),
    0x0010: DataType("INT24", 24),
    0x0011: DataType("LREAL", 64, "float64"),
    0x0012: DataType("INT40", 40),
    0x0013: DataType("INT48", 48),
    0x0014: DataType("INT56", 56),
    0x0015: DataType("LINT", 64, "int64"),
    0x0016: DataType("UINT24", 24),
    0x0018: DataType("UINT40", 40),
    0x0019: DataType("UINT48", 48),
    0x001A: DataType("UINT56", 56),
    0x001B: DataType("ULINT", 64, "uint64"),
    0x001E: DataType("BYTE", 8, "uint8"),
    0x001F: DataType("WORD", 16, "uint16"),
    0x0020: DataType("DWORD", 32, "uint32"),
    0x002D: DataType("BITARR8", 8, "uint8"),
    0x002E: DataType("BITARR16", 16, "uint16"),
    0x002F: DataType("BITARR32", 32, "uint32"),
    **{0x0030 + i: DataType(f"BIT{i + 1}", i + 1, "uint8" if i == 7 else "bool") for i in range(8)},
}
"""Number -> data type."""

BY_BITS: Final[dict[int, str]] = {1: "bool", 8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"}
"""What is taken for a value of so many bits whose data type nobody tells."""

_TEXTS: Final = frozenset({0x0009, 0x000A, 0x000B, 0x000F})


def type_of(data_type: int, bits: int) -> str:
    """The type of a tag for an entry; empty: no tag can have it. A field of 2 to 7 bits is as many bools.

    Args:
        data_type: number of the data type; 0, or one that nobody knows: the bits alone tell.
        bits: of the entry. Where a slave says one type and maps other bits, the bits are right: they are on the wire.
    """
    if data_type in _TEXTS:
        return ""
    known = DATA_TYPES.get(data_type)
    if known is not None and known.type and known.bits == bits:
        return known.type
    return "bool" if 1 < bits < 8 else BY_BITS.get(bits, "")


def refusal_of(data_type: int, bits: int, bit_offset: int) -> str:
    """Why no tag can have an entry, for people; empty: one can."""
    if data_type in _TEXTS:
        return f"{DATA_TYPES[data_type].name} of {bits} bits is no number"
    kind = type_of(data_type, bits)
    if not kind:
        return f"no tag has {bits} bits; there are 1 to 8, 16, 32 and 64"
    if kind != "bool" and bit_offset % 8:
        return f"its {bits} bits begin within a byte"
    return ""
