"""Layer and root-mean-square normalisation that exporters write as several nodes become one."""

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import FLOATS, RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, only_user, replace
from rt_engine.passes.compilation import Compilation


def fuse_norms(compilation: Compilation) -> bool:
    """Recognise normalisation over the last axis: d / Sqrt(ReduceMean(d * d) + epsilon), then scale and shift.

    1. d is x - ReduceMean(x)      -> rt_engine:LayerNormalization (PyTorch before opset 17)
    2. d is x                      -> rt_engine:RMSNormalization (before opset 23)
    3. The quotient is a Div, or a Mul by a Reciprocal; the square is Pow(d, 2) or Mul(d, d).
    4. Mul, then Add, of a constant with one number per element of the row are part of it.

    Requires: static shapes. Ensures: no new dead node but those that it replaces.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        if node.op_type == "Sqrt" and node.domain == "" and node.graph is graph:
            changed = _fuse(graph, node) or changed
    return changed


def _producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in op_types and node.domain == "" else None


def _number(value: ir.Value | None) -> float | None:
    array = constant(value)
    return float(array.item()) if array is not None and array.size == 1 else None


def _mean_of(value: ir.Value | None) -> ir.Value | None:
    """x, where the value is ReduceMean(x) over the last axis, which stays as 1."""
    node = _producer(value, "ReduceMean")
    if node is None or node.inputs[0] is None or node.inputs[0].shape is None:
        return None
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    given = list(node.attributes["axes"].as_ints()) if "axes" in node.attributes else axes
    rank = len(node.inputs[0].shape)
    last = given is not None and [int(a) % rank for a in given] == [rank - 1]
    kept = node.attributes["keepdims"].as_int() if "keepdims" in node.attributes else 1
    return node.inputs[0] if last and kept else None


def _square_of(value: ir.Value | None) -> ir.Value | None:
    node = _producer(value, "Pow", "Mul")
    if node is None:
        return None
    squared = _number(node.inputs[1]) == 2.0 if node.op_type == "Pow" else node.inputs[0] is node.inputs[1]
    return node.inputs[0] if squared else None


def _quotient(graph: ir.Graph, root: ir.Value, d: ir.Value) -> ir.Node | None:
    """The node that makes d / root."""
    user = only_user(root, graph)
    if user is None or user.domain:
        return None
    if user.op_type == "Div" and user.inputs[0] is d and user.inputs[1] is root:
        return user
    inverse = user.op_type == "Reciprocal" or (user.op_type == "Div" and _number(user.inputs[0]) == 1.0)
    product = only_user(user.outputs[0], graph) if inverse else None
    is_product = product is not None and product.op_type == "Mul" and product.domain == ""
    return product if is_product and product is not None and d in product.inputs else None


def _row_after(graph: ir.Graph, node: ir.Node, op_type: str, n: int) -> tuple[ir.Node, ir.Value] | None:
    """The only user of the node's output, and its other operand, a constant row."""
    user = only_user(node.outputs[0], graph)
    if user is None or user.op_type != op_type or user.domain or user.outputs[0].shape != node.outputs[0].shape:
        return None
    other = user.inputs[1] if user.inputs[0] is node.outputs[0] else user.inputs[0]
    array = constant(other)
    if array is None or other is None or array.size != n or array.shape[-1:] != (n,):
        return None
    return user, other


def _fuse(graph: ir.Graph, sqrt: ir.Node) -> bool:
    add = _producer(sqrt.inputs[0], "Add")
    if add is None:
        return False
    first = _number(add.inputs[1]) is not None
    mean, epsilon = (add.inputs[0], add.inputs[1]) if first else (add.inputs[1], add.inputs[0])
    offset, d = _number(epsilon), _square_of(_mean_of(mean))
    if d is None or offset is None or d.dtype is None or np.dtype(d.dtype.numpy()) not in FLOATS or d.shape is None:
        return False
    last = _quotient(graph, sqrt.outputs[0], d)
    if last is None or last.outputs[0].shape != d.shape:
        return False
    centred = _producer(d, "Sub")
    about_mean = centred is not None and _mean_of(centred.inputs[1]) is centred.inputs[0]
    x = centred.inputs[0] if centred is not None and about_mean else d
    n = int(d.shape[-1])  # type: ignore[arg-type]  # static by now
    scaled = _row_after(graph, last, "Mul", n)
    last = scaled[0] if scaled else last
    shifted = _row_after(graph, last, "Add", n) if about_mean else None
    last = shifted[0] if shifted else last
    ones = np.ones(n, d.dtype.numpy())
    rows = [ones if scaled is None else constant(scaled[1]), None if shifted is None else constant(shifted[1])]
    inputs = [x, *(add_constant(graph, "norm.row", r.reshape(-1)) for r in rows if r is not None)]
    name = "LayerNormalization" if about_mean else "RMSNormalization"
    replace(graph, [last], ir.node(name, inputs, {"epsilon": offset}, domain=RT_DOMAIN, name=last.name))
    return True
