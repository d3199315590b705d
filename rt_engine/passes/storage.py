"""float16 and bfloat16 are storage: what computes on them does so in float32, and every result is rounded once."""

import numpy as np
import onnx_ir as ir

from rt_engine.ops import find
from rt_engine.ops.graph import add_constant, constant, only_user
from rt_engine.passes.compilation import Compilation
from rt_engine.program.element_types import FLOAT16, HALVES


def widen_halves(compilation: Compilation) -> bool:
    """Put a Cast before and behind every operator that does not work on half floats itself, so that later passes see float32.

    1. A constant operand becomes a float32 constant, once for all its readers.
    2. Any other operand is cast to float32, once for all its readers.
    3. A half float result is computed in float32 and cast back: rounded to nearest even, as if the operator had done it.
    4. A Cast back to the type that a value was cast from without loss goes.
    5. A Relu behind a rounding goes before it (Relu(round(x)) is round(Relu(x))), so that it becomes part of what is there.

    Operators that only move elements keep the half type, and their constants its size. Two roundings in a row are never made
    one: every result has the bits that ONNX's operator by operator evaluation gives it.

    Requires: types everywhere. Ensures: half floats only on operators with `any_type`.
    """
    graph, changed = compilation.graph, False
    wide: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        operator = find(node.domain, node.op_type, compilation.opsets.get(node.domain, 1))
        if node.domain == "" and node.op_type == "Cast":
            changed = _without_detour(graph, node) or changed
        if operator is None or operator.any_type or not any(_is_half(v) for v in node.inputs):
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and _is_half(value):
                before = _unrounded(graph, node, value)
                if before is not None:
                    wide[value] = before
                if value not in wide:
                    wide[value] = _widened(graph, value, node)
                node.replace_input_with(index, wide[value])
        for value in node.outputs:
            if _is_half(value):
                _rounded(graph, node, value)
        changed = True
    return changed


def _is_half(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and np.dtype(value.dtype.numpy()) in HALVES


def _cast(value: ir.Value, to: ir.DataType, name: str) -> ir.Node:
    node = ir.node("Cast", [value], {"to": int(to)}, name=name)
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].type = name, value.shape, ir.TensorType(to)
    return node


def _widened(graph: ir.Graph, value: ir.Value, reader: ir.Node) -> ir.Value:
    array, name = constant(value), f"{value.name}.float32"
    if array is not None:
        return add_constant(graph, name, array.astype(np.float32))
    node = _cast(value, ir.DataType.FLOAT, name)
    graph.insert_before(reader, node)
    return node.outputs[0]


def _unrounded(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value | None:
    """What was rounded to `value`, where `node` is a Relu and nobody else reads it."""
    producer = value.producer()
    if node.op_type != "Relu" or node.domain or producer is None or producer.op_type != "Cast" or producer.domain:
        return None
    source = producer.inputs[0]
    single = source is not None and source.dtype == ir.DataType.FLOAT and only_user(value, graph) is node
    return source if single else None


def _rounded(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    """`value` becomes float32; its readers get it cast to the type that it had."""
    assert value.dtype is not None
    back = _cast(value, value.dtype, f"{value.name}.half")
    ir.convenience.replace_all_uses_with(value, back.outputs[0], replace_graph_outputs=True)
    back.replace_input_with(0, value)
    value.type = ir.TensorType(ir.DataType.FLOAT)
    graph.insert_after(node, back)


def _without_detour(graph: ir.Graph, node: ir.Node) -> bool:
    """T -> wider -> T is T, bit for bit (but for a NaN's payload); from one half type to the other is not."""
    value = node.inputs[0]
    before = value.producer() if value is not None else None
    if before is None or before.op_type != "Cast" or before.domain or before.inputs[0] is None:
        return False
    source, middle, target = before.inputs[0].dtype, before.outputs[0].dtype, node.outputs[0].dtype
    if source is None or middle is None or source != target or not _holds(middle, source):
        return False
    ir.convenience.replace_all_uses_with(node.outputs[0], before.inputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True


def _holds(wide: ir.DataType, narrow: ir.DataType) -> bool:
    """Every value of `narrow` is one of `wide`."""
    floats = (np.dtype(np.float32), np.dtype(np.float64))
    return wide.numpy() in floats and (narrow.numpy() in HALVES or narrow.numpy() == FLOAT16)
