"""Symbols and data types as ADS describes them: AdsSymbolEntry and AdsDatatypeEntry.

symbol   length, group, offset, size, type id u32; flags, array dimensions, three lengths u16; name, type, comment
type     length, version, hash, base hash, size, offset, type id, flags u32; three lengths, dimensions, items u16;
         name, type, comment; for each dimension start i32, count u32; for each item an entry of its own
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Final

from plc_bindings.ads.groups import AREA
from plc_bindings.data.database import Database, Symbol
from plc_bindings.data.types import SCALARS, Array, Field, Scalar, String, Struct, Type

_SYMBOL: Final = struct.Struct("<5I5H")
_TYPE: Final = struct.Struct("<8I5H")
_ID_OF: Final = {
    "BOOL": 33, "SINT": 16, "USINT": 17, "INT": 2, "UINT": 18, "DINT": 3, "UDINT": 19, "LINT": 20, "ULINT": 21,
    "REAL": 4, "LREAL": 5,
}  # fmt: skip
_STRING_ID: Final = 30
_STRUCT_ID: Final = 65
_READ_ONLY: Final = 0x20
_IS_TYPE, _IS_ITEM = 1, 2
UTF8: Final = 65001


def type_id(type_: Type) -> int:
    """ADST number; that of its elements for an array."""
    if isinstance(type_, Scalar):
        return _ID_OF[type_.name]
    if isinstance(type_, Array):
        return type_id(type_.element)
    return _STRING_ID if isinstance(type_, String) else _STRUCT_ID


def symbol_entry(symbol: Symbol, read_only: bool = False) -> bytes:
    """What upload and info by name say of a symbol."""
    names = [text.encode() for text in (symbol.name, symbol.type.name, _comment(symbol.unit, symbol.comment))]
    bounds = _bounds(symbol.type)
    length = _SYMBOL.size + sum(len(name) + 1 for name in names) + len(bounds)
    place = (AREA + symbol.area, symbol.offset, symbol.size, type_id(symbol.type))
    flags = (_READ_ONLY if read_only else 0, len(bounds) // 8)
    return _SYMBOL.pack(length, *place, *flags, *map(len, names)) + _texts(names) + bounds


def type_entry(type_: Type) -> bytes:
    """What type upload and type by name say of a type."""
    base = type_.element.name if isinstance(type_, Array) else ""
    items = [_item(field, type_.offsets[field.name]) for field in type_.fields] if isinstance(type_, Struct) else []
    return _entry(type_.name, base, "", type_, 0, _IS_TYPE, items)


def _item(field: Field, offset: int) -> bytes:
    return _entry(field.name, field.type.name, _comment(field.unit, field.comment), field.type, offset, _IS_ITEM, [])


def _entry(name: str, base: str, comment: str, type_: Type, offset: int, flags: int, items: list[bytes]) -> bytes:
    names = [text.encode() for text in (name, base, comment)]
    bounds = _bounds(type_)
    length = _TYPE.size + sum(len(text) + 1 for text in names) + len(bounds) + sum(map(len, items))
    hash_ = zlib.crc32(repr(type_).encode())
    fixed = (length, 1, hash_, 0, type_.size, offset, type_id(type_), flags)
    counts = (*map(len, names), len(bounds) // 8, len(items))
    return _TYPE.pack(*fixed, *counts) + _texts(names) + bounds + b"".join(items)


def _bounds(type_: Type) -> bytes:
    return struct.pack("<iI", 0, type_.count) if isinstance(type_, Array) else b""


def _texts(names: Iterable[bytes]) -> bytes:
    return b"".join(name + b"\0" for name in names)


def _comment(unit: str, comment: str) -> str:
    return f"[{unit}] {comment}".strip() if unit else comment


class Tables:
    """Everything that clients upload, made once."""

    def __init__(self, database: Database) -> None:
        self.types: dict[str, bytes] = {}
        for scalar in SCALARS.values():
            self._add(scalar)
        for type_ in (*(symbol.type for symbol in database.symbols), *database.types):
            self._add(type_)
        self.symbol_upload = b"".join(symbol_entry(symbol) for symbol in database.symbols)
        self.type_upload = b"".join(self.types.values())
        self.symbol_count = len(database.symbols)

    def _add(self, type_: Type) -> None:
        if type_.name.lower() in self.types:
            return
        if isinstance(type_, Struct):
            for field in type_.fields:
                self._add(field.type)
        elif isinstance(type_, Array):
            self._add(type_.element)
        self.types[type_.name.lower()] = type_entry(type_)

    def upload_info(self) -> bytes:
        """64 bytes, of which older clients read the first 8, 24 or 48."""
        counts = (self.symbol_count, len(self.symbol_upload), len(self.types), len(self.type_upload))
        return struct.pack("<9I28x", *counts, 0, 0, 0, UTF8, 0)
