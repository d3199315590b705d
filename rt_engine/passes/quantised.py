"""Quantised models: DequantizeLinear -> operator -> QuantizeLinear becomes one operator on integers.

q --DQ--> x --Conv--> c --Relu--> r --Q--> p           p = Q(relu(conv(DQ(q), DQ(w)) + DQ(b)))
q --------------------QConv--------------> p           the same in exact int32, rescaled once
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.modes import Mode
from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, only_user
from rt_engine.ops.packing.quantised import multiplier, signed_weights
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.linear import limits_of
from rt_engine.passes.quantity import BYTES, Quantity, dequantised, flipped, quantity
from rt_engine.passes.tables import fuse_tables
from rt_engine.program.element_types import INTEGER_LIMITS

MOVERS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Identity", "Slice", "Gather", "Expand")
"""Operators that a per-tensor scale and zero point pass through: they move elements, or pick the largest."""


def fuse_quantised(compilation: Compilation) -> bool:
    """Put integer operators in the place of float ones between DequantizeLinear and QuantizeLinear.

    1. int8 activations become uint8 (zero point + 128) where only DequantizeLinear reads them: kernels take uint8.
    2. DequantizeLinear goes down, QuantizeLinear up through operators that only move elements, and MaxPool; where they meet
       with the same scale and zero point, both go.
    3. Conv, Gemm, MatMul (+ Add) with quantised constant weights -> QConv, QLinear, with the bias, a Relu or Clip behind
       it, and the QuantizeLinear if there is one (else the result is float32).
    4. Add of two quantised tensors, Relu or Clip, QuantizeLinear -> QAdd.
    5. GlobalAveragePool, ReduceMean of the spatial axes, AveragePool without padding, QuantizeLinear -> QConv, depthwise.
    6. QLinearConv, QLinearMatMul with constant weights, scales and zero points -> QConv, QLinear.
    7. Concat of tensors with the scale and zero point of the QuantizeLinear behind it: of the quantised ones.

    Before 3, functions of one tensor become tables (`passes.tables`). Those, 4 and 7 give the bits of the unfused operators. 3, 5
    and 6 differ from the float32 computation by at most one quantisation step, where its rounding errors or ours (one
    multiplication in float32) cross the border between two.

    Requires: shapes and types; DequantizeLinear of constants not folded. Ensures: nothing that later passes need.
    """
    graph = compilation.graph
    if not any(n.op_type in ("DequantizeLinear", "QLinearConv", "QLinearMatMul") for n in graph):
        return False
    for node in list(graph):
        if node.op_type == "QuantizeLinear":
            _to_unsigned(graph, node)
    waiting = deque(graph)
    while waiting:
        node = waiting.popleft()
        if node.graph is graph:
            waiting.extendleft(reversed(_sink(graph, node) or _lift(graph, node) or _cancel(graph, node)))
    fuse_tables(compilation)
    for node in list(graph):
        if node.graph is graph and not node.domain and node.op_type in _FUSE:
            _FUSE[node.op_type](graph, node)
    return True


# --- 1, 2: unsigned, and moved together --------------------------------------------------------------------------------


def _to_unsigned(graph: ir.Graph, node: ir.Node) -> None:
    made = quantity(node, "QuantizeLinear")
    if made is None or not made.per_tensor or made.dtype != np.int8 or made.value.is_graph_output():
        return
    readers = [usage.node for usage in made.value.uses()]
    read = [quantity(reader, "DequantizeLinear") for reader in readers]
    if not readers or any(q is None or not q.same(made) for q in read):
        return
    zero = add_constant(graph, f"{made.value.name}.zero", np.array(made.shift + 128, np.uint8))
    for user in (node, *readers):
        user.resize_inputs(3)  # a zero point of 0 may be left out
        user.replace_input_with(2, zero)
    node.attributes.pop("output_dtype", None)
    made.value.type = ir.TensorType(ir.DataType.UINT8)


def _is_mover(node: ir.Node) -> bool:
    others = node.outputs[1:]  # the indices of MaxPool
    return node.op_type in MOVERS and not node.domain and not any(v.uses() or v.is_graph_output() for v in others)


def _typed(value: ir.Value, dtype: Any, shape: Any, name: str) -> None:
    value.name, value.shape, value.dtype = name, shape, dtype


def _again(node: ir.Node, first: ir.Value, name: str) -> ir.Node:
    """A node like `node` with another first input."""
    inputs = [first, *node.inputs[1:]]
    return ir.node(node.op_type, inputs, dict(node.attributes), name=name, version=node.version)


def _sink(graph: ir.Graph, node: ir.Node) -> list[ir.Node]:
    """DQ -> mover: the mover first. Gives, as the next two, the nodes that are new and may go further."""
    if not _is_mover(node):
        return []
    source = node.inputs[0]
    found = dequantised(source)
    if source is None or found is None or not found.per_tensor or constant(found.value) is not None:
        return []
    producer, out = source.producer(), node.outputs[0]
    assert producer is not None
    moved = _again(node, found.value, f"{node.name}.q")
    _typed(moved.outputs[0], found.value.dtype, out.shape, f"{out.name}.q")
    after = _again(producer, moved.outputs[0], f"{node.name}.dq")
    _typed(after.outputs[0], out.dtype, out.shape, f"{out.name}.dq")
    _put(graph, node, [moved, after], out, after.outputs[0])
    return [moved, after]


def _lift(graph: ir.Graph, node: ir.Node) -> list[ir.Node]:
    """Mover -> Q: Q first."""
    made = quantity(node, "QuantizeLinear")
    mover = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    if made is None or not made.per_tensor or mover is None or mover.graph is not graph or not _is_mover(mover):
        return []
    source = mover.inputs[0]
    if source is None or only_user(mover.outputs[0], graph) is not node:
        return []
    first = _again(node, source, f"{node.name}.up")
    _typed(first.outputs[0], made.value.dtype, source.shape, f"{made.value.name}.up")
    moved = _again(mover, first.outputs[0], f"{mover.name}.q")
    _typed(moved.outputs[0], made.value.dtype, made.value.shape, f"{made.value.name}.moved")
    graph.insert_before(mover, first)
    _put(graph, node, [moved], made.value, moved.outputs[0])
    graph.remove(mover, safe=True)
    return [first, moved]


def _cancel(graph: ir.Graph, node: ir.Node) -> list[ir.Node]:
    """DQ -> Q with the same scale and zero point is nothing: (q - z) * s / s rounds to q - z."""
    made = quantity(node, "QuantizeLinear")
    found = dequantised(node.inputs[0]) if made is not None else None
    if made is None or found is None or not made.same(found):
        return []
    _put(graph, node, [], made.value, found.value)
    return []


def _put(graph: ir.Graph, node: ir.Node, new: list[ir.Node], was: ir.Value, now: ir.Value) -> None:
    """`new` stands where `node` did, and `now` is read in the place of `was`."""
    for one in new:
        graph.insert_before(node, one)
    ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
    graph.remove(node, safe=True)


# --- 3: products and convolutions --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tail:
    """What follows a float operator: limits, then perhaps a QuantizeLinear."""

    last: ir.Node
    low: float
    high: float
    made: Quantity | None


def _tail(graph: ir.Graph, node: ir.Node) -> _Tail:
    tail = _Tail(node, -np.inf, np.inf, None)
    user = only_user(node.outputs[0], graph)
    limits = limits_of(user) if user is not None and not user.domain and user.inputs[0] is node.outputs[0] else None
    if user is not None and limits is not None:
        tail.last, (tail.low, tail.high) = user, limits
        user = only_user(user.outputs[0], graph)
    made = quantity(user, "QuantizeLinear")
    if user is not None and made is not None and made.per_tensor and user.inputs[0] is tail.last.outputs[0]:
        tail.last, tail.made = user, made
    return tail


def _limits(tail: _Tail) -> tuple[float, float]:
    """Limits of the rounded number, less the zero point: the type's, and those of an activation, which round alike."""
    made = tail.made
    assert made is not None
    info = np.iinfo(made.dtype)
    low, high = float(info.min - made.shift), float(info.max - made.shift)
    with np.errstate(all="ignore"):  # the largest float is no limit either; nor is what is no number
        least, most = (float(np.rint(np.float32(limit) / made.step)) for limit in (tail.low, tail.high))
    low = min(max(low, least), high)
    high = min(high, most)
    return low, max(low, high)


