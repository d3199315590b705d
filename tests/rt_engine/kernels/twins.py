"""NumPy twins of the element-wise kernels: slow, plain, in more precision than the kernel has.

Float twins work in `WIDE` of the kernel's type; the caller rounds. Integer and bool twins work in the type itself.
"""

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WIDE: dict[Any, Any] = {np.float32: np.float64, np.float64: np.longdouble}
SUFFIX: dict[Any, str] = {np.float32: "f32", np.float64: "f64"}


def erf(x: Array) -> Array:
    """Error function: libm's in float64; by a series of positive terms in more."""
    if x.dtype == np.float64:
        return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)
    a = np.minimum(np.abs(x), 6.5)
    term, total = a.copy(), a.copy()
    for k in range(1, 200):
        term = term * (2 * a * a) / (2 * k + 1)
        total = total + term
    return np.copysign(np.where(a == 6.5, 1, 2 / np.sqrt(_pi(x)) * np.exp(-a * a) * total), x)


def _pi(x: Array) -> Any:
    """Pi in the type of x."""
    return x.dtype.type(np.pi) + x.dtype.type(1.2246467991473532e-16)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)) + 0 * np.where(np.isnan(x), x, 0)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _hardswish(x: Array, p: Any, q: Any) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def _gelu_tanh(x: Array, p: Any, q: Any) -> Array:
    return x * sigmoid(2 * np.sqrt(2 / _pi(x)) * (x + x.dtype.type("0.044715") * x**3))


def _plain(function: Callable[[Array], Array]) -> Callable[[Array, Any, Any], Array]:
    return lambda x, p, q: function(x)


UNARY: dict[str, Callable[[Array, Any, Any], Array]] = {
    "neg": _plain(np.negative),
    "abs": _plain(np.abs),
    "sqrt": _plain(np.sqrt),
    "exp": _plain(np.exp),
    "log": _plain(np.log),
    "sin": _plain(np.sin),
    "cos": _plain(np.cos),
    "sign": _plain(np.sign),
    "relu": lambda x, p, q: np.maximum(x, 0),
    "sigmoid": _plain(sigmoid),
    "hardswish": _hardswish,
    "mish": lambda x, p, q: x * np.tanh(softplus(x)),
    "gelu": lambda x, p, q: x * (1 + erf(x / np.sqrt(x.dtype.type(2)))) / 2,
    "gelu_tanh": _gelu_tanh,
    "tanh": _plain(np.tanh),
    "softplus": _plain(softplus),
    "softsign": lambda x, p, q: x / (1 + np.abs(x)),
    "reciprocal": lambda x, p, q: 1 / x,
    "floor": _plain(np.floor),
    "ceil": _plain(np.ceil),
    "round": _plain(np.rint),
    "erf": _plain(erf),
    "leakyrelu": lambda x, p, q: np.where(x < 0, p * x, x),
    "elu": lambda x, p, q: np.where(x < 0, p * np.expm1(x), x),
    "selu": lambda x, p, q: q * np.where(x < 0, p * np.expm1(x), x),
    "celu": lambda x, p, q: np.where(x < 0, p * np.expm1(x / p), x),
    "swish": lambda x, p, q: x * sigmoid(p * x),
    "hardsigmoid": lambda x, p, q: np.clip(p * x + q, 0, 1),
    "clip": lambda x, p, q: np.clip(x, p, q),
}
"""Operation -> function of (x, first parameter, second parameter)."""

PARAMETERS = {"alpha": 0.75, "beta": 0.25, "gamma": 1.5, "low": -1.5, "high": 2.5}
"""What the tests give; exact in float32."""


def parameters(names: Collection[str]) -> tuple[float, ...]:
    """What the tests give for parameters of these names."""
    unknown = sorted(set(names) - set(PARAMETERS))
    assert not unknown, (
        f"tests/rt_engine/kernels/twins.py: PARAMETERS has no value for {', '.join(unknown)}; give it one"
    )
    return tuple(PARAMETERS[name] for name in names)


def _by_sign(x: Array, y: Array) -> Array:
    return np.where(x < 0, x * y, x)


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "min": np.minimum,
    "max": np.maximum,
    "prelu": _by_sign,
    "fmod": np.fmod,
    "mod": np.mod,
}
COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "equal": np.equal,
    "less": np.less,
    "less_or_equal": np.less_equal,
    "greater": np.greater,
    "greater_or_equal": np.greater_equal,
}
BOOL: dict[str, Callable[[Array, Array], Array]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "equal": np.equal,
}


def _div(x: Array, y: Array) -> Array:
    """Toward zero, in Python's own integers; 0 where y is 0."""
    return _each(lambda a, b: 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1), x, y)


def _fmod(x: Array, y: Array) -> Array:
    return _each(lambda a, b: 0 if b == 0 else abs(a) % abs(b) * (-1 if a < 0 else 1), x, y)


def _mod(x: Array, y: Array) -> Array:
    return _each(lambda a, b: 0 if b == 0 else a % b, x, y)


def _pow(x: Array, y: Array) -> Array:
    def power(a: int, b: int) -> int:
        if b < 0:
            return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)
        return pow(a, b, 1 << 64)

    return _each(power, x, y)


def _each(function: Callable[[int, int], int], x: Array, y: Array) -> Array:
    values = [function(int(a), int(b)) % (1 << 64) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    return np.array(values, np.uint64).astype(x.dtype).reshape(x.shape)


BINARY_INTEGER: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _div,
    "pow": _pow,
    "min": np.minimum,
    "max": np.maximum,
    "fmod": _fmod,
    "mod": _mod,
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "shift_left": lambda x, y: _each(lambda a, b: a << b if 0 <= b < 64 else 0, x, y),
    "shift_right": lambda x, y: _each(lambda a, b: a >> (b if 0 <= b < 64 else 64), x, y),
}
UNARY_INTEGER: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "bit_not": np.invert,
}


def flushed(x: Array) -> Array:
    """Denormals of a float array as zeros, as the executor sees them."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(np.zeros_like(x), x), x)


def ulps(got: Array, exact: Array, scale: Array | None = None) -> Array:
    """|got - exact| in units of the last place of `scale` (by default of `exact`), in got's type.

    Equal infinities, NaN for NaN and zero for what is below the smallest normal number count 0; any other disagreement
    about them counts inf.
    """
    limits = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        size = np.maximum(np.abs(exact if scale is None else scale), limits.tiny).astype(exact.dtype)
        size = np.where(np.isfinite(size), size, 1)
        unit = np.ldexp(np.ones((), exact.dtype), np.frexp(size)[1] - 1 - limits.nmant)
        distance = np.abs(got.astype(exact.dtype) - exact) / unit
        same = (got == rounded) & ~np.isfinite(rounded) | (np.isnan(got) & np.isnan(rounded))
        tiny = limits.tiny * (1 + 4 * limits.eps)
        zero = (np.abs(exact) < tiny) & (np.abs(got) < tiny)
    return np.where(same | zero, 0, np.where(np.isnan(distance), np.inf, distance)).astype(np.float64)
