"""Circular and hyperbolic functions, and what is decided by a comparison.

https://onnx.ai/onnx/operators/ : Tan, Asin, Acos, Atan, Sinh, Cosh, Asinh, Acosh, Atanh, IsNaN, IsInf, ThresholdedRelu, Shrink
"""

import numpy as np

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.elementwise import MAP
from rt_engine.kernels.interface.inverse import CIRCULAR
from rt_engine.kernels.interface.modes import Circular
from rt_engine.ops.base import BOOL, FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer


@operator(*(f.name.capitalize() for f in Circular), since=7)
def circular(node: Node, build: Builder) -> None:
    """A function of one element."""
    x = node.x
    node.require_type(x, FLOATS)
    if x.size:
        record = CIRCULAR(x=x, out=node.y, n=x.size, function=Circular[node.op_type.upper()])
        build.call(f"circular_{SUFFIX[x.dtype]}", record, inplace=("x",))


def _number(build: Builder, value: float, like: Buffer) -> Buffer:
    return build.constant(np.array(value, like.dtype))


def _mask(build: Builder, comparison: str, a: Buffer, b: Buffer) -> Buffer:
    mask = build.temporary(BOOL, a.shape)
    broadcast(build, f"{comparison}_{SUFFIX[a.dtype]}", (a, b), mask)
    return mask


@operator("IsNaN", since=9)
def is_nan(node: Node, build: Builder) -> None:
    """True where the element is no number: it does not equal itself."""
    node.require_type(node.x, FLOATS)
    if node.y.size:
        same = _mask(build, "equal", node.x, node.x)
        build.call("not_bool", MAP(x=same, out=node.y, n=node.y.size), inplace=("x",))


@operator("IsInf", since=10)
def is_inf(node: Node, build: Builder) -> None:
    """True where the element is infinite, of the signs that are asked for."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    positive, negative = node.attr("detect_positive", 1), node.attr("detect_negative", 1)
    if not y.size:
        return
    if not positive and not negative:
        build.copy(y, build.constant(np.zeros(y.shape, BOOL)))
        return
    if positive and negative:
        magnitude = build.temporary(x.dtype, x.shape)
        unary(build, "abs", x, magnitude)
        x = magnitude
    limit = _number(build, np.inf if positive else -np.inf, x)
    broadcast(build, f"equal_{SUFFIX[x.dtype]}", (x, limit), y)


# A definition by ONNX would need more passes over the data; before opset 18 there is none.


@operator("ThresholdedRelu", since=10)
def thresholded_relu(node: Node, build: Builder) -> None:
    """x above alpha, else 0."""
    x = node.x
    node.require_type(x, FLOATS)
    above = _mask(build, "greater", x, _number(build, node.attr("alpha", 1.0), x))
    broadcast(build, f"where_{x.dtype.itemsize}", (above, x, _number(build, 0.0, x)), node.y)


@operator("Shrink", since=9)
def shrink(node: Node, build: Builder) -> None:
    """x moved by `bias` toward zero where it is beyond `lambd`, else 0."""
    x, bias, limit = node.x, float(node.attr("bias", 0.0)), float(node.attr("lambd", 0.5))
    node.require_type(x, FLOATS)
    suffix, where = SUFFIX[x.dtype], f"where_{x.dtype.itemsize}"
    result = _number(build, 0.0, x)
    for comparison, edge, move in (("greater", limit, -bias), ("less", -limit, bias)):
        moved = build.temporary(x.dtype, x.shape)
        chosen = node.y if comparison == "less" else build.temporary(x.dtype, x.shape)
        broadcast(build, f"add_{suffix}", (x, _number(build, move, x)), moved)
        broadcast(build, where, (_mask(build, comparison, x, _number(build, edge, x)), moved, result), chosen)
        result = chosen
