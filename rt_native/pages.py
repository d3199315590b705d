"""Large memory that comes and goes in small steps, none of which holds the interpreter or the process's table of pages for long.

Where a process locks its memory (`mlockall`), to allocate 500 MB is to fill 500 MB: a second in which `malloc` holds the interpreter,
and with it whoever answers a PLC; to give it back takes a third of that. Here addresses are reserved first, then every step of them is
made memory by a call that does not hold the interpreter.

    reserve addresses  ->  [ 2 MiB: memory, zeroed ] [ 2 MiB ] ...      at the end: [ 2 MiB: given back ] ...
"""

import ctypes
import os
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_native.memory import ALIGNMENT, Block, align

STEP: Final = 2 << 20
"""A huge page of x86-64 and AArch64, where the system has them; some tenths of a millisecond."""
LARGE: Final = 2 * STEP
"""From here on memory is worth steps."""
_NONE, _READ_WRITE, _PRIVATE_ANONYMOUS_NORESERVE, _HUGE = 0, 3, 0x4022, 14
_FAILED: Final = ctypes.c_void_p(-1).value
_LIBC = ctypes.CDLL(None, use_errno=True)
_MMAP, _MUNMAP, _MPROTECT, _MADVISE, _MEMSET = (
    getattr(_LIBC, name) for name in ("mmap", "munmap", "mprotect", "madvise", "memset")
)
_P, _N, _I = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_MMAP.argtypes, _MMAP.restype = (_P, _N, _I, _I, _I, ctypes.c_long), _P
_MUNMAP.argtypes, _MPROTECT.argtypes, _MADVISE.argtypes = (_P, _N), (_P, _N, _I), (_P, _N, _I)
_MEMSET.argtypes, _MEMSET.restype = (_P, _I, _N), _P


class Pages:
    """Zeroed memory of its own, given back with the last array that shows it. NumPy takes it as an array of bytes."""

    __slots__ = ("__array_interface__", "_base", "_reserved", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = -(-nbytes // STEP) * STEP
        self._base, self._reserved = 0, self.nbytes + STEP
        base = _MMAP(None, self._reserved, _NONE, _PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
        if base == _FAILED:
            raise MemoryError(f"there are no {nbytes:,} bytes of memory: {os.strerror(ctypes.get_errno())}")
        self._base = int(base)
        self.address = -(-self._base // STEP) * STEP
        _MADVISE(self.address, self.nbytes, _HUGE)  # a wish: a system without huge pages does not know it
        for at in range(self.address, self.address + self.nbytes, STEP):
            if _MPROTECT(at, STEP, _READ_WRITE):
                raise MemoryError(f"there are no {nbytes:,} bytes of memory: {os.strerror(ctypes.get_errno())}")
            _MEMSET(at, 0, STEP)
        self.__array_interface__: dict[str, Any] = {
            "shape": (self.nbytes,),
            "typestr": "|u1",
            "data": (self.address, False),
            "version": 3,
        }

    def __del__(self) -> None:
        """Give it back, step by step."""
        with suppress(AttributeError, TypeError):  # the interpreter ends: so does the memory
            if self._base:
                for at in range(self._base, self._base + self._reserved, STEP):
                    _MUNMAP(at, STEP)


def bytes_of(nbytes: int) -> NDArray[np.uint8]:
    """At least so many zeroed bytes, whose pages are there."""
    if nbytes >= LARGE:
        return np.asarray(Pages(nbytes))
    raw = np.empty(nbytes, np.uint8)
    raw.fill(0)
    return raw


class LargeBlock(Block):
    """A `Block` whose pages come and go in small steps, where it is large. Apart from it, as native modules reach `Block`'s file."""

    __slots__ = ()

    def __init__(self, nbytes: int) -> None:
        self.nbytes = max(align(nbytes), ALIGNMENT)
        raw = bytes_of(self.nbytes + ALIGNMENT)
        start = -raw.ctypes.data % ALIGNMENT
        self._bytes = raw[start : start + self.nbytes]
        self.address = self._bytes.ctypes.data


def fill(file: int, whole: NDArray[np.uint8]) -> int:
    """Fill an array from the beginning of a file, by its descriptor; gives how many bytes there were.

    Raises:
        OSError: it cannot be read.
    """
    at = 0
    while at < len(whole):
        got = os.preadv(file, [whole[at : at + STEP].data], at)
        if not got:
            break
        at += got
    return at
