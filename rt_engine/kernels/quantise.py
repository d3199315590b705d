"""Real numbers to quantised ones: ONNX's QuantizeLinear.

    quantise   operand  x (float32), scale (float32), zero point (int32), out
               size     rows, n, row stride and inner stride (0 or 1) of scale and zero point, bytes of an element (1 or 2)
               param    low, high

    out = clip(round(x / scale) + zero point, low, high)        a true division, rounded to nearest even

The strides are those of `elementwise`. Where x / scale is NaN, out is `low`. Nothing outside of `out` is written.
"""

from numba import float32

from rt_engine.kernels.abi import kernel, operand, param, size
from rt_engine.kernels.requantise import nearest, store_first_low8, store_first_low16, to_float
from rt_native.lang import inline, load_f32, load_i32
from rt_native.vector import load_first_f32x, load_first_i32x, select, splat_f32x, splat_i32x


@inline
def _one(x, scale, zero, low, high):
    """Limits less the zero point are exact in float32: both are below 2^17."""
    value = x / scale
    shift = to_float(zero)
    bottom, top = low - shift, high - shift
    value = select(value >= bottom, value, bottom)
    return nearest(select(value <= top, value, top)) + zero


@kernel("quantise", __name__)
def quantise(arena, record):
    """See the top of this file."""
    x, scales = operand(arena, record, 0), operand(arena, record, 1)
    zeros, out = operand(arena, record, 2), operand(arena, record, 3)
    rows, n, row_stride, inner, item = (
        size(record, 0),
        size(record, 1),
        4 * size(record, 2),
        size(record, 3),
        size(record, 4),
    )
    low, high = splat_f32x(float32(param(record, 0))), splat_f32x(float32(param(record, 1)))
    for _ in range(rows):
        scale, zero = splat_f32x(load_f32(scales)), splat_i32x(load_i32(zeros))
        done = 0
        while done < n:
            left = min(n - done, 16)
            if inner:
                scale, zero = load_first_f32x(scales + 4 * done, left), load_first_i32x(zeros + 4 * done, left)
            value = _one(load_first_f32x(x + 4 * done, left), scale, zero, low, high)
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
