"""Operators that ONNX Runtime's optimiser writes as if they were ONNX's: they get the domain that they are of."""

import onnx
from onnx import helper

from rt_engine.ops.microsoft import MICROSOFT

_OWN = {"LayerNormalization": 17, "SimplifiedLayerNormalization": None}
"""Operator without a domain -> the opset from which ONNX has it, if any."""


def in_own_domain(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with such operators in `com.microsoft`; a copy, if anything changes."""
    version = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)
    functions = {(f.domain, f.name) for f in proto.functions}
    if not any(_is_own(n, version, functions) for n in proto.graph.node):
        return proto
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    for node in changed.graph.node:
        if _is_own(node, version, functions):
            node.domain = MICROSOFT
    if all(o.domain != MICROSOFT for o in changed.opset_import):
        changed.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return changed


def _is_own(node: onnx.NodeProto, version: int, functions: set[tuple[str, str]]) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type not in _OWN or (node.domain, node.op_type) in functions:
        return False
    since = _OWN[node.op_type]
    return since is None or version < since
