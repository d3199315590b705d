"""Guard bytes behind every tensor of an arena, and pages around arenas and weights: no kernel may touch them."""

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from rt_engine.lower import assemble, plan
from rt_engine.run import context
from rt_native.memory import ALIGNMENT, Block, align

GUARD = 64
BYTE = 0xA5
Spans = list[tuple[int, int]]


@contextmanager
def guarded() -> Iterator[Spans]:
    """Programs compiled in here leave guard bytes behind every tensor; gives (start, stop) of the last plan's tensors."""
    found: Spans = []
    lines = GUARD // align(1)

    def spread(*calls_and_ends: Any) -> plan.Layout:
        layout = plan.plan(*calls_and_ends)
        order = sorted(set(layout.offsets.values()))
        size = {at: max(align(max(s.nbytes, 1)) for s, o in layout.offsets.items() if o == at) for at in order}
        moved, end = {}, align(1)  # no memory is shared over time here: tensors lie one behind the other
        for at in order:
            moved[at] = end
            end += size[at] + lines * align(1)
        found[:] = [(moved[at], moved[at] + size[at]) for at in order]
        return replace(layout, offsets={s: moved[o] for s, o in layout.offsets.items()}, nbytes=end)

    with mock.patch.object(assemble, "plan", spread):
        yield found


def fill(arena: np.ndarray, spans: Spans) -> np.ndarray:
    """Write the guard bytes; gives where they are."""
    guards = np.ones(arena.size, bool)
    for start, stop in [(0, align(1)), *spans]:
        guards[start:stop] = False
    arena[guards] = BYTE
    return guards


class PagedBlock(Block):
    """A block that ends where a page ends; neither that page's neighbour nor the one before the block can be read or written."""

    __slots__ = ("_map",)

    def __init__(self, nbytes: int) -> None:
        self.nbytes = max(align(nbytes), ALIGNMENT)
        room = -(-self.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(-1, room + 2 * mmap.PAGESIZE)
        whole = np.frombuffer(self._map, np.uint8)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for at in (0, mmap.PAGESIZE + room):
            done = protect(ctypes.c_void_p(whole.ctypes.data + at), ctypes.c_size_t(mmap.PAGESIZE), 0)
            assert done == 0, "mprotect refused"
        end = mmap.PAGESIZE + room
        self._bytes = whole[end - self.nbytes : end]
        self.address = self._bytes.ctypes.data


@contextmanager
def paged() -> Iterator[None]:
    """Arenas and weights that are made in here lie between such pages: who touches them ends the process."""
    with mock.patch.object(assemble, "Block", PagedBlock), mock.patch.object(context, "Block", PagedBlock):
        yield
