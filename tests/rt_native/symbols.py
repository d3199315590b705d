"""Which symbols object files need from outside, read from their ELF symbol tables."""

from collections.abc import Mapping
from pathlib import Path

from elftools.elf.elffile import ELFFile


def undefined(objects: Mapping[str, Path]) -> set[str]:
    """Names that an object file of a library does not define itself."""
    return {name for path in objects.values() for name in _undefined(path)}


def _undefined(path: Path) -> set[str]:
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name for s in table.iter_symbols() if s.name and s["st_shndx"] == "SHN_UNDEF"}
