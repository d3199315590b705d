"""ONNX defines many operators by others ("functions"): one without a lowering of its own is replaced by its definition."""

from typing import Any

import onnx
import onnx_ir as ir

MOST_NODES = 1 << 17
"""A graph is not expanded beyond this many nodes: a hostile file could ask for any number."""


def has_definition(node: ir.Node, version: int) -> bool:
    """Does ONNX define this operator by others?"""
    schema = _schema(node, version)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _schema(node: ir.Node, version: int) -> Any:
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def _has_graph(node: onnx.NodeProto) -> bool:
    return any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)


def _newest(versions: list[int], version: int) -> int | None:
    return max((v for v in versions if v <= version), default=None)


def _function(schema: Any, node: ir.Node, version: int, types: list[Any]) -> onnx.FunctionProto | None:
    function = onnx.FunctionProto()
    chosen = _newest(schema.context_dependent_function_opset_versions, version)
    if chosen is not None:
        inputs = [(onnx.TypeProto() if t is None else t).SerializeToString() for t in types]
        body = schema.get_context_dependent_function_with_opset_version(
            chosen, ir.to_proto(node).SerializeToString(), inputs
        )
    else:
        chosen = _newest(schema.function_opset_versions, version)
        if chosen is None:
            return None
        body = schema.get_function_with_opset_version(chosen)
    function.ParseFromString(body)
    return function if function.node else None


class _Copy:
    """The body of a function, with the node's inputs and attributes in place of its parameters."""

    def __init__(self, node: ir.Node, function: onnx.FunctionProto) -> None:
        self.node, self.function = node, function
        self.prefix = node.name or (node.outputs[0].name or node.op_type)
        inputs = [*node.inputs, *[None] * (len(function.input) - len(node.inputs))]
        self.values: dict[str, ir.Value | None] = {"": None, **dict(zip(function.input, inputs, strict=False))}
        self.attributes = {a.name: ir.serde.deserialize_attribute(a) for a in function.attribute_proto}
        self.attributes.update(node.attributes)

    def nodes(self) -> list[ir.Node]:
        """The copied nodes, in order; the node's own outputs are renamed, not yet replaced."""
        copies = []
        for number, proto in enumerate(self.function.node):
            inputs = [self.values[name] for name in proto.input]
            attributes = [a for a in (self._attribute(a) for a in proto.attribute) if a is not None]
            copy = ir.Node(
                proto.domain,
                proto.op_type,
                inputs,
                attributes,
                num_outputs=len(proto.output),
                name=f"{self.prefix}/{proto.op_type}_{number}",
            )
            for name, value in zip(proto.output, copy.outputs, strict=True):
                value.name = f"{self.prefix}/{name}" if name else ""
                if name:
                    self.values[name] = value
            copies.append(copy)
        return copies

    def results(self) -> list[ir.Value | None]:
        """What takes the place of each output of the node."""
        return [self.values.get(name) for name in self.function.output]

    def _attribute(self, proto: onnx.AttributeProto) -> ir.Attr | None:
        if not proto.ref_attr_name:
            return ir.serde.deserialize_attribute(proto)
        given = self.attributes.get(proto.ref_attr_name)
        return None if given is None else ir.Attr(proto.name, given.type, given.value)


def expand(graph: ir.Graph, node: ir.Node, version: int, types: list[Any]) -> list[ir.Node]:
    """Replace `node` by its definition, in the graph; gives the new nodes, none where there is no definition."""
    schema = _schema(node, version)
    function = None if schema is None else _function(schema, node, version, types)
    if function is None or any(_has_graph(n) for n in function.node) or len(graph) > MOST_NODES:
        return []
    copy = _Copy(node, function)
    nodes = copy.nodes()
    graph.insert_before(node, nodes)
    for was, now in zip(node.outputs, copy.results(), strict=False):
        if now is not None and was.name:
            name = was.name
            ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
            now.name = name
    graph.remove(node, safe=True)
    return nodes
