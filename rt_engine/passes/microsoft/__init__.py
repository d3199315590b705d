"""Operators of ONNX Runtime in the standard's words: one table of rewritings, a file for each family."""

import onnx_ir as ir

from rt_engine.ops.microsoft import MICROSOFT, REWRITTEN
from rt_engine.passes.microsoft import attention, layers, norms, quantised, recurrent
from rt_engine.passes.microsoft.writer import Writer

_TABLE = {**layers.TABLE, **norms.TABLE, **attention.TABLE, **quantised.TABLE, **recurrent.TABLE}
assert _TABLE.keys() == REWRITTEN.keys(), _TABLE.keys() ^ REWRITTEN.keys()


def rewrite(graph: ir.Graph, node: ir.Node, opsets: dict[str, int]) -> list[ir.Node]:
    """Put standard operators in the place of a node for which `is_rewritten` holds; gives them.

    Requires: types and static shapes of its inputs.

    Raises:
        Refusal: a form of it that has no standard words here.
    """
    assert node.domain == MICROSOFT, node
    writer = Writer(graph, node, opsets.get("", opsets.get("ai.onnx", 1)))
    results = list(_TABLE[node.op_type](writer))
    results += [None] * (len(node.outputs) - len(results))
    for i, result in enumerate(results):
        if result is None and writer.wants(i):
            writer.require(False, f"its output {i} ('{node.outputs[i].name}') is not made here")
    made = {value for one in writer.nodes for value in one.outputs}
    finals = [v if v is None or v in made else writer.op("Identity", v) for v in results[: len(node.outputs)]]
    graph.insert_before(node, writer.nodes)
    for was, now in zip(node.outputs, finals, strict=True):
        if now is not None and was.name:
            name = was.name
            ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
            now.name, was.name = name, f"{name}.was"
    graph.remove(node, safe=True)
    return writer.nodes
