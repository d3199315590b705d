"""a * b + c on hardware vectors, in the arithmetic that the target has (`rt_native.machine.ARITHMETICS`).

    arithmetic   multiply_add                     multiply_add_once
    fused        the instruction                  the instruction
    fast         a product, then a sum            in software
    exact        in software                      in software

In software: a fixed sequence without branches or tables, with the bits that the instruction gives (of a NaN not the sign and
payload). What is lost of a sum is known exactly (D. E. Knuth's TwoSum), and rounds it to odd; a sum that was rounded to odd may
be rounded again as if it had been exact (S. Boldo, G. Melquiond, Emulation of a FMA and correctly rounded sums: proved
algorithms using rounding to odd, IEEE Transactions on Computers 57, 2008).

    float32   the product is exact in float64; the sum there is rounded to odd, then to float32
    float64   the product as two numbers (T. J. Dekker, 1971), added to c as in the paper, its figure 5. Significands alone are
              multiplied, in [1, 2); c is brought to their scale, at most 2^110 away, where it or the product is but a sticky
              bit; the result is scaled back in two steps of one sign. So nothing on the way is denormal or too large

While a program runs denormals are zero, and the float64 form relies on it: a denormal operand counts as zero in any case.
"""

import os
from typing import Any

from llvmlite import ir

ARITHMETIC = os.environ.get("RT_NATIVE_ARITHMETIC", "fused")
"""Of the target; the build sets it for the whole process."""

_I64, _F64 = ir.IntType(64), ir.DoubleType()
_MANTISSA_BITS, _BIAS, _TOP = 52, 1023, 0x7FF
_SIGN, _EXPONENT = 1 << 63, _TOP << _MANTISSA_BITS
_FAR = 110
"""Further apart than this, the smaller of product and addend is a sticky bit: both have at most 106 bits."""


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c; rounded once, but twice where the arithmetic is `fast`."""
    if ARITHMETIC == "fast":
        return builder.fadd(builder.fmul(a, b), c)
    return multiply_add_once(builder, a, b, c)


def multiply_add_once(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once in every arithmetic: for what a rounding has lost."""
    bits = 32 if isinstance(a.type.element, ir.FloatType) else 64
    kind, name = ir.FunctionType(a.type, [a.type] * 3), f"fma.v{a.type.count}f{bits}"
    if ARITHMETIC == "fused":
        name = f"llvm.{name}"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    else:
        function = builder.module.globals.get(name) or _function(builder.module, kind, name, bits)
    return builder.call(function, [a, b, c])


