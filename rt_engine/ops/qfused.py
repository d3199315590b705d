"""Integer operators that `passes.quantised` makes of quantised models: products, convolutions, sums.

    QLinear   x [..., k] uint8, w [k, n] int8, bias [n] int32, scale [n] float32       -> [..., n]
    QConv     x uint8, w [taps..., channels / group, m] int8, bias [m], scale [m]      -> as `layout` says
    QAdd      a, b uint8                                                               -> their shape
    QMaxPool  x uint8, channels last                                                   -> channels last
    Lookup    x uint8 or int8, table [256]                                             -> its shape

    sum = bias + sum over k of (x - zero_x) * w         exact int32
    mode QUANTISED: clip(round(sum * scale), low, high) + zero_y    RAW: sum    REAL: clip(sum * scale, low, high)

`layout` of QConv: "first" is ONNX's; "last" has the channels last, in and out; "planar" takes ONNX's and gives channels last.
"""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import NUMPY, DType
from rt_engine.kernels.interface.encode import LOOKUP_BYTES
from rt_engine.kernels.interface.modes import Mode
from rt_engine.kernels.interface.qadd import QADD
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.interface.qpool import QMAX_POOL
from rt_engine.ops.base import RT_DOMAIN, Elements, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped, strided_copy, transposed
from rt_engine.ops.packing.quantised import bias_with_zero_point, by_blocks, pack_bytes, padded
from rt_engine.ops.window import Window, window_of
from rt_engine.program.calls import Buffer, Kind

U8 = np.dtype(np.uint8)
SLACK = 64
"""Bytes behind an input that a convolution may read."""


def _type(node: ir.Node) -> np.dtype[Any]:
    """What the mode makes of sums."""
    mode = Mode(node.attributes["mode"].as_int())
    if mode is Mode.QUANTISED:
        return NUMPY[DType(node.attributes["type"].as_int())]
    return np.dtype(np.int32 if mode is Mode.RAW else np.float32)


def _qlinear_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(_type(node), (*inputs[0].shape[:-1], inputs[1].shape[1]))]


def _arguments(node: Node) -> tuple[int, int, tuple[float, float]]:
    """(mode, zero point of the output, limits)."""
    return node.attr("mode"), node.attr("zero_y", 0), (node.attr("low", -np.inf), node.attr("high", np.inf))


@operator("QLinear", domain=RT_DOMAIN, since=1, infer=_qlinear_types)
def qlinear(node: Node, build: Builder) -> None:
    """An integer product with constant weights."""
    x, w = node.x, node.constant(1, "weights")
    rows, (k, n) = prod(x.shape[:-1]), w.shape
    node.require(x.dtype == U8 and x.shape[-1] == k, f"x is {x.dtype}{list(x.shape)} for {k} rows of weights")
    _product(build, x, (rows, k, n), w, node.constant(2, "bias"), node.constant(3, "scale"), node)


def _product(
    build: Builder, x: Buffer, mkn: tuple[int, int, int], w: NDArray[Any], bias: Any, scale: Any, node: Node,
    y: Buffer | None = None,
) -> None:  # fmt: skip
    (m, k, n), y = mkn, y or node.y
    mode, zero, limits = _arguments(node)
    if not y.size:
        return
    row = padded(bias_with_zero_point(bias, w, node.attr("zero_x", 0)))
    record = QGEMM(
        a=x, b=build.constant(pack_bytes(w)), bias=build.constant(row), out=y, scale=build.constant(padded(scale, n)),
        rows=m, depth=k, columns=n, a_row=k, out_row=n, mode=mode, zero=zero, low=limits[0], high=limits[1],
    )  # fmt: skip
    build.call("qgemm", record, macs=m * k * n)


def _qconv_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    out, images, outputs = node.attributes["out"].as_ints(), inputs[0].shape[0], inputs[1].shape[-1]
    first = node.attributes["layout"].as_string() == "first"
    return [(_type(node), (images, outputs, *out) if first else (images, *out, outputs))]


