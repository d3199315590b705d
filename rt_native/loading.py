"""A shared object is loaded from bytes that were checked, never from a path where somebody may put others meanwhile.

bytes --> a file in memory (memfd), sealed: nobody can write it any more --> dlopen
      --> where that cannot be had: a file of its own in a folder that only we may enter or replace, removed as soon as it is loaded

All its symbols are bound and all its pages are mapped when it comes back: nothing of that is left to the first cycle.
"""

import ctypes
import fcntl
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rt_native.errors import BuildError
from rt_native.trust import unsafe

_NOEXEC_SEAL = 0x8
"""MFD_NOEXEC_SEAL: it will be mapped, never started; without the flag `vm.memfd_noexec=2` refuses it. Since Linux 6.3."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_LINK_MAP = 2  # RTLD_DI_LINKMAP
_HEADER, _SEGMENT = struct.Struct("<32xQ14xHH"), struct.Struct("<II8xQ16xQ")
"""ELF64: where its program headers are, their size, how many; type, flags, address, size in memory of one."""
_LOAD = 1  # PT_LOAD


def load(data: bytes, name: str) -> ctypes.CDLL:
    """The shared object that the bytes are; `name` is what /proc/PID/maps calls it.

    Raises:
        BuildError: the system lets us execute no such file, in memory or in any folder that we may write.
    """
    try:
        loaded = _from_memory(data, name)
    except OSError as error:
        loaded = _from_folder(data, name, str(error))
    _map_pages(loaded, data)
    return loaded


def _from_memory(data: bytes, name: str) -> ctypes.CDLL:
    if not hasattr(os, "memfd_create"):
        raise OSError("this Python has no memfd_create")
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        file = os.memfd_create(name, flags | _NOEXEC_SEAL)
    except OSError:
        file = os.memfd_create(name, flags)
    try:
        _write(file, data)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        # The descriptor stays open: dlopen knows libraries by name, and would give this one again for its number.
        return ctypes.CDLL(f"/proc/self/fd/{file}")
    except BaseException:
        os.close(file)
        raise


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _from_folder(data: bytes, name: str, why: str) -> ctypes.CDLL:
    reasons = [f"in memory: {why}"]
    for base in _folders():
        try:
            with tempfile.TemporaryDirectory(prefix="rt-engine-", dir=base) as folder:  # 0700
                if found := unsafe(Path(folder)):  # whoever may write above it can put another folder in its place
                    reasons.append(f"in {base}: another user could change what runs: {found}")
                    continue
                path = Path(folder) / f"{name}.so"
                path.write_bytes(data)
                return ctypes.CDLL(str(path))
        except OSError as error:
            reasons.append(f"in {base}: {error}")
    raise BuildError(
        f"the native library {name} cannot be loaded: {'; '.join(reasons)}; mount one of these folders without noexec, or allow "
        "memfd_create"
    )


def _folders() -> Iterator[str]:
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield runtime
    yield tempfile.gettempdir()
    yield from ("/dev/shm", "/var/tmp")


def _map_pages(loaded: ctypes.CDLL, data: bytes) -> None:
    """Read a byte of each page: a file's pages are mapped when they are first touched, which would be in a cycle."""
    with suppress(AttributeError):  # a libc without dlinfo
        link = ctypes.c_void_p()
        if ctypes.CDLL(None).dlinfo(ctypes.c_void_p(loaded._handle), _LINK_MAP, ctypes.byref(link)):
            return
        base = ctypes.c_uint64.from_address(link.value or 0).value
        at, size, count = _HEADER.unpack_from(data)
        for kind, _, address, length in (_SEGMENT.unpack_from(data, at + n * size) for n in range(count)):
            if kind == _LOAD:
                for page in range(address & -mmap.PAGESIZE, address + length, mmap.PAGESIZE):
                    ctypes.c_ubyte.from_address(base + page).value  # noqa: B018
