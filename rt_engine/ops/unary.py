"""Functions of one element: https://onnx.ai/onnx/operators/ (Abs ... Tanh, and the activations)."""

from collections.abc import Sequence
from math import inf

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.elementwise import MAP
from rt_engine.ops.base import FLOATS, INTEGERS, NUMBERS, RT_DOMAIN, Elements, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import binary
from rt_engine.ops.moves import reshaped
from rt_engine.program.calls import Buffer

_PLAIN = (
    *("Sqrt", "Exp", "Log", "Sin", "Cos", "Erf", "Floor", "Ceil", "Round", "Reciprocal"),
    *("Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish"),
)
FUNCTIONS: dict[str, tuple[tuple[str, float], ...]] = {
    **dict.fromkeys(_PLAIN, ()),
    "LeakyRelu": (("alpha", 0.01),),
    "Elu": (("alpha", 1.0),),
    "Selu": (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": (("alpha", 1.0),),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
    "Swish": (("alpha", 1.0),),
}
"""ONNX operator -> its attributes with ONNX's defaults: the parameters of its kernel, which has its name in lower case."""
_SIGNED = {"Neg": "neg", "Abs": "abs", "Sign": "sign"}


def unary(build: Builder, name: str, x: Buffer, y: Buffer, parameters: Sequence[float] = ()) -> None:
    """Call a float kernel of one operand, in place where it can be."""
    if y.size:
        record = MAP(x=x, out=y, n=y.size, **dict(zip("pq", parameters, strict=False)))
        build.call(f"{name}_{SUFFIX[x.dtype]}", record, inplace=("x",))


@operator(*FUNCTIONS, since=1, elements=Elements.ONE)
def function(node: Node, build: Builder) -> None:
    """A function of one element, with its attributes."""
    node.require_type(node.x, FLOATS)
    parameters = [float(node.attr(name, default)) for name, default in FUNCTIONS[node.op_type]]
    unary(build, node.op_type.lower(), node.x, node.y, parameters)


def _same(node: object, inputs: Sequence[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(inputs[0].dtype, inputs[0].shape)]


@operator("GeluErf", "GeluTanh", "Mish", "Silu", "Swish", domain=RT_DOMAIN, since=1, infer=_same, elements=Elements.ONE)
def fused(node: Node, build: Builder) -> None:
    """Activations that `passes.patterns` found, or that an optimiser had fused."""
    names = {"GeluErf": "gelu", "GeluTanh": "gelu_tanh", "Mish": "mish", "Silu": "swish", "Swish": "swish"}
    name = names[node.op_type]
    parameters = (float(node.attr("alpha", 1.0)),) if name == "swish" else ()
    node.require_type(node.x, FLOATS)
    unary(build, name, node.x, node.y, parameters)


@operator("Gelu", since=20, elements=Elements.ONE)
def gelu(node: Node, build: Builder) -> None:
    """x * Phi(x), exact or by tanh."""
    node.require_type(node.x, FLOATS)
    unary(build, "gelu_tanh" if node.attr("approximate", "none") == "tanh" else "gelu", node.x, node.y)


@operator(*_SIGNED, since=6, elements=Elements.ONE)
def signed(node: Node, build: Builder) -> None:
    """Neg, Abs, Sign, also of integers."""
    name = _SIGNED[node.op_type]
    if node.x.dtype in FLOATS:
        unary(build, name, node.x, node.y)
        return
    node.require_type(node.x, NUMBERS)
    _integer(build, name, node.x, node.y)


def _integer(build: Builder, name: str, x: Buffer, y: Buffer) -> None:
    if y.size:
        build.call(f"{name}_int", MAP(x=x, out=y, n=y.size, type=CODE[x.dtype]), inplace=("x",))


@operator("Not", since=1, elements=Elements.ONE)
def not_(node: Node, build: Builder) -> None:
    """Logical not."""
    if node.y.size:
        build.call("not_bool", MAP(x=node.x, out=node.y, n=node.y.size), inplace=("x",))


@operator("BitwiseNot", since=18)
def bitwise_not(node: Node, build: Builder) -> None:
    """All bits flipped."""
    node.require_type(node.x, INTEGERS)
    _integer(build, "bit_not", node.x, node.y)


@operator("Relu", since=6, elements=Elements.ONE)
def relu(node: Node, build: Builder) -> None:
    """max(x, 0); NaN stays NaN."""
    if node.x.dtype in FLOATS:
        unary(build, "relu", node.x, node.y)
        return
    node.require_type(node.x, NUMBERS)
    binary(node, build, "max", node.x, build.constant(np.zeros((), node.x.dtype)), node.y)


@operator("Clip", since=6, elements=Elements.ONE)
def clip(node: Node, build: Builder) -> None:
    """Limit to [min, max]; limits are attributes (opset 6), constants, or computed."""
    x, y, low, high = node.x, node.y, node.optional(1), node.optional(2)
    node.require_type(x, NUMBERS)
    for limit in (low, high):
        node.require(limit is None or limit.size == 1, "a limit is not one number", "use Min and Max")
    known = all(limit is None or limit.value is not None for limit in (low, high))
    if x.dtype in FLOATS and known:
        bottom = float(low.value.item()) if low is not None and low.value is not None else float(node.attr("min", -inf))
        top = float(high.value.item()) if high is not None and high.value is not None else float(node.attr("max", inf))
        unary(build, "clip", x, y, (bottom, top))  # ONNX: where they cross, everything is max; so does the kernel
        return
    limits = [(name, reshaped(build, v, ())) for name, v in (("max", low), ("min", high)) if v is not None]
    for i, (name, limit) in enumerate(limits):
        out = y if i == len(limits) - 1 else build.temporary(x.dtype, x.shape)
        binary(node, build, name, x, limit, out)
        x = out
    if not limits:
        build.alias(y, x)