@operator("QConv", domain=RT_DOMAIN, since=1, infer=_qconv_types)
def qconv(node: Node, build: Builder) -> None:
    """An integer convolution with constant weights."""
    x, y, w, layout = node.x, node.y, node.constant(1, "weights"), node.attr("layout")
    node.require(x.dtype == U8, f"x is {x.dtype}")
    rank = len(x.shape) - 2
    out = list(node.attr("out"))
    planar = layout == "planar"
    target = y
    if layout == "first":
        x = transposed(build, x, [0, *range(2, rank + 2), 1])
        target = build.temporary(y.dtype, (y.shape[0], *y.shape[2:], y.shape[1]))
    size = x.shape[2:] if planar else x.shape[1:-1]
    window = window_of(node.ir, size, out, w.shape[:-2])
    group, channels = node.attr("group", 1), x.shape[1] if planar else x.shape[-1]
    if w.shape[-2] * group != channels or w.shape[-1] % group or (planar and group > 1):
        raise Refusal(f"{channels} channels, weights {list(w.shape)} in {group} groups do not fit", "export it again")
    if target.size:
        _convolve(build, node, x, w, target, window, planar)
    if layout == "first":
        transposed(build, target, [0, rank + 1, *range(1, rank + 1)], y)


def _convolve(build: Builder, node: Node, x: Buffer, w: NDArray[Any], y: Buffer, window: Window, planar: bool) -> None:
    bias, scale = node.constant(2, "bias"), padded_scale(node, w.shape[-1])
    group, zero = node.attr("group", 1), node.attr("zero_x", 0)
    simple = window.taps == 1 and set(window.strides) == {1} and not window.pads()
    if simple and group == 1 and not planar:
        rows = prod(x.shape[:-1])
        _product(build, x, (rows, x.shape[-1], w.shape[-1]), w.reshape(-1, w.shape[-1]), bias, scale, node, y)
        return
    macs = y.shape[0] * window.outputs * w.size // group
    window, w, bias, scale = _folded(window, w, bias, scale, group)
    whole, x = _with_padding(build, x, window, planar, zero)
    channels = x.shape[-1]
    steps = [prod(whole[a + 1 :]) * (1 if planar else channels) for a in range(len(whole))]
    starts = _offsets(window.out, [s * step for s, step in zip(window.strides, steps, strict=True)])
    if group > 1 and group == channels == w.shape[-1]:
        _depthwise(build, node, x, w, y, window, starts, steps)
        return
    runs, weights = _runs(window, w, steps, prod(whole), planar, group)
    length = weights.shape[1]
    quads = (np.array(runs)[:, None] + np.arange(0, length, 4)).ravel()
    table = build.constant(np.concatenate([starts, quads]).astype(np.int32))
    columns, mode_zero_limits = w.shape[-1] // group, _arguments(node)
    mode, zero_y, limits = mode_zero_limits
    flat = weights.reshape(-1, w.shape[-1])
    for g in range(group):
        part = np.ascontiguousarray(flat[:, g * columns : (g + 1) * columns])
        own = slice(g * columns, (g + 1) * columns)
        row = padded(bias_with_zero_point(bias[own], part, zero))
        record = QCONV(
            x=x, w=build.constant(pack_bytes(part)), bias=build.constant(row), out=y,
            scale=build.constant(padded(scale[own])), table=table, pixels=window.outputs, depth=len(flat),
            columns=columns, channels=w.shape[-1], mode=mode, zero=zero_y, x_first=g * w.shape[-2],
            out_first=g * columns, images=y.shape[0], x_image=x.size // y.shape[0], low=limits[0], high=limits[1],
        )  # fmt: skip
        build.call("qconv", record, macs=macs)


