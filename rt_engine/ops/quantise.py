"""QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.

https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html, https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html,
https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.encode import LOOKUP_BYTES
from rt_engine.kernels.interface.quantise import QUANTISE
from rt_engine.ops.base import RT_DOMAIN, Elements, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted, cut, decoded, encoded
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import broadcast_to, reshaped, rows_and_inner, strided_copy
from rt_engine.ops.reduce import reduced
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer
from rt_engine.program.element_types import INTEGER_LIMITS, NARROW

F32, I32, U8 = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.uint8)
_LIMITS: dict[np.dtype[Any], tuple[int, int]] = {
    **{np.dtype(t): (int(np.iinfo(t).min), int(np.iinfo(t).max)) for t in (np.uint8, np.int8, np.uint16, np.int16)},
    **INTEGER_LIMITS,
}
"""Quantised integers -> their smallest and largest value."""


def along(build: Builder, node: Node, v: Buffer, shape: Sequence[int], axis: int, block: int) -> Buffer:
    """A scale or zero point so that it broadcasts to `shape`: per tensor, per axis, or blocked."""
    if v.size == 1:
        return reshaped(build, v, ())
    axis = axis % len(shape)
    if block == 0:
        node.require(v.size == shape[axis], f"{v.size} scales for axis {axis} of {list(shape)}", "correct the axis")
        return reshaped(build, v, [v.size if a == axis else 1 for a in range(len(shape))])
    blocks = -(-shape[axis] // block)
    fits = list(v.shape) == [blocks if a == axis else size for a, size in enumerate(shape)]
    node.require(fits, f"scales {list(v.shape)} for {list(shape)} in blocks of {block}", "correct block_size")
    seen = reshaped(build, v, (*shape[:axis], blocks, 1, *shape[axis + 1 :]))
    wide = broadcast_to(build, seen, (*shape[:axis], blocks, block, *shape[axis + 1 :]))
    whole = (*shape[:axis], blocks * block, *shape[axis + 1 :])
    repeated = reshaped(build, wide, whole)
    if whole == tuple(shape):
        return repeated
    out = build.temporary(v.dtype, shape)
    strides = [int(np.prod(whole[a + 1 :])) for a in range(len(whole))]
    strided_copy(build, repeated, out, shape, strides)
    return out


def known_as(build: Builder, v: Buffer, dtype: Any) -> Buffer:
    """A scale or zero point in another type that holds its values; constants now, others at run time."""
    if v.value is not None and v.dtype != dtype:
        return build.constant(v.value.astype(dtype), v.name)
    return converted(build, v, dtype)


def is_zero(v: Buffer | None) -> bool:
    """Is there no zero point, or one that is known to be zero?"""
    return v is None or (v.value is not None and not v.value.astype(np.float32).any())


def quantised(
    build: Builder, x: Buffer, scale: Buffer, zero: Buffer | None, y: Buffer, limits: tuple[int, int] | None = None
) -> None:
    """clip(round(x / scale) + zero): float32 x and scale, int32 zero, which broadcast to `x`; `y` has integers."""
    if not y.size:
        return
    rows, n, operands, strides = rows_and_inner((x, scale), y.shape, build)
    if strides[0] != (n if rows > 1 else 0, 1) or n == 1:  # one column, one row: see it the other way round
        operands = [x, broadcast_to(build, scale, y.shape)]
        rows, n, strides = 1, y.size, [(0, 1), (0, 1)]
    scale, (row, inner) = operands[1], strides[1]
    if zero is None:
        zero = build.constant(np.zeros(scale.shape, I32))
    elif zero.size != scale.size:
        zero = broadcast_to(build, zero, scale.shape)
    low, high = limits or _LIMITS[y.dtype]
    narrow = y.dtype in INTEGER_LIMITS
    out = build.temporary(np.int8, y.shape) if narrow else y
    record = QUANTISE(
        x=x, scale=scale, zero=zero, out=out, rows=rows, n=n, scale_row=row, scale_inner=inner,
        nbytes=out.dtype.itemsize, low=low, high=high,
    )  # fmt: skip
    build.call("quantise", record)
    if narrow:
        cut(build, out, y.dtype, y)


@operator("QuantizeLinear", since=10, any_type=True)
def quantize_linear(node: Node, build: Builder) -> None:
    """clip(round(x / scale) + zero point), ties to even; per tensor, per axis or blocked; also to float8 and float4."""
    x, y, zero = node.x, node.y, node.optional(2)
    axis, block = int(node.attr("axis", 1)), int(node.attr("block_size", 0))
    scale, x = known_as(build, node.input(1), F32), converted(build, x, F32)
    scale = along(build, node, scale, x.shape, axis, block)
    if y.dtype in NARROW and y.dtype not in INTEGER_LIMITS:
        quotient = build.temporary(F32, x.shape)
        broadcast(build, "div_f32", (x, scale), quotient)
        if zero is not None and y.dtype.name.startswith("float4"):  # that of a float8 is zero, says ONNX
            broadcast(
                build, "add_f32", (quotient, along(build, node, decoded(build, zero), x.shape, axis, block)), quotient
            )
        encoded(build, quotient, y.dtype, y, bool(node.attr("saturate", 1)))
        return
    node.require(y.dtype in _LIMITS, f"type {y.dtype} is not supported here", "quantise to 8 or 16 bits")
    if zero is not None:
        zero = along(build, node, known_as(build, zero, I32), x.shape, axis, block)
    quantised(build, x, scale, zero, y)


@operator("DequantizeLinear", since=10, any_type=True)
def dequantize_linear(node: Node, build: Builder) -> None:
    """(x - zero point) * scale in float32; per tensor, per axis or blocked."""
    x, y, zero = node.x, node.y, node.optional(2)
    axis, block = int(node.attr("axis", 1)), int(node.attr("block_size", 0))
    wide = decoded(build, x) if x.dtype in NARROW else converted(build, x, F32)
    scale = along(build, node, known_as(build, node.input(1), F32), x.shape, axis, block)
    if zero is not None and not is_zero(zero):
        zero = along(build, node, known_as(build, zero, F32), x.shape, axis, block)
        centred = build.temporary(F32, x.shape)
        broadcast(build, "sub_f32", (wide, zero), centred)
        wide = centred
    out = y if y.dtype == F32 else build.temporary(F32, y.shape)
    broadcast(build, "mul_f32", (wide, scale), out)
    if out is not y:
        converted(build, out, y.dtype, y)


@operator("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(node: Node, build: Builder) -> None:
    """Scale and zero point from the smallest and largest element, then QuantizeLinear to uint8."""
    x, y, scale, zero = node.x, node.y, node.output(1), node.output(2)
    node.require(x.size > 0, "a range of nothing", "feed at least one element")
    flat, nothing = reshaped(build, x, (1, x.size)), build.constant(np.zeros((), F32))
    ends = []
    for name in ("min", "max"):
        end, reached = build.temporary(F32, ()), build.temporary(F32, ())
        reduced(build, name, flat, end, (1, x.size, 1))
        broadcast(build, f"{name}_f32", (end, nothing), reached)
        ends.append(reached)
    span, width, place, whole, wide = (build.temporary(F32, ()) for _ in range(5))
    flat_input = build.temporary(np.bool_, ())
    step, zero_wide = reshaped(build, scale, ()), build.temporary(I32, ())
    broadcast(build, "sub_f32", (ends[1], ends[0]), span)
    broadcast(build, "equal_f32", (span, nothing), flat_input)  # nothing but zeros: a scale of 1 / 255
    broadcast(build, "where_4", (flat_input, build.constant(np.ones((), F32)), span), width)
    broadcast(build, "div_f32", (width, build.constant(np.full((), 255, F32))), step)
    broadcast(build, "sub_f32", (nothing, ends[0]), wide)
    broadcast(build, "div_f32", (wide, step), place)
    unary(build, "round", place, whole)
    converted(build, whole, U8, zero)
    converted(build, reshaped(build, zero, ()), I32, zero_wide)
    quantised(build, x, step, zero_wide, y)


def _flipped(node: Any, inputs: Sequence[Buffer]) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    return [(U8 if inputs[0].dtype == np.int8 else np.dtype(np.int8), inputs[0].shape)]


@operator("FlipSign", domain=RT_DOMAIN, since=1, infer=_flipped, elements=Elements.ONE)
def flip_sign(node: Node, build: Builder) -> None:
    """int8 plus 128 as uint8, uint8 less 128 as int8."""
    flipped(build, node.x, node.y)


def flipped(build: Builder, x: Buffer, y: Buffer | None = None) -> Buffer:
    """The other one of int8 and uint8: the highest bit changes."""
    y = y or build.temporary(U8 if x.dtype == np.int8 else np.int8, x.shape)
    if x.size:
        table = build.constant(np.arange(256, dtype=np.uint8) ^ np.uint8(128))
        build.call("lookup_1", LOOKUP_BYTES(x=x, table=table, out=y, n=x.size))
    return y


def less_zero(build: Builder, x: Buffer, zero: Buffer | None) -> Buffer:
    """x - zero point, as int32."""
    wide = converted(build, x, I32)
    if is_zero(zero):
        return wide
    assert zero is not None
    out = build.temporary(I32, x.shape)
    broadcast(build, "sub_int", (wide, known_as(build, zero, I32)), out, CODE[I32])
    return out
