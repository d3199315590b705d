"""Winograd's convolutions: 3x3 by tiles of 2x2 or 4x4 outputs (F(2x2, 3x3), F(4x4, 3x3)), lines of 3 or 5 taps by 4 or 2.

    winograd_in, winograd_four_in, winograd_line_in      table: int32 [tiles, 16 or 36], a 4x4 or 6x6 patch, or [tiles, 6],
                                                         six pixels in a line
    winograd_out, winograd_four_out, winograd_line_out   places: int32 [tiles, 4, 16 or 4]; records: `interface.winograd`

v and m are [tiles, 16, 36 or 6, channels], float32; between the two lie as many products of matrices, one per position:

    v = B' patch B       m[position] = v[position] @ u[position]       out = clip(A' m A + bias + addend)

    B' = 1  0 -1  0      A' = 1  1  1  0        (A. Lavin, S. Gray: Fast algorithms for convolutional neural networks,
         0  1  1  0           0  1 -1 -1         arXiv:1509.09308)
         0 -1  1  0
         0  1  0 -1

    lines, from the points 0, 1, -1, 2, -2 and infinity:

    B' = 4  0 -5  0  1  0      A' = 1  1  1  1  1  0      of 2 outputs  1  1  1  1  1  0
         0 -4 -4  1  1  0           0  1 -1  2 -2  0                    0  1 -1  2 -2  1
         0  4 -4 -1  1  0           0  1  1  4  4  0
         0 -2 -1  2  1  0           0  1 -1  8 -8  1
         0  2 -1 -2  1  0
         0  4  0 -5  0  1

    4x4 outputs, from the points 0, 1, -1, 1/2, -2 and infinity, whose rounding errors are a third of those of the line's
    (B. Barabasz et al.: Error analysis and improving the accuracy of Winograd convolution for DNNs, arXiv:1803.10986):

    B' = 1 -3/2 -2    3/2  1    0      A' = 1  1  1   1   1  0
         0 -1    1/2  5/2  1    0           0  1 -1  1/2 -2  0
         0  1   -5/2  1/2  1    0           0  1  1  1/4  4  0
         0 -2   -1    2    1    0           0  1 -1  1/8 -8  1
         0  1/2 -1   -1/2  1    0
         0  1   -3/2 -2    3/2  1
"""

from typing import Any

from numba import float32

from rt_engine.kernels.interface.winograd import WINOGRAD_IN, WINOGRAD_OUT
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import inline, load_i32
from rt_native.vector import (
    BYTES,
    f32x,
    fma,
    load_f32x,
    load_first_f32x,
    select,
    splat_f32x,
    store_f32x,
    store_first_f32x,
)

_LANES = f32x.lanes


@inline
def _times(a, factor, b):
    """a * factor + b."""
    return fma(a, splat_f32x(float32(factor)), b)


@inline
def _six(a, b, c, d, e, f):
    """B' of 4x4 outputs times six pixels."""
    p, q = d - b, e - c
    return (
        _times(p, 1.5, _times(c, -2.0, a + e)),
        _times(d, 2.5, _times(c, 0.5, e - b)),
        _times(c, -2.5, _times(d, 0.5, e + b)),
        _times(p, 2.0, q),
        _times(p, -0.5, q),
        _times(d, -2.0, _times(q, 1.5, b + f)),
    )


@inline
def _four(a, b, c, d, e, f):
    """A' of 4x4 outputs times six products."""
    even, odd = b + c, b - c
    return (
        a + even + (d + e),
        _times(e, -2.0, _times(d, 0.5, odd)),
        _times(e, 4.0, _times(d, 0.25, even)),
        _times(e, -8.0, _times(d, 0.125, odd)) + f,
    )


