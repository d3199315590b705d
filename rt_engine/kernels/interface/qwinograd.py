"""Records of `kernels.qwinograd`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QWINOGRAD = Fields(
    "qwinograd",
    operands="x w numbers out table room",
    sizes="tiles channels columns block zero_x zero offsets first? x_image? out_image?",
    params="low high",
    writes="out room",
)
"""`numbers`: the bias of each column (int32), then its scale (float32). `table` has the byte offset of each of a tile's 36 pixels,
-1 for padding; `offsets` bytes behind its start begin the offsets of its 16 outputs, -1 for none. It is that of one image; the next
one begins `x_image` and `out_image` bytes further. Tiles are counted through all images: these are `tiles` from `first` on,
`block` of them at once, in `room`.
"""

PATCH, RESULTS = 36, 16
"""Input pixels and outputs of a tile."""
WIDEST = 64
"""Columns of the widest tile of products."""


def sums_at(block: int, channels: int) -> int:
    """Where the sums begin in the room: behind the transformed pixels, 16 bits each."""
    return 2 * PATCH * block * channels


def room_bytes(block: int, channels: int, columns: int) -> int:
    """Of the room."""
    return sums_at(block, channels) + 4 * PATCH * block * min(columns, WIDEST)
