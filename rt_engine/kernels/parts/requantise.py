"""From int32 sums to what is stored; shared by the integer kernels, no kernel of its own.

    mode RAW       the sums themselves                                                       int32
    mode QUANTISED clip(round(float32(sum) * scale), low, high) + zero point                 uint8, int8
    mode REAL      clip(float32(sum) * scale, low, high)                                     float32

`float32(sum)` is rounded to nearest even (exact up to 2^24), so is the product; `round` is to nearest even (and the limits
are whole numbers, so that it makes no difference which of round and clip comes first). The scale is
s_x * s_w / s_y in float32, one per column: the formula of ONNX's QLinearMatMul and QLinearConv. `low` and `high` are the
limits of the type or of an activation, less the zero point. NaN does not occur.
"""

from typing import Any

from llvmlite import ir
from numba import float32
from numba.core import types
from numba.extending import intrinsic

from rt_engine.kernels.interface.modes import QUANTISED, REAL
from rt_native.lang import inline
from rt_native.vector import (
    PARTS,
    absolute,
    call_llvm,
    define,
    f32x,
    first_lanes,
    i32x,
    load_f32x,
    load_i32x,
    masked,
    select,
    splat_f32x,
    split,
    store_f32x,
    store_first_f32x,
    store_first_i32x,
    store_i32x,
    sum_lanes,
)


@intrinsic
def to_float(typingctx: Any, a: Any) -> Any:
    """int32 lanes as float32, rounded to nearest even."""
    return define(f32x, (i32x,), lambda builder, p: builder.sitofp(p, f32x.part))


def clamped_part(builder: Any, value: Any, low: Any, high: Any) -> Any:
    """One hardware vector within limits; there is no NaN."""
    value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
    return builder.select(builder.fcmp_ordered("<", value, high), value, high)


def nearest_part(builder: Any, value: Any) -> Any:
    """One hardware vector of float32, within int32, rounded to nearest even."""
    count = value.type.count
    return call_llvm(builder, f"llvm.lrint.v{count}i32.v{count}f32", ir.VectorType(ir.IntType(32), count), [value])


@intrinsic
def clamped(typingctx: Any, value: Any, low: Any, high: Any) -> Any:
    """A float32 vector within limits; there is no NaN."""
    return define(f32x, (f32x, f32x, f32x), clamped_part)


@intrinsic
def nearest(typingctx: Any, a: Any) -> Any:
    """float32 lanes within int32, rounded to nearest even."""
    return define(i32x, (f32x,), nearest_part)


def _narrow(bits: int, first: bool) -> Any:
    part = ir.VectorType(ir.IntType(bits), i32x.part.count)
    step = part.count * bits // 8

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        masks = first_lanes(builder, i32x, args[2]) if first else [None] * PARTS
        for i, (value, mask) in enumerate(zip(split(builder, args[1]), masks, strict=True)):
            address = builder.add(args[0], ir.Constant(ir.IntType(64), step * i))
            pointer = builder.inttoptr(address, part.as_pointer())
            low = builder.trunc(value, part)
            if first:
                name = f"llvm.masked.store.v{part.count}i{bits}.p0"
                masked(builder, name, ir.VoidType(), [low, pointer, mask], 1, bits // 8)
            else:
                builder.store(low, pointer, align=bits // 8)
        return context.get_dummy_value()

    if first:

        @intrinsic
        def store_first(typingctx: Any, address: Any, value: Any, count: Any) -> Any:
            return types.void(types.int64, i32x, types.int64), emit

        return store_first

    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        return types.void(types.int64, i32x), emit

    return store


store_low8, store_first_low8 = _narrow(8, False), _narrow(8, True)
"""Store the low byte of each lane: of all lanes, of the first ones."""
store_low16, store_first_low16 = _narrow(16, False), _narrow(16, True)


def _wide(signed: bool) -> Any:
    part = ir.VectorType(ir.IntType(8), i32x.part.count)

    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            whole = ir.Constant(ir.ArrayType(i32x.part, PARTS), ir.Undefined)
            for i in range(PARTS):
                at = builder.add(args[0], ir.Constant(ir.IntType(64), part.count * i))
                value = builder.load(builder.inttoptr(at, part.as_pointer()), typ=part, align=1)
                wide = (builder.sext if signed else builder.zext)(value, i32x.part)
                whole = builder.insert_value(whole, wide, i)
            return whole

        return i32x(types.int64), codegen

    return load


load_u8x, load_s8x = _wide(False), _wide(True)
"""16 bytes as int32 lanes."""


@inline
def are_moderate(scale, columns):
    """Are all scales below 1, so that no scaled sum is beyond int32? There are whole vectors of them."""
    none, one = splat_f32x(float32(0.0)), splat_f32x(float32(1.0))
    large = none
    for first in range(0, columns, 16):
        large = large + select(absolute(load_f32x(scale + 4 * first)) < 1.0, none, one)
    return sum_lanes(large) == 0.0


@inline
def requantised(total, scale, zero, low, high):
    """One vector of sums as quantised numbers, still 32 bits wide."""
    return nearest(clamped(to_float(total) * scale, splat_f32x(low), splat_f32x(high))) + zero


@inline
def store_sums(mode, total, scale, at, left, zero, low, high):
    """Store up to `left` of 16 sums at `at`, in the way of `mode`; `scale` is the address of their scales."""
    if mode == QUANTISED:
        value = requantised(total, load_f32x(scale), zero, low, high)
        if left >= 16:
            store_low8(at, value)
        else:
            store_first_low8(at, value, left)
    elif mode == REAL:
        real = clamped(to_float(total) * load_f32x(scale), splat_f32x(low), splat_f32x(high))
        if left >= 16:
            store_f32x(at, real)
        else:
            store_first_f32x(at, real, left)
    elif left >= 16:
        store_i32x(at, total)
    else:
        store_first_i32x(at, total, left)


@inline
def store_tile(mode, sums, rows, vectors, scale, c, c_stride, left, item, zero, low, high):
    """Store a tile of sums, [rows, vectors, 16]; `left` columns of it, of `item` bytes each."""
    for r in range(rows):
        for v in range(vectors):
            total = load_i32x(sums + 64 * (r * vectors + v))
            at = c + r * c_stride + 16 * v * item
            store_sums(mode, total, scale + 64 * v, at, left - 16 * v, zero, low, high)
