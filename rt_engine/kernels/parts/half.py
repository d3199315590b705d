"""float16 from and to float32, in whole vectors: the processor's instructions, or integers where it has none.

    sign  exponent  fraction       number                          as float32
    1     0         10 bits        fraction * 2^-24                a conversion of the integer, times 2^-24
    1     1 to 30   10 bits        1.fraction * 2^(exponent - 15)  both shifted by 13 bits, 112 added to the exponent
    1     31        10 bits        infinity, NaN                   as before, 224 added

Every way rounds to nearest even and knows denormal float16. Values of type `HALF` are what vectors hold in memory.
"""

from typing import Any

from llvmlite import ir

from rt_native.multiply_add import ARITHMETIC

IN_HARDWARE = ARITHMETIC == "fused"
"""x86 has the conversions (F16C) where it has FMA; 64-bit Arm always."""
HALF: Any = ir.HalfType() if IN_HARDWARE else ir.IntType(16)

_I32, _F32 = ir.IntType(32), ir.FloatType()
_SHIFT = 13
_INFINITY, _SMALLEST_NORMAL = 0x7C00, 0x0400


def _vector(value: Any, element: Any) -> Any:
    return ir.VectorType(element, value.type.count)


def _all(value: Any, element: Any, number: float) -> Any:
    return ir.Constant(_vector(value, element), [number] * value.type.count)


def half_to_single(builder: Any, value: Any) -> Any:
    """Every float16 as float32, exactly; a NaN becomes quiet."""
    singles = _vector(value, _F32)
    if IN_HARDWARE:
        return builder.fpext(value, singles)

    def number(n: int) -> Any:
        return _all(value, _I32, n)

    wide = builder.zext(value, _vector(value, _I32))
    sign, magnitude = builder.and_(wide, number(0x8000)), builder.and_(wide, number(0x7FFF))
    moved = builder.add(builder.shl(magnitude, number(_SHIFT)), number(112 << 23))
    special = builder.add(moved, number(112 << 23))
    quiet = builder.select(builder.icmp_signed(">", magnitude, number(_INFINITY)), number(1 << 22), number(0))
    special = builder.or_(special, quiet)
    small = builder.fmul(builder.sitofp(magnitude, singles), _all(value, _F32, 2.0**-24))
    bits = builder.select(builder.icmp_signed("<", magnitude, number(_INFINITY)), moved, special)
    is_small = builder.icmp_signed("<", magnitude, number(_SMALLEST_NORMAL))
    bits = builder.select(is_small, builder.bitcast(small, bits.type), bits)
    return builder.bitcast(builder.or_(bits, builder.shl(sign, number(16))), singles)


def single_to_half(builder: Any, value: Any) -> Any:
    """Every float32 as the nearest float16."""
    if IN_HARDWARE:
        return builder.fptrunc(value, _vector(value, HALF))

    def number(n: int) -> Any:
        return _all(value, _I32, n)

    integers, halves = _vector(value, _I32), _vector(value, HALF)
    bits = builder.bitcast(value, integers)
    magnitude = builder.and_(bits, number(0x7FFFFFFF))
    sign = builder.lshr(builder.and_(bits, number(-0x80000000)), number(16))
    even = builder.and_(builder.lshr(magnitude, number(_SHIFT)), number(1))
    rounded = builder.add(builder.add(magnitude, number((1 << (_SHIFT - 1)) - 1)), even)
    moved = builder.sub(builder.lshr(rounded, number(_SHIFT)), number(112 << 10))
    # One unit of 1/2 is the smallest float16: the addition rounds.
    half = _all(value, _F32, 0.5)
    small = builder.bitcast(builder.fadd(builder.bitcast(magnitude, value.type), half), integers)
    small = builder.sub(small, builder.bitcast(half, integers))
    payload = builder.and_(builder.lshr(magnitude, number(_SHIFT)), number(0x3FF))
    nan = builder.or_(payload, number(_INFINITY | 0x200))
    result = builder.select(builder.icmp_signed("<", magnitude, number(113 << 23)), small, moved)
    result = builder.select(builder.icmp_signed("<", magnitude, number(143 << 23)), result, number(_INFINITY))
    result = builder.select(builder.icmp_signed(">", magnitude, number(255 << 23)), nan, result)
    return builder.trunc(builder.or_(result, sign), halves)
