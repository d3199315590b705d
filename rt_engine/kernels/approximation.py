"""What elementary functions are built of: constants and polynomials that know the vector's type, widening, small tables.

A function is written once for float32 and float64. What differs, a constant or the coefficients of a polynomial, is chosen by
the type of the vector it is applied to:

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
from rt_native.vector import Vector, call_llvm, define, f32x, f64x, i32x, i64x, join, m64x, masked, split, suffix

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

    Neighbours are paired, `c[i] + c[i+1] * x`, then the pairs with x**2, and so on: short chains, in an order that depends on
    the number of coefficients alone.
    """

    @intrinsic
    def evaluate(typingctx: Any, x: Any) -> Any:
        coefficients = single if x.bits == 32 else double
        name = f"llvm.fma.{suffix(x)}"

        def one(builder: Any, part: Any) -> Any:
            terms = [_splat(part.type, c) for c in coefficients]
            power = part
            while len(terms) > 1:
                pairs = [
                    call_llvm(builder, name, part.type, [terms[i + 1], power, terms[i]]) for i in range(0, len(terms) - 1, 2)
                ]
                terms = pairs + terms[2 * len(pairs) :]
                power = builder.fmul(power, power)
            return terms[0]

        return define(x, (x,), one)

    return evaluate


def by_type(single: Any, double: Any) -> Any:
    """A function of vectors that is `single` for float32 and `double` for float64; both take the same arguments."""
    count = single.py_func.__code__.co_argcount

    def stub(*args: Any) -> Any:
        """Only compiled code calls it."""

    def choose(x: Any) -> Any:
        return {f32x: single, f64x: double}.get(x)

    if count == 1:

        def one(x: Any) -> Any:
            function = choose(x)
            return function and (lambda x: function(x))

        overload(stub, inline="always")(one)
    return stub