def _finish(graph: ir.Graph, node: ir.Node, tail: _Tail, op_type: str, inputs: list[ir.Value], scale: NDArray[Any],
            attributes: dict[str, Any]) -> ir.Value:  # fmt: skip
    """Put the integer operator where the last node stood; `scale` is that of the sums."""
    made, was = tail.made, tail.last.outputs[0]
    if made is None:
        attributes |= {"mode": int(Mode.REAL), "low": float(tail.low), "high": float(tail.high)}
        factor = scale.astype(np.float32)
    else:
        low, high = _limits(tail)
        attributes |= {"mode": int(Mode.QUANTISED), "type": int(CODE[made.dtype]), "zero_y": made.shift}
        attributes |= {"low": low, "high": high}
        factor = multiplier(scale, np.float32(1), made.step)
    name = node.name or op_type
    inputs = [*inputs, add_constant(graph, f"{name}.scale", factor.reshape(-1))]
    new = ir.node(op_type, inputs, attributes, domain=RT_DOMAIN, name=node.name)
    _typed(new.outputs[0], was.dtype, was.shape, f"{was.name}.fused")
    _put(graph, tail.last, [new], was, new.outputs[0])
    return new.outputs[0]


def _unsigned(graph: ir.Graph, x: Quantity, before: ir.Node) -> tuple[ir.Value, int]:
    """(value, zero point) as uint8."""
    if x.dtype == np.uint8:
        return x.value, x.shift
    return flipped(graph, x.value, before), x.shift + 128