def _folded(
    window: Window, w: NDArray[Any], bias: NDArray[Any], scale: NDArray[Any], group: int
) -> tuple[Window, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Few output channels leave lanes idle: neighbouring pixels of a row are seen as one, with more channels.

    Its window reaches over theirs; the weights of each are zero where the window of another lies. The output is the same
    memory, and so are the sums.
    """
    times, step = 1, window.strides[-1]
    while (
        group == 1 and window.dilations[-1] == 1 and window.out[-1] % (2 * times) == 0 and 2 * times * w.shape[-1] <= 16
    ):
        times *= 2
    if times == 1 or window.kernel[-1] == 1:
        return window, w, bias, scale
    width, outputs = window.kernel[-1], w.shape[-1]
    wide = np.zeros((*w.shape[:-3], width + (times - 1) * step, w.shape[-2], times * outputs), w.dtype)
    for t in range(times):
        wide[..., t * step : t * step + width, :, t * outputs : (t + 1) * outputs] = w
    merged = Window(
        window.size, (*window.kernel[:-1], wide.shape[-3]), (*window.strides[:-1], step * times), window.dilations,
        window.begin, (*window.out[:-1], window.out[-1] // times),
    )  # fmt: skip
    return merged, wide, np.tile(bias, times), np.tile(scale, times)


def padded_scale(node: Node, columns: int) -> NDArray[np.float32]:
    """One scale per output channel."""
    return np.broadcast_to(node.constant(3, "scale").astype(np.float32).reshape(-1), columns)


def _offsets(sizes: tuple[int, ...], steps: list[int]) -> NDArray[np.int64]:
    """Offset of every element of a block with these sizes and steps."""
    total = np.zeros(1, np.int64)
    for size, step in zip(sizes, steps, strict=True):
        total = (total[:, None] + np.arange(size, dtype=np.int64) * step).ravel()
    if total.size > 1 << 26 or total.max(initial=0) > np.iinfo(np.int32).max:
        raise Refusal(f"a block of {total.size:,} windows or taps", "check its shape")
    return total


def _with_padding(build: Builder, x: Buffer, window: Window, planar: bool, zero: int) -> tuple[tuple[int, ...], Buffer]:
    """(spatial sizes, input) with the padding, of zero points, in memory; and room to read behind the end."""
    rank = len(window.size)
    reach = [window.begin[a] + int(window.positions(a).max(initial=0)) + 1 for a in range(rank)]
    whole = tuple(max(r, b + s) for r, b, s in zip(reach, window.begin, window.size, strict=True))
    if whole == window.size:
        if x.storage.kind is Kind.CONSTANT:
            copy = build.temporary(U8, x.shape)
            build.copy(copy, x)
            x = copy
        x.storage.nbytes = max(x.storage.nbytes, x.nbytes + SLACK)
        return whole, x
    channels = 1 if planar else x.shape[-1]
    planes = prod(x.shape[:2]) if planar else x.shape[0]
    shape = (*x.shape[:2], *whole) if planar else (x.shape[0], *whole, channels)
    out = build.temporary(U8, shape)
    out.storage.nbytes += SLACK
    build.fill(out, zero * 0x0101010101010101 - (1 << 64 if zero > 127 else 0))
    inside = [prod(window.size[a + 1 :]) * channels for a in range(rank)]
    steps = [prod(whole[a + 1 :]) * channels for a in range(rank)]
    first = sum(b * s for b, s in zip(window.begin, steps, strict=True))
    block = (planes, *window.size[:-1], window.size[-1] * channels)
    sources, targets = (prod(window.size) * channels, *inside[:-1], 1), (prod(whole) * channels, *steps[:-1], 1)
    strided_copy(build, x, out, block, sources, targets, 0, first)
    return whole, out


def _runs(
    window: Window, w: NDArray[Any], steps: list[int], plane: int, planar: bool, group: int
) -> tuple[list[int], NDArray[np.int8]]:
    """Bytes under a window that are neighbours: (offset of each run, weights [runs, bytes up to whole quads, m])."""
    rank, channels, outputs = len(window.kernel), w.shape[-2], w.shape[-1]
    dilated = [d * s for d, s in zip(window.dilations, steps, strict=True)]
    merge = window.dilations[-1] == 1 and group == 1
    taps = window.kernel[:-1] if merge else window.kernel
    if planar:
        w = np.moveaxis(w, -2, 0)
        offsets = _offsets((channels, *taps), [plane, *dilated[: len(taps)]])
        length = window.kernel[-1] if merge else 1
    else:
        offsets = _offsets(taps, dilated[: len(taps)])
        length = channels * (window.kernel[-1] if merge else 1)
    assert rank == len(dilated)
    runs = np.zeros((len(offsets), -(-length // 4) * 4, outputs), np.int8)
    runs[:, :length] = w.reshape(len(offsets), length, outputs)
    return [int(o) for o in offsets], runs


def _depthwise(
    build: Builder, node: Node, x: Buffer, w: NDArray[Any], y: Buffer, window: Window, starts: Any, steps: list[int]
) -> None:
    """Every channel for itself. Neighbouring pixels of a row are seen as more channels, where the stride is 1."""
    channels, (mode, zero_y, limits) = w.shape[-1], _arguments(node)
    node.require(mode == Mode.QUANTISED, "a depthwise convolution without QuantizeLinear behind it")
    flat = w.reshape(-1, channels)
    count, pixels = -(-len(flat) // 4), window.outputs
    taps, quads = np.zeros(4 * count, np.int64), np.zeros((4 * count, channels), np.int8)
    taps[: len(flat)] = _offsets(window.kernel, [d * s for d, s in zip(window.dilations, steps, strict=True)])
    quads[: len(flat)] = flat
    row = bias_with_zero_point(node.constant(2, "bias"), flat, node.attr("zero_x", 0))
    scale = padded_scale(node, channels)
    times = 1
    while window.strides[-1] == 1 and window.out[-1] % (2 * times) == 0 and 2 * times * channels <= 64:
        times *= 2
    wide = np.tile(quads, (1, times)).reshape(count, 4, -1).transpose(0, 2, 1)
    constants = (wide, np.tile(row, times)[:, None], np.tile(scale, times)[:, None])
    weights, biases, scales = (build.constant(by_blocks(v)) for v in constants)
    table = build.constant(np.concatenate([starts[::times], taps]).astype(np.int32))
    images = y.shape[0]
    record = QDEPTHWISE(
        x=x, w=weights, bias=biases, out=y, scale=scales, table=table, pixels=pixels // times, quads=count,
        channels=times * channels, zero=zero_y, images=images, x_image=x.size // images, low=limits[0], high=limits[1],
    )  # fmt: skip
    build.call("qdepthwise", record, macs=images * pixels * w.size)


def _qadd_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(NUMPY[DType(node.attributes["type"].as_int())], inputs[0].shape)]


@operator("QAdd", domain=RT_DOMAIN, since=1, infer=_qadd_types, elements=Elements.SEVERAL)
def qadd(node: Node, build: Builder) -> None:
    """The sum of two quantised tensors, quantised again: every bit as DequantizeLinear, Add, QuantizeLinear."""
    a, b, y = node.x, node.input(1), node.y
    node.require(a.dtype == b.dtype == U8 and a.shape == b.shape == y.shape, "its operands are not alike")
    zeros, scales = node.attr("zeros"), node.attr("scales")
    if y.size:
        record = QADD(
            a=a, b=reshaped(build, b, a.shape), out=y, n=y.size, a_zero=zeros[0], b_zero=zeros[1], out_zero=zeros[2],
            a_scale=scales[0], b_scale=scales[1], out_scale=scales[2], low=node.attr("low"), high=node.attr("high"),
            inverse=np.float32(1.0 / np.float64(np.float32(scales[2]))),
        )  # fmt: skip
        build.call("qadd", record, inplace=("a", "b"))


def _pool_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(U8, (inputs[0].shape[0], *node.attributes["out"].as_ints(), inputs[0].shape[-1]))]


@operator("QMaxPool", domain=RT_DOMAIN, since=1, infer=_pool_types)
def qmax_pool(node: Node, build: Builder) -> None:
    """The largest under a window, channels last."""
    x, y = node.x, node.y
    node.require(x.dtype == U8, f"x is {x.dtype}")
    window = window_of(node.ir, x.shape[1:-1], y.shape[1:-1], node.attr("kernel_shape"))
    if not y.size:
        return
    whole, x = _with_padding(build, x, window, False, 0)
    channels = x.shape[-1]
    steps = [prod(whole[a + 1 :]) * channels for a in range(len(whole))]
    starts = _offsets(window.out, [s * step for s, step in zip(window.strides, steps, strict=True)])
    taps = _offsets(window.kernel, [d * s for d, s in zip(window.dilations, steps, strict=True)])
    table = build.constant(np.concatenate([starts, taps]).astype(np.int32))
    images = y.shape[0]
    record = QMAX_POOL(
        x=x, out=y, table=table, pixels=window.outputs, taps=window.taps, channels=channels,
        images=images, x_image=x.size // images,
    )  # fmt: skip
    build.call("qmax_pool", record)


def _lookup_types(node: object, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(inputs[1].dtype, inputs[0].shape)]


@operator("Lookup", domain=RT_DOMAIN, since=1, infer=_lookup_types, elements=Elements.ONE)
def lookup(node: Node, build: Builder) -> None:
    """A function of one byte, by a table that was made at load."""
    table = node.constant(1, "table")
    node.require(table.shape == (256,) and table.itemsize == 1 and node.x.dtype.itemsize == 1, "it is not of bytes")
    if node.y.size:
        build.call(
            "lookup_1", LOOKUP_BYTES(x=node.x, table=build.constant(table), out=node.y, n=node.y.size), inplace=("x",)
        )
