"""The few questions to a graph, and edits of it, that operators and passes need. No operator of its own."""

import re
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import FLOATS


def is_absurd(shape: Iterable[int]) -> bool:
    """More elements than any machine has, even where another dimension is zero: NumPy cannot even make a view of it."""
    return prod(max(size, 1) for size in shape) > 1 << 40


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of a value that is known when the model is loaded, else None."""
    if value is None or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy())


def is_float(value: ir.Value | None) -> bool:
    """Is it float32 or float64?"""
    return value is not None and value.dtype is not None and np.dtype(value.dtype.numpy()) in FLOATS


_PREFIX = re.compile(r"^.*#\d+/")


def name_in_file(name: str) -> str:
    """The name of a node or value without the places where `passes.inlining` put it."""
    return _PREFIX.sub("", name)


def only_user(value: ir.Value, graph: ir.Graph) -> ir.Node | None:
    """The one node that reads `value`, if there is just one, in this graph, and it is not a graph output."""
    users = {usage.node for usage in value.uses()}
    if len(users) != 1 or value.is_graph_output():
        return None
    user = users.pop()
    return user if user.graph is graph else None


_NUMBERED = "rt_engine.numbered"


def next_number(graph: ir.Graph) -> int:
    """A number that no other name in the graph was made with; the same in each compilation of the model."""
    number: int = graph.meta.get(_NUMBERED, 0)
    graph.meta[_NUMBERED] = number + 1
    return number


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """A new initializer with a name that is not taken yet."""
    unique, number = name, len(graph.initializers)
    while unique in graph.initializers:
        unique, number = f"{name}.{number}", number + 1
    tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=unique)
    value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def replace(graph: ir.Graph, old: Iterable[ir.Node], new: ir.Node) -> None:
    """Put `new` where the last of `old` stood; its one output takes over that node's first output."""
    removed = list(old)
    last = removed[-1]
    was, now = last.outputs[0], new.outputs[0]
    now.name, now.shape, now.type = was.name, was.shape, was.type
    graph.insert_before(last, new)
    ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
    graph.remove(reversed(removed), safe=True)
