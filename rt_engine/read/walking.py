"""Every graph and node of a model as its file has them: the bodies of control flow and the functions too."""

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

_BODIES = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def bodies_of(node: NodeProto) -> list[GraphProto]:
    """The sub-graphs of a node."""
    found: list[GraphProto] = []
    for attribute in node.attribute:
        if attribute.type in _BODIES:
            found += [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
    return found


def graphs_in(nodes: Iterator[NodeProto]) -> Iterator[GraphProto]:
    """The sub-graphs of nodes, and those in them."""
    for node in nodes:
        for body in bodies_of(node):
            yield body
            yield from graphs_in(iter(body.node))


def graphs_of(proto: ModelProto) -> Iterator[GraphProto]:
    """The model's graph, then every sub-graph, those of functions too."""
    yield proto.graph
    yield from graphs_in(iter(proto.graph.node))
    for function in proto.functions:
        yield from graphs_in(iter(function.node))


def nodes_in(nodes: Iterator[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those in their sub-graphs."""
    for node in nodes:
        yield node
        for body in bodies_of(node):
            yield from nodes_in(iter(body.node))


def nodes_of(proto: ModelProto) -> Iterator[NodeProto]:
    """Every node of a model."""
    yield from nodes_in(iter(proto.graph.node))
    for function in proto.functions:
        yield from nodes_in(iter(function.node))
