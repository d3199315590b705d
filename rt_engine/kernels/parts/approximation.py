"""What elementary functions are built of: constants and polynomials that know the vector's type, widening, tables.

A function is written once for float32 and float64. What differs, a constant or the coefficients of a polynomial, is
chosen by the type of the vector it is applied to:

    LN2 = constant(0.6931472, 0.6931471805599453)        LN2(x) is a vector like x
    EXP = polynomial((1.0, 1.0, 0.5), (1.0, 1.0, 0.5, 0.1666))   EXP(x) = 1 + x + x**2 / 2 (+ x**3 / 6 in float64)
"""

import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from rt_native.lang import OPTIONS
from rt_native.multiply_add import multiply_add
from rt_native.vector import Vector, define, f32x, f64x, i32x, i64x, join, m64x, masked, split, suffix

_INLINED: Any = {**OPTIONS, "forceinline": True}
_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _splat(part: Any, value: float) -> Any:
    """A constant hardware vector; float32 constants are rounded here, as LLVM's text wants exact ones."""
    if isinstance(part.element, ir.FloatType):
        value = struct.unpack("f", struct.pack("f", value))[0]
    return ir.Constant(part, [value] * part.count)


def constant(single: float, double: float) -> Any:
    """A constant: `c(x)` is a vector of x's type, full of `single` or `double`."""

    @intrinsic
    def value(typingctx: Any, x: Any) -> Any:
        number = single if x.bits == 32 else double
        return define(x, (x,), lambda builder, part: _splat(part.type, number))

    return value


def integer(single: int, double: int) -> Any:
    """An integer constant: `c(x)` is the integer vector that belongs to x, full of `single` or `double`."""

    @intrinsic
    def value(typingctx: Any, x: Any) -> Any:
        to, number = (i32x, single) if x.bits == 32 else (i64x, double)
        return define(to, (x,), lambda builder, part: ir.Constant(to.part, [number] * to.part.count))

    return value


def polynomial(single: Sequence[float], double: Sequence[float]) -> Any:
    """A polynomial, lowest coefficient first; `p(x)` is evaluated by Estrin's scheme with fused multiply-add.

    Neighbours are paired, `c[i] + c[i+1] * x`, then the pairs with x**2, and so on: short chains, in an order that
    depends on the number of coefficients alone.
    """

    @intrinsic
    def evaluate(typingctx: Any, x: Any) -> Any:
        coefficients = single if x.bits == 32 else double

        def one(builder: Any, part: Any) -> Any:
            terms = [_splat(part.type, c) for c in coefficients]
            power = part
            while len(terms) > 1:
                pairs = [multiply_add(builder, terms[i + 1], power, terms[i]) for i in range(0, len(terms) - 1, 2)]
                terms = pairs + terms[2 * len(pairs) :]
                power = builder.fmul(power, power)
            return terms[0]

        return define(x, (x,), one)

    return evaluate


def by_type(single: Any, double: Any) -> Any:
    """A function of one or two vectors: `single` for float32, `double` for float64. Parameters are named x (and y)."""

    def unary(x: Any) -> Any:
        return {f32x: single, f64x: double}.get(x)

    def binary(x: Any, y: Any) -> Any:
        return unary(x)

    stub, choose = (lambda x: None, unary) if single.__code__.co_argcount == 1 else (lambda x, y: None, binary)
    overload(stub, jit_options=_INLINED, strict=False)(choose)
    return stub


@intrinsic
def widen_low(typingctx: Any, x: Any) -> Any:
    """The first 8 lanes of a float32 vector, as float64."""
    return _widen(x, 0)


@intrinsic
def widen_high(typingctx: Any, x: Any) -> Any:
    """The last 8 lanes of a float32 vector, as float64."""
    return _widen(x, 1)


def _lanes(builder: Any, value: Any, start: int, count: int) -> Any:
    """`count` lanes of a hardware vector."""
    picked = ir.Constant(ir.VectorType(_I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picked)


def _widen(x: Vector, half: int) -> Any:
    width = f64x.part.count

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = split(builder, args[0])
        wide = []
        for lane in range(8 * half, 8 * half + 8, width):
            piece = _lanes(builder, narrow[lane // f32x.part.count], lane % f32x.part.count, width)
            wide.append(builder.fpext(piece, f64x.part))
        return join(builder, f64x, wide)

    return f64x(x), codegen


@intrinsic
def narrow(typingctx: Any, low: Any, high: Any) -> Any:
    """Two float64 vectors as one of float32, rounded to nearest."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.VectorType(ir.FloatType(), f64x.part.count)
        pieces = [builder.fptrunc(p, half) for a in args for p in split(builder, a)]
        every = ir.Constant(ir.VectorType(_I32, f32x.part.count), list(range(f32x.part.count)))
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        return join(builder, f32x, [builder.shuffle_vector(a, b, every) for a, b in pairs])

    return f32x(low, high), codegen


def table(values: Sequence[float]) -> Any:
    """A small table of float64: `t(i)` looks up every lane; indices are within the table."""
    content = ir.Constant(ir.ArrayType(ir.DoubleType(), len(values)), list(values))

    @intrinsic
    def look_up(typingctx: Any, index: Any) -> Any:
        name = f"llvm.masked.gather.{suffix(f64x)}.v{f64x.part.count}p0"

        def one(builder: Any, part: Any) -> Any:
            place = cgutils.global_constant(builder.module, "table", content)  # type: ignore[no-untyped-call]
            place.align = 64
            base = _repeat(builder, builder.ptrtoint(place, _I64), i64x.part)
            eight = ir.Constant(i64x.part, [8] * i64x.part.count)
            pointers = builder.inttoptr(
                builder.add(base, builder.mul(part, eight)), ir.VectorType(ir.PointerType(), i64x.part.count)
            )
            every = ir.Constant(m64x.part, [1] * m64x.part.count)
            zero = ir.Constant(f64x.part, [0.0] * f64x.part.count)
            return masked(builder, name, f64x.part, [pointers, every, zero], 0, 8)

        return define(f64x, (index,), one)

    return look_up


def _repeat(builder: Any, scalar: Any, part: Any) -> Any:
    undefined = ir.Constant(part, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, part.count), [0] * part.count))
