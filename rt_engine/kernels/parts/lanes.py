"""What kernels that exist for float32 and float64 are made from: loads, stores and splats of one element type."""

from typing import Any

from llvmlite import ir
from numba import float32, float64
from numba.core import types
from numba.extending import intrinsic

from rt_native.lang import inline, load_f32, load_f64, load_i32, load_i64, store_f32, store_f64
from rt_native.vector import (
    BYTES,
    PARTS,
    Vector,
    f32x,
    f64x,
    first_lanes,
    load_f32x,
    load_f64x,
    load_first_f32x,
    load_first_f64x,
    masked,
    splat_f32x,
    splat_f64x,
    splat_i32x,
    splat_i64x,
    splat_part,
    store_f32x,
    store_f64x,
    store_first_f32x,
    store_first_f64x,
    store_i32x,
    store_i64x,
    suffix,
)


def _make_load_first_or(vector: Vector) -> Any:
    """load_first_or(address, count, rest): the first `count` lanes; the others are `rest`, nothing is read for them."""

    @intrinsic
    def load_first_or(typingctx: Any, address: Any, count: Any, rest: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address, count, rest = args
            fill = splat_part(builder, vector, rest)
            name = f"llvm.masked.load.{suffix(vector)}.p0"
            whole = ir.Constant(ir.ArrayType(vector.part, PARTS), ir.Undefined)
            for i, mask in enumerate(first_lanes(builder, vector, count)):
                place = builder.add(address, ir.Constant(ir.IntType(64), BYTES // PARTS * i))
                pointer = builder.inttoptr(place, vector.part.as_pointer())
                part = masked(builder, name, vector.part, [pointer, mask, fill], 0, vector.bits // 8)
                whole = builder.insert_value(whole, part, i)
            return whole

        return vector(types.int64, types.int64, vector.scalar), codegen

    return load_first_or


def _make_load_vector_of(vector: Vector) -> Any:
    """load(address, count): a whole vector; `count` is there for a call like that of `load_first`."""
    load = load_f32x if vector is f32x else load_f64x

    @inline
    def load_vector_of(address, count):
        return load(address)

    return load_vector_of


@intrinsic
def first_lane(typingctx: Any, a: Any) -> Any:
    """Lane 0 of a vector, as a scalar."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.extract_element(builder.extract_value(args[0], 0), ir.Constant(ir.IntType(32), 0))

    return a.scalar(a), codegen


class Element:
    """One float type: its vector, its size, and the functions that move it."""

    def __init__(self, vector: Vector) -> None:
        single = vector is f32x
        self.vector, self.suffix = vector, "f32" if single else "f64"
        self.lanes, self.nbytes = vector.lanes, vector.bits // 8
        self.scalar: Any = float32 if single else float64
        self.load: Any = load_f32 if single else load_f64
        self.store: Any = store_f32 if single else store_f64
        self.load_vector: Any = load_f32x if single else load_f64x
        self.store_vector: Any = store_f32x if single else store_f64x
        self.load_vector_of: Any = _make_load_vector_of(vector)
        self.load_first: Any = load_first_f32x if single else load_first_f64x
        self.load_first_or: Any = _make_load_first_or(vector)
        self.store_first: Any = store_first_f32x if single else store_first_f64x
        self.splat: Any = splat_f32x if single else splat_f64x
        # integers of the same width, for what is found lane by lane
        self.splat_index: Any = splat_i32x if single else splat_i64x
        self.store_index: Any = store_i32x if single else store_i64x
        self.load_index: Any = load_i32 if single else load_i64


F32, F64 = Element(f32x), Element(f64x)
