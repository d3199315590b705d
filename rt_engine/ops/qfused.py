"""Integer operators that `passes.quantised` makes of quantised models: products, convolutions, sums.

    QLinear   x [..., k] uint8, w [k, n], bias [n] int32, scale [n] float32            -> [..., n]
    QConv     x uint8, w [taps..., channels / group, m], bias [m], scale [m]           -> as `layout` says
    QAdd      a, b uint8                                                               -> their shape
    QMaxPool  x uint8, channels last                                                   -> channels last
    Lookup    x uint8 or int8, table [256]                                             -> its shape

    sum = bias + sum over k of (x - zero_x) * w         exact int32; w is int8, or int16 less its zero point
    mode QUANTISED: clip(round(sum * scale), low, high) + zero_y    RAW: sum    REAL: clip(sum * scale, low, high)

The zero point of x is the attribute zero_x, or a fifth input, uint8, that is computed at run time; so may the scale be.
`layout` of QConv: "first" is ONNX's; "last" has the channels last, in and out; "planar" takes ONNX's and gives channels last.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import NUMPY, DType
from rt_engine.kernels.interface.encode import LOOKUP_BYTES
from rt_engine.kernels.interface.modes import Mode
from rt_engine.kernels.interface.qadd import QADD
from rt_engine.kernels.interface.qpool import QMAX_POOL
from rt_engine.ops.base import RT_DOMAIN, Elements, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped, transposed
from rt_engine.ops.qconvolve import U8, Sums, convolve_bytes, offsets_of, product_of_bytes, with_padding
from rt_engine.ops.window import window_of
from rt_engine.program.calls import Buffer


def _type(node: ir.Node) -> np.dtype[Any]:
    """What the mode makes of sums."""
    mode = Mode(node.attributes["mode"].as_int())
    if mode is Mode.QUANTISED:
        return NUMPY[DType(node.attributes["type"].as_int())]
    return np.dtype(np.int32 if mode is Mode.RAW else np.float32)


def _qlinear_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(_type(node), (*inputs[0].shape[:-1], inputs[1].shape[1]))]


@operator("QLinear", domain=RT_DOMAIN, since=1, infer=_qlinear_types)
def qlinear(node: Node, build: Builder) -> None:
    """An integer product with constant weights."""
    x, w = node.x, node.constant(1, "weights")
    rows, (k, n) = prod(x.shape[:-1]), w.shape
    node.require(x.dtype == U8 and x.shape[-1] == k, f"x is {x.dtype}{list(x.shape)} for {k} rows of weights")
    product_of_bytes(build, x, (rows, k, n), _sums(node, w), node.y)


def _sums(node: Node, w: NDArray[Any]) -> Sums:
    """What the node says of its sums; a fifth input is a zero point of x that is computed at run time."""
    mode, zero, limits = (
        Mode(node.attr("mode")),
        node.attr("zero_y", 0),
        (node.attr("low", -np.inf), node.attr("high", np.inf)),
    )
    scale, fed = node.input(3), node.optional(4)
    known = node.attr("zero_x", 0) if fed is None else fed if fed.value is None else int(fed.value.reshape(-1)[0])
    factor = scale if scale.value is None else scale.value
    return Sums(w, node.constant(2, "bias"), known, factor, mode, zero, limits, node.attr("group", 1))


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
    convolve_bytes(build, x, _sums(node, w), target, window, planar)
    if layout == "first":
        transposed(build, target, [0, rank + 1, *range(1, rank + 1)], y)


def _qadd_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(NUMPY[DType(node.attributes["type"].as_int())], inputs[0].shape)]


@operator("QAdd", domain=RT_DOMAIN, since=1, infer=_qadd_types, elements=Elements.SEVERAL)
def qadd(node: Node, build: Builder) -> None:
    """The sum of two quantised tensors, quantised again: every bit as DequantizeLinear, Add, QuantizeLinear."""
    a, b, y = node.x, node.input(1), node.y
    node.require(a.dtype == b.dtype == U8 and a.shape == b.shape == y.shape, "its operands are not alike")
    zeros, scales = node.attr("zeros"), node.attr("scales")
    if y.size:
        inverse, plain = reciprocal(zeros, scales, node.attr("low"), node.attr("high"))
        record = QADD(
            a=a, b=reshaped(build, b, a.shape), out=y, n=y.size, a_zero=zeros[0], b_zero=zeros[1], out_zero=zeros[2],
            a_scale=scales[0], b_scale=scales[1], out_scale=scales[2], low=node.attr("low"), high=node.attr("high"),
            inverse=inverse, plain=plain,
        )  # fmt: skip
        build.call("qadd", record, inplace=("a", "b"))


_NEIGHBOURS = (0, 1, -1, 2, -2)


def reciprocal(zeros: Sequence[int], scales: Sequence[float], low: float, high: float) -> tuple[np.float32, bool]:
    """(1 / output scale, or a float next to it, a product with which rounds like the quotient for any two bytes: is there one?)."""
    a, b = (
        (np.arange(256) - zero).astype(np.float32) * np.float32(scale)
        for zero, scale in zip(zeros[:2], scales[:2], strict=True)
    )
    total, divisor = a[:, None] + b[None, :], np.float32(scales[2])
    nearest = np.float32(1.0 / np.float64(divisor))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.rint(np.clip(total / divisor, low, high))
        for steps in _NEIGHBOURS:
            inverse = np.float32(nearest + steps * np.spacing(nearest))
            if np.array_equal(np.rint(np.clip(total * inverse, low, high)), expected):
                return inverse, True
    return nearest, False


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
    whole, x = with_padding(build, x, window, False, 0)
    channels = x.shape[-1]
    steps = [prod(whole[a + 1 :]) * channels for a in range(len(whole))]
    starts = offsets_of(window.out, [s * step for s, step in zip(window.strides, steps, strict=True)])
    taps = offsets_of(window.kernel, [d * s for d, s in zip(window.dilations, steps, strict=True)])
    table = build.constant(np.concatenate([starts, taps]).astype(np.int32))
    images = y.shape[0]
    record = QMAX_POOL(
        x=x, out=y, table=table, pixels=window.outputs, taps=window.taps, channels=channels,
        images=images, x_image=x.size // images, offsets=4 * window.outputs,
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
