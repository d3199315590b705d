"""The sum of two quantised tensors.

    qadd     of uint8, to uint8 or int8; record: `interface.qadd`

    out = clip(round(((a - a_zero) * a_scale + (b - b_zero) * b_scale) / out_scale), low, high) + out_zero

Every step in float32, in this order: the bits of DequantizeLinear, Add, QuantizeLinear one after the other. The quotient
is made of the reciprocal, correctly rounded (`parts.quotient`); where the record says that it makes no difference, it is the product
with the reciprocal, 64 bytes at a time.
The last vector reaches into the padding of the tensors.
"""

from typing import Any

from llvmlite import ir
from numba import float32, int32
from numba.core import types
from numba.extending import intrinsic

from rt_engine.kernels.interface.qadd import QADD
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qbytes import ToBytes, reals_of, splatted
from rt_engine.kernels.parts.quotient import quotient
from rt_engine.kernels.parts.requantise import clamped, load_u8x, nearest, store_low8, to_float
from rt_native.vector import BYTES, PARTS, f32x, splat_f32x, splat_i32x

_I8, _I64 = ir.IntType(8), ir.IntType(64)


@intrinsic
def _add_64(
    typingctx: Any, a: Any, b: Any, out: Any, a_zero: Any, b_zero: Any, zero: Any, a_scale: Any, b_scale: Any, inverse: Any,
    low: Any, high: Any,
) -> Any:  # fmt: skip
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, out, a_zero, b_zero, zero, *numbers, low, high = args
        goal = ToBytes(builder, f32x.part.count, zero, low, high, moderate=True)
        a_scale, b_scale, inverse = (splatted(builder, f32x.part, number) for number in numbers)
        for at in range(0, BYTES, BYTES // PARTS):
            places = [builder.add(address, _I64(at)) for address in (a, b, out)]
            pointers = [builder.inttoptr(place, goal.bytes.as_pointer()) for place in places]
            bytes_a, bytes_b = (builder.load(pointer, typ=goal.bytes, align=1) for pointer in pointers[:2])
            pairs = zip(reals_of(builder, bytes_a, a_zero), reals_of(builder, bytes_b, b_zero), strict=True)
            totals = [builder.fadd(builder.fmul(x, a_scale), builder.fmul(y, b_scale)) for x, y in pairs]
            value = goal.of_reals([builder.fmul(total, inverse) for total in totals])
            builder.store(value, pointers[2], align=1)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 3), *([types.int32] * 3), *([types.float32] * 5)), codegen


_MODERATE = 2.0**30
"""Quotients below it are whole numbers of 32 bits."""


@kernel("qadd", QADD)
def qadd(record):
    """See the top of this file."""
    a, b, out = record.a, record.b, record.out
    a_zero, b_zero, zero = int32(record.a_zero), int32(record.b_zero), int32(record.out_zero)
    a_scale, b_scale, inverse = float32(record.a_scale), float32(record.b_scale), float32(record.inverse)
    low, high = float32(record.low), float32(record.high)
    done = 0
    at_once = record.plain and 255.0 * (abs(a_scale) + abs(b_scale)) * abs(inverse) < _MODERATE
    while at_once and done + 64 <= record.n:
        _add_64(a + done, b + done, out + done, a_zero, b_zero, zero, a_scale, b_scale, inverse, low, high)
        done += 64
    za, zb, zo = splat_i32x(a_zero), splat_i32x(b_zero), splat_i32x(zero)
    sa, sb, so = splat_f32x(a_scale), splat_f32x(b_scale), splat_f32x(float32(record.out_scale))
    while done < record.n:
        total = to_float(load_u8x(a + done) - za) * sa + to_float(load_u8x(b + done) - zb) * sb
        value = total * splat_f32x(inverse) if record.plain else quotient(total, so, splat_f32x(inverse))
        store_low8(out + done, nearest(clamped(value, splat_f32x(low), splat_f32x(high))) + zo)
        done += 16
    return 0
