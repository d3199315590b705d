"""Convolutions and poolings work channels last; everything between them follows, so that nothing is moved to and fro.

    x --Conv--> a --Relu--> b --Add--> c --Flatten--> d --Gemm--> y          ONNX: channels first

    x --Transpose--> x' --ConvLast--> a' --Relu--> b' --Add--> c' --Reshape--> d' --Gemm, rows reordered--> y

One walk in graph order. `Walk.last` knows of a value its channels-last twin; a node whose inputs have twins gives its
outputs twins, if it works element by element (`Operator.elements`: any layout will do), or by the rules of `CARRYING`
(attributes are translated). Where a node insists on ONNX's layout, the twin is transposed back, once.
"""

import numpy as np
import onnx_ir as ir

from rt_engine.ops import elements_of
from rt_engine.ops.base import RT_DOMAIN, Elements
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes import layout_rules, transposed  # noqa: F401  # they register their rules
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.layout import ANCHORS, CARRYING, Carry, Walk, attributes_of, shape_of, to_last


def channels_last(compilation: Compilation) -> bool:
    """Make convolutions and what lies between them work channels last.

    1. Conv with constant weights -> rt_engine:ConvLast; MaxPool (without indices), AveragePool -> rt_engine:PoolLast;
       global pools -> reductions.
    2. What works element by element follows its inputs, as do Concat, Split, Pad, reductions, Softmax, BatchNormalization, Resize
       by their rules.
    3. A Transpose of a twin is one Transpose, or none.
    4. A Flatten or Reshape to a matrix before a Gemm with constant weights: the rows of the weights are reordered.
    5. Everything else gets its inputs in ONNX's layout.

    Requires: static shapes. Ensures: nothing that later passes need.
    """
    graph, opsets = compilation.graph, compilation.opsets
    if not any(n.op_type in ANCHORS and n.domain in ("", RT_DOMAIN) for n in graph):
        return False
    walk = Walk(graph)
    for node in list(graph):
        rule = CARRYING.get(node.op_type) if node.domain in ("", RT_DOMAIN) else None
        rule = _EACH.get(elements_of(node, opsets), rule)
        if rule is not None and (_is_simple(node) or node.op_type in _SEVERAL) and rule(walk, node):
            continue
        for value in dict.fromkeys(v for v in node.inputs if v is not None):
            if value in walk.plain:
                walk.restore(value, node)
    for value in list(graph.outputs):
        if value in walk.plain:
            walk.restore(value, None)
    graph.remove(reversed(walk.done), safe=True)
    return walk.changed


_SEVERAL = {"DynamicQuantizeLinear", "Split"}
"""Operators of several outputs, of which the rule knows what becomes of each."""


def _is_simple(node: ir.Node) -> bool:
    """One output, and shapes are known."""
    used = [v for v in node.outputs if v.name and (v.uses() or v.is_graph_output())]
    return len(used) <= 1 and (not used or used[0] is node.outputs[0]) and node.outputs[0].shape is not None


def _each(walk: Walk, node: ir.Node, count: int) -> bool:
    """The first `count` inputs are tensors, of the same rank everywhere, or constants, which are turned to fit."""
    tensors = [v for v in node.inputs[:count] if v is not None]
    rank = len(shape_of(node.outputs[0]))
    if not any(v in walk.last and constant(v) is None for v in tensors) or rank < 3:
        return False
    if any(constant(v) is None and len(shape_of(v)) != rank and np.prod(shape_of(v)) != 1 for v in tensors):
        return False
    turned = {v: _operand(walk, v, rank, node) for v in tensors}
    inputs = [v if v is None or v not in turned else turned[v] for v in node.inputs]
    walk.put(node, node.op_type, inputs, attributes_of(node))
    return True


_EACH: dict[Elements | None, Carry] = {
    Elements.ONE: lambda walk, node: _each(walk, node, 1),
    Elements.SEVERAL: lambda walk, node: _each(walk, node, len(node.inputs)),
}


def _operand(walk: Walk, value: ir.Value, rank: int, before: ir.Node) -> ir.Value:
    """An operand of an element-wise operator, channels last."""
    array = constant(value)
    if array is None:
        if value in walk.last or len(shape_of(value)) == rank:
            return walk.twin(value, before)
        if value in walk.plain:
            walk.restore(value, before)
        return value
    if array.size == 1 and array.ndim < rank:
        return value
    full = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return add_constant(walk.graph, f"{value.name}.last", np.transpose(full, to_last(rank)))
