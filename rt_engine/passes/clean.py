"""Passes that make the graph smaller and change no value; onnx-ir's own, where it has them."""

import onnx_ir as ir
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    InlinePass,
    RemoveUnusedNodesPass,
)

from rt_engine.passes.setting import Setting, replace


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
            replace(setting.graph, [node], ir.node("Identity", [node.inputs[0]], name=node.name))
    changed = IdentityEliminationPass()(setting.model).modified
    return RemoveUnusedNodesPass()(setting.model).modified or changed


def _is_inference(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    mask_is_read = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    return not mask_is_read and (
        training is None or (training.const_value is not None and not training.const_value.numpy().any())
    )