def _weights(value: ir.Value | None, columns_axis: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(signed weights without zero point, one scale per column or one in all) of dequantised constant weights."""
    producer = None if value is None else value.producer()
    if producer is not None and producer.op_type == "Transpose" and not producer.domain:
        inner = producer.inputs[0]
        perm = producer.attributes.get("perm")
        rank = 0 if inner is None or inner.shape is None else len(inner.shape)
        order = list(perm.as_ints()) if perm is not None else list(range(rank))[::-1]
        found = _weights(inner, order[columns_axis % rank]) if rank else None
        return None if found is None else (np.ascontiguousarray(found[0].transpose(order)), found[1])
    w = dequantised(value)
    array = None if w is None else constant(w.value)
    if w is None or array is None or (array.dtype not in BYTES and array.dtype not in INTEGER_LIMITS):
        return None
    axis, zero = w.axis % max(array.ndim, 1), w.zero
    if w.scale.size > 1 and (axis != columns_axis % array.ndim or w.scale.size != array.shape[axis]):
        return None
    if zero.size > 1:
        zero = zero.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
    return signed_weights(array, zero.reshape(()) if zero.size == 1 else zero), w.scale.reshape(-1)


def _bias(value: ir.Value | None, scale: NDArray[Any], columns: int) -> NDArray[np.int32] | None:
    """A bias in units of the sums; None where it is computed, or too large."""
    if value is None:
        return np.zeros(columns, np.int32)
    steps = np.broadcast_to(scale, columns).astype(np.float64)
    real = constant(value)
    if real is None:
        stored = dequantised(value)
        array = None if stored is None else constant(stored.value)
        if stored is None or array is None or stored.zero.any():
            return None
        real = array.astype(np.float64) * stored.scale.reshape(-1).astype(np.float64)
    if real.size not in (1, columns) or (real.size > 1 and real.shape[-1] != columns):
        return None
    units = np.rint(np.broadcast_to(real.reshape(-1), columns).astype(np.float64) / steps)
    return units.astype(np.int32) if np.isfinite(units).all() and np.abs(units).max(initial=0) < 2**31 else None


def _conv(graph: ir.Graph, node: ir.Node) -> None:
    x, found = dequantised(node.inputs[0]), _weights(node.inputs[1], 0)
    if x is None or found is None or not x.per_tensor or node.outputs[0].shape is None:
        return
    w, w_scale = found
    scale = (x.step * w_scale.astype(np.float32)).astype(np.float32)
    bias = _bias(node.inputs[2] if len(node.inputs) > 2 else None, scale, w.shape[0])
    if bias is None or w.ndim < 3:
        return
    tail = _tail(graph, node)
    if tail.made is None and 1 < node.attributes.get_int("group", 1) == w.shape[0]:
        return  # the depthwise kernel quantises
    _make_conv(graph, node, tail, x, w, bias, scale, dict(node.attributes))


def _make_conv(graph: ir.Graph, node: ir.Node, tail: _Tail, x: Quantity, w: NDArray[Any], bias: NDArray[np.int32],
               scale: NDArray[Any], attributes: dict[str, Any]) -> ir.Value:  # fmt: skip
    """`w` in ONNX's layout [m, channels / group, taps...]."""
    source, zero = _unsigned(graph, x, node)
    name, shape = node.name or "conv", node.outputs[0].shape
    assert shape is not None
    out = [int(d) for d in shape][2:]  # type: ignore[arg-type]  # static by now
    last = np.ascontiguousarray(np.transpose(w, [*range(2, w.ndim), 1, 0]))
    inputs = [source, add_constant(graph, f"{name}.weight", last), add_constant(graph, f"{name}.bias", bias)]
    attributes |= {"layout": "first", "out": out or [1] * (w.ndim - 2), "zero_x": zero}
    return _finish(graph, node, tail, "QConv", inputs, scale, attributes)


def _product(graph: ir.Graph, node: ir.Node) -> None:
    """Gemm and MatMul; a MatMul takes an Add of one number per column with it."""
    gemm = node.op_type == "Gemm"
    flipped = gemm and node.attributes.get_int("transB", 0) != 0
    x, found = dequantised(node.inputs[0]), _weights(node.inputs[1], 0 if flipped else -1)
    if x is None or found is None or not x.per_tensor or found[0].ndim != 2 or x.value.shape is None:
        return
    if gemm and (node.attributes.get_int("transA", 0) != 0 or node.attributes.get_float("alpha", 1.0) != 1.0):
        return
    if gemm and len(node.inputs) > 2 and node.attributes.get_float("beta", 1.0) != 1.0:
        return
    w = np.ascontiguousarray(found[0].T) if flipped else found[0]
    scale = (x.step * found[1].astype(np.float32)).astype(np.float32)
    bias = _bias(node.inputs[2] if gemm and len(node.inputs) > 2 else None, scale, w.shape[1])
    last = node
    add = only_user(node.outputs[0], graph)
    if not gemm and add is not None and _adds_row(add, node):
        summed = _bias(add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0], scale, w.shape[1])
        bias, last = (summed, add) if summed is not None else (bias, node)
    if bias is None:
        return
    source, zero = _unsigned(graph, x, node)
    name = node.name or "product"
    inputs = [source, add_constant(graph, f"{name}.weight", w), add_constant(graph, f"{name}.bias", bias)]
    _finish(graph, node, _tail(graph, last), "QLinear", inputs, scale, {"zero_x": zero})


