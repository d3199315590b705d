"""Conv: https://onnx.ai/onnx/operators/onnx__Conv.html

`passes.layout` makes `rt_engine:ConvLast` of it: channels last, constant weights [taps..., channels / group, outputs],
bias, and perhaps an addend of the shape of the output. Conv itself remains where weights are computed at run time.
"""

from collections.abc import Callable
from math import inf, prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.lower import Buffer, Builder
from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, Refusal, operator
from rt_engine.ops.linear import SUFFIX
from rt_engine.ops.moves import strided_copy, transposed
from rt_engine.ops.window import Window, window_of
from rt_engine.ops.winograd import pays, winograd

HALF, PANEL = 32, 8
"""Bytes of a half vector; half vectors in a panel (`kernels.conv`)."""
CUT = 128
"""Longest piece of a sum over taps and channels: such a piece of a panel, 32 KB, is worked through for all pixels."""


def half_lanes(dtype: np.dtype[Any]) -> int:
    """Elements of a half vector."""
    return HALF // dtype.itemsize


def to_halves(columns: int, dtype: np.dtype[Any]) -> int:
    """Columns after padding to whole half vectors."""
    return -(-columns // half_lanes(dtype)) * half_lanes(dtype)


def pack_panels(w: NDArray[Any]) -> NDArray[Any]:
    """[k, n] -> panels of up to 8 half vectors, k-major: one layout for every lane width."""
    k, n = w.shape
    padded = np.zeros((k, to_halves(n, w.dtype)), w.dtype)
    padded[:, :n] = w
    step = PANEL * half_lanes(w.dtype)
    return np.concatenate([padded[:, p : p + step].ravel() for p in range(0, max(padded.shape[1], 1), step)])


def offset_table(window: Window, channels: int, dtype: np.dtype[Any], zeros: int) -> NDArray[np.int32]:
    """Byte offsets of the input pixels as the kernels read them, and the row of `zeros` elements behind them.

    Raises:
        Refusal: an image of more than 2 GB.
    """
    if window.pixels * channels * dtype.itemsize > np.iinfo(np.int32).max:
        raise Refusal(f"an image of {window.pixels} pixels with {channels} channels", "check its shape")
    table = window.table()
    offsets = np.where(table < 0, -1, table * (channels * dtype.itemsize)).astype(np.int32).ravel()
    row = -(-offsets.size // 16) * 16
    whole = np.zeros(row + zeros * dtype.itemsize // 4, np.int32)
    whole[: offsets.size] = offsets
    return whole


def _last_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    out = node.attributes["out"].as_ints()
    return [(inputs[0].dtype, (inputs[0].shape[0], *out, inputs[1].shape[-1]))]


@operator("ConvLast", domain=RT_DOMAIN, since=1, infer=_last_types)
def conv_last(node: Node, build: Builder) -> None:
    """clip(conv(x, w) + b + addend, low, high), channels last: x [N, ..., C], w [taps..., C / group, M]."""
    x, w = node.x, node.constant(1, "weights")
    window = window_of(node.ir, x.shape[1:-1], node.y.shape[1:-1], w.shape[:-2])
    limits = (node.attr("low", -inf), node.attr("high", inf))
    convolve(build, x, w, node.constant(2, "bias"), node.optional(3), node.y, window, node.attr("group", 1), limits)


def convolve(
    build: Builder,
    x: Buffer,
    w: NDArray[Any],
    bias: NDArray[Any],
    addend: Buffer | None,
    y: Buffer,
    window: Window,
    group: int,
    limits: tuple[float, float],
) -> None:
    """A convolution, channels last, by the kernel that its shape wants."""
    channels, outputs = x.shape[-1], y.shape[-1]
    if not y.size or not channels:
        raise Refusal("it has no channels or no output", "check its shape")
    if channels % group or outputs % group or w.shape[-2] * group != channels or w.shape[-1] != outputs:
        raise Refusal(f"{channels} channels, weights {list(w.shape)} in {group} groups do not fit", "export it again")
    if group > 1 and group == channels == outputs:
        _depthwise(build, x, w, bias, addend, y, window, limits)
        return
    if group == 1 and x.shape[0] == 1 and pays(window, channels, outputs, x.dtype):
        winograd(build, x, w, bias, addend, y, window, limits)
        return
    run = channels // group
    if group == 1:
        x, window, run = _merged(build, x, window)
    columns = outputs // group
    taps = window.taps if run == channels // group else prod(w.shape[:-1]) // run
    blocks = w.reshape(taps * run, group, columns)
    packed = build.constant(np.concatenate([pack_panels(blocks[:, g]) for g in range(group)]))
    biases = np.zeros((group, to_halves(columns, w.dtype)), w.dtype)
    biases[:, :columns] = bias.reshape(group, columns)
    table = build.constant(offset_table(window, x.shape[-1], x.dtype, max(run, 64)))
    sizes = (x.shape[0], window.pixels, window.outputs, taps, run, columns, group, x.shape[-1], outputs, CUT)
    operands = (x, packed, build.constant(biases), y, table, addend)
    macs = x.shape[0] * window.outputs * w.size // group * group
    build.call(f"conv_{SUFFIX[x.dtype]}", operands, sizes, limits, writes=(3,), inplace=(5,), macs=macs)


def grouped_product(build: Builder, w: NDArray[Any]) -> Callable[[Buffer, Buffer], None]:
    """A function that calls y[row, g] = x[row, g] @ w[g] for all groups; w is [groups, k, n], x [1, rows, groups * k]."""
    group, k, n = w.shape
    packed = build.constant(np.concatenate([pack_panels(w[g]) for g in range(group)]))
    bias = build.constant(np.zeros(group * to_halves(n, w.dtype), w.dtype))

    def product(x: Buffer, y: Buffer) -> None:
        rows = x.shape[1]
        window = Window((rows,), (1,), (1,), (1,), (0,), (rows,))
        table = build.constant(offset_table(window, group * k, x.dtype, max(k, 64)))
        sizes = (1, rows, rows, 1, k, n, group, group * k, group * n, CUT)
        build.call(
            f"conv_{SUFFIX[x.dtype]}", (x, packed, bias, y, table, None), sizes, (-inf, inf), writes=(3,),
            macs=rows * w.size,
        )  # fmt: skip

    return product


FEW = 8
"""Up to this many channels, a whole row of the kernel is read as one run."""


def _merged(build: Builder, x: Buffer, window: Window) -> tuple[Buffer, Window, int]:
    """With few channels: the taps of the last axis as one run. Padding along that axis is then copied into the input."""
    channels, width, last = x.shape[-1], window.kernel[-1], len(window.size) - 1
    if channels > FEW or width == 1 or window.dilations[last] != 1:
        return x, window, channels
    position = window.positions(last)
    before, after = window.begin[last], max(int(position.max(initial=0)) + 1 - window.size[last], 0)
    if before or after:
        x = _padded(build, x, before, after)
    rest = slice(0, last)
    merged = Window(
        (*window.size[rest], x.shape[-2]),
        (*window.kernel[rest], 1),
        window.strides,
        window.dilations,
        (*window.begin[rest], 0),
        window.out,
    )
    return x, merged, width * channels


def _padded(build: Builder, x: Buffer, before: int, after: int) -> Buffer:
    """`x` with zeros before and after its second to last axis."""
    rows, width, channels = prod(x.shape[:-2]), x.shape[-2], x.shape[-1]
    wide = width + before + after
    out = build.temporary(x.dtype, (*x.shape[:-2], wide, channels))
    build.call("fill", (out,), (out.nbytes, 0))
    shape, strides = (rows, width * channels), (wide * channels, 1)
    # the copy adds to what `fill` wrote
    strided_copy(build, x, out, shape, (width * channels, 1), strides, out_first=before * channels)
    return out


def _depthwise(
    build: Builder,
    x: Buffer,
    w: NDArray[Any],
    bias: NDArray[Any],
    addend: Buffer | None,
    y: Buffer,
    window: Window,
    limits: tuple[float, float],
) -> None:
    """Every channel for itself."""
    channels = x.shape[-1]
    padded = to_halves(channels, w.dtype)
    weights, biases = np.zeros((window.taps, padded), w.dtype), np.zeros(padded, w.dtype)
    weights[:, :channels], biases[:channels] = w.reshape(window.taps, channels), bias
    if padded != channels:  # the last vector of the last pixel is read whole
        x.storage.nbytes = max(x.storage.nbytes, x.nbytes + HALF)
    table = build.constant(offset_table(window, channels, x.dtype, max(padded, 64)))
    sizes = (x.shape[0], window.pixels, window.outputs, window.taps, 1, channels, channels, channels, channels)
    operands = (x, build.constant(weights), build.constant(biases), y, table, addend)
    macs = x.shape[0] * window.outputs * w.size
    build.call(f"depthwise_{SUFFIX[x.dtype]}", operands, sizes, limits, writes=(3,), inplace=(5,), macs=macs)


@operator("Conv", since=1)
def conv(node: Node, build: Builder) -> None:
    """What the layout pass left: constant weights of any float type through transposes; others packed at run time."""
    x, w, y = node.x, node.input(1), node.y
    node.require_type(x, FLOATS)
    rank = len(x.shape) - 2
    node.require(rank >= 1 and len(w.shape) == rank + 2, f"weights {list(w.shape)} for {list(x.shape)}", "export again")
    window = window_of(node.ir, x.shape[2:], y.shape[2:], w.shape[2:])
    to_last = [0, *range(2, rank + 2), 1]
    source = transposed(build, x, to_last)
    target = build.temporary(y.dtype, [y.shape[a] for a in to_last])
    bias, group = node.optional(2), node.attr("group", 1)
    limits = (-inf, inf)
    if w.value is not None and (bias is None or bias.value is not None):
        values = np.zeros(w.shape[0], w.dtype) if bias is None or bias.value is None else bias.value
        convolve(build, source, weights_last(w.value), values, None, target, window, group, limits)
    else:
        _with_run_time_weights(build, source, w, bias, target, window, group)
    transposed(build, target, [0, rank + 1, *range(1, rank + 1)], y)


def weights_last(w: NDArray[Any]) -> NDArray[Any]:
    """ONNX's weights [M, C / group, taps...] as [taps..., C / group, M]."""
    return np.ascontiguousarray(np.transpose(w, [*range(2, w.ndim), 1, 0]))


def _with_run_time_weights(
    build: Builder, x: Buffer, w: Buffer, bias: Buffer | None, y: Buffer, window: Window, group: int
) -> None:
    """Weights that are computed: packed at run time, a group at a time."""
    channels, outputs = x.shape[-1], y.shape[-1]
    run, columns, rank = channels // group, outputs // group, len(w.shape) - 2
    if channels % group or outputs % group or w.shape[1] != run or w.shape[0] != outputs:
        raise Refusal(f"{channels} channels, weights {list(w.shape)} in {group} groups do not fit", "export it again")
    taps, padded, lanes = window.taps, to_halves(columns, w.dtype), half_lanes(w.dtype)
    rows = taps * run
    packed, biases = build.temporary(w.dtype, (group * rows * padded,)), build.temporary(w.dtype, (group * padded,))
    for buffer in (packed, biases):
        build.call("fill", (buffer,), (buffer.nbytes, 0))
    for g in range(group):
        for first in range(0, columns, PANEL * lanes):
            some = min(PANEL * lanes, columns - first)
            wide = to_halves(some, w.dtype)
            strided_copy(
                build, w, packed, (taps, run, some), (1, taps, run * taps), (run * wide, wide, 1),
                (g * columns + first) * run * taps, g * rows * padded + first * rows,
            )  # fmt: skip
    if bias is not None:
        strided_copy(build, bias, biases, (group, columns), (columns, 1), (padded, 1))
    table = build.constant(offset_table(window, channels, x.dtype, max(run, 64)))
    sizes = (x.shape[0], window.pixels, window.outputs, taps, run, columns, group, channels, outputs, CUT)
    macs = x.shape[0] * window.outputs * w.size
    operands = (x, packed, biases, y, table, None)
    assert rank >= 1
    build.call(f"conv_{SUFFIX[x.dtype]}", operands, sizes, (-inf, inf), writes=(3,), macs=macs)
