"""A record and an arena, as NumPy dtypes: what kernels read.

A record is one kernel call. An operand is a byte offset, with the lowest bit telling from where (tensors start on
multiples of 64, so the bit is free):

    operand = offset         into the arena of the context      (private)
    operand = offset | 1     into the weights of the program    (shared)

The first 64 bytes of an arena are its header. A kernel gets (arena address, record address) and nothing else:

    header | tensors ...        header.weights --> weights of the program
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
