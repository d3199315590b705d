"""What element-wise kernels compute: one small function of vectors per operation, float32 and float64 alike.

A unary function takes the vector and two parameters of the record, p and q, whether it needs them or not. NaN gives
NaN in all of them. Where a formula multiplies an infinite x by a gate that has become zero (swish, mish, gelu and
hardswish at -inf), the result is NaN, as in PyTorch and ONNX Runtime.
"""

from collections.abc import Callable
from typing import Any

from rt_engine.kernels.parts import elementary, power, trigonometry
from rt_engine.kernels.parts.approximation import by_type, constant
from rt_engine.kernels.parts.elementary import at_least, at_most
from rt_native.lang import inline
from rt_native.vector import absolute, ceil, copysign, floor, fma, maximum, minimum, round_even, select, sqrt, trunc

UNARY: dict[str, Any] = {}
"""Operation -> function of (x, p, q)."""
BINARY: dict[str, Any] = {}
"""Operation -> function of (x, y)."""
COMPARE: dict[str, Any] = {}
"""Operation -> function of (x, y) that gives a mask."""
TERNARY: dict[str, Any] = {}
"""Operation -> function of (x, y, z)."""


def _into(table: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        table[function.__name__.strip("_")] = compiled = inline(function)
        return compiled

    return register


_unary, _binary, _compare, _ternary = (_into(table) for table in (UNARY, BINARY, COMPARE, TERNARY))


def _plain(function: Any) -> Any:
    """A unary function without parameters."""
    return inline(lambda x, p, q: function(x))


for _name in ("exp", "log", "tanh", "sigmoid", "softplus", "erf"):
    UNARY[_name] = _plain(getattr(elementary, _name))
for _name, _function in {
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "sqrt": sqrt,
    "abs": absolute,
    "floor": floor,
    "ceil": ceil,
    "round": round_even,
}.items():
    UNARY[_name] = _plain(_function)


@_unary
def neg(x, p, q):
    """-x."""
    return -x


@_unary
def sign(x, p, q):
    """-1, 0 or 1."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, select(x == 0.0, 0.0, x)))


@_unary
def reciprocal(x, p, q):
    """1 / x."""
    return 1.0 / x


@_unary
def clip(x, p, q):
    """p <= x <= q."""
    return at_most(at_least(x, p), q)


@_unary
def relu(x, p, q):
    """max(x, 0)."""
    return at_least(x, 0.0)


@_unary
def leakyrelu(x, p, q):
    """x, times p below zero."""
    return select(x < 0.0, x * p, x)


@_unary
def elu(x, p, q):
    """x, or p * (exp(x) - 1) below zero."""
    return select(x < 0.0, p * elementary.expm1(at_most(x, 0.0)), x)


@_unary
def selu(x, p, q):
    """q * elu(x, p)."""
    return q * select(x < 0.0, p * elementary.expm1(at_most(x, 0.0)), x)


@_unary
def celu(x, p, q):
    """x, or p * (exp(x / p) - 1) below zero."""
    return select(x < 0.0, p * elementary.expm1(at_most(x / p, 88.0)), x)


@_unary
def hardsigmoid(x, p, q):
    """p * x + q, between 0 and 1."""
    return at_most(at_least(fma(x, p, q), 0.0), 1.0)


@_unary
def hardswish(x, p, q):
    """x * hardsigmoid(x, 1/6, 1/2)."""
    return x * at_most(at_least(fma(x, 1.0 / 6.0, 0.5), 0.0), 1.0)


@_unary
def swish(x, p, q):
    """x * sigmoid(p * x); SiLU when p is 1."""
    return x * elementary.sigmoid(x * p)


@_unary
def mish(x, p, q):
    """x * tanh(softplus(x)) = x * n / (n + 2) with n = exp(x)**2 + 2 exp(x)."""
    e = elementary.exp(at_most(x, 20.0))
    n = e * (e + 2.0)
    return select(x > 20.0, x, x * (n / (n + 2.0)))


@_unary
def gelu(x, p, q):
    """x * (1 + erf(x / sqrt(2))) / 2."""
    half = x * 0.5
    return fma(half, elementary.erf(x * 0.7071067811865476), half)


@_unary
def gelu_tanh(x, p, q):
    """x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3))) / 2 = x * sigmoid(2 sqrt(2/pi) * ...)."""
    inner = fma(x * x, 0.07135481627260025, 1.5957691216057308)
    return x * elementary.sigmoid(x * inner)


@_unary
def softsign(x, p, q):
    """x / (1 + |x|)."""
    return x / (absolute(x) + 1.0)


@_binary
def add(x, y):
    """x + y."""
    return x + y


@_binary
def sub(x, y):
    """x - y."""
    return x - y


@_binary
def mul(x, y):
    """x * y."""
    return x * y


@_binary
def div(x, y):
    """x / y."""
    return x / y


@_binary
def prelu(x, y):
    """x, times y below zero."""
    return select(x < 0.0, x * y, x)


BINARY["pow"] = inline(lambda x, y: power.pow(x, y))
BINARY["min"] = inline(lambda x, y: minimum(x, y))
BINARY["max"] = inline(lambda x, y: maximum(x, y))

_FMOD_SCALE = constant(2.0**126, 2.0**1022)
_FMOD_UNSCALE = constant(2.0**-126, 2.0**-1022)


def _fmod_of(steps: int) -> Any:
    """x modulo y with the sign of x, exact, by long division: a step takes 24 (53) bits off the quotient.

    `steps` is what the largest quotient of two normal numbers needs; all are done, whatever the operands.
    """

    def fmod(x, y):
        b = absolute(y)
        scaled = b * _FMOD_SCALE(y)
        r = x
        for _ in range(steps):
            divisor = select(absolute(r) * _FMOD_UNSCALE(r) > b, scaled, b)
            r = fma(-trunc(r / divisor), divisor, r)
        crossed = ((r < 0.0) ^ (x < 0.0)) & (r != 0.0)
        r = copysign(select(crossed, r + copysign(b, x), r), x)
        return select((b == float("inf")) & (absolute(x) < float("inf")), x, r)

    return fmod


_fmod = by_type(_fmod_of(14), _fmod_of(42))


@_binary
def fmod(x, y):
    """x modulo y, with the sign of x (C's fmod)."""
    return _fmod(x, y)


@_binary
def mod(x, y):
    """x modulo y, with the sign of y (Python's %)."""
    r = _fmod(x, y)
    nonzero = r != 0.0
    r = select(((r < 0.0) ^ (y < 0.0)) & nonzero, r + y, r)
    return select(nonzero, r, copysign(0.0, y))


@_compare
def equal(x, y):
    """x == y; false for NaN."""
    return x == y


@_compare
def less(x, y):
    """x < y."""
    return x < y


@_compare
def less_or_equal(x, y):
    """x <= y."""
    return x <= y


@_compare
def greater(x, y):
    """x > y."""
    return x > y


@_compare
def greater_or_equal(x, y):
    """x >= y."""
    return x >= y


@_ternary
def scale_shift(x, y, z):
    """x * y + z, rounded once."""
    return fma(x, y, z)
