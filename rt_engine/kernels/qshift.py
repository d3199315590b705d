"""Sums of integer products by weights that were shifted to fit a byte, put right.

    qshift     total, each, shift (int32), scale (float32); record: `interface.qshift`

    sum over k of x * w = total + each * shift        total: with w - shift for w; each: the sum over k of x

Exact int32 that wraps around, then the modes of `requantise`. Nothing outside of total is read, of which the last row may end the
arena, and nothing outside of out is written.
"""

from numba import float32, int32

from rt_engine.kernels.interface.modes import QUANTISED
from rt_engine.kernels.interface.qshift import QSHIFT
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.requantise import store_sums
from rt_native.lang import load_i32
from rt_native.vector import load_first_i32x, load_i32x, splat_i32x


@kernel("qshift", QSHIFT)
def qshift(record):
    """See the top of this file."""
    columns, mode, zero = record.columns, record.mode, int32(record.zero)
    low, high = float32(record.low), float32(record.high)
    total, each, shift, scale, out = record.total, record.each, record.shift, record.scale, record.out
    item = 1 if mode == QUANTISED else 4
    for row in range(record.rows):
        factor = splat_i32x(int32(load_i32(each + 4 * row)))
        at, to = total + 4 * row * columns, out + row * columns * item
        for first in range(0, columns, 16):
            left = columns - first
            sums = load_i32x(at + 4 * first) if left >= 16 else load_first_i32x(at + 4 * first, left)
            value = sums + factor * load_i32x(shift + 4 * first)
            store_sums(mode, value, scale + 4 * first, to + first * item, left, zero, low, high)
    return 0
