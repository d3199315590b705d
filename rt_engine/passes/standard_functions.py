"""An operator without a lowering of its own is replaced by ONNX's definition of it."""

from typing import Any

import onnx_ir as ir

from rt_engine.read.definitions import definition

MOST_NODES = 1 << 17
"""A graph is not expanded beyond this many nodes: a hostile file could ask for any number."""


def expand(graph: ir.Graph, node: ir.Node, version: int, types: list[Any]) -> list[ir.Node]:
    """Replace `node` by its definition, in the graph; gives the new nodes, none where there is no definition.

    Args:
        graph: has the node.
        node: what is defined.
        version: opset of its domain.
        types: onnx.TypeProto of each input, None where it is absent.
    """
    proto = definition(ir.serde.serialize_node(node), version, types)
    if proto is None or len(graph) > MOST_NODES:
        return []
    known = {*proto.input, *(name for body in proto.node for name in body.output)}
    outputs = list(proto.output)  # of optional ones, the body makes those that are wanted
    proto.output[:] = [name for name in outputs if name in known]
    function = ir.serde.deserialize_function(proto)
    inputs = {
        parameter: node.inputs[i] if i < len(node.inputs) else None for i, parameter in enumerate(function.inputs)
    }
    made_here = dict(zip(proto.output, (inputs.get(v, v) for v in function.outputs), strict=True))
    results = [made_here.get(name) for name in outputs]
    for parameter, value in inputs.items():
        for use in list(parameter.uses()):
            use.node.replace_input_with(use.idx, value)
    attributes = {a.name: ir.serde.deserialize_attribute(a) for a in proto.attribute_proto} | dict(node.attributes)
    for inside in ir.traversal.RecursiveGraphIterator(function.graph):
        _resolve_attributes(inside, attributes)
    nodes = list(function)
    function.graph.outputs.clear()
    function.graph.remove(nodes)
    prefix = node.name or node.outputs[0].name or node.op_type
    for number, made in enumerate(nodes):
        made.name = f"{prefix}/{made.op_type}_{number}"
        for value in made.outputs:
            value.name = f"{prefix}/{value.name}" if value.name else ""
    graph.insert_before(node, nodes)
    for was, now in zip(node.outputs, results, strict=False):
        if now is not None and was.name:
            name = was.name
            ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
            now.name = name
    graph.remove(node, safe=True)
    return nodes


def _resolve_attributes(node: ir.Node, given: dict[str, ir.Attr]) -> None:
    """Attributes that refer to the function's take their values, or go where it has none."""
    for name, attribute in list(node.attributes.items()):
        if attribute.is_ref():
            value = given.get(str(attribute.ref_attr_name))
            del node.attributes[name]
            if value is not None:
                node.attributes[name] = ir.Attr(name, value.type, value.value)
