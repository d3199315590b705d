"""Tangent, inverse circular functions, hyperbolic functions and their inverses: rare, so one kernel per type has them all.

    circular_<type>    the record is `interface.inverse.CIRCULAR`; out may be x

x and out are padded to whole vectors. NaN gives NaN; outside of a function's domain the result is NaN.

    atan    Cephes' reduction to |x| <= tan(pi/8); asin and acos by the half angle, exact next to 1
    sinh    by exp(x) - 1, so that small x keep their bits; beyond 40, exp(x / 2) twice
    atanh   and the other inverses by log(1 + u) with the rounding of 1 + u made good
"""

from typing import Any

from rt_engine.kernels.interface.inverse import CIRCULAR
from rt_engine.kernels.parts import elementary, trigonometry
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.approximation import constant, polynomial
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline
from rt_native.vector import BYTES, absolute, copysign, fma, select, sqrt

_QUARTER, _HALF_PI = constant(0.7853981633974483, 0.7853981633974483), constant(1.5707963267948966, 1.5707963267948966)
_LN2 = constant(0.6931471805599453, 0.6931471805599453)
_LARGE = constant(1e9, 1e150)
# float32: atan(x) = x + x**3 p(x**2); float64: a quotient of two polynomials
_ATAN_TOP = polynomial(
    (-3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2),
    (-6.485021904942025, -122.88666844901362, -75.00855792314705, -16.157537187333652, -0.8750608600031904),
)
_ATAN_BOTTOM = polynomial(
    (1.0,),
    (194.55065714826139, 485.3903996359137, 432.88106049129027, 165.02700983169885, 24.858464901423062, 1.0),
)


@inline
def atan(x):
    """The angle whose tangent is x."""
    a = absolute(x)
    steep, middle = a > 2.414213562373095, a > 0.4142135623730951
    r = select(steep, -1.0 / a, select(middle, (a - 1.0) / (a + 1.0), a))
    z = r * r
    tail = fma(r * z, _ATAN_TOP(z) / _ATAN_BOTTOM(z), r)
    base = select(steep, _HALF_PI(x), select(middle, _QUARTER(x), 0.0 * a))
    return copysign(base + tail, x)


@inline
def asin(x):
    """The angle whose sine is x."""
    return 2.0 * atan(x / (1.0 + sqrt((1.0 - x) * (1.0 + x))))


@inline
def acos(x):
    """The angle whose cosine is x."""
    return 2.0 * atan(sqrt((1.0 - x) / (1.0 + x)))


@inline
def tan(x):
    """Sine over cosine."""
    return trigonometry.sin(x) / trigonometry.cos(x)


@inline
def _big(a):
    """exp(a) / 2 where exp(a) alone might be infinite."""
    e = elementary.exp(a * 0.5)
    return (e * 0.5) * e


@inline
def sinh(x):
    """(exp(x) - exp(-x)) / 2."""
    a = absolute(x)
    e = elementary.expm1(elementary.at_most(a, 40.0))
    return copysign(select(a > 40.0, _big(a), 0.5 * (e + e / (e + 1.0))), x)


@inline
def cosh(x):
    """(exp(x) + exp(-x)) / 2."""
    a = absolute(x)
    e = elementary.exp(elementary.at_most(a, 40.0))
    return select(a > 40.0, _big(a), 0.5 * (e + 1.0 / e))


@inline
def _log1p(u):
    """log(1 + u)."""
    w = u + 1.0
    return select(w == 1.0, u, elementary.log(w) * (u / (w - 1.0)))


@inline
def asinh(x):
    """The inverse of sinh."""
    a = absolute(x)
    square = a * a
    near = _log1p(a + square / (1.0 + sqrt(square + 1.0)))
    return copysign(select(a > _LARGE(x), elementary.log(a) + _LN2(x), near), x)


@inline
def acosh(x):
    """The inverse of cosh."""
    t = x - 1.0
    return select(x > _LARGE(x), elementary.log(x) + _LN2(x), _log1p(t + sqrt(t * (t + 2.0))))


@inline
def atanh(x):
    """The inverse of tanh."""
    a = absolute(x)
    return copysign(0.5 * _log1p(2.0 * a / (1.0 - a)), x)


_FUNCTIONS = (tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh)
"""In the order of `modes.Circular`."""


def _make(of: Element) -> None:
    load, store, nbytes = of.load_vector, of.store_vector, of.nbytes

    @inline
    def nothing(function, x, out, n):
        return 0

    def chain(number: int, function: Any, others: Any) -> Any:
        @inline
        def walk(chosen, x, out, n):
            if chosen != number:
                others(chosen, x, out, n)
            else:
                for i in range(0, n * nbytes, BYTES):
                    store(out + i, function(load(x + i)))
            return 0

        return walk

    run = nothing
    for number, function in enumerate(_FUNCTIONS):
        run = chain(number, function, run)

    @kernel("circular_" + of.suffix, CIRCULAR)
    def circular(record):
        return run(record.function, record.x, record.out, record.n)


_make(F32)
_make(F64)
