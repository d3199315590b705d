"""Everything that is one matrix product with constant weights becomes one `rt_engine:Linear` node."""

from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, is_float, only_user, replace
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
        layer = _from_gemm(node) or _from_matmul(node) if node.graph is graph else None
        if layer is None:
            continue
        while user := only_user(layer.out, graph):
            bigger = _with_bias(layer, user) or _with_norm(layer, user) or _with_limits(layer, user)
            if bigger is None:
                break
            layer = bigger
        _put(graph, layer)
        changed = True
    return changed


@dataclass(frozen=True, slots=True)
class _Layer:
    """What the nodes compute together: y = clip(x @ w + b, low, high)."""

    nodes: tuple[ir.Node, ...]
    x: ir.Value
    w: NDArray[Any]
    b: NDArray[Any]
    low: float = -np.inf
    high: float = np.inf

    @property
    def out(self) -> ir.Value:
        return self.nodes[-1].outputs[0]

    @property
    def is_clipped(self) -> bool:
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def and_(self, user: ir.Node, **changed: Any) -> "_Layer":
        """The same with one more node, that changes something."""
        return replace_fields(self, nodes=(*self.nodes, user), **changed)


def _put(graph: ir.Graph, layer: _Layer) -> None:
    name = layer.nodes[0].name
    weights = add_constant(graph, f"{name or 'linear'}.weight", layer.w)
    bias = add_constant(graph, f"{name or 'linear'}.bias", layer.b)
    limits = {"low": float(layer.low), "high": float(layer.high)}
    replace(graph, layer.nodes, ir.node("Linear", [layer.x, weights, bias], limits, domain=RT_DOMAIN, name=name))


def _from_gemm(node: ir.Node) -> _Layer | None:
    if node.op_type != "Gemm" or node.domain or not is_float(node.inputs[0]):
        return None
    x, w = node.inputs[0], constant(node.inputs[1])
    c = node.inputs[2] if len(node.inputs) > 2 else None
    bias = constant(c)
    if x is None or w is None or (c is not None and bias is None) or _attr(node, "transA", 0):
        return None
    w = (w.T if _attr(node, "transB", 0) else w) * w.dtype.type(_attr(node, "alpha", 1.0))
    columns = w.shape[1]
    if bias is not None and bias.shape not in ((), (1,), (columns,), (1, 1), (1, columns)):
        return None
    row = (
        np.zeros(columns, w.dtype)
        if bias is None
        else np.broadcast_to(bias.reshape(-1), columns) * w.dtype.type(_attr(node, "beta", 1.0))
    )
    return _Layer((node,), x, w, row)


def _from_matmul(node: ir.Node) -> _Layer | None:
    if node.op_type != "MatMul" or node.domain or not is_float(node.inputs[0]):
        return None
    x, w = node.inputs[0], constant(node.inputs[1])
    if x is None or w is None or w.ndim != 2 or x.shape is None or len(x.shape) < 1:
        return None
    return _Layer((node,), x, w, np.zeros(w.shape[1], w.dtype))


def _attr(node: ir.Node, name: str, default: float) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value


def _with_bias(layer: _Layer, add: ir.Node) -> _Layer | None:
    if add.op_type != "Add" or add.domain or layer.is_clipped:
        return None
    value = constant(add.inputs[1] if add.inputs[0] is layer.out else add.inputs[0])
    if (
        value is None
        or add.outputs[0].shape != layer.out.shape
        or value.size not in (1, layer.w.shape[1])
        or (value.size > 1 and value.shape[-1] != value.size)
    ):
        return None
    return layer.and_(add, b=layer.b + np.broadcast_to(value.reshape(-1), layer.b.shape))


def _with_norm(layer: _Layer, norm: ir.Node) -> _Layer | None:
    """BatchNormalization over the columns of a 2-D product, in float64, rounded once."""
    if norm.op_type != "BatchNormalization" or norm.domain or layer.is_clipped or norm.inputs[0] is not layer.out:
        return None
    shape, statistics = layer.out.shape, [constant(v) for v in norm.inputs[1:5]]
    if shape is None or len(shape) != 2 or any(s is None for s in statistics) or _attr(norm, "training_mode", 0):
        return None
    scale, shift, mean, variance = (np.asarray(s, np.float64) for s in statistics)
    w, b = layer.w, layer.b
    factor = scale / np.sqrt(variance + float(_attr(norm, "epsilon", 1e-5)))
    return layer.and_(norm, w=(w * factor).astype(w.dtype), b=((b - mean) * factor + shift).astype(b.dtype))


def _with_limits(layer: _Layer, user: ir.Node) -> _Layer | None:
    if user.domain or user.inputs[0] is not layer.out or layer.is_clipped:
        return None
    limits = limits_of(user)
    return None if limits is None else layer.and_(user, low=limits[0], high=limits[1])


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
