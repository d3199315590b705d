"""Kernel calls on buffers: what a graph is lowered to, before each buffer has its place in memory.

A `Buffer` is a view (type, shape) of a `Storage`, a piece of memory that is an input, an output, a constant or temporary.
Reshape-like operators give a second buffer on the same storage; nothing moves.
"""

from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.fields import Record


class Kind(Enum):
    """What a storage is for, which decides how long it lives."""

    TEMPORARY = "temporary"  # from its first write to its last read
    INPUT = "input"  # always: the caller may write it once and run many times
    OUTPUT = "output"  # always: the caller reads it until the next run
    CONSTANT = "constant"  # in the weights of the program


@dataclass(eq=False, slots=True)
class Storage:
    """A piece of memory. `nbytes` grows to the largest buffer on it."""

    kind: Kind
    nbytes: int
    value: NDArray[Any] | None = None


@dataclass(eq=False, slots=True)
class Buffer:
    """A typed, shaped, contiguous view of a storage."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    storage: Storage

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes without padding."""
        return self.size * self.dtype.itemsize

    @property
    def value(self) -> NDArray[Any] | None:
        """The array, if it is known when the model is loaded."""
        value = self.storage.value
        return None if value is None else value.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel call. `writes` of the operands are outputs; the output may take the memory of an input in `inplace`."""

    kernel: str
    record: Record
    """What the kernel reads, by name."""
    writes: tuple[int, ...]
    inplace: tuple[int, ...]
    node: int
    macs: int
    jump: int = -1
    """For control flow: the call whose record is the `target` (`rt_engine.kernels.interface.control`)."""
    overlap: tuple[int, int] | None = None
    """(operand, bytes): the first written operand may lie over that operand if it begins at least so many bytes before it."""
    elements: int = 0
    """That it touches, where they are fewer than all of its operands; 0: all."""

    @property
    def operands(self) -> tuple[Buffer | None, ...]:
        """Those of the record, in its order; None where one is absent."""
        return self.record.operands


@dataclass(frozen=True, slots=True)
class Lowered:
    """A whole graph as kernel calls."""

    calls: tuple[Call, ...]
    nodes: tuple[tuple[str, str], ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    loops: tuple[tuple[int, int], ...] = ()
    """First and last call of every range that is repeated."""
    state: tuple[tuple[Buffer, Buffer], ...] = ()
    """(input, output) that is carried from run to run; the last calls copy them, one each."""
