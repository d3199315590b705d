"""Native memory: 64-byte aligned, zeroed, prefaulted blocks, and structs laid out as NumPy dtypes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64
"""A cache line, and the widest vector: every block, tensor and slot starts on a multiple of it."""


def align(nbytes: int) -> int:
    """The smallest multiple of `ALIGNMENT` that is at least `nbytes`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def offsets(dtype: np.dtype[Any]) -> SimpleNamespace:
    """Byte offset of each field of a structured dtype, as attributes; native code reads them as constants."""
    assert dtype.fields is not None
    return SimpleNamespace(**{name: int(field[1]) for name, field in dtype.fields.items()})


class Block:
    """A block of zeroed memory that stays where it is for as long as this object, or a view of it, lives.

    Every page is written once, so that the first real access does not fault.
    """

    __slots__ = ("_bytes", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        if nbytes < 0:
            raise ValueError(f"a block cannot have {nbytes} bytes")
        self.nbytes = max(align(nbytes), ALIGNMENT)
        raw = np.empty(self.nbytes + ALIGNMENT, np.uint8)
        raw.fill(0)
        start = -raw.ctypes.data % ALIGNMENT
        self._bytes: NDArray[np.uint8] = raw[start : start + self.nbytes]
        self.address: int = self._bytes.ctypes.data

    def view(self, dtype: DTypeLike, offset: int = 0, count: int = 1) -> NDArray[Any]:
        """A writable 1-D view of `count` elements of `dtype` at byte `offset`; it keeps the block alive."""
        size = np.dtype(dtype).itemsize * count
        if offset < 0 or offset + size > self.nbytes:
            raise ValueError(f"a view of {size} bytes at {offset} does not fit in a block of {self.nbytes} bytes")
        return self._bytes[offset : offset + size].view(dtype)
