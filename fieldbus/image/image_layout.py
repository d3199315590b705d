"""Memory layout of a channel: one consistent group of cells in a wait-free triple buffer.

    byte   0  CHANNEL   constants       cells, stride
          64            the writer's    back (index of the slot that it fills), writes
         128            the reader's    front (index of the slot that it reads)
         192            shared          state = index of the middle slot | FRESH
         256  slot 0    SLOT header, then at byte 64 of the slot float64[cells]
              slot 1    at 256 + stride
              slot 2    at 256 + 2 * stride

Each part that one side writes has a cache line of its own, so that writer and reader do not slow each other down.
"""

import numpy as np

from rt_native.memory import align

CHANNEL = np.dtype(
    {
        "names": ["cells", "stride", "back", "writes", "front", "state"],
        "formats": ["<i8", "<i8", "<i8", "<u8", "<i8", "<i8"],
        "offsets": [0, 8, 64, 72, 128, 192],
        "itemsize": 256,
    }
)
SLOT = np.dtype(
    {
        "names": ["timestamp_ns", "counter", "quality", "arrived_ns"],
        "formats": ["<i8", "<u8", "<i8", "<i8"],
        "offsets": [0, 8, 16, 24],
        "itemsize": 64,
    }
)
"""`timestamp_ns` is what age counts from: of inputs when they were asked for, of outputs when they were computed.

`arrived_ns` is where a reaction begins: of inputs when the answer came; of outputs when the newest input that they were the
first to be computed from had come. 0: not known.
"""
SLOTS = 3
INDEX = 3
"""Mask of the slot index in `state`."""
FRESH = 4
"""Bit of `state`: the middle slot holds a write that the reader has not taken."""


def slot_stride(cells: int) -> int:
    """Bytes from one slot to the next."""
    return SLOT.itemsize + align(8 * cells)


def channel_bytes(cells: int) -> int:
    """Bytes of a channel of `cells` float64 values."""
    return CHANNEL.itemsize + SLOTS * slot_stride(cells)
