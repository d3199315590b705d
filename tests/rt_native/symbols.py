"""Which symbols an object file needs from outside, read from its ELF symbol table."""

from pathlib import Path

from elftools.elf.elffile import ELFFile


def undefined(path: Path) -> set[str]:
    """Names that the object does not define itself."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name for s in table.iter_symbols() if s.name and s["st_shndx"] == "SHN_UNDEF"}
