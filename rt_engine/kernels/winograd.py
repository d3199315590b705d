"""Winograd's F(2x2, 3x3): a 3x3 convolution of 2x2 output pixels in 16 products per channel instead of 36.

    winograd_in    operand  x, v, table          table: int32 [tiles, 16], byte offset of each pixel of a 4x4 patch in an image,
                   size     tiles, channels             -1 for padding
    winograd_out   operand  m, bias, out, places, addend or absent
                   size     tiles, channels      places: int32 [tiles, 4], byte offset of each output pixel, -1 for none
                   param    low, high

v and m are [tiles, 16, channels], float32; between the two lie 16 products of matrices, one per position:

    v = B' patch B       m[position] = v[position] @ u[position]       out = clip(A' m A + bias + addend)

    B' = 1  0 -1  0      A' = 1  1  1  0        (A. Lavin, S. Gray: Fast algorithms for convolutional neural networks,
         0  1  1  0           0  1 -1 -1         arXiv:1509.09308)
         0 -1  1  0
         0  1  0 -1
"""

from typing import Any

from numba import float32

from rt_engine.kernels.abi import has_operand, kernel, operand, param, size
from rt_native.lang import inline, load_i32
from rt_native.vector import (
    BYTES,
    f32x,
    load_f32x,
    load_first_f32x,
    select,
    splat_f32x,
    store_f32x,
    store_first_f32x,
)

_LANES = f32x.lanes


def _make(load: Any, store: Any) -> tuple[Any, Any]:
    """(forward, backward) for vectors of `left` channels; `load` and `store` take it as their last argument."""

    @inline
    def pixel(x, table, k, left):
        offset = load_i32(table + 4 * k)
        if offset < 0:
            return splat_f32x(float32(0.0))
        return load(x + offset, left)

    @inline
    def column(x, table, k, left):
        """B' times one column of the patch."""
        a, b = pixel(x, table, k, left), pixel(x, table, k + 4, left)
        c, d = pixel(x, table, k + 8, left), pixel(x, table, k + 12, left)
        return a - c, b + c, c - b, b - d

    @inline
    def row(v, step, a, b, c, d, left):
        """One row of the result, times B."""
        store(v, a - c, left)
        store(v + step, b + c, left)
        store(v + 2 * step, c - b, left)
        store(v + 3 * step, b - d, left)

    @inline
    def forward(x, table, v, step, left):
        a, b = column(x, table, 0, left), column(x, table, 1, left)
        c, d = column(x, table, 2, left), column(x, table, 3, left)
        row(v, step, a[0], b[0], c[0], d[0], left)
        row(v + 4 * step, step, a[1], b[1], c[1], d[1], left)
        row(v + 8 * step, step, a[2], b[2], c[2], d[2], left)
        row(v + 12 * step, step, a[3], b[3], c[3], d[3], left)

    @inline
    def half(m, step, left):
        """A' times one column of the products."""
        a, b = load(m, left), load(m + 4 * step, left)
        c, d = load(m + 8 * step, left), load(m + 12 * step, left)
        return a + b + c, b - c - d

    @inline
    def finish(value, out, addend, offset, low, high, left):
        if offset >= 0:
            if addend != 0:
                value = value + load(addend + offset, left)
            value = select(value < low, low, value)
            store(out + offset, select(value > high, high, value), left)

    @inline
    def backward(m, step, bias, out, addend, places, low, high, left):
        a, b = half(m, step, left), half(m + step, step, left)
        c, d = half(m + 2 * step, step, left), half(m + 3 * step, step, left)
        start = load_f32x(bias)
        finish(start + (a[0] + b[0] + c[0]), out, addend, load_i32(places), low, high, left)
        finish(start + (b[0] - c[0] - d[0]), out, addend, load_i32(places + 4), low, high, left)
        finish(start + (a[1] + b[1] + c[1]), out, addend, load_i32(places + 8), low, high, left)
        finish(start + (b[1] - c[1] - d[1]), out, addend, load_i32(places + 12), low, high, left)

    return forward, backward


@inline
def _load_whole(address, left):
    return load_f32x(address)


@inline
def _store_whole(address, value, left):
    store_f32x(address, value)


_forward, _backward = _make(_load_whole, _store_whole)
_some_forward, _some_backward = _make(load_first_f32x, store_first_f32x)


@kernel("winograd_in", __name__)
def winograd_in(arena, record):
    """See the top of this file."""
    tiles, channels = size(record, 0), size(record, 1)
    x, v, table = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
    step = 4 * channels
    whole = channels // _LANES * BYTES
    for _ in range(tiles):
        for at in range(0, whole, BYTES):
            _forward(x + at, table, v + at, step, _LANES)
        if whole < step:
            _some_forward(x + whole, table, v + whole, step, (step - whole) // 4)
        v += 16 * step
        table += 64
    return 0


@kernel("winograd_out", __name__)
def winograd_out(arena, record):
    """See the top of this file."""
    tiles, channels = size(record, 0), size(record, 1)
    m, bias, out = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
    places, addend = operand(arena, record, 3), 0
    if has_operand(record, 4):
        addend = operand(arena, record, 4)
    low, high = splat_f32x(float32(param(record, 0))), splat_f32x(float32(param(record, 1)))
    step = 4 * channels
    whole = channels // _LANES * BYTES
    for _ in range(tiles):
        for at in range(0, whole, BYTES):
            shifted = addend
            if addend != 0:
                shifted = addend + at
            _backward(m + at, step, bias + at, out + at, shifted, places, low, high, _LANES)
        if whole < step:
            shifted = addend
            if addend != 0:
                shifted = addend + whole
            _some_backward(m + whole, step, bias + whole, out + whole, shifted, places, low, high, (step - whole) // 4)
        m += 16 * step
        places += 16
    return 0