def _make(load: Any, store: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """(forward, backward, both of lines, both of 4x4 outputs) for vectors of `left` channels, the last argument of `load` and
    `store`."""

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
    def backward(m, step, bias, out, addend, places, low, high, outputs, left):
        a, b = half(m, step, left), half(m + step, step, left)
        c, d = half(m + 2 * step, step, left), half(m + 3 * step, step, left)
        start = load_f32x(bias)
        finish(start + (a[0] + b[0] + c[0]), out, addend, load_i32(places), low, high, left)
        finish(start + (b[0] - c[0] - d[0]), out, addend, load_i32(places + 4), low, high, left)
        finish(start + (a[1] + b[1] + c[1]), out, addend, load_i32(places + 8), low, high, left)
        finish(start + (b[1] - c[1] - d[1]), out, addend, load_i32(places + 12), low, high, left)

    @inline
    def line_forward(x, table, v, step, left):
        a, b, c = pixel(x, table, 0, left), pixel(x, table, 1, left), pixel(x, table, 2, left)
        d, e, f = pixel(x, table, 3, left), pixel(x, table, 4, left), pixel(x, table, 5, left)
        store(v, fma(c, splat_f32x(float32(-5.0)), fma(a, splat_f32x(float32(4.0)), e)), left)
        even, odd = fma(c, splat_f32x(float32(-4.0)), e), fma(b, splat_f32x(float32(-4.0)), d)
        store(v + step, even + odd, left)
        store(v + 2 * step, even - odd, left)
        even, odd = e - c, (d - b) * splat_f32x(float32(2.0))
        store(v + 3 * step, even + odd, left)
        store(v + 4 * step, even - odd, left)
        store(v + 5 * step, fma(d, splat_f32x(float32(-5.0)), fma(b, splat_f32x(float32(4.0)), f)), left)

    @inline
    def line_backward(m, step, bias, out, addend, places, low, high, outputs, left):
        start, last = load_f32x(bias), load(m + 5 * step, left)
        b, c = load(m + step, left), load(m + 2 * step, left)
        d, e = load(m + 3 * step, left), load(m + 4 * step, left)
        ones, twos = b + c, d + e
        odd_ones, odd_twos = b - c, d - e
        second = fma(odd_twos, splat_f32x(float32(2.0)), odd_ones)
        if outputs == 2:
            second = second + last
        finish(start + (load(m, left) + ones + twos), out, addend, load_i32(places), low, high, left)
        finish(start + second, out, addend, load_i32(places + 4), low, high, left)
        if outputs == 4:
            third = fma(twos, splat_f32x(float32(4.0)), ones)
            fourth = fma(odd_twos, splat_f32x(float32(8.0)), odd_ones) + last
            finish(start + third, out, addend, load_i32(places + 8), low, high, left)
            finish(start + fourth, out, addend, load_i32(places + 12), low, high, left)

    @inline
    def six_of(x, table, k, left):
        """B' times column k of the patch."""
        return _six(pixel(x, table, k, left), pixel(x, table, k + 6, left), pixel(x, table, k + 12, left),
                    pixel(x, table, k + 18, left), pixel(x, table, k + 24, left), pixel(x, table, k + 30, left))  # fmt: skip

    @inline
    def six_to(v, step, a, b, c, d, e, f, left):
        """One row of the result, times B."""
        values = _six(a, b, c, d, e, f)
        store(v, values[0], left)
        store(v + step, values[1], left)
        store(v + 2 * step, values[2], left)
        store(v + 3 * step, values[3], left)
        store(v + 4 * step, values[4], left)
        store(v + 5 * step, values[5], left)

    @inline
    def four_forward(x, table, v, step, left):
        a, b, c = six_of(x, table, 0, left), six_of(x, table, 1, left), six_of(x, table, 2, left)
        d, e, f = six_of(x, table, 3, left), six_of(x, table, 4, left), six_of(x, table, 5, left)
        six_to(v, step, a[0], b[0], c[0], d[0], e[0], f[0], left)
        six_to(v + 6 * step, step, a[1], b[1], c[1], d[1], e[1], f[1], left)
        six_to(v + 12 * step, step, a[2], b[2], c[2], d[2], e[2], f[2], left)
        six_to(v + 18 * step, step, a[3], b[3], c[3], d[3], e[3], f[3], left)
        six_to(v + 24 * step, step, a[4], b[4], c[4], d[4], e[4], f[4], left)
        six_to(v + 30 * step, step, a[5], b[5], c[5], d[5], e[5], f[5], left)

    @inline
    def four_of(m, step, left):
        """A' times one column of the products."""
        return _four(load(m, left), load(m + 6 * step, left), load(m + 12 * step, left), load(m + 18 * step, left),
                     load(m + 24 * step, left), load(m + 30 * step, left))  # fmt: skip

    @inline
    def four_to(start, out, addend, places, a, b, c, d, e, f, low, high, left):
        """One row of outputs."""
        values = _four(a, b, c, d, e, f)
        finish(start + values[0], out, addend, load_i32(places), low, high, left)
        finish(start + values[1], out, addend, load_i32(places + 4), low, high, left)
        finish(start + values[2], out, addend, load_i32(places + 8), low, high, left)
        finish(start + values[3], out, addend, load_i32(places + 12), low, high, left)

    @inline
    def four_backward(m, step, bias, out, addend, places, low, high, outputs, left):
        start = load_f32x(bias)
        a, b, c = four_of(m, step, left), four_of(m + step, step, left), four_of(m + 2 * step, step, left)
        d, e, f = (
            four_of(m + 3 * step, step, left),
            four_of(m + 4 * step, step, left),
            four_of(m + 5 * step, step, left),
        )
        four_to(start, out, addend, places, a[0], b[0], c[0], d[0], e[0], f[0], low, high, left)
        four_to(start, out, addend, places + 16, a[1], b[1], c[1], d[1], e[1], f[1], low, high, left)
        four_to(start, out, addend, places + 32, a[2], b[2], c[2], d[2], e[2], f[2], low, high, left)
        four_to(start, out, addend, places + 48, a[3], b[3], c[3], d[3], e[3], f[3], low, high, left)

    return forward, backward, line_forward, line_backward, four_forward, four_backward


@inline
def _load_whole(address, left):
    return load_f32x(address)


@inline
def _store_whole(address, value, left):
    store_f32x(address, value)


_whole, _some = _make(_load_whole, _store_whole), _make(load_first_f32x, store_first_f32x)


def _define_in(name: str, positions: int, whole_vector: Any, some_lanes: Any) -> None:
    @kernel(name, WINOGRAD_IN)
    def transform(record):
        tiles, channels = record.tiles, record.channels
        x, v, table = record.x, record.v, record.table
        step = 4 * channels
        whole = channels // _LANES * BYTES
        for _ in range(tiles):
            for at in range(0, whole, BYTES):
                whole_vector(x + at, table, v + at, step, _LANES)
            if whole < step:
                some_lanes(x + whole, table, v + whole, step, (step - whole) // 4)
            v += positions * step
            table += positions * 4
        return 0


def _define_out(name: str, positions: int, results: int, whole_vector: Any, some_lanes: Any) -> None:
    @kernel(name, WINOGRAD_OUT)
    def transform(record):
        tiles, channels, outputs = record.tiles, record.channels, record.outputs
        m, bias, out = record.m, record.bias, record.out
        places, addend = record.places, 0
        if record.has_addend:
            addend = record.addend
        low, high = splat_f32x(float32(record.low)), splat_f32x(float32(record.high))
        step = 4 * channels
        whole = channels // _LANES * BYTES
        for _ in range(tiles):
            for at in range(0, whole, BYTES):
                z = addend
                if addend != 0:
                    z = addend + at
                whole_vector(m + at, step, bias + at, out + at, z, places, low, high, outputs, _LANES)
            if whole < step:
                z, left = addend, (step - whole) // 4
                if addend != 0:
                    z = addend + whole
                some_lanes(m + whole, step, bias + whole, out + whole, z, places, low, high, outputs, left)
            m += positions * step
            places += 4 * results
        return 0


_define_in("winograd_in", 16, _whole[0], _some[0])
_define_out("winograd_out", 16, 4, _whole[1], _some[1])
_define_in("winograd_line_in", 6, _whole[2], _some[2])
_define_out("winograd_line_out", 6, 4, _whole[3], _some[3])
_define_in("winograd_four_in", 36, _whole[4], _some[4])
_define_out("winograd_four_out", 36, 16, _whole[5], _some[5])
