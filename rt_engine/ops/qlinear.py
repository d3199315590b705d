"""Products and convolutions of integers: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv.

https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html, https://onnx.ai/onnx/operators/onnx__QLinearConv.html,
https://onnx.ai/onnx/operators/onnx__MatMulInteger.html, https://onnx.ai/onnx/operators/onnx__ConvInteger.html

These are the general forms, for weights and zero points that are computed at run time; `passes.quantised` and
`passes.integers` make the fast ones (`ops.qfused`) where they are constant. Both give the same integers.
"""

from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.reduce import MATMUL
from rt_engine.ops.base import Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import broadcast_to, reshaped, strided_copy
from rt_engine.ops.quantise import F32, I32, is_zero, less_zero, quantised
from rt_engine.ops.window import Window, window_of
from rt_engine.program.calls import Buffer


def integer_product(build: Builder, a: Buffer, b: Buffer, y: Buffer) -> None:
    """NumPy's matmul of int32 tensors of two or more dimensions, with broadcasting of the leading ones."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    if b.shape[-2] != k:
        raise ValueError(f"shapes {list(a.shape)} and {list(b.shape)} have no product")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = prod(batch)
    a, b = (x if prod(x.shape[:-2]) in (1, count) else broadcast_to(build, x, (*batch, *x.shape[-2:])) for x in (a, b))
    a_stride, b_stride = (m * k if prod(a.shape[:-2]) > 1 else 0), (k * n if prod(b.shape[:-2]) > 1 else 0)
    if y.size != count * m * n:
        raise ValueError(f"shapes {list(a.shape)} and {list(b.shape)} do not give {list(y.shape)}")
    if y.size:
        record = MATMUL(
            a=a,
            b=b,
            out=y,
            batch=count,
            rows=m,
            depth=k,
            columns=n,
            a_batch=a_stride,
            b_batch=b_stride,
            out_batch=m * n,
        )
        build.call("matmul_i32", record, macs=count * m * k * n)


def _matrix_zero(build: Builder, zero: Buffer | None, row: bool) -> Buffer | None:
    """A zero point per row of the left side, or per column of the right side, or one number."""
    if zero is None or zero.size == 1:
        return None if zero is None else reshaped(build, zero, ())
    return reshaped(build, zero, (zero.size, 1)) if row and len(zero.shape) == 1 else zero


def _matmul(build: Builder, a: Buffer, za: Buffer | None, b: Buffer, zb: Buffer | None, y: Buffer) -> None:
    left = less_zero(build, a, _matrix_zero(build, za, True))
    right = less_zero(build, b, _matrix_zero(build, zb, False))
    left = reshaped(build, left, (1, *a.shape)) if len(a.shape) == 1 else left
    right = reshaped(build, right, (*b.shape, 1)) if len(b.shape) == 1 else right
    integer_product(build, left, right, y)


@operator("MatMulInteger", since=10)
def matmul_integer(node: Node, build: Builder) -> None:
    """(a - za) @ (b - zb) as int32."""
    _matmul(build, node.x, node.optional(2), node.input(1), node.optional(3), node.y)


@operator("QLinearMatMul", since=10, any_type=True)
def qlinear_matmul(node: Node, build: Builder) -> None:
    """(a - za) @ (b - zb), rescaled and quantised again."""
    a, sa, za, b, sb, zb, sy, zy = (node.input(i) for i in range(8))
    total = build.temporary(I32, node.y.shape)
    _matmul(build, a, za, b, zb, total)
    sa = reshaped(build, sa, (sa.size, 1)) if sa.size > 1 and len(sa.shape) == 1 else sa
    _requantised(build, total, [sa, sb, sy], zy, node.y)


def _requantised(build: Builder, total: Buffer, scales: list[Buffer], zero: Buffer, y: Buffer) -> None:
    """round(total * (s0 * s1 / s2)) + zero, in float32."""
    x, w, out = (converted(build, reshaped(build, s, ()) if s.size == 1 else s, F32) for s in scales)
    product = build.temporary(F32, np.broadcast_shapes(x.shape, w.shape))
    factor = build.temporary(F32, np.broadcast_shapes(product.shape, out.shape))
    broadcast(build, "mul_f32", (x, w), product)
    broadcast(build, "div_f32", (product, out), factor)
    real = build.temporary(F32, y.shape)
    broadcast(build, "mul_f32", (converted(build, total, F32), factor), real)
    quantised(build, real, build.constant(np.ones((), F32)), reshaped(build, converted(build, zero, I32), ()), y)


def _conv(build: Builder, node: ir.Node, x: Buffer, zx: Buffer | None, w: Buffer, zw: Buffer | None, y: Buffer) -> None:
    """int32 sums [n, m, ...] of a convolution: the windows become the columns of a matrix."""
    rank, group = len(x.shape) - 2, node.attributes.get_int("group", 1)
    images, channels, outputs = x.shape[0], x.shape[1], w.shape[0]
    if rank < 1 or len(w.shape) != rank + 2 or channels % group or outputs % group or w.shape[1] * group != channels:
        raise Refusal(f"weights {list(w.shape)} in {group} groups for {list(x.shape)}", "export it again")
    window = window_of(node, x.shape[2:], y.shape[2:], w.shape[2:])
    if zw is not None:
        zw = reshaped(build, zw, (zw.size, *(1,) * (rank + 1)) if zw.size > 1 else ())
    weights = less_zero(build, w, zw)
    k = prod(w.shape[1:])
    columns = _windows(build, less_zero(build, x, None if is_zero(zx) else reshaped(build, zx, ())), window)  # type: ignore[arg-type]
    integer_product(
        build,
        reshaped(build, weights, (1, group, outputs // group, k)),
        reshaped(build, columns, (images, group, k, window.outputs)),
        y,
    )


def _windows(build: Builder, x: Buffer, window: Window) -> Buffer:
    """[images, channels, taps, output pixels] of int32: what lies under each tap; padding is zero."""
    images, channels = x.shape[:2]
    rank = len(window.size)
    reach = [int(window.positions(a).max(initial=0)) + window.begin[a] + 1 for a in range(rank)]
    whole = [max(r, b + s) for r, b, s in zip(reach, window.begin, window.size, strict=True)]
    if window.pads():
        wide = build.temporary(I32, (images * channels, *whole))
        build.fill(wide)
        steps = [prod(whole[a + 1 :]) for a in range(rank)]
        first = sum(b * s for b, s in zip(window.begin, steps, strict=True))
        inside = [prod(window.size[a + 1 :]) for a in range(rank)]
        shape = (images * channels, *window.size)
        strided_copy(build, x, wide, shape, (prod(window.size), *inside), (prod(whole), *steps), 0, first)
    else:
        wide, whole = x, list(window.size)
    steps = [prod(whole[a + 1 :]) for a in range(rank)]
    out = build.temporary(I32, (images, channels, window.taps, window.outputs))
    strides = [window.strides[a] * steps[a] for a in range(rank)]
    inner = [prod(window.out[a + 1 :]) for a in range(rank)]
    for tap, place in enumerate(np.ndindex(*window.kernel)):
        first = sum(p * d * s for p, d, s in zip(place, window.dilations, steps, strict=True))
        shape = (images * channels, *window.out)
        to = (window.taps * window.outputs, *inner)
        strided_copy(build, wide, out, shape, (prod(whole), *strides), to, first, tap * window.outputs)
    return out


@operator("ConvInteger", since=10)
def conv_integer(node: Node, build: Builder) -> None:
    """The convolution of (x - zx) with (w - zw), as int32."""
    _conv(build, node.ir, node.x, node.optional(2), node.input(1), node.optional(3), node.y)


@operator("QLinearConv", since=10)
def qlinear_conv(node: Node, build: Builder) -> None:
    """The convolution of (x - zx) with (w - zw) plus an int32 bias, rescaled and quantised again."""
    x, sx, zx, w, sw, zw, sy, zy = (node.input(i) for i in range(8))
    bias, y = node.optional(8), node.y
    total = build.temporary(I32, y.shape)
    _conv(build, node.ir, x, zx, w, zw, total)
    per_channel = (y.shape[1], *(1,) * (len(y.shape) - 2))
    if bias is not None:
        summed = build.temporary(I32, y.shape)
        broadcast(build, "add_int", (total, reshaped(build, bias, per_channel)), summed, CODE[I32])
        total = summed
    sw = reshaped(build, sw, per_channel) if sw.size > 1 else sw
    _requantised(build, total, [sx, sw, sy], zy, y)
