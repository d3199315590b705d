"""What element-wise kernels of several operands compute: one small function of vectors per operation, for every float type."""

from collections.abc import Callable
from typing import Any

from rt_engine.kernels.parts import power
from rt_engine.kernels.parts.approximation import by_type, constant
from rt_native.lang import inline
from rt_native.vector import absolute, copysign, fma, fma_once, maximum, minimum, select, trunc

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


_binary, _compare, _ternary = (_into(table) for table in (BINARY, COMPARE, TERNARY))


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
            r = fma_once(-trunc(r / divisor), divisor, r)
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
