"""Layout rules (see `passes.channels_last`) of all operators but those that change an image's size, which `passes.transposed` has."""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, is_float
from rt_engine.passes.layout import (
    ANCHORS,
    TWIN,
    Walk,
    attributes_of,
    carries,
    moved_axis,
    shape_of,
    to_first,
    to_last,
)


@carries("Conv")
def _conv(walk: Walk, node: ir.Node) -> bool:
    """Constant weights and bias."""
    x, w = node.inputs[0], constant(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    values = constant(bias)
    if x is None or w is None or not is_float(x) or (bias is not None and values is None) or w.ndim < 3:
        return False
    name = node.name or "conv"
    row = np.zeros(w.shape[0], w.dtype) if values is None else values
    weights = add_constant(walk.graph, f"{name}.weight", np.transpose(w, [*range(2, w.ndim), 1, 0]))
    inputs = [walk.twin(x, node), weights, add_constant(walk.graph, f"{name}.bias", row)]
    walk.put(node, "ConvLast", inputs, {**attributes_of(node), "out": _spatial(node)}, RT_DOMAIN)
    return True


def _spatial(node: ir.Node) -> ir.Attr:
    return ir.AttrInt64s("out", list(shape_of(node.outputs[0])[2:]))


FEW = 4
"""Up to this many channels, an integer convolution reads ONNX's layout as it stands: nothing is transposed."""


@carries("QConv")
def _qconv(walk: Walk, node: ir.Node) -> bool:
    """An integer convolution; its weights are channels last already."""
    x, w = node.inputs[0], constant(node.inputs[1])
    if x is None or w is None or node.attributes["layout"].as_string() != "first":
        return False
    planar = x not in walk.last and w.shape[-2] <= FEW and node.attributes.get_int("group", 1) == 1
    attributes = {**attributes_of(node), "layout": ir.AttrString("layout", "planar" if planar else "last")}
    walk.put(node, "QConv", [x if planar else walk.twin(x, node), *node.inputs[1:]], attributes)
    return True


@carries("QuantizeLinear", "DequantizeLinear")
def _per_tensor(walk: Walk, node: ir.Node) -> bool:
    """One scale for all."""
    x, scale = node.inputs[0], node.inputs[1]
    if x is None or x not in walk.last or scale is None or np.prod(shape_of(scale)) != 1:
        return False
    walk.put(node, node.op_type, [walk.last[x], *node.inputs[1:]], attributes_of(node))
    return True


@carries("DynamicQuantizeLinear")
def _dynamic(walk: Walk, node: ir.Node) -> bool:
    """Smallest and largest element do not depend on the layout: scale and zero point are what they were."""
    x = node.inputs[0]
    if x is None or x not in walk.last or any(v.shape is None or not v.name for v in node.outputs):
        return False
    walk.put(node, node.op_type, [walk.last[x]], attributes_of(node))
    twin = walk.last[node.outputs[0]].producer()
    assert twin is not None
    twin.resize_outputs(3)
    for was, now in zip(node.outputs[1:], twin.outputs[1:], strict=True):
        now.shape, now.type = was.shape, was.type
        ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
        now.name, was.name = was.name, None
    return True


@carries("MaxPool", "AveragePool")
def _pool(walk: Walk, node: ir.Node) -> bool:
    x = node.inputs[0]
    if x is None or len(shape_of(x)) < 3:
        return False
    if node.op_type == "MaxPool" and x.dtype == ir.DataType.UINT8:
        walk.put(node, "QMaxPool", [walk.twin(x, node)], {**attributes_of(node), "out": _spatial(node)}, RT_DOMAIN)
        return True
    if not is_float(x):
        return False
    attributes = {**attributes_of(node), "out": _spatial(node), "kind": ir.AttrString("kind", node.op_type)}
    walk.put(node, "PoolLast", [walk.twin(x, node)], attributes, RT_DOMAIN)
    return True


@carries("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(walk: Walk, node: ir.Node) -> bool:
    x = node.inputs[0]
    if x not in walk.last or not is_float(x):
        return False
    name = "ReduceMean" if node.op_type == "GlobalAveragePool" else "ReduceMax"
    axes = list(range(1, len(shape_of(x)) - 1))
    walk.put(node, name, *_reduction(walk.last[x], axes, keep=True))
    return True


def _reduction(x: ir.Value, axes: list[int], keep: bool) -> tuple[list[ir.Value], dict[str, Any]]:
    """(inputs, attributes) of a reduction; our own lowering takes axes as an attribute for every opset."""
    return [x], {"axes": axes, "keepdims": int(keep)}


@carries(
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSum", "ReduceLogSumExp"),
)
def _reduce(walk: Walk, node: ir.Node) -> bool:
    """Axes kept, or all that is left keeps its order."""
    x = node.inputs[0]
    if x is None or x not in walk.last or not is_float(x):
        return False
    rank = len(shape_of(x))
    given = node.attributes.get("axes")
    if given is not None:
        axes: list[int] | None = [int(a) for a in given.as_ints()]
    elif len(node.inputs) > 1 and node.inputs[1] is not None:
        array = constant(node.inputs[1])
        if array is None:
            return False
        axes = [int(a) for a in array]
    else:
        axes = None
    if not axes:
        if node.attributes.get_int("noop_with_empty_axes", 0):
            return False
        axes = list(range(rank))
    moved = sorted(moved_axis(a, rank) for a in axes)
    if node.attributes.get_int("keepdims", 1):
        walk.put(node, node.op_type, *_reduction(walk.last[x], moved, keep=True))
        return True
    left = [to_last(rank)[a] for a in range(rank) if a not in moved]
    shape = shape_of(x)
    moving = [a for a in left if shape[a] != 1]
    if moving != sorted(moving):
        return False
    inputs, attributes = _reduction(walk.last[x], moved, keep=False)
    out = node.outputs[0]
    now = walk.insert(node, node.op_type, inputs, attributes, shape_of(out), out.dtype, node.domain, True)
    _take_over(walk, node, now)
    return True


def _take_over(walk: Walk, node: ir.Node, now: ir.Value) -> None:
    """`now` is what `node` makes, in ONNX's layout."""
    was = node.outputs[0]
    ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
    if now.producer() is not None:
        now.name = was.name
    walk.graph.remove(node, safe=True)
    walk.changed = True


@carries("Concat", "Softmax", "LogSoftmax")
def _along_axis(walk: Walk, node: ir.Node) -> bool:
    """The axis moves; one input with a twin is enough."""
    tensors = [v for v in node.inputs if v is not None]
    rank = len(shape_of(node.outputs[0]))
    if rank < 3 or not any(v in walk.last and constant(v) is None for v in tensors):
        return False
    if node.op_type != "Concat" and "axis" not in node.attributes:
        return False
    axis = moved_axis(node.attributes["axis"].as_int(), rank)
    walk.put(node, node.op_type, [walk.twin(v, node) for v in tensors], {**attributes_of(node), "axis": axis})
    return True


@carries("Split")
def _split(walk: Walk, node: ir.Node) -> bool:
    """The axis moves; all that come out have twins."""
    x = node.inputs[0]
    if x is None or x not in walk.last or any(v.shape is None or not v.name for v in node.outputs):
        return False
    rank = len(shape_of(x))
    attributes = {**attributes_of(node), "axis": moved_axis(node.attributes.get_int("axis", 0), rank)}
    inputs, count = [walk.last[x], *node.inputs[1:]], len(node.outputs)
    twin = ir.node("Split", inputs, attributes, num_outputs=count, name=node.name)
    walk.graph.insert_before(node, twin)
    for was, now in zip(node.outputs, twin.outputs, strict=True):
        now.shape, now.type = ir.Shape([shape_of(was)[p] for p in to_last(rank)]), was.type
        now.name = f"{was.name}{TWIN}"
        walk.last[was] = now
        walk.plain.add(was)
    walk.done.append(node)
    walk.changed = True
    return True


@carries("Pad")
def _pad(walk: Walk, node: ir.Node) -> bool:
    """Constant pads of all axes."""
    x = node.inputs[0]
    pads = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or pads is None or len(node.inputs) > 3:
        return False
    rank = len(shape_of(x))
    before_anchor = all(usage.node.op_type in ANCHORS for usage in node.outputs[0].uses())
    if pads.size != 2 * rank or rank < 3 or not (x in walk.last or before_anchor):
        return False
    moved = pads.reshape(2, rank)[:, to_last(rank)].ravel()
    inputs = [walk.twin(x, node), add_constant(walk.graph, f"{node.name}.pads", moved), *node.inputs[2:]]
    walk.put(node, "Pad", inputs, attributes_of(node))
    return True


@carries("BatchNormalization")
def _batch_norm(walk: Walk, node: ir.Node) -> bool:
    """A scale and a shift per channel, computed in float64 and rounded once."""
    x, statistics = node.inputs[0], [constant(v) for v in node.inputs[1:5]]
    if x is None or x not in walk.last or not is_float(x) or any(s is None for s in statistics):
        return False
    if node.attributes.get_int("training_mode", 0) or not node.attributes.get_int("spatial", 1):
        return False
    scale, shift, mean, variance = (np.asarray(s, np.float64) for s in statistics)
    factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    assert x.dtype is not None
    rows: list[NDArray[Any]] = [v.astype(x.dtype.numpy()) for v in (factor, shift - mean * factor)]
    names = (f"{node.name}.scale", f"{node.name}.shift")
    inputs = [walk.last[x], *(add_constant(walk.graph, n, row) for n, row in zip(names, rows, strict=True))]
    walk.put(node, "ScaleShift", inputs, {}, RT_DOMAIN)
    return True


@carries("Transpose")
def _transpose(walk: Walk, node: ir.Node) -> bool:
    """Of a value with a twin: one Transpose of the twin, or none; to channels first of a plain value: its twin is known."""
    x = node.inputs[0]
    if x is None:
        return False
    rank = len(shape_of(x))
    perm = [int(p) for p in node.attributes["perm"].as_ints()] if "perm" in node.attributes else list(range(rank))[::-1]
    if x not in walk.last:
        if rank >= 3 and perm == to_first(rank) and x not in walk.plain:
            walk.settle(node, x)
            return True
        return False
    first = to_last(rank)
    total = [first.index(p) for p in perm]
    if total == list(range(rank)):
        _take_over(walk, node, walk.last[x])
        return True
    out = node.outputs[0]
    now = walk.insert(node, "Transpose", [walk.last[x]], {"perm": total}, shape_of(out), out.dtype, "", True)
    _take_over(walk, node, now)
    return True


@carries("Flatten", "Reshape", "Squeeze")
def _flatten(walk: Walk, node: ir.Node) -> bool:
    """[N, C, ...] -> [N, C * ...]: nothing moves where there is one pixel or one channel; or the next weights are reordered."""
    x, out = node.inputs[0], node.outputs[0]
    if x is None or x not in walk.last:
        return False
    shape, result = shape_of(x), shape_of(out)
    channels, pixels = shape[1], int(np.prod(shape[2:]))
    flat = len(result) == 2 and result == (shape[0], channels * pixels)
    if channels == 1 or pixels == 1:
        _as_shape(walk, node, walk.last[x])
        return True
    users = [usage.node for usage in out.uses()]
    if not flat or out.is_graph_output() or not users or not all(_reorders(u, out) for u in users):
        return False
    order = np.arange(channels * pixels).reshape(channels, pixels).T.ravel()
    for user in dict.fromkeys(users):
        w = constant(user.inputs[1])
        assert w is not None
        axis = int(user.op_type == "Gemm" and user.attributes.get_int("transB", 0) != 0)
        user.replace_input_with(1, add_constant(walk.graph, f"{user.name}.weight", np.take(w, order, axis=axis)))
    _as_shape(walk, node, walk.last[x])
    return True


def _as_shape(walk: Walk, node: ir.Node, source: ir.Value) -> None:
    out = node.outputs[0]
    shape = add_constant(walk.graph, f"{node.name}.shape", np.array(shape_of(out), np.int64))
    attributes = {"allowzero": 1} if 0 in shape_of(out) else {}
    now = walk.insert(node, "Reshape", [source, shape], attributes, shape_of(out), out.dtype, "", True)
    _take_over(walk, node, now)


def _reorders(user: ir.Node, x: ir.Value) -> bool:
    """Can the rows of this product's weights be put in another order?"""
    known = (("", "Gemm"), ("", "MatMul"), (RT_DOMAIN, "QLinear"))
    if (user.domain, user.op_type) not in known or user.inputs[0] is not x or user.inputs[1] is x:
        return False
    w = constant(user.inputs[1])
    return w is not None and w.ndim == 2 and not user.attributes.get_int("transA", 0)