def _adds_row(add: ir.Node, product: ir.Node) -> bool:
    return add.op_type == "Add" and not add.domain and add.outputs[0].shape == product.outputs[0].shape


# --- 4, 5: sums and averages -------------------------------------------------------------------------------------------


def _add(graph: ir.Graph, node: ir.Node) -> None:
    a, b = dequantised(node.inputs[0]), dequantised(node.inputs[1])
    if a is None or b is None or not (a.per_tensor and b.per_tensor) or a.value.shape != b.value.shape:
        return
    if constant(a.value) is not None or constant(b.value) is not None:
        return
    tail = _tail(graph, node)
    if tail.made is None:
        return
    (left, zero_a), (right, zero_b) = _unsigned(graph, a, node), _unsigned(graph, b, node)
    low, high = _limits(tail)
    attributes: dict[str, Any] = {
        "zeros": [zero_a, zero_b, tail.made.shift],
        "scales": [float(a.step), float(b.step), float(tail.made.step)],
        "low": low,
        "high": high,
        "type": int(CODE[tail.made.dtype]),
    }
    new = ir.node("QAdd", [left, right], attributes, domain=RT_DOMAIN, name=node.name)
    was = tail.made.value
    _typed(new.outputs[0], was.dtype, was.shape, f"{was.name}.fused")
    _put(graph, tail.last, [new], was, new.outputs[0])


def _mean(graph: ir.Graph, node: ir.Node) -> None:
    """An average over windows is a depthwise convolution with ones."""
    x = dequantised(node.inputs[0])
    if x is None or not x.per_tensor or x.value.shape is None or len(x.value.shape) < 3:
        return
    shape = [int(d) for d in x.value.shape]  # type: ignore[arg-type]  # static by now
    kernel, attributes = _averaged(node, shape)
    tail = _tail(graph, node)
    if kernel is None or tail.made is None:
        return
    channels = shape[1]
    ones = np.ones((channels, 1, *kernel), np.int8)
    scale = np.full(channels, np.float32(x.step / np.float32(np.prod(kernel))), np.float32)
    whole = tail.made.value.shape
    assert whole is not None
    out = _make_conv(graph, node, tail, x, ones, np.zeros(channels, np.int32), scale, {"group": channels, **attributes})
    if len(whole) != len(shape):  # a reduction that drops its axes
        made, conv = out, out.producer()
        assert conv is not None
        dims = [int(d) for d in whole]  # type: ignore[arg-type]  # static by now
        reshape = ir.node("Reshape", [made, add_constant(graph, f"{node.name}.shape", np.array(dims, np.int64))])
        _typed(reshape.outputs[0], made.dtype, whole, f"{made.name}.flat")
        made.shape = ir.Shape([shape[0], channels, *[1] * len(kernel)])
        graph.insert_after(conv, reshape)
        ir.convenience.replace_all_uses_with(made, reshape.outputs[0], replace_graph_outputs=True)
        reshape.replace_input_with(0, made)


