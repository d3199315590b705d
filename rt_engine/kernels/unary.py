"""Functions of one float tensor, element by element: `<function>_<type>`.

The record is `interface.elementwise.MAP`; the parameters in it are in the order of the function's signature.

A function takes a vector, and returns one. NaN gives NaN in all of them. Where a formula multiplies an infinite x by a gate
that has become zero (swish, mish, gelu and hardswish at -inf), the result is NaN, as in PyTorch and ONNX Runtime.

The last vector reaches into the padding of the tensors, which every tensor has up to a multiple of 64 bytes. The output may be
the input.
"""

from collections.abc import Callable
from typing import Any

from rt_engine.kernels.interface.elementwise import MAP
from rt_engine.kernels.parts import elementary, trigonometry
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.elementary import at_least, at_most
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline
from rt_native.vector import BYTES, absolute, ceil, floor, fma, round_even, select, sqrt

PARAMETERS: dict[str, tuple[str, ...]] = {}
"""Function -> its parameters."""


def _make(name: str, of: Element, function: Any) -> None:
    load, store, nbytes = of.load_vector, of.store_vector, of.nbytes

    @kernel(f"{name}_{of.suffix}", MAP)
    def body(record):
        x, out, p, q = record.x, record.out, record.p, record.q
        for i in range(0, record.n * nbytes, BYTES):
            store(out + i, function(load(x + i), p, q))
        return 0


def _kernels(name: str, function: Any, parameters: tuple[str, ...] = ()) -> None:
    """The kernels of a function, for every float type."""
    PARAMETERS[name] = parameters
    forms: tuple[Callable[..., Any], ...] = (
        lambda x, p, q: function(x),
        lambda x, p, q: function(x, p),
        lambda x, p, q: function(x, p, q),
    )
    for of in (F32, F64):
        _make(name, of, inline(forms[len(parameters)]))


def _function(function: Callable[..., Any]) -> None:
    code = function.__code__
    _kernels(function.__name__, inline(function), code.co_varnames[1 : code.co_argcount])


for _name, _existing in {
    **{name: getattr(elementary, name) for name in ("exp", "log", "tanh", "sigmoid", "softplus", "erf")},
    **{"sin": trigonometry.sin, "cos": trigonometry.cos, "sqrt": sqrt, "abs": absolute},
    **{"floor": floor, "ceil": ceil, "round": round_even},
}.items():
    _kernels(_name, _existing)


@_function
def neg(x):
    """-x."""
    return -x


@_function
def sign(x):
    """-1, 0 or 1."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, select(x == 0.0, 0.0, x)))


@_function
def reciprocal(x):
    """1 / x."""
    return 1.0 / x


@_function
def clip(x, low, high):
    """low <= x <= high."""
    return at_most(at_least(x, low), high)


@_function
def relu(x):
    """max(x, 0)."""
    return at_least(x, 0.0)


@_function
def leakyrelu(x, alpha):
    """x, times alpha below zero."""
    return select(x < 0.0, x * alpha, x)


@_function
def elu(x, alpha):
    """x, or alpha * (exp(x) - 1) below zero."""
    return select(x < 0.0, alpha * elementary.expm1(at_most(x, 0.0)), x)


@_function
def selu(x, alpha, gamma):
    """gamma * elu(x, alpha)."""
    return gamma * select(x < 0.0, alpha * elementary.expm1(at_most(x, 0.0)), x)


@_function
def celu(x, alpha):
    """x, or alpha * (exp(x / alpha) - 1) below zero."""
    return select(x < 0.0, alpha * elementary.expm1(at_most(x / alpha, 88.0)), x)


@_function
def hardsigmoid(x, alpha, beta):
    """alpha * x + beta, between 0 and 1."""
    return at_most(at_least(fma(x, alpha, beta), 0.0), 1.0)


@_function
def hardswish(x):
    """x * hardsigmoid(x, 1/6, 1/2)."""
    return x * at_most(at_least(fma(x, 1.0 / 6.0, 0.5), 0.0), 1.0)


@_function
def swish(x, alpha):
    """x * sigmoid(alpha * x); SiLU when alpha is 1."""
    return x * elementary.sigmoid(x * alpha)


@_function
def mish(x):
    """x * tanh(softplus(x)) = x * n / (n + 2) with n = exp(x)**2 + 2 exp(x)."""
    e = elementary.exp(at_most(x, 20.0))
    n = e * (e + 2.0)
    return select(x > 20.0, x, x * (n / (n + 2.0)))


@_function
def gelu(x):
    """x * (1 + erf(x / sqrt(2))) / 2."""
    half = x * 0.5
    return fma(half, elementary.erf(x * 0.7071067811865476), half)


@_function
def gelu_tanh(x):
    """x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3))) / 2 = x * sigmoid(2 sqrt(2/pi) * ...)."""
    inner = fma(x * x, 0.07135481627260025, 1.5957691216057308)
    return x * elementary.sigmoid(x * inner)


@_function
def softsign(x):
    """x / (1 + |x|)."""
    return x / (absolute(x) + 1.0)
