"""Passes that make the graph smaller and change no value; onnx-ir's own, where it has them."""

import onnx_ir as ir
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    InlinePass,
    RemoveUnusedNodesPass,
)

from rt_engine.ops.graph import constant, replace
from rt_engine.passes.compilation import Compilation


def inline_functions(compilation: Compilation) -> bool:
    """Replace calls of model-local functions by their bodies. Ensures: no functions."""
    if not compilation.model.functions:
        return False
    for function in compilation.model.functions.values():
        for node in function:
            node.name = f"{function.name}/{node.name or node.op_type}"  # for messages: who made it
    InlinePass()(compilation.model)
    compilation.model.functions.clear()
    return True


def clean(compilation: Compilation) -> bool:
    """Remove what computes nothing.

    1. Dropout whose mask nobody reads is an Identity (inference; training mode is refused by the operator).
    2. Cast and CastLike to the type that the tensor has are Identities; so is Where whose constant condition is all one value.
    3. Identity goes (onnx-ir's pass).
    4. Nodes whose outputs nobody reads go (onnx-ir's pass).

    Requires: nothing. Ensures: no dead node.
    """
    for node in list(compilation.graph):
        if node.op_type == "Dropout" and node.domain == "" and _is_inference(node):
            replace(compilation.graph, [node], ir.node("Identity", [node.inputs[0]], name=node.name))
        elif node.domain == "" and (kept := _kept_input(node)) is not None:
            replace(compilation.graph, [node], ir.node("Identity", [kept], name=node.name))
    changed = IdentityEliminationPass()(compilation.model).modified
    return RemoveUnusedNodesPass()(compilation.model).modified or changed


def _kept_input(node: ir.Node) -> ir.Value | None:
    """The input that the node's output equals, if it does."""
    out, kept = node.outputs[0], None
    if node.op_type in ("Cast", "CastLike"):
        kept = node.inputs[0]
    elif node.op_type == "Where":
        condition = constant(node.inputs[0])
        if condition is not None and condition.size and condition.all() == condition.any():
            kept = node.inputs[1] if condition.any() else node.inputs[2]
    if kept is None or kept.dtype is None or kept.dtype != out.dtype or kept.shape != out.shape:
        return None
    return kept


def _is_inference(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    mask_is_read = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    return not mask_is_read and (
        training is None or (training.const_value is not None and not training.const_value.numpy().any())
    )
