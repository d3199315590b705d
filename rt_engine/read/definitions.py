"""ONNX defines many operators by others ("functions"). Those with sub-graphs are put in place here, when the model is read.

Those without sub-graphs are taken care of node by node, where shapes are known: `rt_engine.passes.standard_functions`.
"""

from collections.abc import Sequence
from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir

from rt_engine.ops import find
from rt_engine.ops.base import Refusal
from rt_engine.read.rules import check_rules

DOMAIN = "rt_engine.definitions"
MOST = 1000
"""Definitions of one model; a hostile one asks for more."""


def define(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with definitions in place of such operators: itself where there is none."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    wanted = [n for n in proto.graph.node if _is_defined(n, versions.get(n.domain, 1))][:MOST]
    if not wanted or not _keeps_rules(proto, versions):
        return proto
    types, count = _types(proto), len(proto.functions)
    for number, node in enumerate(wanted):
        function = definition(node, versions.get(node.domain, 1), [types.get(name) for name in node.input])
        if function is None or not any(_has_graph(inner) for inner in (node, *function.node)):
            continue
        function.domain, function.name = DOMAIN, f"{node.op_type}_{number}"
        for entry in function.opset_import:  # it is the newest that holds for the model's own version
            entry.version = versions.get(entry.domain, entry.version)
        proto.functions.append(function)
        node.domain, node.op_type = function.domain, function.name
        kept = [
            a for a in node.attribute if a.name in {*function.attribute, *(d.name for d in function.attribute_proto)}
        ]
        del node.attribute[:]
        node.attribute.extend(kept)
    if len(proto.functions) == count:
        return proto
    if all(entry.domain != DOMAIN for entry in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return onnx.inliner.inline_local_functions(proto)


def _keeps_rules(proto: onnx.ModelProto, versions: dict[str, int]) -> bool:
    """Shape inference of a whole model that breaks these rules can crash; such a model is refused later, with the reason."""
    try:
        for node in ir.from_proto(proto).graph:
            check_rules(node, versions.get(node.domain, 1))
    except Refusal:
        return False
    return True


def _is_defined(node: onnx.NodeProto, version: int) -> bool:
    return find(node.domain, node.op_type, version) is None and has_definition(node.domain, node.op_type, version)


def has_definition(domain: str, op_type: str, version: int) -> bool:
    """Does ONNX define this operator by others?"""
    if not onnx.defs.has(op_type, version, domain):
        return False
    schema: Any = onnx.defs.get_schema(op_type, version, domain)
    return bool(schema.has_function or schema.has_context_dependent_function)


def _types(proto: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    graph = onnx.shape_inference.infer_shapes(proto).graph
    found = {v.name: v.type for v in (*graph.value_info, *graph.output, *graph.input)}
    for tensor in graph.initializer:
        found[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return found


def definition(node: onnx.NodeProto, version: int, types: Sequence[onnx.TypeProto | None]) -> onnx.FunctionProto | None:
    """The function that defines a node, for inputs of these types (None where one is absent); None where there is none."""
    if not has_definition(node.domain, node.op_type, version) or not _is_whole(node, types):
        return None
    schema: Any = onnx.defs.get_schema(node.op_type, version, node.domain)
    function = onnx.FunctionProto()
    chosen = _newest(schema.context_dependent_function_opset_versions, version)
    if chosen is not None:
        given = [(onnx.TypeProto() if t is None else t).SerializeToString() for t in types]
        body: Any = schema.get_context_dependent_function_with_opset_version(chosen, node.SerializeToString(), given)
    else:
        chosen = _newest(schema.function_opset_versions, version)
        if chosen is None:
            return None
        body = schema.get_function_with_opset_version(chosen)
    function.ParseFromString(body)
    return function if function.node else None


def _is_whole(node: onnx.NodeProto, types: Sequence[onnx.TypeProto | None]) -> bool:
    """A SequenceMap whose inputs and outputs are those of its body: with any other, ONNX reads outside of its memory."""
    if node.op_type != "SequenceMap":
        return True
    body = next((a.g for a in node.attribute if a.name == "body" and a.HasField("g")), None)
    known = [t is not None and t.WhichOneof("value") in ("sequence_type", "tensor_type") for t in types]
    ends = None if body is None else (len(body.input), len(body.output))
    return ends == (len(node.input), len(node.output)) and min(ends) > 0 and all(known)


def _newest(versions: list[int], version: int) -> int | None:
    return max((v for v in versions if v <= version), default=None)


def _has_graph(node: onnx.NodeProto) -> bool:
    return any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)
