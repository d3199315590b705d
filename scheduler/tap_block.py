"""What the native code of a task's tap and Python agree on, as NumPy dtypes.

TASK.tap --> TAP --> ring    the head of a ring (`scheduler.ring_block`): counters that both sides see
                 --> slot, checkpoint      where the next record, and the next checkpoint, will lie in it
                 --> kept    KEPT --> moves   MOVE[n]    what a task remembers, at addresses that do not change
                                  --> rooms   ROOM[n]    the states of the blocks that run, one for each model of the task

A checkpoint's first region is ABOUT; then that of each MOVE, then that of each ROOM, none padded. It holds no address.
"""

from enum import IntEnum

import numpy as np

from rt_native.structs import words


class Whose(IntEnum):
    """Whose model: where a number, or a bit, of it stands in ABOUT."""

    TASK = 0
    MONITOR = 1
    FALLBACK = 2
    LATE = 3


ABOUT = np.dtype([*words("lacking"), ("needs", "<i8", len(Whose)), ("versions", "<i8", len(Whose))])
"""`needs`: bytes of the states of each model's block that runs, in the order of `Whose`; `versions`: of these blocks, 0 without one.
`lacking`: bit n: the states of number n need more than there is room for, and none of them is here."""

MOVE = np.dtype(words("address", "nbytes", "copies", "is_window", "window"))
"""`copies`: 2 where the same bytes lie there twice, one behind the other, as in the ring of a window; a checkpoint has them once.
`window`: of INPUT.filled and what follows it, the samples of the window; else 0."""

DAMAGED = 1 << 32
"""Beside the bits of `Whose`: what a checkpoint says of a window cannot be."""

ROOM = np.dtype(words("reader", "nbytes", "whose", "active"))
"""`active`: the block that ran when there was last a checkpoint."""

KEPT = np.dtype(words("moves", "move_count", "rooms", "room_count"))

TAP = np.dtype(
    [
        # lines 0 and 1: of each cycle
        *words("next_checkpoint_ns", "kept", "record", "number", "head", "tail", "capacity", "ring"),
        *words("slot", "stride", "first_slot", "end"),
        # of a checkpoint
        *words("write_checkpoint", "checkpoint_ns", "checkpoint_head", "checkpoint"),
        *words("checkpoint_capacity", "checkpoint_stride", "first_checkpoint", "checkpoint_end"),
    ]
)
"""`record`, `write_checkpoint`: functions (`scheduler.tap_native`). `number`: cycles since the start of the task. `head`,
`checkpoint_head`: as in the ring, which others could write; `tail`: as last seen there. `next_checkpoint_ns`: from this tick on
one is due."""

AT_ONCE = -(1 << 63)
"""As `next_checkpoint_ns`: the record alone does not tell how to go on."""
