"""Every graph and node of a model as its file has them: the bodies of control flow and the functions too."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

_PLAIN = frozenset(
    ("Add", "Cast", "Concat", "Constant", "Conv", "Gather", "MatMul", "Mul", "Relu", "Reshape", "Shape", "Slice")
)
"""Frequent operators that have none: their attributes need not be looked at."""
_BODIES = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def bodies_of(node: NodeProto) -> list[GraphProto]:
    """The sub-graphs of a node."""
    found: list[GraphProto] = []
    if node.op_type in _PLAIN:
        return found
    for attribute in node.attribute:
        if attribute.type in _BODIES:
            found += [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
    return found


@dataclass(frozen=True, slots=True)
class Walked:
    """A model and what is in it: `graphs`, the model's own first, and `nodes`, those of functions and bodies too."""

    proto: ModelProto
    graphs: list[GraphProto]
    nodes: list[NodeProto]


def walked(proto: ModelProto) -> Walked:
    """Walk over a model, once."""
    graphs = [proto.graph]
    nodes = list(proto.graph.node)
    for function in proto.functions:
        nodes += function.node
    for node in nodes:  # which grows meanwhile
        for body in bodies_of(node):
            graphs.append(body)
            nodes += body.node
    return Walked(proto, graphs, nodes)


def graphs_in(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all bodies in it."""
    yield graph
    for node in graph.node:
        for body in bodies_of(node):
            yield from graphs_in(body)


def nodes_in(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those in their sub-graphs, in the order in which values are made: those of a body before the node that has it."""
    for node in nodes:
        for body in bodies_of(node):
            yield from nodes_in(body.node)
        yield node


def attributes(node: NodeProto) -> dict[str, AttributeProto]:
    """By name."""
    return {a.name: a for a in node.attribute}
