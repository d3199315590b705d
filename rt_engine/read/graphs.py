"""Walks over the graphs of a file, as protos."""

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and all bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, in the order in which values are made: those of a body before the node that has it."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes(attribute.g)
        yield node


def attributes(node: NodeProto) -> dict[str, AttributeProto]:
    """By name."""
    return {a.name: a for a in node.attribute}
