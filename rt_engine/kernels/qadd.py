"""The sum of two quantised tensors.

    qadd   operand  a (uint8), b (uint8), out (uint8 or int8)
           size     n, zero point of a, of b, of out
           param    scale of a, of b, of out, low, high, 1 / scale of out rounded to float32

    out = clip(round(((a - za) * sa + (b - zb) * sb) / so), low, high) + zo

Every step in float32, in this order: the bits of DequantizeLinear, Add, QuantizeLinear one after the other. The division
is a product with the rounded reciprocal and two corrections, which gives the correctly rounded quotient (P. W. Markstein,
Computation of elementary functions on the IBM RISC System/6000 processor, 1990). `low` and `high` are limits less the zero
point. The last vector reaches into the padding of the tensors.
"""

from numba import float32, int32

from rt_engine.kernels.parts.abi import kernel, operand, param, size
from rt_engine.kernels.parts.requantise import clamped, load_u8x, nearest, store_low8, to_float
from rt_native.vector import fma, splat_f32x, splat_i32x


@kernel("qadd", __name__)
def qadd(arena, record):
    """See the top of this file."""
    a, b, out = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
    za, zb, zo = (
        splat_i32x(int32(size(record, 1))),
        splat_i32x(int32(size(record, 2))),
        splat_i32x(int32(size(record, 3))),
    )
    sa, sb = splat_f32x(float32(param(record, 0))), splat_f32x(float32(param(record, 1)))
    so = splat_f32x(float32(param(record, 2)))
    inverse = splat_f32x(float32(param(record, 5)))
    low, high = splat_f32x(float32(param(record, 3))), splat_f32x(float32(param(record, 4)))
    done = 0
    while done < size(record, 0):
        total = to_float(load_u8x(a + done) - za) * sa + to_float(load_u8x(b + done) - zb) * sb
        value = total * inverse
        value = fma(fma(-value, so, total), inverse, value)
        value = fma(fma(-value, so, total), inverse, value)
        store_low8(out + done, nearest(clamped(value, low, high)) + zo)
        done += 16
    return 0
