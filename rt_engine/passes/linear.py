"""Everything that is one matrix product with constant weights becomes one `rt_engine:Linear` node."""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import FLOATS, RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, only_user, replace
from rt_engine.passes.compilation import Compilation


def fuse_linear(compilation: Compilation) -> bool:
    """Make linear layers: y = clip(x @ w + b, low, high).

    1. Gemm with constant B and constant C (one number per column, or none), transA = 0 -> Linear; alpha, beta, transB go
       into the weights.
    2. MatMul with a constant 2-D right side -> Linear without bias.
    3. Linear + Add of a constant with one number per column -> the bias.
    4. Linear + BatchNormalization with constant statistics -> weights and bias.
    5. Linear + Relu, or Clip with constant limits -> the limits.

    Requires: static shapes. Ensures: nothing that later passes need.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        changed = (_from_gemm(graph, node) or _from_matmul(graph, node)) or changed
    for node in list(graph):
        while node.op_type == "Linear" and node.domain == RT_DOMAIN and node.graph is graph:
            user = only_user(node.outputs[0], graph)
            bigger = user and (
                _with_bias(graph, node, user) or _with_norm(graph, node, user) or _with_limits(graph, node, user)
            )
            if not bigger:
                break
            node, changed = bigger, True
    return changed


def _linear(
    x: ir.Value, w: ir.Value, b: ir.Value, name: str | None, low: float = -np.inf, high: float = np.inf
) -> ir.Node:
    return ir.node("Linear", [x, w, b], {"low": float(low), "high": float(high)}, domain=RT_DOMAIN, name=name)


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and np.dtype(value.dtype.numpy()) in FLOATS


def _from_gemm(graph: ir.Graph, node: ir.Node) -> bool:
    if node.op_type != "Gemm" or node.domain or node.graph is not graph or not _is_float(node.inputs[0]):
        return False
    x, w = node.inputs[0], constant(node.inputs[1])
    c = node.inputs[2] if len(node.inputs) > 2 else None
    bias = constant(c)
    if x is None or w is None or (c is not None and bias is None) or _attr(node, "transA", 0):
        return False
    w = (w.T if _attr(node, "transB", 0) else w) * w.dtype.type(_attr(node, "alpha", 1.0))
    columns = w.shape[1]
    if bias is not None and bias.shape not in ((), (1,), (columns,), (1, 1), (1, columns)):
        return False
    row = (
        np.zeros(columns, w.dtype)
        if bias is None
        else np.broadcast_to(bias.reshape(-1), columns) * w.dtype.type(_attr(node, "beta", 1.0))
    )
    _replace(graph, [node], x, w, row)
    return True


def _from_matmul(graph: ir.Graph, node: ir.Node) -> bool:
    if node.op_type != "MatMul" or node.domain or node.graph is not graph or not _is_float(node.inputs[0]):
        return False
    x, w = node.inputs[0], constant(node.inputs[1])
    if x is None or w is None or w.ndim != 2 or x.shape is None or len(x.shape) < 1:
        return False
    _replace(graph, [node], x, w, np.zeros(w.shape[1], w.dtype))
    return True


def _attr(node: ir.Node, name: str, default: float) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value


def _replace(
    graph: ir.Graph, old: list[ir.Node], x: ir.Value, w: NDArray[Any], b: NDArray[Any], **limits: float
) -> ir.Node:
    name = old[0].name or "linear"
    weights, bias = add_constant(graph, f"{name}.weight", w), add_constant(graph, f"{name}.bias", b)
    node = _linear(x, weights, bias, old[0].name, **limits)
    replace(graph, old, node)
    return node


def _parts(node: ir.Node) -> tuple[ir.Value, NDArray[Any], NDArray[Any]]:
    x, w, b = node.inputs[0], constant(node.inputs[1]), constant(node.inputs[2])
    assert x is not None and w is not None and b is not None
    return x, w, b


def _is_clipped(node: ir.Node) -> bool:
    return bool(np.isfinite(_attr(node, "low", -np.inf)) or np.isfinite(_attr(node, "high", np.inf)))


def _with_bias(graph: ir.Graph, node: ir.Node, add: ir.Node) -> ir.Node | None:
    if add.op_type != "Add" or add.domain or _is_clipped(node):
        return None
    other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
    value, (x, w, b) = constant(other), _parts(node)
    same_shape = add.outputs[0].shape == node.outputs[0].shape
    if (
        value is None
        or not same_shape
        or value.size not in (1, w.shape[1])
        or (value.size > 1 and value.shape[-1] != value.size)
    ):
        return None
    return _replace(graph, [node, add], x, w, b + np.broadcast_to(value.reshape(-1), b.shape))


def _with_norm(graph: ir.Graph, node: ir.Node, norm: ir.Node) -> ir.Node | None:
    """BatchNormalization over the columns of a 2-D product, in float64, rounded once."""
    if (
        norm.op_type != "BatchNormalization"
        or norm.domain
        or _is_clipped(node)
        or norm.inputs[0] is not node.outputs[0]
    ):
        return None
    shape, statistics = node.outputs[0].shape, [constant(v) for v in norm.inputs[1:5]]
    if shape is None or len(shape) != 2 or any(s is None for s in statistics) or _attr(norm, "training_mode", 0):
        return None
    scale, shift, mean, variance = (np.asarray(s, np.float64) for s in statistics)
    x, w, b = _parts(node)
    factor = scale / np.sqrt(variance + float(_attr(norm, "epsilon", 1e-5)))
    return _replace(graph, [node, norm], x, (w * factor).astype(w.dtype), ((b - mean) * factor + shift).astype(b.dtype))


def _with_limits(graph: ir.Graph, node: ir.Node, user: ir.Node) -> ir.Node | None:
    if user.domain or user.inputs[0] is not node.outputs[0] or _is_clipped(node):
        return None
    limits = limits_of(user)
    if limits is None:
        return None
    x, w, b = _parts(node)
    return _replace(graph, [node, user], x, w, b, low=limits[0], high=limits[1])


def limits_of(user: ir.Node) -> tuple[float, float] | None:
    """(low, high) of a Relu, or of a Clip with constant limits that do not cross."""
    if user.op_type == "Relu":
        return 0.0, np.inf
    if user.op_type != "Clip":
        return None
    limits = [constant(v) for v in user.inputs[1:3]]
    if any(v is not None and a is None for v, a in zip(user.inputs[1:3], limits, strict=True)):
        return None
    if any(a is not None and a.size != 1 for a in limits):
        return None
    values = [None if a is None else float(a.item()) for a in limits] + [None, None]
    low = values[0] if values[0] is not None else float(_attr(user, "min", -np.inf))
    high = values[1] if values[1] is not None else float(_attr(user, "max", np.inf))
    return (low, high) if low <= high else None
