"""What native code and Python agree on, as NumPy dtypes: record, execution block, slot, slot reader.

A record is one kernel call. An operand is a byte offset, with the lowest bit telling from where (tensors start on
multiples of 64, so the bit is free):

    operand = offset         into the arena of the context      (private)
    operand = offset | 1     into the weights of the program    (shared)

The first 64 bytes of an arena are its header. A kernel gets (arena address, record address) and nothing else:

    block --> records[i] --> kernel(arena, record)
      |                        |
      +--> arena: header | tensors ...      header.weights --> weights of the program
"""

import numpy as np

OPERANDS, SIZES, PARAMS = 6, 10, 6

RECORD = np.dtype(
    [
        ("kernel", "<u4"),  # index into the kernel table
        ("node", "<u4"),  # index into the program's nodes, for errors and profiles
        ("spare", "<u8"),
        ("operand", "<i8", OPERANDS),
        ("size", "<i8", SIZES),
        ("param", "<f8", PARAMS),
    ]
)

JUMP = 1 << 32
"""A kernel that gives JUMP + i in place of a status lets the executor go on at record i (`rt_engine.kernels.control`)."""

ARENA_HEADER = np.dtype([("weights", "<i8"), ("spare", "<i8", 7)])

BLOCK = np.dtype(
    [
        ("arena", "<i8"),
        ("records", "<i8"),
        ("count", "<i8"),
        ("table", "<i8"),  # addresses of kernels
        ("status", "<i8"),  # of the last run
        ("node", "<i8"),  # where the last run stopped, when its status is not OK
        ("runs", "<i8"),
        ("version", "<i8"),
        ("tensors", "<i8"),  # table of int64: the address of each input, then of each output, in signature order
        ("spare", "<i8", 7),
    ]
)
"""Execution block: one context of one program, as the cycle sees it. Whoever runs another version of a model finds that
version's tensors through the block, so bindings are made once, by position."""

NEVER = (1 << 63) - 1

SLOT = np.dtype([("activation_ns", "<i8"), ("spare", "<i8", 7)])
"""Shared by all readers of a model slot. `activation_ns` is when a pending version is taken; NEVER when none is."""

READER = np.dtype(
    [
        ("slot", "<i8"),
        ("active", "<i8"),  # block that is run
        ("next", "<i8"),  # block that waits for its time, or 0
        ("taken_ns", "<i8"),  # tick time of the last switch
        ("switches", "<i8"),
        ("carry", "<i8"),  # what the switch copies: count, then (from, to, bytes) each; or 0
        ("spare", "<i8", 2),
    ]
)
"""One task's view of a model slot."""
