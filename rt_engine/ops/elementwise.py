"""Arithmetic, comparisons and selection, element by element, with ONNX's (NumPy's) broadcasting.

https://onnx.ai/onnx/operators/ : Add, Sub, Mul, Div, Pow, Mod, Min, Max, Sum, Mean, PRelu, And, Or, Xor, Not, Equal, Less, ..., Where
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.elementwise import BROADCAST
from rt_engine.ops.base import BOOL, FLOATS, INTEGERS, NUMBERS, Elements, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.moves import reshaped, rows_and_inner
from rt_engine.program.calls import Buffer

_ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "PRelu": "prelu"}
_COMPARE = {
    "Equal": "equal",
    "Less": "less",
    "LessOrEqual": "less_or_equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
}
_LATE = ("LessOrEqual", "GreaterOrEqual")
_LOGIC = {"And": "and", "Or": "or", "Xor": "xor"}
_BITS = {"BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor"}


def broadcast(build: Builder, kernel: str, operands: Sequence[Buffer], out: Buffer, code: int | None = None) -> None:
    """Call an elementwise kernel on operands that broadcast to `out`; it may work in place.

    Raises:
        ValueError: they do not broadcast to the shape of `out`.
    """
    shapes = [o.shape for o in operands]
    if np.broadcast_shapes(out.shape, *shapes) != out.shape:
        raise ValueError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast to {list(out.shape)}")
    if out.size == 0:
        return
    rows, n, operands, strides = rows_and_inner(operands, out.shape, build)
    values: dict[str, Any] = {"out": out, "rows": rows, "n": n, "type": code}
    whole = []
    for name, x, (row, inner) in zip("xyz", operands, strides, strict=False):
        values |= {name: x, f"{name}_row": row, f"{name}_inner": inner}
        if x.size == out.size and x.dtype.itemsize == out.dtype.itemsize:
            whole.append(name)
    build.call(kernel, BROADCAST(**values), inplace=whole)


def binary(node: Node, build: Builder, name: str, a: Buffer, b: Buffer, out: Buffer) -> None:
    """A kernel of two operands, chosen by their type."""
    if a.dtype in FLOATS:
        broadcast(build, f"{name}_{SUFFIX[a.dtype]}", (a, b), out)
    elif a.dtype == BOOL:
        broadcast(build, f"{name}_bool", (a, b), out)
    else:
        node.require_type(a, NUMBERS)
        broadcast(build, f"{name}_int", (a, b), out, CODE[a.dtype])


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(a, b) == to
    except ValueError:
        return False


def _bool_of_both(node: object, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    if inputs[0].dtype != inputs[1].dtype:
        raise ValueError(f"the operands have two types, {inputs[0].dtype} and {inputs[1].dtype}")
    return [(BOOL, np.broadcast_shapes(inputs[0].shape, inputs[1].shape))]


@operator(*_ARITHMETIC, since=7, elements=Elements.SEVERAL)
def arithmetic(node: Node, build: Builder) -> None:
    """Two operands of one type; integers wrap around, an integer division by zero is a run-time status."""
    node.require_type(node.x, FLOATS if node.op_type == "PRelu" else NUMBERS)
    a, b = node.x.shape, node.input(1).shape
    node.require(
        _broadcasts(a, b, node.y.shape), f"shapes {list(a)} and {list(b)} do not broadcast to {list(node.y.shape)}"
    )
    binary(node, build, _ARITHMETIC[node.op_type], node.x, node.input(1), node.y)


@operator("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "And", "Or", "Xor", "Equal", "Less", "Greater", since=1)
def limited_broadcast(node: Node, build: Builder) -> None:
    """Before opset 7: with `broadcast`, the axes of the second operand stand at `axis` of the first; PRelu: at axis 1."""
    x, other = node.x, node.input(1)
    node.require_type(x, (*NUMBERS, BOOL))
    if node.op_type == "PRelu":
        axis = 1 if other.size > 1 else len(x.shape) - len(other.shape)
    else:
        axis = node.attr("axis", len(x.shape) - len(other.shape))
        node.require(bool(node.attr("broadcast", 0)) or other.shape == x.shape, "the shapes differ, without broadcast")
    behind = len(x.shape) - axis - len(other.shape)
    node.require(behind >= 0, f"axis {axis} does not fit the shapes", "correct the axis")
    other = reshaped(build, other, (*other.shape, *(1,) * behind))
    name = {**_ARITHMETIC, **_COMPARE, **_LOGIC, "Pow": "pow"}[node.op_type]
    binary(node, build, name, x, other, node.y)


@operator("Pow", since=7, elements=Elements.SEVERAL)
def power(node: Node, build: Builder) -> None:
    """x ** y; the result has the type of x. Squares and roots by their own kernels."""
    x, exponent = node.x, node.input(1)
    node.require_type(x, (*FLOATS, np.dtype(np.int32), np.dtype(np.int64)))
    value = exponent.value
    if x.dtype in FLOATS and value is not None and value.size == 1 and value.item() == 2.0:
        binary(node, build, "mul", x, x, node.y)
        return
    if x.dtype not in FLOATS and exponent.dtype in FLOATS:  # int ** 0.5 is computed in float64
        wide = build.temporary(np.float64, node.y.shape)
        binary(node, build, "pow", converted(build, x, np.float64), converted(build, exponent, np.float64), wide)
        converted(build, wide, x.dtype, node.y)
        return
    binary(node, build, "pow", x, converted(build, exponent, x.dtype), node.y)


@operator("Mod", since=10)
def mod(node: Node, build: Builder) -> None:
    """Remainder: the sign of the divisor, or with fmod = 1 of the dividend."""
    node.require_type(node.x, NUMBERS)
    binary(node, build, "fmod" if node.attr("fmod", 0) else "mod", node.x, node.input(1), node.y)


@operator("Min", "Max", "Sum", "Mean", since=6, elements=Elements.SEVERAL)
def variadic(node: Node, build: Builder) -> None:
    """Any number of operands, folded from the left."""
    name = {"Min": "min", "Max": "max", "Sum": "add", "Mean": "add"}[node.op_type]
    operands = [node.input(i) for i in range(len(node.inputs))]
    node.require_type(node.x, NUMBERS)
    total = operands[0]
    for i, other in enumerate(operands[1:], 2):
        shape = np.broadcast_shapes(total.shape, other.shape)
        out = node.y if i == len(operands) and node.op_type != "Mean" else build.temporary(node.y.dtype, shape)
        binary(node, build, name, total, other, out)
        total = out
    if node.op_type == "Mean":
        binary(node, build, "div", total, build.constant(np.full((), len(operands), total.dtype)), node.y)
    elif len(operands) == 1:
        build.alias(node.y, total)


@operator(*_LATE, since=12, infer=_bool_of_both, elements=Elements.SEVERAL)  # ONNX has no inference for them before 16
@operator("Equal", "Less", "Greater", since=7, elements=Elements.SEVERAL)
@operator(*_LATE, since=16, elements=Elements.SEVERAL)
def compare(node: Node, build: Builder) -> None:
    """Two operands of one type give bool."""
    node.require(node.x.dtype != BOOL or node.op_type == "Equal", "bool has no order", "cast to int32")
    binary(node, build, _COMPARE[node.op_type], node.x, node.input(1), node.y)


@operator(*_LOGIC, since=7, elements=Elements.SEVERAL)
def logic(node: Node, build: Builder) -> None:
    """Two bool operands."""
    binary(node, build, _LOGIC[node.op_type], node.x, node.input(1), node.y)


@operator(*_BITS, since=18)
def bitwise(node: Node, build: Builder) -> None:
    """Two integer operands, bit by bit."""
    node.require_type(node.x, INTEGERS)
    binary(node, build, _BITS[node.op_type], node.x, node.input(1), node.y)


@operator("Where", since=9, any_type=True, elements=Elements.SEVERAL)
def where(node: Node, build: Builder) -> None:
    """Select between two tensors of one type by a bool tensor."""
    broadcast(build, f"where_{node.y.dtype.itemsize}", (node.x, node.input(1), node.input(2)), node.y)
