"""What is true of a graph between two passes: stated by the pass that makes it so, asked for by those that need it, checked."""

from collections.abc import Callable, Iterator
from enum import Enum

import numpy as np
import onnx_ir as ir

from rt_engine.ops import find
from rt_engine.ops.control import bodies
from rt_engine.passes.closing import is_control
from rt_engine.program.element_types import HALVES


class Fact(Enum):
    """Once a pass has ensured it, it holds of the model's graph and of every body, to the end."""

    NO_FUNCTIONS = "no model-local function is left"
    CLOSED = "sub-graphs belong to control flow alone, whose bodies are closed"
    BOUND = "every input has a type and a static shape"
    STATIC = "every value that a node makes has a type and a static shape"
    HALVES_STORED = "half floats are read by those operators alone that take any type"


def wrong(fact: Fact, model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    """Where the fact does not hold, in words; of one graph of the model."""
    return _CHECKS[fact](model, graph)


def _functions(model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    yield from (f"function {name}" for name in model.functions)


def _open(model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    for node in graph:
        if bodies(node) and not is_control(node):
            yield f"node {node.name} ({node.op_type}) has a sub-graph"


def _unbound(model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    yield from (f"input {v.name}" for v in model.graph.inputs if not _is_static(v))


def _shapeless(model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    for node in graph:
        yield from (f"value {v.name} of node {node.name}" for v in node.outputs if v.name and not _is_static(v))


def _is_static(value: ir.Value) -> bool:
    return value.dtype is not None and value.shape is not None and value.shape.is_static()


def _computed_halves(model: ir.Model, graph: ir.Graph) -> Iterator[str]:
    for node in graph:
        operator = find(node.domain, node.op_type, model.opset_imports.get(node.domain, 1))
        if operator is not None and not operator.any_type and any(map(_is_half, node.inputs)):
            yield f"node {node.name} ({node.op_type})"


def _is_half(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and np.dtype(value.dtype.numpy()) in HALVES


_CHECKS: dict[Fact, Callable[[ir.Model, ir.Graph], Iterator[str]]] = {
    Fact.NO_FUNCTIONS: _functions,
    Fact.CLOSED: _open,
    Fact.BOUND: _unbound,
    Fact.STATIC: _shapeless,
    Fact.HALVES_STORED: _computed_halves,
}
