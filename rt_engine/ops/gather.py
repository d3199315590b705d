"""Gather: https://onnx.ai/onnx/operators/onnx__Gather.html"""

from math import prod

import numpy as np

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import gathered


@operator("Gather", since=1, any_type=True)
def gather(node: Node, build: Builder) -> None:
    """Slices of one axis, chosen by an index. A constant index is checked now, any other at run time."""
    data, index, y = node.x, node.input(1), node.y
    axis = node.attr("axis", 0) % len(data.shape)
    length = data.shape[axis]
    block = prod(data.shape[axis + 1 :]) * data.dtype.itemsize
    sizes = (prod(data.shape[:axis]), length, index.size, block)
    if y.size == 0:
        return
    if index.value is None:
        node.require_type(index, (np.dtype(np.int32), np.dtype(np.int64)))
        gathered(build, data, index, y, sizes, checked=True)
        return
    wanted = index.value.astype(np.int64)
    node.require(
        bool(np.all((wanted >= -length) & (wanted < length))),
        f"its index reaches {wanted.min()} to {wanted.max()}, but axis {axis} has {length} elements",
        "correct the index in the model",
    )
    gathered(build, data, np.where(wanted < 0, wanted + length, wanted), y, sizes)
