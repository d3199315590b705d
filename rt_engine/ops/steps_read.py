"""Which steps of a sequence are read at all: a recurrent layer does not compute what nobody looks at. No operator of its own.

y = lstm(x)[0][:, -1]     the last step of both directions: the backward one is done after its first step
"""

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.graph import constant

_VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")


def steps_read(value: ir.Value, axis: int) -> tuple[int, int]:
    """The first and the last index along `axis` that is read of a value, by way of views, transposes, gathers and slices.

    Where a reader is of another kind, or the value is an output of the graph, that is all of them.
    """
    shape = _shape(value)
    if value.is_graph_output() or not shape:
        return 0, shape[axis] - 1 if shape else 0
    found = [_read_by(use.node, use.idx, axis, shape) for use in value.uses()]
    return min((f for f, _ in found), default=0), max((last for _, last in found), default=shape[axis] - 1)


def _shape(value: ir.Value) -> tuple[int, ...]:
    return () if value.shape is None else tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now


def _read_by(node: ir.Node, index: int, axis: int, shape: tuple[int, ...]) -> tuple[int, int]:
    everything = 0, shape[axis] - 1
    if node.domain or index != 0:
        return everything
    out = node.outputs[0]
    if node.op_type == "Transpose" and "perm" in node.attributes:
        return steps_read(out, list(node.attributes["perm"].value).index(axis))
    if node.op_type in _VIEWS:
        place = _same_axis(shape, axis, _shape(out))
        return everything if place is None else steps_read(out, place)
    if node.op_type == "Gather" and _number(node, "axis") % len(shape) == axis:
        return _span(constant(node.inputs[1]), shape[axis])
    if node.op_type == "Slice" and len(node.inputs) >= 3:
        return _sliced(node, axis, shape)
    return everything


def _number(node: ir.Node, name: str) -> int:
    return int(node.attributes[name].value) if name in node.attributes else 0


def _same_axis(shape: tuple[int, ...], axis: int, other: tuple[int, ...]) -> int | None:
    """The axis of `other`, the same elements in another shape, that is this one."""
    before = prod(shape[:axis])
    for place, size in enumerate(other):
        if prod(other[:place]) == before and size == shape[axis]:
            return place
    return None


def _span(indices: NDArray[Any] | None, size: int) -> tuple[int, int]:
    if indices is None or not indices.size:
        return 0, size - 1
    return _inside(((int(i) + size) % size for i in indices.reshape(-1)), size)


def _inside(indices: Iterable[int], size: int) -> tuple[int, int]:
    found = list(indices)
    return (min(found), max(found)) if found else (0, size - 1)


def _sliced(node: ir.Node, axis: int, shape: tuple[int, ...]) -> tuple[int, int]:
    given = [constant(v) for v in node.inputs[1:]]
    if any(array is None and v is not None for array, v in zip(given, node.inputs[1:], strict=True)):
        return 0, shape[axis] - 1
    starts, ends = (np.asarray(array).reshape(-1) for array in given[:2])
    axes = (
        range(len(starts))
        if len(given) < 3 or given[2] is None
        else [int(a) % len(shape) for a in given[2].reshape(-1)]
    )
    strides = [1] * len(starts) if len(given) < 4 or given[3] is None else [int(s) for s in given[3].reshape(-1)]
    for start, end, of, stride in zip(starts, ends, axes, strides, strict=True):
        if of == axis:
            size = shape[axis]
            end = None if stride < 0 and int(end) < -size else int(end)
            return _inside(range(size)[slice(int(start), end, stride)], size)
    return steps_read(node.outputs[0], axis)
