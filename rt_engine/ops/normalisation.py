"""Softmax, LogSoftmax, LayerNormalization, BatchNormalization: https://onnx.ai/onnx/operators/"""

from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.normalise import LAYER_NORM, SOFTMAX
from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import broadcast_to, reshaped, transposed
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer


@operator("Softmax", "LogSoftmax", since=13)
def softmax(node: Node, build: Builder) -> None:
    """Along one axis, the last by default."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    kernel = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.op_type] + f"_{SUFFIX[x.dtype]}"
    axis, rank = node.attr("axis", -1), len(x.shape)
    if y.size == 0:
        return
    axis %= max(rank, 1)
    length = x.shape[axis] if rank else 1
    if prod(x.shape[axis + 1 :]) == 1:
        build.call(kernel, SOFTMAX(x=x, out=y, rows=x.size // length, n=length), inplace=("x",))
        return
    perm = [*(a for a in range(rank) if a != axis), axis]
    last = transposed(build, x, perm)
    result = build.temporary(x.dtype, last.shape)
    build.call(kernel, SOFTMAX(x=last, out=result, rows=x.size // length, n=length), inplace=("x",))
    transposed(build, result, [perm.index(a) for a in range(rank)], y)


@operator("Softmax", "LogSoftmax", since=1)
def softmax_of_matrix(node: Node, build: Builder) -> None:
    """Before opset 13: the tensor is seen as a matrix, split at the axis (1 by default)."""
    node.require_type(node.x, FLOATS)
    kernel = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.op_type] + f"_{SUFFIX[node.x.dtype]}"
    axis, rank = node.attr("axis", 1), len(node.x.shape)
    node.require(-rank <= axis < max(rank, 1), f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    length = prod(node.x.shape[axis:] if axis >= 0 else node.x.shape[len(node.x.shape) + axis :])
    if node.y.size:
        build.call(kernel, SOFTMAX(x=node.x, out=node.y, rows=node.x.size // length, n=length), inplace=("x",))


@operator("RMSNormalization", since=23)
@operator("LayerNormalization", since=17)
@operator(
    "LayerNormalization", "RMSNormalization", domain=RT_DOMAIN, since=1, infer=lambda n, x: _normalised_types(n, x)
)
def layer_normalization(node: Node, build: Builder) -> None:
    """Over the last axes, with scale and bias; mean and inverse deviation where they are wanted.

    RMSNormalization divides by the root of the mean of the squares, and has no bias.
    """
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    axis, rank = node.attr("axis", -1), len(x.shape)
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    row = x.shape[axis % rank :]
    length = prod(row)
    if not x.size:
        return
    scale = _row(build, node.input(1), row)
    bias = node.optional(2)
    shift = build.constant(np.zeros(length, x.dtype)) if bias is None else _row(build, bias, row)
    mean, deviation = (node.outputs[i] if len(node.outputs) > i else None for i in (1, 2))
    statistics = next((o.dtype for o in (mean, deviation) if o is not None), np.dtype(np.float32))
    record = LAYER_NORM(
        x=x, scale=scale, bias=shift, out=y, mean=mean, deviation=deviation, rows=x.size // length, n=length,
        statistics=CODE[statistics], about_zero=node.op_type == "RMSNormalization", epsilon=node.attr("epsilon", 1e-5),
    )  # fmt: skip
    build.call(f"layer_norm_{SUFFIX[x.dtype]}", record, inplace=("x",))


def _row(build: Builder, x: Buffer, row: tuple[int, ...]) -> Buffer:
    """A scale or bias as one row; it broadcasts to the normalised axes."""
    return reshaped(build, broadcast_to(build, x, row), (prod(row),))


@operator("BatchNormalization", since=1)
def batch_normalization(node: Node, build: Builder) -> None:
    """Inference only: one scale and one shift per channel, computed in float64 when the model is loaded if they are known."""
    x = node.x
    node.require_type(x, FLOATS)
    node.require(
        not node.attr("training_mode", 0), "training mode is not supported", "export the model in evaluation mode"
    )
    node.require(bool(node.attr("spatial", 1)), "spatial = 0 is not supported", "export it for opset 9 or newer")
    node.require(len(x.shape) > 1, f"its input has {len(x.shape)} axes, none of channels", "export it again")
    statistics = [node.input(i) for i in range(1, 5)]
    node.require(
        all(v.shape == x.shape[1:2] for v in statistics),
        f"its statistics have the shapes {[list(v.shape) for v in statistics]} for {x.shape[1]} channels",
        "export it again",
    )
    epsilon = float(node.attr("epsilon", 1e-5))
    shape = (-1, *(1,) * (len(x.shape) - 2))
    if all(v.value is not None for v in statistics):
        scale, shift, mean, variance = (np.asarray(v.value, np.float64) for v in statistics)
        factor = scale / np.sqrt(variance + epsilon)
        terms = [build.constant(v.astype(x.dtype).reshape(shape)) for v in (factor, shift - mean * factor)]
    else:
        terms = [
            reshaped(build, v, (v.size, *shape[1:])) for v in _factor_and_shift(build, statistics, epsilon, x.dtype)
        ]
    broadcast(build, f"scale_shift_{SUFFIX[x.dtype]}", (x, *terms), node.y)


def _factor_and_shift(
    build: Builder, statistics: list[Buffer], epsilon: float, dtype: np.dtype
) -> tuple[Buffer, Buffer]:
    """scale / sqrt(variance + epsilon), and shift - mean * that, at run time."""
    scale, shift, mean, variance = (converted(build, v, dtype) for v in statistics)
    suffix, row = SUFFIX[dtype], scale.shape
    factor, moved = (build.temporary(dtype, row) for _ in range(2))
    broadcast(build, f"add_{suffix}", (variance, build.constant(np.full((), epsilon, dtype))), factor)
    unary(build, "sqrt", factor, factor)
    broadcast(build, f"div_{suffix}", (scale, factor), factor)
    broadcast(build, f"mul_{suffix}", (mean, factor), moved)
    broadcast(build, f"sub_{suffix}", (shift, moved), moved)
    return factor, moved


def _normalised_types(node: ir.Node, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    """Of the result, the mean and the inverse deviation."""
    shape, rank = inputs[0].shape, len(inputs[0].shape)
    axis = node.attributes.get_int("axis", -1) % max(rank, 1)
    one = np.dtype(np.float32), (*shape[:axis], *(1,) * (rank - axis))
    return [(inputs[0].dtype, shape), one, one]


def _same_types(node: object, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(inputs[0].dtype, inputs[0].shape)]


@operator("ScaleShift", domain=RT_DOMAIN, since=1, infer=_same_types)
def scale_shift(node: Node, build: Builder) -> None:
    """x * scale + shift, rounded once; both broadcast to x. What `passes.layout` makes of a BatchNormalization."""
    operands = (node.x, node.input(1), node.input(2))
    broadcast(build, f"scale_shift_{SUFFIX[node.x.dtype]}", operands, node.y)
