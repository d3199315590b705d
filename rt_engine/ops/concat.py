"""Concat, Split: https://onnx.ai/onnx/operators/onnx__Concat.html, https://onnx.ai/onnx/operators/onnx__Split.html"""

from math import prod

from rt_engine.kernels.interface.movement import COPY_BLOCKS
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.program.calls import Buffer


def _blocks(build: Builder, source: Buffer, target: Buffer, outer: int, layout: tuple[int, int, int, int, int]) -> None:
    """Copy `outer` blocks; layout: block, source stride, target stride, source first, target first (in bytes)."""
    block, strides, firsts = layout[0], layout[1:3], layout[3:]
    for tensor, stride, first in zip((source, target), strides, firsts, strict=True):
        if block < 0 or (outer and first + (outer - 1) * stride + block > tensor.nbytes):
            raise ValueError(f"its parts do not add up to shape {list((target if tensor is target else source).shape)}")
    if outer and block:
        record = COPY_BLOCKS(
            x=source, out=target, count=outer, nbytes=block, x_stride=strides[0], out_stride=strides[1],
            x_first=firsts[0], out_first=firsts[1],
        )  # fmt: skip
        build.call("copy_blocks", record, elements=2 * outer * block // source.dtype.itemsize)


@operator("Concat", since=4, any_type=True)
def concat(node: Node, build: Builder) -> None:
    """Inputs side by side along one axis."""
    axis = node.attr("axis", 0) % len(node.y.shape)
    outer, item = prod(node.y.shape[:axis]), node.y.dtype.itemsize
    whole = prod(node.y.shape[axis:]) * item
    done = 0
    for x in node.inputs:
        assert x is not None  # ONNX's checker sees to it
        block = prod(x.shape[axis:]) * item
        _blocks(build, x, node.y, outer, (block, block, whole, 0, done))
        done += block


@operator("Split", since=2, any_type=True)
def split(node: Node, build: Builder) -> None:
    """Parts of one axis; ONNX's inference has worked out their sizes."""
    x = node.x
    axis = node.attr("axis", 0) % len(x.shape)
    outer, item = prod(x.shape[:axis]), x.dtype.itemsize
    whole = prod(x.shape[axis:]) * item
    done = 0
    for y in node.outputs:
        assert y is not None
        block = prod(y.shape[axis:]) * item
        _blocks(build, x, y, outer, (block, whole, block, done, 0))
        done += block
