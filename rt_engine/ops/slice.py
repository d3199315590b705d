"""Slice: https://onnx.ai/onnx/operators/onnx__Slice.html (starts, ends, axes and steps must be constant)."""

from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import strided_copy


@operator("Slice", since=10, any_type=True)
def slice_(node: Node, build: Builder) -> None:
    """Parts of axes, with steps that may be negative; a view where that is everything."""
    starts, ends = ([int(v) for v in node.constant(i, what)] for i, what in ((1, "starts"), (2, "ends")))
    axes = [int(v) for v in node.constant(3, "axes")] if node.optional(3) else list(range(len(starts)))
    steps = [int(v) for v in node.constant(4, "steps")] if node.optional(4) else [1] * len(starts)
    _slice(node, build, starts, ends, axes, steps)


@operator("Slice", since=1, any_type=True)
def slice_with_attributes(node: Node, build: Builder) -> None:
    """Before opset 10 the limits are attributes."""
    starts, ends = node.attr("starts"), node.attr("ends")
    _slice(node, build, starts, ends, node.attr("axes", list(range(len(starts)))), [1] * len(starts))


def _slice(node: Node, build: Builder, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    x, y = node.x, node.y
    strides, first = list(contiguous(x.shape)), 0
    in_strides = list(strides)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        where = _range(x.shape[axis], start, end, step)
        node.require(
            len(where) == y.shape[axis], f"its limits on axis {axis} are read in two ways", "give each axis once"
        )
        in_strides[axis] = strides[axis] * step
        first += strides[axis] * (where.start if len(where) else 0)
    if in_strides == strides and x.shape == y.shape:  # of everything
        build.alias(y, x)
    else:
        strided_copy(build, x, y, y.shape, in_strides, in_first=first)


def _range(length: int, start: int, end: int, step: int) -> range:
    """The indices of a slice. Backwards, ONNX lets a start before the first element be the first; Python has none then."""
    return range(length)[max(start, -length) if step < 0 else start : end : step]