def _function(module: Any, kind: Any, name: str, bits: int) -> Any:
    """The software as a function of its own: a tile calls it a hundred times."""
    function = ir.Function(module, kind, name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret((_single if bits == 32 else _double)(builder, *function.args))
    return function


def _single(builder: Any, a: Any, b: Any, c: Any) -> Any:
    wide = ir.VectorType(_F64, a.type.count)
    x, y, z = (builder.fpext(value, wide) for value in (a, b, c))
    return builder.fptrunc(_sum_to_odd(builder, builder.fmul(x, y), z), a.type)


def _two_sum(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """(a + b, what its rounding lost)."""
    total = builder.fadd(a, b)
    part = builder.fsub(total, a)
    return total, builder.fadd(builder.fsub(a, builder.fsub(total, part)), builder.fsub(b, part))


def _sum_to_odd(builder: Any, a: Any, b: Any) -> Any:
    """a + b of float64; of the two numbers around a sum that is not one, the one whose last bit is set."""
    total, lost = _two_sum(builder, a, b)
    integers = ir.VectorType(_I64, a.type.count)
    zero, one = ir.Constant(a.type, [0.0] * a.type.count), _all(integers, 1)
    whole = builder.bitcast(total, integers)
    outwards = builder.xor(builder.bitcast(lost, integers), builder.and_(whole, _all(integers, _SIGN)))
    outwards = builder.bitcast(outwards, a.type)
    beyond = builder.sext(builder.fcmp_ordered(">", outwards, zero), integers)
    short = builder.sext(builder.fcmp_ordered("<", outwards, zero), integers)  # the sum lies before `total`
    inexact = builder.and_(builder.or_(beyond, short), one)
    return builder.bitcast(builder.or_(builder.add(whole, short), inexact), a.type)


def _double(builder: Any, a: Any, b: Any, c: Any) -> Any:
    number, integers = a.type, ir.VectorType(_I64, a.type.count)
    parts = [_taken_apart(builder, value, integers) for value in (a, b, c)]
    (a_exponent, x), (b_exponent, y), (c_exponent, z) = parts
    scale = builder.sub(builder.add(a_exponent, b_exponent), _all(integers, 2 * _BIAS))
    distance = builder.sub(builder.sub(c_exponent, _all(integers, _BIAS)), scale)
    far = _all(integers, _FAR)
    above = builder.sub(distance, far)
    is_above = builder.icmp_signed(">", above, _all(integers, 0))
    scale = builder.select(is_above, builder.add(scale, above), scale)
    near = builder.select(is_above, far, distance)
    near = builder.select(builder.icmp_signed("<", near, _all(integers, -_FAR)), _all(integers, -_FAR), near)
    z = builder.add(z, builder.shl(near, _all(integers, _MANTISSA_BITS)))
    keep = builder.select(_equal(builder, c_exponent, 0), _all(integers, _SIGN), _all(integers, -1))
    z = builder.bitcast(builder.and_(z, keep), number)
    result = _scaled(builder, _sum_of_product(builder, x, y, z, number), scale)
    # Where an operand is zero, infinite or NaN, product and sum say it; a product that is neither counts as zero.
    special = _equal(builder, a_exponent, 0)
    for exponent, value in ((a_exponent, _TOP), (b_exponent, 0), (b_exponent, _TOP)):
        special = builder.or_(special, _equal(builder, exponent, value))
    product = builder.select(special, builder.fmul(a, b), ir.Constant(number, [0.0] * number.count))
    special = builder.or_(special, _equal(builder, c_exponent, _TOP))
    return builder.select(special, builder.fadd(product, c), result)


def _all(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _equal(builder: Any, integers: Any, value: int) -> Any:
    return builder.icmp_signed("==", integers, _all(integers.type, value))


def _taken_apart(builder: Any, value: Any, integers: Any) -> tuple[Any, Any]:
    """(biased exponent, bits of the number with this sign and significand in [1, 2))."""
    bits = builder.bitcast(value, integers)
    exponent = builder.and_(builder.lshr(bits, _all(integers, _MANTISSA_BITS)), _all(integers, _TOP))
    kept = builder.and_(bits, _all(integers, ~_EXPONENT))
    return exponent, builder.or_(kept, _all(integers, _BIAS << _MANTISSA_BITS))


def _sum_of_product(builder: Any, x: Any, y: Any, c: Any, number: Any) -> Any:
    """x * y + c, rounded once; `x` and `y` as bits of significands in [1, 2)."""
    (x_high, x_low), (y_high, y_low) = (_halves(builder, bits, number) for bits in (x, y))
    x, y = (builder.bitcast(bits, number) for bits in (x, y))
    high = builder.fmul(x, y)
    lost = builder.fsub(builder.fmul(x_high, y_high), high)
    lost = builder.fadd(builder.fadd(lost, builder.fmul(x_high, y_low)), builder.fmul(x_low, y_high))
    low = builder.fadd(lost, builder.fmul(x_low, y_low))
    sum_high, sum_low = _two_sum(builder, c, low)
    head, rest = _two_sum(builder, high, sum_high)
    return builder.fadd(head, _sum_to_odd(builder, sum_low, rest))


def _halves(builder: Any, bits: Any, number: Any) -> tuple[Any, Any]:
    """A significand as the sum of two numbers of 26 bits each."""
    rounded = builder.add(bits, _all(bits.type, 1 << 26))
    high = builder.bitcast(builder.and_(rounded, _all(bits.type, -(1 << 27))), number)
    return high, builder.fsub(builder.bitcast(bits, number), high)


def _scaled(builder: Any, value: Any, exponent: Any) -> Any:
    """value * 2**exponent, with -2048 < exponent < 2048, in two steps of half of it: only the last one rounds or overflows."""
    kind = exponent.type
    half = builder.sub(builder.lshr(builder.add(exponent, _all(kind, 2048)), _all(kind, 1)), _all(kind, 1024))
    for step in (half, builder.sub(exponent, half)):
        bits = builder.shl(builder.add(step, _all(kind, _BIAS)), _all(kind, _MANTISSA_BITS))
        value = builder.fmul(value, builder.bitcast(bits, value.type))
    return value
