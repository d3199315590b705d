"""Passes that make the graph smaller and change no value; onnx-ir's own, where it has them."""

import onnx_ir as ir
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    InlinePass,
    RemoveUnusedNodesPass,
)

from rt_engine.passes.setting import Setting


def inline_functions(setting: Setting) -> bool:
    """Replace calls of model-local functions by their bodies. Ensures: no functions."""
    if not setting.model.functions:
        return False
    InlinePass()(setting.model)
    setting.model.functions.clear()
    return True


def clean(setting: Setting) -> bool:
    """Remove what computes nothing.

    1. Dropout whose mask nobody reads is an Identity (inference; training mode is refused by the operator).
    2. Identity goes (onnx-ir's pass).
    3. Nodes whose outputs nobody reads go (onnx-ir's pass).

    Requires: nothing. Ensures: no dead node.
    """
    for node in list(setting.graph):
        if node.op_type == "Dropout" and node.domain == "" and _is_inference(node):
            _to_identity(setting.graph, node)
    changed = IdentityEliminationPass()(setting.model).modified
    return RemoveUnusedNodesPass()(setting.model).modified or changed


def _is_inference(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    mask_is_read = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    return not mask_is_read and (
        training is None or (training.const_value is not None and not training.const_value.numpy().any())
    )


def _to_identity(graph: ir.Graph, node: ir.Node) -> None:
    identity = ir.node("Identity", [node.inputs[0]], name=node.name)
    was, now = node.outputs[0], identity.outputs[0]
    now.name, now.shape, now.type = was.name, was.shape, was.type
    graph.insert_before(node, identity)
    ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
    graph.remove(node, safe=True)
