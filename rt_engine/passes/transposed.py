"""Layout rules of operators that change the size of an image: ConvTranspose, Resize, Upsample. See `passes.channels_last`."""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.lower.lower import buffer_of
from rt_engine.ops.base import RT_DOMAIN, Node, Refusal
from rt_engine.ops.conv_transpose import geometry
from rt_engine.ops.graph import add_constant, constant, is_float, only_user, replace
from rt_engine.ops.phases import phase_axis, phase_weights
from rt_engine.ops.planes import planes_pay
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.layout import Walk, attributes_of, carries, shape_of, to_last
from rt_engine.passes.linear import limits_of
from rt_engine.program.calls import Kind

_MOST_PHASES, _MOST_TAPS = 64, 4096
"""Per axis, and in all, beyond which a transposed convolution stays as it is."""


@carries("ConvTranspose")
def _conv_transpose(walk: Walk, node: ir.Node) -> bool:
    """Constant weights and bias: one convolution of all phases of the output, and SpreadLast."""
    x, w = node.inputs[0], constant(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    values, y = constant(bias), node.outputs[0]
    if x is None or w is None or not is_float(x) or (bias is not None and values is None):
        return False
    try:
        buffers = tuple(None if v is None else buffer_of(v, Kind.TEMPORARY) for v in node.inputs)
        at = geometry(Node(node, 1, buffers, (buffer_of(y, Kind.TEMPORARY),)))
    except Refusal:
        return False  # its own lowering says why
    group, space = node.attributes.get_int("group", 1), shape_of(y)[2:]
    if not prod(shape_of(y)) or not prod(shape_of(x)) or (len(space) > 2 and group > 1):
        return False
    if max(at.strides) > _MOST_PHASES or prod(at.block) > _MOST_TAPS:
        return False
    axes = [phase_axis(at, a, space[a]) for a in range(len(space))]
    if x not in walk.last and planes_pay(shape_of(x), w, at, axes, group):
        return False  # its own lowering reads the planes as they lie
    strides = [a.stride for a in axes]
    if any(a.begin < 0 for a in axes) or prod(strides) * prod(a.taps for a in axes) > 4 * prod(at.block) + 64:
        return False
    name, phases = node.name or "conv_transpose", prod(strides)
    row = np.zeros(shape_of(y)[1], w.dtype) if values is None else values
    rows = np.repeat(row.reshape(group, 1, -1), phases, axis=1).reshape(-1)
    inputs = [
        walk.twin(x, node),
        add_constant(walk.graph, f"{name}.weight", phase_weights(w, at, axes, group)),
        add_constant(walk.graph, f"{name}.bias", rows),
    ]
    places = [a.out for a in axes]
    after = [max(a.out + a.taps - 1 - a.begin - n, 0) for a, n in zip(axes, shape_of(x)[2:], strict=True)]
    attributes: dict[str, Any] = {"pads": [*(a.begin for a in axes), *after], "group": group}
    attributes["out"] = ir.AttrInt64s("out", places)
    if phases == 1:
        walk.put(node, "ConvLast", inputs, attributes, RT_DOMAIN)
        return True
    shape = [shape_of(y)[0], *places, rows.size]
    made = walk.insert(node, "ConvLast", inputs, attributes, shape, y.dtype, RT_DOMAIN)
    spread = {"strides": strides, "first": [a.first for a in axes], "out": ir.AttrInt64s("out", list(space))}
    walk.put(node, "SpreadLast", [made], {**spread, "group": group}, RT_DOMAIN)
    return True


@carries("Resize", "Upsample")
def _resize(walk: Walk, node: ir.Node) -> bool:
    """Scales and sizes of all axes, turned; with `axes`, those are."""
    x = node.inputs[0]
    if x is None or x not in walk.last or any(v is not None and constant(v) is None for v in node.inputs[1:]):
        return False
    rank = len(shape_of(x))
    order, attributes = np.array(to_last(rank)), attributes_of(node)
    if "axes" in attributes or "scales" in attributes:
        return False
    inputs: list[ir.Value | None] = [walk.last[x]]
    for place, value in enumerate(node.inputs[1:], 1):
        array = constant(value)
        if array is not None and array.size:
            if array.size % rank:
                return False
            array = array.reshape(-1, rank)[:, order].reshape(-1)
            value = add_constant(walk.graph, f"{node.name}.{place}", array)
        inputs.append(value)
    walk.put(node, node.op_type, inputs, attributes)
    return True


def fuse_into_phases(compilation: Compilation) -> bool:
    """What follows SpreadLast goes before it, where the convolution can take it in.

    1. Relu, or Clip with constant limits.
    2. ScaleShift, or Mul or Add of a constant, with one number per channel.

    Requires: channels last. Ensures: nothing that later passes need.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        while node.op_type == "SpreadLast" and node.domain == RT_DOMAIN and node.graph is graph:
            user = only_user(node.outputs[0], graph)
            moved = None if user is None else _before(graph, node, user)
            if moved is None:
                break
            node, changed = moved, True
    return changed


def _before(graph: ir.Graph, node: ir.Node, user: ir.Node) -> ir.Node | None:
    """`user` in front of the SpreadLast `node`; gives the SpreadLast that follows it now."""
    made, spread = node.inputs[0], node.outputs[0]
    assert made is not None
    inputs: list[ir.Value | None] = [made, *user.inputs[1:]]
    if user.domain or limits_of(user) is None or user.inputs[0] is not spread:
        takes = {("ScaleShift", RT_DOMAIN), ("Mul", ""), ("Add", "")}
        if (user.op_type, user.domain) not in takes or user.outputs[0].shape != spread.shape:
            return None
        group, channels = node.attributes.get_int("group", 1), shape_of(spread)[-1]
        inputs = []
        for value in user.inputs:
            row = constant(value)
            if value is spread:
                inputs.append(made)
            elif row is None or row.size not in (1, channels) or (row.size > 1 and row.shape[-1] != channels):
                return None
            else:
                phases = shape_of(made)[-1] // channels
                full = np.repeat(np.broadcast_to(row.reshape(-1), channels).reshape(group, 1, -1), phases, axis=1)
                inputs.append(add_constant(graph, f"{user.name}.phases", full.reshape(-1)))
    first = ir.node(user.op_type, inputs, dict(user.attributes), domain=user.domain, name=user.name)
    first.outputs[0].shape, first.outputs[0].type = made.shape, made.type
    graph.insert_before(node, first)
    second = ir.node("SpreadLast", [first.outputs[0]], dict(node.attributes), domain=RT_DOMAIN, name=node.name)
    replace(graph, [node, user], second)
    return second
