"""Transpose, Expand: https://onnx.ai/onnx/operators/onnx__Transpose.html, https://onnx.ai/onnx/operators/onnx__Expand.html"""

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import broadcast_to, transposed


@operator("Transpose", since=1, any_type=True)
def transpose(node: Node, build: Builder) -> None:
    """Axes in another order; by default reversed."""
    rank = len(node.x.shape)
    transposed(build, node.x, node.attr("perm", list(range(rank))[::-1]), node.y)


@operator("Expand", since=8, any_type=True)
def expand(node: Node, build: Builder) -> None:
    """Repeat along axes of size 1; the shape is static."""
    broadcast_to(build, node.x, node.y.shape, node.y)
