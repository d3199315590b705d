"""Bodies of If, Loop and Scan are made to stand alone.

Every pass works on one graph. So first each body is closed: what it reads from outside becomes an input of it and of its node,
which is an operator of ours from then on (`rt_engine.ops.control`). No value is used across graphs after that.
"""

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.lower.lower import reason_of
from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.control import bodies
from rt_engine.passes.compilation import Compilation
from rt_engine.read.definitions import has_definition

CONTROL = ("If", "Loop", "Scan")


def is_control(node: ir.Node) -> bool:
    """Is it a closed control-flow operator?"""
    return node.domain == RT_DOMAIN and node.op_type in CONTROL


def scopes(graph: ir.Graph) -> Iterator[ir.Graph]:
    """The graph and all bodies in it."""
    yield graph
    for node in graph:
        for body in bodies(node):
            yield from scopes(body)


def close_subgraphs(compilation: Compilation) -> bool:
    """Close the bodies of If, Loop and Scan.

    Requires: no functions. Ensures: no value is used in another graph than its own; no ONNX operator has a sub-graph.

    Raises:
        UnsupportedModelError: other operators with sub-graphs.
    """
    reasons: list[Reason] = []
    changed = _close(compilation.graph, compilation.opsets, reasons)
    if reasons:
        raise UnsupportedModelError(compilation.source, reasons)
    return changed


def _close(graph: ir.Graph, opsets: dict[str, int], reasons: list[Reason]) -> bool:
    changed = False
    for node in graph:
        try:
            changed = close_node(node, opsets) or changed
        except Refusal as refusal:
            reasons.append(reason_of(node, refusal))
    return changed


def close_node(node: ir.Node, opsets: dict[str, int]) -> bool:
    """Close the bodies of one node, the inner ones first; False if it has none, or they are closed.

    Raises:
        Refusal: it has sub-graphs, but is no control flow that we know.
    """
    inner = bodies(node)
    if not inner or is_control(node):
        return False
    if has_definition(node.domain, node.op_type, opsets.get(node.domain, 1)):
        return False  # its definition takes the bodies
    if node.domain or node.op_type not in CONTROL:
        raise Refusal("sub-graphs are not supported here", "use If, Loop or Scan, or none")
    for body in inner:
        for inside in body:
            close_node(inside, opsets)
    captured = list(dict.fromkeys(v for body in inner for v in _free(body)))
    for body in inner:
        _capture(body, captured)
    first = len(node.inputs)
    node.resize_inputs(first + len(captured))
    for i, value in enumerate(captured):
        node.replace_input_with(first + i, value)
    note(node, captured=len(captured), opset=opsets.get("", 1))
    node.domain = RT_DOMAIN
    return True


def _free(body: ir.Graph) -> list[ir.Value]:
    """What a body reads and does not define."""
    known = {*body.inputs, *body.initializers.values(), *(v for node in body for v in node.outputs)}
    read = [v for node in body for v in node.inputs if v is not None]
    return [v for v in (*read, *body.outputs) if v not in known]


def _capture(body: ir.Graph, captured: list[ir.Value]) -> None:
    """Make inputs of them."""
    inside = {v: ir.Value(name=v.name, type=v.type, shape=v.shape) for v in captured}
    body.inputs.extend(inside.values())
    for node in body:
        for i, read in enumerate(node.inputs):
            if read in inside:
                node.replace_input_with(i, inside[read])
    for i, value in enumerate(body.outputs):
        if value in inside:
            body.outputs[i] = inside[value]


def note(node: ir.Node, **numbers: int) -> None:
    """Keep numbers with a node, as attributes of it."""
    for name, value in numbers.items():
        node.attributes[name] = ir.AttrInt64(name, int(value))


def remade(
    graph: ir.Graph,
    node: ir.Node,
    inputs: Sequence[ir.Value | None],
    outputs: Sequence[ir.Value],
    kept: Sequence[ir.Value],
) -> ir.Node:
    """The same node with other inputs and outputs, in its place; `kept` are read where its outputs were."""
    attributes = list(node.attributes.values())
    node.attributes.clear()
    again = ir.Node(node.domain, node.op_type, inputs, attributes, outputs=outputs, name=node.name)
    graph.insert_before(node, again)
    for old, new in zip(node.outputs, kept, strict=True):
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return again


def number_of(node: ir.Node, name: str, default: int = 0) -> int:
    """A number that is an attribute of a node."""
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.value)
