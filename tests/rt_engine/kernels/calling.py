"""Call one kernel on NumPy arrays: an arena is laid out, a record is written, the native function is called.

Every tensor stands on a multiple of 64 bytes and is followed by a guard that must stay as it was.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.interface.record import RECORD
from rt_native.library import Library
from rt_native.memory import Block, align
from rt_native.target import LANE_WIDTHS, host

GUARD = 64
_GUARD_BYTE = 0xA5
_HEADER = 64


def libraries(name: str, *modules: str, path: tuple[str, ...] = ()) -> list[Library]:
    """One library per lane width that this machine has, the widest last; `path`: where modules of a test are."""
    return [Library(f"{name}-{lanes}", modules, host(lanes), path) for lanes in LANE_WIDTHS if lanes <= host().lanes]


class Call:
    """A kernel call that can be repeated.

    Args:
        operands: arrays in the order of the record; None for an operand that is absent (-1). They are copied in.
        sizes, params: of the record.
        weights: operands that stand in the program's weights, by index.
    """

    def __init__(
        self,
        operands: Sequence[NDArray[Any] | None],
        sizes: Sequence[int] = (),
        params: Sequence[float] = (),
        weights: Sequence[int] = (),
    ) -> None:
        rooms = [0 if a is None else align(a.nbytes) + GUARD for a in operands]
        self.weights = Block(max(sum(rooms[i] for i in weights), GUARD))
        self.arena = Block(_HEADER + sum(room for i, room in enumerate(rooms) if i not in weights))
        self.record = Block(RECORD.itemsize)
        self.views: list[NDArray[Any]] = []
        self._guards: list[NDArray[np.uint8]] = []
        self.arena.view(np.int64)[0] = self.weights.address
        record = self.record.view(RECORD)[0]
        record["operand"][:] = -1
        record["size"][: len(sizes)] = sizes
        record["param"][: len(params)] = params
        offsets = {False: _HEADER, True: 0}
        for i, array in enumerate(operands):
            if array is None:
                self.views.append(np.empty(0))
                continue
            shared = i in weights
            block, offset = (self.weights if shared else self.arena), offsets[shared]
            self._place(block, offset, array)
            record["operand"][i] = offset | shared
            offsets[shared] = offset + align(array.nbytes) + GUARD

    def _place(self, block: Block, offset: int, array: NDArray[Any]) -> None:
        guard = block.view(np.uint8, offset + align(array.nbytes), GUARD)
        guard[:] = _GUARD_BYTE
        self._guards.append(guard)
        view = block.view(array.dtype, offset, array.size).reshape(array.shape)
        view[...] = array
        self.views.append(view)

    def run(self, library: Library, kernel: str) -> int:
        """Call the kernel once; gives its status."""
        status = library.function(KERNEL_PREFIX + kernel)(self.arena.address, self.record.address)
        assert all((guard == _GUARD_BYTE).all() for guard in self._guards), f"{kernel} wrote behind a tensor"
        return status


def call(
    library: Library, kernel: str, operands: Sequence[NDArray[Any] | None], *args: Any, **kwargs: Any
) -> list[NDArray[Any]]:
    """Call a kernel once, expect status 0; gives all operands as they are afterwards."""
    one = Call(operands, *args, **kwargs)
    status = one.run(library, kernel)
    assert status == 0, f"{kernel} gave status {status}"
    return one.views


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Are two arrays the same, bit for bit? NaNs count by their bits too."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
