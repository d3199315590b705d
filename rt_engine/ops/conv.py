"""Conv: https://onnx.ai/onnx/operators/onnx__Conv.html

`passes.layout` makes `rt_engine:ConvLast` of it: channels last, constant weights [taps..., channels / group, outputs],
bias, and perhaps an addend of the shape of the output. Conv itself remains where weights are computed at run time.
"""

from math import inf
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convolve import Layer, convolve, convolve_packed_now
from rt_engine.ops.moves import transposed
from rt_engine.ops.window import window_of


def _last_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    out = node.attributes["out"].as_ints()
    return [(inputs[0].dtype, (inputs[0].shape[0], *out, inputs[1].shape[-1]))]


@operator("ConvLast", domain=RT_DOMAIN, since=1, infer=_last_types)
def conv_last(node: Node, build: Builder) -> None:
    """clip(conv(x, w) + b + addend, low, high), channels last: x [N, ..., C], w [taps..., C / group, M].

    With the attribute `channels_first`, x is [N, C, ...].
    """
    x, w, first = node.x, node.constant(1, "weights"), bool(node.attr("channels_first", 0))
    window = window_of(node.ir, x.shape[2:] if first else x.shape[1:-1], node.y.shape[1:-1], w.shape[:-2])
    limits = (float(node.attr("low", -inf)), float(node.attr("high", inf)))
    layer = Layer(w, node.constant(2, "bias"), window, node.attr("group", 1), node.optional(3), limits)
    convolve(build, x, node.y, layer, first)


@operator("Conv", since=1)
def conv(node: Node, build: Builder) -> None:
    """What the layout pass left, through transposes: weights that are computed at run time are packed then."""
    x, w, y = node.x, node.input(1), node.y
    node.require_type(x, FLOATS)
    rank = len(x.shape) - 2
    node.require(rank >= 1 and len(w.shape) == rank + 2, f"weights {list(w.shape)} for {list(x.shape)}", "export again")
    window = window_of(node.ir, x.shape[2:], y.shape[2:], w.shape[2:])
    to_last = [0, *range(2, rank + 2), 1]
    source = transposed(build, x, to_last)
    target = build.temporary(y.dtype, [y.shape[a] for a in to_last])
    bias, group = node.optional(2), node.attr("group", 1)
    if w.value is not None and (bias is None or bias.value is not None):
        values = np.zeros(w.shape[0], w.dtype) if bias is None or bias.value is None else bias.value
        convolve(build, source, target, Layer(weights_last(w.value), values, window, group))
    else:
        convolve_packed_now(build, source, w, bias, target, window, group)
    transposed(build, target, [0, rank + 1, *range(1, rank + 1)], y)


def weights_last(w: NDArray[Any]) -> NDArray[Any]:
    """ONNX's weights [M, C / group, taps...] as [taps..., C / group, M]."""
    return np.ascontiguousarray(np.transpose(w, [*range(2, w.ndim), 1, 0]))
