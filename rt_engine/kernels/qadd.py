"""The sum of two quantised tensors.

    qadd     of uint8, to uint8 or int8; record: `interface.qadd`

    out = clip(round(((a - a_zero) * a_scale + (b - b_zero) * b_scale) / out_scale), low, high) + out_zero

Every step in float32, in this order: the bits of DequantizeLinear, Add, QuantizeLinear one after the other. The quotient
is made of the reciprocal, correctly rounded (`parts.quotient`).
The last vector reaches into the padding of the tensors.
"""

from numba import float32, int32

from rt_engine.kernels.interface.qadd import QADD
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.quotient import quotient
from rt_engine.kernels.parts.requantise import clamped, load_u8x, nearest, store_low8, to_float
from rt_native.vector import splat_f32x, splat_i32x


@kernel("qadd", QADD)
def qadd(record):
    """See the top of this file."""
    a, b, out = record.a, record.b, record.out
    za, zb, zo = (
        splat_i32x(int32(record.a_zero)),
        splat_i32x(int32(record.b_zero)),
        splat_i32x(int32(record.out_zero)),
    )
    sa, sb = splat_f32x(float32(record.a_scale)), splat_f32x(float32(record.b_scale))
    so = splat_f32x(float32(record.out_scale))
    inverse = splat_f32x(float32(record.inverse))
    low, high = splat_f32x(float32(record.low)), splat_f32x(float32(record.high))
    done = 0
    while done < record.n:
        total = to_float(load_u8x(a + done) - za) * sa + to_float(load_u8x(b + done) - zb) * sb
        value = clamped(quotient(total, so, inverse), low, high)
        store_low8(out + done, nearest(value) + zo)
        done += 16
    return 0
