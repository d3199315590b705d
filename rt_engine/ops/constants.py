"""Operators whose result is known when the model is loaded: they are run once by the folding pass and cost nothing.

https://onnx.ai/onnx/operators/ : Constant, ConstantOfShape, Shape, Size
"""

import numpy as np

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder


@operator("Constant", since=1, any_type=True)
def constant(node: Node, build: Builder) -> None:
    """A tensor, a number or a list of numbers."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        value = node.attr(name)
        if value is not None:
            build.copy(node.y, build.constant(np.asarray(value, node.y.dtype).reshape(node.y.shape)))
            return
    node.require(False, "strings and sparse tensors are not supported", "export with dense numbers")


@operator("ConstantOfShape", since=9, any_type=True)
def constant_of_shape(node: Node, build: Builder) -> None:
    """A tensor filled with one value, zero by default."""
    value = np.asarray(node.attr("value", np.zeros(1, np.float32)))
    build.copy(node.y, build.constant(np.full(node.y.shape, value.reshape(-1)[0], node.y.dtype)))


@operator("Shape", since=1, any_type=True)
def shape(node: Node, build: Builder) -> None:
    """Shapes are static, so this is a constant, whatever the input."""
    sizes = node.x.shape[slice(node.attr("start", 0), node.attr("end"))]
    build.copy(node.y, build.constant(np.asarray(sizes, np.int64)))


@operator("Size", since=1, any_type=True)
def size(node: Node, build: Builder) -> None:
    """The number of elements, as a constant."""
    build.copy(node.y, build.constant(np.asarray(node.x.size, np.int64)))
