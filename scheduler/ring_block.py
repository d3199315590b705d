"""A ring file: what a tap writes and a reader takes, in memory that survives the death of its process.

    byte 0      RING      constants, sealed by `check`: written once
        128     the producer's    head, dropped, checkpoint_head, refused
        192     the consumer's    tail, checkpoint_tail
        256     the layout as JSON (`rt_engine.recording.layout.TaskLayout`)
    checkpoints_at   `checkpoint_capacity` slots of `checkpoint_stride` bytes
    slots_at         `capacity` slots of `stride` bytes: record number n of the ring is in slot n % capacity

    tail                              head
     |  records that nobody has taken  |          head - tail == capacity: full, and the next record is dropped whole
     v                                 v
    [####][####][####][####][####][....][....]    head, tail only grow; a record counts from the moment that head is beyond it

One writes head, one writes tail, each in a cache line of its own. So whoever dies, and whenever: what lies between the two
is whole. A slot that was being written when the process died is beyond head.
"""

import numpy as np

MAGIC = int.from_bytes(b"rt-tap\0\1", "big")
VERSION = 1

RING = np.dtype(
    {
        "names": [
            *("magic", "version", "check", "nbytes", "pid", "utc_offset_ns", "boot", "layout_bytes"),
            *("capacity", "stride", "slots_at", "checkpoint_capacity", "checkpoint_stride", "checkpoints_at"),
            *("head", "dropped", "checkpoint_head", "refused"),
            *("tail", "checkpoint_tail"),
        ],
        "formats": [*["<i8"] * 6, "V16", *["<i8"] * 13],
        "offsets": [*range(0, 56, 8), *range(64, 120, 8), *range(128, 160, 8), *range(192, 208, 8)],
        "itemsize": 256,
    }
)
"""`magic` is written last. `check`: CRC-32 of the constants (this field and `magic` as 0) and the layout. `boot`: the kernel's boot
id: a tick means nothing after another start of the machine. `utc_offset_ns`: CLOCK_REALTIME - CLOCK_MONOTONIC when it was made.
`dropped`: records for which there was no room. `refused`: cycles in which a checkpoint was due and there was none."""

CONSTANTS = 120
"""Bytes that `check` seals."""
LAYOUT_AT = RING.itemsize