def _averaged(node: ir.Node, shape: list[int]) -> tuple[list[int] | None, dict[str, Any]]:
    """(the window, attributes of the convolution) of an average of whole windows."""
    spatial = list(range(2, len(shape)))
    if node.op_type == "AveragePool":
        pads = node.attributes.get("pads")
        padded = pads is not None and any(pads.as_ints())
        if padded or node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            return None, {}
        if node.attributes.get_int("ceil_mode", 0):
            return None, {}
        kept = {k: v for k, v in node.attributes.items() if k in ("strides", "dilations")}
        return list(node.attributes["kernel_shape"].as_ints()), kept
    if node.op_type == "ReduceMean":
        given = node.attributes.get("axes")
        array = constant(node.inputs[1]) if given is None and len(node.inputs) > 1 else None
        axes = list(given.as_ints()) if given is not None else [] if array is None else [int(a) for a in array]
        if sorted(a % len(shape) for a in axes) != spatial:
            return None, {}
    return shape[2:], {}


# --- 6: QLinear operators ----------------------------------------------------------------------------------------------


def _given(node: ir.Node, first: int, axis: int) -> Quantity | None:
    """Three inputs of a QLinear operator: a tensor, its scale, its zero point."""
    value, scale, zero = node.inputs[first], constant(node.inputs[first + 1]), constant(node.inputs[first + 2])
    if value is None or scale is None or zero is None or scale.dtype != np.float32:
        return None
    return Quantity(value, scale, zero, axis)


def _qlinear(graph: ir.Graph, node: ir.Node) -> None:
    conv = node.op_type == "QLinearConv"
    x, w = _given(node, 0, 0), _given(node, 3, 0 if conv else 1)
    scale, zero = constant(node.inputs[6]), constant(node.inputs[7])
    array = None if w is None else constant(w.value)
    if x is None or w is None or array is None or scale is None or zero is None or not x.per_tensor:
        return
    made = Quantity(node.outputs[0], scale, zero, 0)
    if not made.per_tensor or scale.dtype != np.float32 or array.ndim < 2 or (not conv and array.ndim != 2):
        return
    columns = array.shape[w.axis]
    if w.scale.size not in (1, columns) or w.zero.size not in (1, columns):
        return
    shape = [-1 if a == w.axis else 1 for a in range(array.ndim)]
    signed = signed_weights(array, w.zero.reshape(shape) if w.zero.size > 1 else w.zero.reshape(()))
    bias = constant(node.inputs[8]) if len(node.inputs) > 8 else None
    if len(node.inputs) > 8 and node.inputs[8] is not None and bias is None:
        return
    row = np.zeros(columns, np.int32) if bias is None else bias.astype(np.int32)
    sums = (x.step * w.scale.astype(np.float32)).reshape(-1)
    tail = _Tail(node, -np.inf, np.inf, made)
    if conv:
        _make_conv(graph, node, tail, x, signed, row, sums, dict(node.attributes))
        return
    source, shift = _unsigned(graph, x, node)
    name = node.name or "product"
    inputs = [source, add_constant(graph, f"{name}.weight", signed), add_constant(graph, f"{name}.bias", row)]
    _finish(graph, node, tail, "QLinear", inputs, sums, {"zero_x": shift})


# --- 7: parts side by side --------------------------------------------------------------


def _concat(graph: ir.Graph, node: ir.Node) -> None:
    parts, user = [dequantised(v) for v in node.inputs], only_user(node.outputs[0], graph)
    made = quantity(user, "QuantizeLinear")
    if made is None or user is None or any(p is None or not p.same(made) for p in parts):
        return
    inputs = [p.value for p in parts if p is not None]
    new = ir.node("Concat", inputs, dict(node.attributes), name=node.name)
    _typed(new.outputs[0], made.value.dtype, made.value.shape, f"{made.value.name}.fused")
    _put(graph, user, [new], made.value, new.outputs[0])


_FUSE = {
    "Conv": _conv,
    "Concat": _concat,
    "Gemm": _product,
    "MatMul": _product,
    "Add": _add,
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "AveragePool"), _mean),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), _qlinear),
}
