"""ONNX Runtime's own quantised operators, in the standard's words: DequantizeLinear, the operator, QuantizeLinear."""

import numpy as np
import onnx_ir as ir

from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.compilation import Compilation

DOMAIN = "com.microsoft"
_ONE = {"QLinearSigmoid": "Sigmoid", "QLinearLeakyRelu": "LeakyRelu", "QLinearGlobalAveragePool": "GlobalAveragePool"}
_TWO = {"QLinearAdd": "Add", "QLinearMul": "Mul"}


def standard_quantised(compilation: Compilation) -> bool:
    """Rewrite what ONNX Runtime's quantizer writes in its operator format.

    1. QLinearAdd, QLinearMul (a, its scale and zero point, b, its own, those of the result) -> DQ, DQ, Add or Mul, Q.
    2. QLinearSigmoid, QLinearLeakyRelu, QLinearGlobalAveragePool (channels first) -> DQ, the function, Q.
    3. QLinearConcat (scale and zero point of the result; then x, scale, zero point of each part) -> DQs, Concat, Q.
    4. QGemm with constant scales -> DQs, Gemm, Q; without a scale of the result, Gemm gives float32.

    What these mean is decided once, by the passes behind this one. Requires: nothing. Ensures: none of these operators, but
    for those with forms that are not named here.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        if node.domain != DOMAIN:
            continue
        new = _rewritten(graph, node)
        if new is None:
            continue
        for one in new:
            graph.insert_before(node, one)
        was, now = node.outputs[0], new[-1].outputs[0]
        now.name, now.shape, now.type = was.name, was.shape, was.type
        ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
        graph.remove(node, safe=True)
        changed = True
    return changed


def _rewritten(graph: ir.Graph, node: ir.Node) -> list[ir.Node] | None:
    inputs, name = list(node.inputs), node.name or node.op_type
    if node.op_type in _TWO and len(inputs) >= 7:
        parts = [_real(name, inputs[:3]), _real(name, inputs[3:6])]
        return _between(node, parts, _TWO[node.op_type], {}, inputs[6:8])
    if node.op_type in _ONE and len(inputs) >= 4 and not node.attributes.get_int("channels_last", 0):
        kept = {k: v for k, v in node.attributes.items() if k == "alpha"}
        return _between(node, [_real(name, inputs[:3])], _ONE[node.op_type], kept, inputs[3:5])
    if node.op_type == "QLinearConcat" and len(inputs) >= 5 and len(inputs) % 3 == 2:
        parts = [_real(name, inputs[i : i + 3]) for i in range(2, len(inputs), 3)]
        return _between(node, parts, "Concat", dict(node.attributes), inputs[:2])
    return _gemm(graph, node) if node.op_type == "QGemm" and len(inputs) >= 6 else None


def _real(name: str, tensor: list[ir.Value | None], **attributes: int) -> ir.Node:
    """DequantizeLinear of (values, scale, zero point)."""
    return ir.node("DequantizeLinear", tensor, attributes, name=f"{name}.real")


def _between(
    node: ir.Node, parts: list[ir.Node], op_type: str, attributes: dict[str, ir.Attr], made: list[ir.Value | None]
) -> list[ir.Node]:
    """The parts, the operator, and QuantizeLinear with the scale and zero point `made`, if there is a scale."""
    middle = ir.node(op_type, [p.outputs[0] for p in parts], attributes, name=node.name)
    if not made or made[0] is None:
        return [*parts, middle]
    last = ir.node("QuantizeLinear", [middle.outputs[0], *made], name=f"{node.name}.quantised")
    return [*parts, middle, last]


def _gemm(graph: ir.Graph, node: ir.Node) -> list[ir.Node] | None:
    inputs, name = list(node.inputs), node.name or node.op_type
    scales = [constant(v) for v in (inputs[1], inputs[4])]
    if any(s is None for s in scales):
        return None
    axis = 0 if node.attributes.get_int("transB", 0) else 1
    parts = [_real(name, inputs[:3]), _real(name, inputs[3:6], **({"axis": axis} if scales[1].size > 1 else {}))]  # type: ignore[union-attr]
    if len(inputs) > 6 and inputs[6] is not None:
        product = np.asarray(scales[0] * scales[1], np.float32)  # type: ignore[operator]
        scale = add_constant(
            graph, f"{name}.bias.scale", product.reshape(-1) if product.size > 1 else product.reshape(())
        )
        parts.append(_real(name, [inputs[6], scale], **({"axis": 0} if product.size > 1 else {})))
    return _between(node, parts, "Gemm", dict(node.attributes), inputs[7:9])
