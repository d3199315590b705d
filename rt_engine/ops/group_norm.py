"""InstanceNormalization, GroupNormalization, MeanVarianceNormalization, LpNormalization: https://onnx.ai/onnx/operators/"""

from math import prod
from typing import Any

import numpy as np

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.group_norm import GROUP_NORM
from rt_engine.ops.base import FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import broadcast_to, reshaped
from rt_engine.ops.reduce import grouped, reduced
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer


def normalised(
    build: Builder, x: Buffer, scale: Buffer, bias: Buffer, out: Buffer, groups: int, sizes: tuple[int, int], eps: float
) -> None:
    """Scale groups of (channels, elements) by their own statistics; `groups` of one item, one scale per channel."""
    channels, elements = sizes
    if x.size % (groups * channels * elements or 1) or min(scale.size, bias.size) < groups * channels:
        raise ValueError(f"{groups} groups of {channels} channels do not fit {list(x.shape)} and {scale.size} scales")
    if x.size:
        record = GROUP_NORM(
            x=x, scale=scale, bias=bias, out=out, n=x.size // (channels * elements), groups=groups, channels=channels,
            elements=elements, epsilon=eps,
        )  # fmt: skip
        build.call(f"group_norm_{SUFFIX[x.dtype]}", record, inplace=("x",))


def like_first(node: object, inputs: list[Buffer]) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    """Type and shape of the first input; ONNX infers some of these operators only by expanding them."""
    return [(inputs[0].dtype, inputs[0].shape)]


@operator("InstanceNormalization", since=6)
def instance_normalization(node: Node, build: Builder) -> None:
    """Every channel of every item by its own mean and deviation, then a scale and a bias per channel."""
    x = node.x
    node.require_type(x, FLOATS)
    node.require(len(x.shape) > 1, "its input has no channels", "correct the shape")
    sizes = (1, prod(x.shape[2:]))
    normalised(build, x, node.input(1), node.input(2), node.y, x.shape[1], sizes, float(node.attr("epsilon", 1e-5)))


@operator("GroupNormalization", since=18, infer=like_first)
def group_normalization(node: Node, build: Builder) -> None:
    """Groups of channels; from opset 21 on scale and bias are per channel, before that per group."""
    x = node.x
    node.require_type(x, FLOATS)
    groups, channels = int(node.attr("num_groups")), x.shape[1]
    node.require(
        groups > 0 and channels % groups == 0, f"{channels} channels are not {groups} equal groups", "correct it"
    )
    each = channels // groups
    scale, bias = node.input(1), node.input(2)
    if node.version < 21:
        scale, bias = (
            reshaped(build, broadcast_to(build, reshaped(build, v, (groups, 1)), (groups, each)), (channels,))
            for v in (scale, bias)
        )
    sizes = (each, prod(x.shape[2:]))
    normalised(build, x, scale, bias, node.y, groups, sizes, float(node.attr("epsilon", 1e-5)))


@operator("MeanVarianceNormalization", since=9, infer=like_first)
def mean_variance_normalization(node: Node, build: Builder) -> None:
    """(x - mean) / (deviation + 1e-9), over all axes but the channels by default."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    rank = len(x.shape)
    axes = sorted({a % rank for a in node.attr("axes", [0, 2, 3])})
    suffix = SUFFIX[x.dtype]
    kept = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    mean, square = build.temporary(x.dtype, kept), build.temporary(x.dtype, kept)
    _reduce(build, "mean", x, axes, mean)
    centred, squares = build.temporary(x.dtype, x.shape), build.temporary(x.dtype, x.shape)
    broadcast(build, f"sub_{suffix}", (x, mean), centred)
    broadcast(build, f"mul_{suffix}", (centred, centred), squares)
    _reduce(build, "mean", squares, axes, square)
    deviation, safe = build.temporary(x.dtype, kept), build.temporary(x.dtype, kept)
    unary(build, "sqrt", square, deviation)
    broadcast(build, f"add_{suffix}", (deviation, build.constant(np.full((), 1e-9, x.dtype))), safe)
    broadcast(build, f"div_{suffix}", (centred, safe), y)


def _reduce(build: Builder, name: str, x: Buffer, axes: list[int], out: Buffer) -> None:
    source, *sizes = grouped(build, x, axes)
    reduced(build, name, source, out, (sizes[0], sizes[1], sizes[2]))


@operator("LpNormalization", since=1)
def lp_normalization(node: Node, build: Builder) -> None:
    """x / its norm along one axis; 0 where the norm is 0."""
    x, y, p = node.x, node.y, node.attr("p", 2)
    node.require_type(x, FLOATS)
    node.require(p in (1, 2), f"p = {p}", "p is 1 or 2")
    rank = len(x.shape)
    axis = node.attr("axis", -1)
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    if not x.size:
        return
    axis %= rank
    suffix = SUFFIX[x.dtype]
    norm = build.temporary(x.dtype, tuple(1 if a == axis else size for a, size in enumerate(x.shape)))
    _reduce(build, f"l{p}", x, [axis], norm)
    zero, one = build.constant(np.zeros((), x.dtype)), build.constant(np.ones((), x.dtype))
    empty = build.temporary(np.bool_, norm.shape)
    broadcast(build, f"equal_{suffix}", (norm, zero), empty)
    safe = build.temporary(x.dtype, norm.shape)
    broadcast(build, f"where_{x.dtype.itemsize}", (empty, one, norm), safe)  # where the norm is 0, every x is 0
    broadcast(build, f"div_{suffix}", (x, safe), y)


@operator("GlobalLpPool", since=2)
def global_lp_pool(node: Node, build: Builder) -> None:
    """The norm over all spatial axes."""
    x, y, p = node.x, node.y, int(node.attr("p", 2))
    node.require_type(x, FLOATS)
    node.require(p > 0, f"p = {p}", "p is at least 1")
    axes = list(range(2, len(x.shape)))
    if p in (1, 2):
        _reduce(build, f"l{p}", x, axes, y)
        return
    total = build.temporary(x.dtype, y.shape)
    _reduce(build, "sum", magnitude_power(build, x, p), axes, total)
    root(build, total, p, y)


def magnitude_power(build: Builder, x: Buffer, p: int) -> Buffer:
    """|x| ** p."""
    out, suffix = build.temporary(x.dtype, x.shape), SUFFIX[x.dtype]
    if p == 2:
        broadcast(build, f"mul_{suffix}", (x, x), out)
        return out
    unary(build, "abs", x, out)
    if p == 1:
        return out
    raised = build.temporary(x.dtype, x.shape)
    broadcast(build, f"pow_{suffix}", (out, build.constant(np.full((), p, x.dtype))), raised)
    return raised


def root(build: Builder, x: Buffer, p: int, out: Buffer) -> None:
    """x ** (1 / p), of what is not negative."""
    suffix = SUFFIX[x.dtype]
    if p == 1:
        build.alias(out, x)
    elif p == 2:
        unary(build, "sqrt", x, out)
    else:
        broadcast(build, f"pow_{suffix}", (x, build.constant(np.full((), 1.0 / p, x.dtype))), out)
