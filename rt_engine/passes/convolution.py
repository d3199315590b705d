"""What stands around a channels-last convolution becomes part of it: y = clip(conv(x, w) + b + addend, low, high)."""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.convolve import FEW
from rt_engine.ops.graph import add_constant, constant, only_user, replace
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.layout import to_last
from rt_engine.passes.linear import limits_of


def fuse_convolutions(compilation: Compilation) -> bool:
    """Make rt_engine:ConvLast bigger.

    1. Pad with zeros of the spatial axes, before it -> its own padding.
    2. ScaleShift (BatchNormalization), Mul, Add or Sub of a constant with one number per channel, after it -> weights, bias.
    3. Add of another tensor of the same shape, after it -> the addend.
    4. Transpose to channels last of what has few channels, before it -> the attribute `channels_first`.
    5. Relu, or Clip with constant limits, after it -> the limits.

    Requires: channels last. Ensures: nothing that later passes need.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        while _is_conv(node) and node.graph is graph:
            bigger = _with_pad(graph, node) or _with_transpose(graph, node)
            user = only_user(node.outputs[0], graph)
            if bigger is None and user is not None and not _is_clipped(node):
                bigger = _with_factor(graph, node, user) or _with_addend(graph, node, user)
                bigger = bigger or _with_limits(graph, node, user)
            if bigger is None:
                break
            node, changed = bigger, True
    return changed


def _is_conv(node: ir.Node) -> bool:
    return node.op_type == "ConvLast" and node.domain == RT_DOMAIN


def _is_clipped(node: ir.Node) -> bool:
    low, high = node.attributes.get_float("low", -np.inf), node.attributes.get_float("high", np.inf)
    return bool(np.isfinite(low) or np.isfinite(high))


def _again(
    graph: ir.Graph, old: list[ir.Node], conv: ir.Node, inputs: list[ir.Value | None], **attributes: Any
) -> ir.Node:
    """`conv` with other inputs and attributes, in the place of the last of `old`."""
    node = ir.node("ConvLast", inputs, {**conv.attributes, **attributes}, domain=RT_DOMAIN, name=conv.name)
    replace(graph, old, node)
    return node


def _per_channel(value: ir.Value | None, channels: int) -> NDArray[np.float64] | None:
    """A constant as one number per channel, the last axis, if it is that."""
    array = constant(value)
    if array is None or array.size not in (1, channels) or (array.size > 1 and array.shape[-1] != channels):
        return None
    return np.broadcast_to(array.reshape(-1), channels).astype(np.float64)


def _factor_and_shift(user: ir.Node, x: ir.Value, channels: int) -> tuple[Any, Any] | None:
    """What `user` multiplies by and adds to each channel of `x`."""
    if user.op_type == "ScaleShift" and user.domain == RT_DOMAIN:
        return _per_channel(user.inputs[1], channels), _per_channel(user.inputs[2], channels)
    if user.domain or user.op_type not in ("Mul", "Add", "Sub") or len(set(user.inputs)) != 2:
        return None
    first = user.inputs[0] is x
    row = _per_channel(user.inputs[1] if first else user.inputs[0], channels)
    if row is None or (user.op_type == "Sub" and not first):
        return None
    if user.op_type == "Mul":
        return row, np.zeros(channels)
    return np.ones(channels), row if user.op_type == "Add" else -row


def _with_factor(graph: ir.Graph, node: ir.Node, user: ir.Node) -> ir.Node | None:
    """In float64, rounded once."""
    w, b, x = constant(node.inputs[1]), constant(node.inputs[2]), node.outputs[0]
    if w is None or b is None or len(node.inputs) > 3 or user.outputs[0].shape != x.shape:
        return None
    found = _factor_and_shift(user, x, w.shape[-1])
    if found is None or any(row is None for row in found):
        return None
    factor, shift = found
    name = node.name or "conv"
    weights = add_constant(graph, f"{name}.weight", (w * factor).astype(w.dtype))
    bias = add_constant(graph, f"{name}.bias", (b * factor + shift).astype(b.dtype))
    return _again(graph, [node, user], node, [node.inputs[0], weights, bias])


def _with_addend(graph: ir.Graph, node: ir.Node, user: ir.Node) -> ir.Node | None:
    if user.domain or user.op_type != "Add" or len(node.inputs) > 3 or len(set(user.inputs)) != 2:
        return None
    other = user.inputs[1] if user.inputs[0] is node.outputs[0] else user.inputs[0]
    if other is None or constant(other) is not None or other.shape != node.outputs[0].shape:
        return None
    return _again(graph, [node, user], node, [*node.inputs, other])


def _with_limits(graph: ir.Graph, node: ir.Node, user: ir.Node) -> ir.Node | None:
    limits = limits_of(user) if not user.domain and user.inputs[0] is node.outputs[0] else None
    if limits is None:
        return None
    return _again(graph, [node, user], node, list(node.inputs), low=limits[0], high=limits[1])


def _with_pad(graph: ir.Graph, node: ir.Node) -> ir.Node | None:
    pad = node.inputs[0].producer() if node.inputs[0] is not None else None
    if pad is None or pad.op_type != "Pad" or pad.domain or only_user(pad.outputs[0], graph) is not node:
        return None
    pads = constant(pad.inputs[1]) if len(pad.inputs) > 1 else None
    value = constant(pad.inputs[2]) if len(pad.inputs) > 2 else np.zeros(())
    if pads is None or value is None or value.any() or pad.attributes.get_string("mode", "constant") != "constant":
        return None
    if len(pad.inputs) > 3 or node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    begin, end = pads.reshape(2, -1)
    if (pads < 0).any() or begin[0] or end[0] or begin[-1] or end[-1]:
        return None
    given = node.attributes.get("pads")
    spatial = np.concatenate([begin[1:-1], end[1:-1]])
    if given is not None and node.attributes.get_string("auto_pad", "NOTSET") != "VALID":
        spatial = spatial + np.array(given.as_ints())
    total = [int(p) for p in spatial]
    return _again(graph, [node], node, [pad.inputs[0], *node.inputs[1:]], pads=total, auto_pad="NOTSET")


def _with_transpose(graph: ir.Graph, node: ir.Node) -> ir.Node | None:
    """The first layer of a network reads few channels; it copies them anyway."""
    turn = node.inputs[0].producer() if node.inputs[0] is not None else None
    if turn is None or turn.op_type != "Transpose" or turn.domain or "channels_first" in node.attributes:
        return None
    x = turn.inputs[0]
    if x is None or x.shape is None or only_user(turn.outputs[0], graph) is not node:
        return None
    rank = len(x.shape)
    if list(turn.attributes.get_ints("perm", ())) != to_last(rank) or int(x.shape[1]) > FEW:  # type: ignore[arg-type]
        return None
    return _again(graph, [node], node, [x, *node.inputs[1:]], channels_first=1)
