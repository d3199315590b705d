"""What an ELF file of 64 bits, an object or a shared one, needs from outside."""

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<40xQ10xHH2x")
"""Where the section headers are, their size, how many."""
_SECTION = struct.Struct("<4xI16xQQI4x8x8x")
"""Type, offset, size, link: the section with a symbol table's names."""
_SYMBOL = struct.Struct("<IBBHQQ")
"""Name (offset in the names), info, other, section (0: not defined here), value, size."""
_TABLES = (2, 11)  # SHT_SYMTAB, SHT_DYNSYM


def undefined(data: bytes) -> set[str]:
    """Names that the file does not define itself."""
    at, size, count = _HEADER.unpack_from(data)
    sections = [_SECTION.unpack_from(data, at + n * size) for n in range(count)]
    tables = [
        (data[start : start + length], sections[link]) for kind, start, length, link in sections if kind in _TABLES
    ]
    return {name for table, (_, start, length, _) in tables for name in _names(table, data[start : start + length])}


def _names(table: bytes, names: bytes) -> Iterator[str]:
    for name, _, _, section, _, _ in _SYMBOL.iter_unpack(table):
        if name and not section:
            yield names[name : names.index(b"\0", name)].decode()
