"""Real numbers to quantised ones: ONNX's QuantizeLinear.

    quantise     x and scale (float32), zero (int32); record: `interface.quantise`

    out = clip(round(x / scale) + zero, low, high)        a true quotient, rounded to nearest even

With one scale for a row the quotient is made of its reciprocal, correctly rounded (`parts.quotient`). Before, x is kept within two
steps of the limits, 64 numbers at a time, so that the quotient is small; where that is no float, it is looked at instead.

Where x / scale is NaN, out is `low`. Nothing outside of `out` is written.
"""

from numba import float32

from rt_engine.kernels.interface.quantise import QUANTISE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qbytes import store_reals
from rt_engine.kernels.parts.quotient import quotient
from rt_engine.kernels.parts.requantise import nearest, store_first_low8, store_first_low16, store_low8, to_float
from rt_native.lang import inline, load_f32, load_i32
from rt_native.vector import absolute, load_f32x, load_first_f32x, load_first_i32x, select, splat_f32x, splat_i32x

_STEPS = float32(2)
_SMALL, _LARGE = float32(1e-30), float32(1e30)


@inline
def _divided(x, scale, inverse):
    """x / scale, correctly rounded, for quotients that are not far outside of every limit; `inverse`, 1 / scale, is not denormal."""
    rough = x * inverse
    return select(absolute(rough) < 1e7, quotient(x, scale, inverse), rough)


@inline
def _kept(at, least, most, scale, inverse):
    """16 quotients, of numbers that are kept within limits; NaN is the least one."""
    x = load_f32x(at)
    x = select(x > least, x, least)
    return quotient(select(x < most, x, most), scale, inverse)


@inline
def _one(value, zero, low, high):
    """Limits less the zero point are exact in float32: both are below 2^17."""
    shift = to_float(zero)
    bottom, top = low - shift, high - shift
    value = select(value >= bottom, value, bottom)
    return nearest(select(value <= top, value, top)) + zero


@kernel("quantise", QUANTISE)
def quantise(record):
    """See the top of this file."""
    x, scales = record.x, record.scale
    zeros, out = record.zero, record.out
    rows, n, row_stride, inner, item = (
        record.rows,
        record.n,
        4 * record.scale_row,
        record.scale_inner,
        record.nbytes,
    )
    low, high = splat_f32x(float32(record.low)), splat_f32x(float32(record.high))
    for _ in range(rows):
        scale, zero = splat_f32x(load_f32(scales)), splat_i32x(load_i32(zeros))
        inverse, number = 1.0 / scale, load_f32(scales)
        plain = -_LARGE < number < _LARGE
        done = 0
        if inner == 0 and item == 1:
            shift = float32(load_i32(zeros))
            bottom, top = float32(record.low) - shift, float32(record.high) - shift
            least, most = splat_f32x((bottom - _STEPS) * number), splat_f32x((top + _STEPS) * number)
            while _SMALL < number < _LARGE and done + 64 <= n:
                at = x + 4 * done
                store_reals(
                    out + done, _kept(at, least, most, scale, inverse), _kept(at + 64, least, most, scale, inverse),
                    _kept(at + 128, least, most, scale, inverse), _kept(at + 192, least, most, scale, inverse),
                    load_i32(zeros), bottom, top,
                )  # fmt: skip
                done += 64
            while done + 16 <= n:
                value = load_f32x(x + 4 * done)
                value = _divided(value, scale, inverse) if plain else value / scale
                store_low8(out + done, _one(value, zero, low, high))
                done += 16
        while done < n:
            left = min(n - done, 16)
            if inner:
                scale, zero = load_first_f32x(scales + 4 * done, left), load_first_i32x(zeros + 4 * done, left)
                value = load_first_f32x(x + 4 * done, left) / scale
            else:
                value = load_first_f32x(x + 4 * done, left)
                value = _divided(value, scale, inverse) if plain else value / scale
            value = _one(value, zero, low, high)
            if item == 1:
                store_first_low8(out + done, value, left)
            else:
                store_first_low16(out + 2 * done, value, left)
            done += 16
        x += 4 * n
        out += item * n
        scales += row_stride
        zeros += row_stride
    return 0
