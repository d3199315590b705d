"""Bodies in the place of their control-flow node: a branch that is known, iterations one after the other."""

import numpy as np
import onnx_ir as ir

from rt_engine.lower.lower import label
from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import add_constant, constant, next_number
from rt_engine.passes.closing import note, number_of

MOST_PEELED = 2_000
"""Nodes that a loop without a number of iterations may become."""
ENDLESS = (
    "it has no number of iterations, and its condition holds for very many",
    "export with a constant trip count; a condition may still end the loop earlier",
)


def inlined(
    graph: ir.Graph, node: ir.Node, body: ir.Graph, arguments: list[ir.Value | None]
) -> tuple[list[ir.Node], list[ir.Value]]:
    """Move a body's nodes before `node`; gives them and the results. The body is used up."""
    mapping: dict[ir.Value, ir.Value] = {}
    for inner, outer in zip(body.inputs, arguments, strict=True):
        if outer is not None:
            mapping[inner] = outer
    prefix = f"{label(node)}#{next_number(graph)}"
    for value in list(body.initializers.values()):
        array = constant(value)
        assert array is not None
        mapping[value] = add_constant(graph, f"{prefix}/{value.name}", array)
    results = [mapping.get(v, v) for v in body.outputs]
    nodes = list(body)
    for inner_node in nodes:
        for i, read in enumerate(inner_node.inputs):
            if read in mapping:
                inner_node.replace_input_with(i, mapping[read])
    body.outputs.clear()
    body.remove(nodes)
    for inner_node in nodes:
        inner_node.name = f"{prefix}/{label(inner_node)}"
        for value in inner_node.outputs:
            if value.name:
                value.name = f"{prefix}/{value.name}"
    graph.insert_before(node, nodes)
    return nodes, results


def replaced(graph: ir.Graph, node: ir.Node, nodes: list[ir.Node], results: list[ir.Value]) -> list[ir.Node]:
    """Put results in the place of the node's outputs; gives the nodes."""
    for value, result in zip(node.outputs, results, strict=True):
        ir.convenience.replace_all_uses_with(value, result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return nodes


def unrolled(graph: ir.Graph, node: ir.Node, body: ir.Graph, trips: int, carried: int, opset: int) -> list[ir.Node]:
    """All iterations, one after the other."""
    made: list[ir.Node] = []
    values: list[ir.Value | None] = list(node.inputs[2 : 2 + carried])
    outer = list(node.inputs[2 + carried :])
    collected: list[list[ir.Value]] = [[] for _ in range(len(node.outputs) - carried)]
    if not trips and collected:
        raise Refusal("it runs not once, so that the shape of what it collects is unknown", "leave it out")
    true = add_constant(graph, f"{node.name}.true", np.array(True))
    for i in range(trips):
        number = add_constant(graph, f"{node.name}.{i}", np.array(i, np.int64))
        nodes, results = inlined(graph, node, body.clone(), [number, true, *values, *outer])
        made += nodes
        values = list(results[1 : 1 + carried])
        for found, result in zip(collected, results[1 + carried :], strict=True):
            found.append(result)
    for found in collected:
        made += (nodes := _stacked(graph, node, found, opset))
        values.append(nodes[-1].outputs[0])
    return replaced(graph, node, made, [v for v in values if v is not None])


def peeled(graph: ir.Graph, node: ir.Node, body: ir.Graph) -> list[ir.Node]:
    """One iteration, then the loop again, with the condition that the iteration gave: it may have become a constant."""
    done = number_of(node, "peeled") + len(list(body)) + 1
    if done > MOST_PEELED:
        raise Refusal(*ENDLESS)
    carried = len(body.outputs) - 1
    values, outer = list(node.inputs[2 : 2 + carried]), list(node.inputs[2 + carried :])
    number = add_constant(graph, f"{node.name}.number", np.array(number_of(node, "iterations"), np.int64))
    nodes, results = inlined(graph, node, body.clone(), [number, node.inputs[1], *values, *outer])
    for i, result in enumerate(results):
        node.replace_input_with(1 + i, result)
    note(node, peeled=done, iterations=number_of(node, "iterations") + 1)
    return [*nodes, node]


def _stacked(graph: ir.Graph, node: ir.Node, values: list[ir.Value], opset: int) -> list[ir.Node]:
    """Values one after the other along a new first axis."""
    axes = add_constant(graph, f"{node.name}.axes", np.array([0], np.int64)) if opset >= 13 else None
    nodes = []
    for value in values:
        if axes is None:
            nodes.append(ir.node("Unsqueeze", [value], {"axes": [0]}))
        else:
            nodes.append(ir.node("Unsqueeze", [value, axes]))
    nodes.append(ir.node("Concat", [n.outputs[0] for n in nodes], {"axis": 0}))
    for made in nodes:
        made.name = made.outputs[0].name = f"{node.name or node.op_type}.{next_number(graph)}"
    graph.insert_before(node, nodes)
    return nodes
