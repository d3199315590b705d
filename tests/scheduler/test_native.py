"""The compiled cycle, read from its object file."""

import struct
from pathlib import Path

from scheduler.native import NATIVE

ALLOWED = {"clock_gettime", "clock_nanosleep", "getrusage", "memcpy", "memset"}
"""libc: two that read or wait for the clock, one for the begin and the end of a thread, two that LLVM makes of plain loops."""


def undefined_symbols(object_file: Path) -> set[str]:
    """Names that an ELF64 object expects from outside (section type SHT_SYMTAB; st_shndx 0 is undefined)."""
    data = object_file.read_bytes()
    assert data[:5] == b"\x7fELF\x02", "not a 64-bit ELF file"
    section_at, entry_size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, section_at + entry_size * i) for i in range(count)]
    names = set()
    for kind, offset, size, link in ((s[1], s[4], s[5], s[6]) for s in sections):
        if kind != 2:
            continue
        strings = sections[link][4]
        for at in range(offset, offset + size, 24):
            name, _, _, shndx = struct.unpack_from("<IBBH", data, at)
            if shndx == 0 and name:
                names.add(data[strings + name : data.index(b"\0", strings + name)].decode())
    return names


def test_the_cycle_needs_nothing_of_python() -> None:
    """All that the compiled cycle expects from outside is the clock, the sleep, getrusage, memcpy and memset."""
    found = undefined_symbols(NATIVE.build())
    assert "clock_nanosleep" in found  # the reader works
    assert found <= ALLOWED
