"""A library of object files for linkers (.a), written without any tool, the same bytes for the same objects.

    !<arch>\\n
    /               where each symbol's member is: count, offsets (big-endian), names
    //              names of members that are too long for a header
    member ...      header of 60 bytes, then the object, each at an even offset

The variant of System V and GNU, which every linker on Linux reads.
"""

import struct
from collections.abc import Iterable, Mapping

_MAGIC = b"!<arch>\n"


def archive(members: Mapping[str, tuple[Iterable[str], bytes]]) -> bytes:
    """Member name -> (symbols that it defines, object) -> the archive."""
    long_names = b"".join(f"{name}/\n".encode() for name in members)
    symbols = [(symbol, name) for name, (defined, _) in members.items() for symbol in defined]
    texts = b"".join(f"{symbol}\0".encode() for symbol, _ in symbols)
    index_size = 4 + 4 * len(symbols) + len(texts)
    at = len(_MAGIC) + 60 + _even(index_size) + 60 + _even(len(long_names))
    offsets, body = {}, b""
    for name, (_, data) in members.items():
        offsets[name] = at + len(body)
        body += _member(f"/{long_names.index(f'{name}/'.encode())}", data)
    index = struct.pack(">I", len(symbols)) + b"".join(struct.pack(">I", offsets[name]) for _, name in symbols)
    return _MAGIC + _member("/", index + texts) + _member("//", long_names) + body


def _even(size: int) -> int:
    return size + size % 2


def _member(name: str, data: bytes) -> bytes:
    """Name, time, owner, group, mode and size as text; then the data."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)
