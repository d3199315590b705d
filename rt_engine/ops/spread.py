"""rt_engine:SpreadLast: the phases of a transposed convolution put side by side, channels last.

A transposed convolution with stride s is a plain one for each of the s phases of its output: output o = s * q + r - first
depends on the inputs around q alone, with the weights of phase r. `passes.transposed` makes one convolution of all
phases, whose output [N, q..., group, phase..., channel] this operator moves to [N, o..., group, channel].
"""

from itertools import product as combinations
from math import prod
from typing import Any, NamedTuple

import onnx_ir as ir

from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import strided_copy
from rt_engine.program.calls import Buffer


def _spread_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    out, strides = node.attributes["out"].as_ints(), node.attributes["strides"].as_ints()
    return [(inputs[0].dtype, (inputs[0].shape[0], *out, inputs[0].shape[-1] // prod(strides)))]


@operator("SpreadLast", domain=RT_DOMAIN, since=1, infer=_spread_types, any_type=True)
def spread_last(node: Node, build: Builder) -> None:
    """Pure movement; attributes strides, first, out (one number per spatial axis) and group."""
    x, y = node.x, node.y
    strides, first, group = node.attr("strides"), node.attr("first"), node.attr("group", 1)
    rank, channels = len(strides), y.shape[-1] // group
    split = (x.shape[0], *x.shape[1:-1], group, *strides, channels)
    from_strides = contiguous(split)
    to_strides = contiguous((y.shape[0], *y.shape[1:-1], group, channels))
    axes = [
        Phases(y.shape[1 + a], strides[a], first[a], from_strides[1 + a], from_strides[2 + rank + a], to_strides[1 + a])
        for a in range(rank)
    ]
    images = [(x.shape[0], from_strides[0], to_strides[0])]
    put_phases(build, x, y, images, axes, [(group, from_strides[1 + rank], to_strides[1 + rank]), (channels, 1, 1)])


class Phases(NamedTuple):
    """One axis whose phases are apart: output o = stride * q + r - first; strides of x along q and r, and of y, in elements."""

    out: int
    stride: int
    first: int
    from_q: int
    from_r: int
    to: int


def put_phases(
    build: Builder, x: Buffer, y: Buffer, before: list[tuple[int, int, int]], axes: list[Phases],
    behind: list[tuple[int, int, int]],
) -> None:  # fmt: skip
    """Move all phases side by side; around the axes lie others, of each of which size, stride in x and stride in y are given."""
    for piece in combinations(*(_pieces(axis.out, axis.stride, axis.first) for axis in axes)):
        steps, start, to = list(before), 0, 0
        for axis, (at, q, q_count, r, r_count) in zip(axes, piece, strict=True):
            steps += [(q_count, axis.from_q, axis.stride * axis.to), (r_count, axis.from_r, axis.to)]
            start += q * axis.from_q + r * axis.from_r
            to += at * axis.to
        shape, source, target = zip(*steps, *behind, strict=True)
        strided_copy(build, x, y, shape, source, target, start, to)


def _pieces(out: int, stride: int, first: int) -> list[tuple[int, int, int, int, int]]:
    """(output, q, how many, phase, how many) of blocks that cover 0 .. out - 1, with output o = stride * q + r - first."""
    found, begin, end = [], first, first + out
    if begin % stride:
        stop = min(end, -(-begin // stride) * stride)
        found.append((0, begin // stride, 1, begin % stride, stop - begin))
        begin = stop
    whole = (end - begin) // stride
    if whole:
        found.append((begin - first, begin // stride, whole, 0, stride))
        begin += whole * stride
    if begin < end:
        found.append((begin - first, begin // stride, 1, 0, end - begin))
    return found
