"""Virtual vectors: 64 bytes (16 float32, 8 float64), whatever the machine's own width is.

A native function is written once against these types. The compiler lowers one virtual vector to `PARTS` hardware vectors:

    machine     lanes   float32 vector        float64 vector
    AVX-512     16      1 x <16 x float>      1 x <8 x double>
    AVX2         8      2 x <8 x float>       2 x <4 x double>
    SSE4, NEON   4      4 x <4 x float>       4 x <2 x double>

So the order of every sum belongs to the program and never to the machine: the same source gives the same bits everywhere.
`sum_lanes` and its kin reduce in one fixed tree, whatever the width. Multiply-add is fused only where `fma` says so,
and on processors without FMA as their arithmetic says (`rt_native.multiply_add`).

Names: `f32x`, `f64x` are the vectors, `i32x`, `i64x` their integers, `m32x`, `m64x` their masks. Arithmetic, comparison and
bit operators work on them, also with a scalar on one side. Only native modules import this file (see `rt_native.lang`).
"""

import operator
import os
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, register_model

from rt_native.multiply_add import multiply_add, multiply_add_once

LANES = int(os.environ.get("RT_NATIVE_LANES", "16"))
"""float32 lanes of a hardware vector; the build sets it for the whole process."""
PARTS = 16 // LANES
BYTES = 64


class Vector(types.Type):
    """A virtual vector of 64 bytes (or the mask that belongs to one)."""

    def __init__(self, name: str, kind: str, bits: int) -> None:
        self.kind, self.bits = kind, bits
        self.lanes = BYTES * 8 // bits
        super().__init__(name=name)

    @property
    def scalar(self) -> Any:
        """Numba's type of one lane."""
        return {
            "f": types.float32 if self.bits == 32 else types.float64,
            "i": types.int32 if self.bits == 32 else types.int64,
        }[self.kind]

    @property
    def element(self) -> Any:
        """LLVM's type of one lane."""
        if self.kind == "f":
            return ir.FloatType() if self.bits == 32 else ir.DoubleType()
        return ir.IntType(1 if self.kind == "m" else self.bits)

    @property
    def part(self) -> Any:
        """LLVM's type of one hardware vector."""
        return ir.VectorType(self.element, self.lanes // PARTS)


f32x, f64x = Vector("f32x", "f", 32), Vector("f64x", "f", 64)
i32x, i64x = Vector("i32x", "i", 32), Vector("i64x", "i", 64)
m32x, m64x = Vector("m32x", "m", 32), Vector("m64x", "m", 64)
_INTEGER = {f32x: i32x, f64x: i64x, i32x: i32x, i64x: i64x}
_FLOAT = {i32x: f32x, i64x: f64x}
_MASK = {f32x: m32x, i32x: m32x, f64x: m64x, i64x: m64x, m32x: m32x, m64x: m64x}


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, ir.ArrayType(fe_type.part, PARTS))


def split(builder: Any, value: Any) -> list[Any]:
    """The hardware vectors of a virtual one."""
    return [builder.extract_value(value, i) for i in range(PARTS)]


def join(builder: Any, vector: Vector, parts: list[Any]) -> Any:
    """One virtual vector of hardware vectors."""
    whole = ir.Constant(ir.ArrayType(vector.part, PARTS), ir.Undefined)
    for i, part in enumerate(parts):
        whole = builder.insert_value(whole, part, i)
    return whole


def splat_part(builder: Any, vector: Vector, scalar: Any) -> Any:
    """One hardware vector with the same scalar in every lane."""
    one = builder.insert_element(ir.Constant(vector.part, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.part.count), [0] * vector.part.count)
    return builder.shuffle_vector(one, ir.Constant(vector.part, ir.Undefined), zeros)


def call_llvm(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Call an LLVM intrinsic."""
    function_type = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), args)


def suffix(vector: Vector) -> str:
    """How LLVM's intrinsics name a hardware vector."""
    return f"v{vector.part.count}{'f' if vector.kind == 'f' else 'i'}{vector.bits if vector.kind != 'm' else 1}"


def define(result: Vector, operands: tuple[Any, ...], one_part: Callable[..., Any]) -> Any:
    """(signature, codegen) of an operation that works part by part: `one_part(builder, *parts)`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        columns = [
            split(builder, a) if isinstance(t, Vector) else [a] * PARTS for a, t in zip(args, operands, strict=True)
        ]
        return join(builder, result, [one_part(builder, *parts) for parts in zip(*columns, strict=True)])

    return result(*operands), codegen


# --- scalars become vectors where a vector is wanted -------------------------------------------------------------------


@lower_cast(types.Float, Vector)
@lower_cast(types.Integer, Vector)
def _scalar_to_vector(context: Any, builder: Any, fromty: Any, toty: Vector, value: Any) -> Any:
    scalar = context.cast(builder, value, fromty, toty.scalar)
    return join(builder, toty, [splat_part(builder, toty, scalar)] * PARTS)


def _vector_of(args: tuple[Any, ...]) -> Vector | None:
    """The vector type among operands that may otherwise be scalars, if it is only one."""
    vectors = {a for a in args if isinstance(a, Vector)}
    scalars = all(isinstance(a, Vector | types.Float | types.Integer) for a in args)
    return vectors.pop() if len(vectors) == 1 and scalars else None


# --- operators ---------------------------------------------------------------------------------------------------------

_COMPARE = {
    operator.lt: "<",
    operator.le: "<=",
    operator.eq: "==",
    operator.gt: ">",
    operator.ge: ">=",
    operator.ne: "!=",
}
_ARITHMETIC = {operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.truediv: "div"}
_BITWISE = {
    operator.and_: "and_",
    operator.or_: "or_",
    operator.xor: "xor",
    operator.lshift: "shl",
    operator.rshift: "ashr",
}


def _operator(
    op: Any, kinds: str, result: Callable[[Vector], Vector], emit: Callable[[Any, Vector, Any, Any], Any]
) -> None:
    """Teach Numba `op` on vectors of `kinds`."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            vector = _vector_of(args) if len(args) == 2 else None
            return signature(result(vector), vector, vector) if vector and vector.kind in kinds else None

    infer_global(op)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = sig.args[0]
        pairs = zip(split(builder, args[0]), split(builder, args[1]), strict=True)
        return join(builder, sig.return_type, [emit(builder, vector, a, b) for a, b in pairs])

    lower_builtin(op, Vector, Vector)(lower)


def _emit_arithmetic(name: str) -> Any:
    def emit(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
        return getattr(builder, ("f" if vector.kind == "f" else "") + name)(a, b)

    return emit


def _emit_compare(symbol: str) -> Any:
    def emit(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
        if vector.kind == "f":  # only != is true for NaN
            return (builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered)(symbol, a, b)
        return builder.icmp_signed(symbol, a, b)

    return emit


def _emit_bits(name: str) -> Any:
    return lambda builder, vector, a, b: getattr(builder, name)(a, b)


for _op, _name in _ARITHMETIC.items():
    _operator(_op, "f" if _name == "div" else "fi", lambda v: v, _emit_arithmetic(_name))
for _op, _name in _COMPARE.items():
    _operator(_op, "fi", lambda v: _MASK[v], _emit_compare(_name))
for _op, _name in _BITWISE.items():
    _operator(_op, "im", lambda v: v, _emit_bits(_name))


@infer_global(operator.neg)
@infer_global(operator.invert)
class _Unary(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _neg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    flip = builder.fneg if sig.args[0].kind == "f" else builder.neg
    return join(builder, sig.return_type, [flip(p) for p in split(builder, args[0])])


@lower_builtin(operator.invert, Vector)
def _invert(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return join(builder, sig.return_type, [builder.not_(p) for p in split(builder, args[0])])


# --- loads and stores --------------------------------------------------------------------------------------------------


def _part_addresses(builder: Any, vector: Vector, address: Any) -> list[Any]:
    step = BYTES // PARTS
    pointers = [builder.add(address, ir.Constant(ir.IntType(64), step * i)) for i in range(PARTS)]
    return [builder.inttoptr(p, vector.part.as_pointer()) for p in pointers]


def _load(vector: Vector) -> Any:
    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            parts = [
                builder.load(p, typ=vector.part, align=vector.bits // 8)
                for p in _part_addresses(builder, vector, args[0])
            ]
            return join(builder, vector, parts)

        return vector(types.int64), codegen

    return load


def _store(vector: Vector) -> Any:
    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            for part, p in zip(split(builder, args[1]), _part_addresses(builder, vector, args[0]), strict=True):
                builder.store(part, p, align=vector.bits // 8)
            return context.get_dummy_value()

        return types.void(types.int64, vector), codegen

    return store


def first_lanes(builder: Any, vector: Vector, count: Any) -> list[Any]:
    """Per part, the mask of the lanes below `count`."""
    i32, width = ir.IntType(32), vector.part.count
    lanes = ir.VectorType(i32, width)
    undef = ir.Constant(lanes, ir.Undefined)
    one = builder.insert_element(undef, builder.trunc(count, i32), ir.Constant(i32, 0))
    limit = builder.shuffle_vector(one, undef, ir.Constant(lanes, [0] * width))
    numbers = [ir.Constant(lanes, [p * width + i for i in range(width)]) for p in range(PARTS)]
    return [builder.icmp_signed("<", n, limit) for n in numbers]


def _load_first(vector: Vector) -> Any:
    @intrinsic
    def load_first(typingctx: Any, address: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            masks = first_lanes(builder, vector, args[1])
            zero = ir.Constant(vector.part, [0.0 if vector.kind == "f" else 0] * vector.part.count)
            name = f"llvm.masked.load.{suffix(vector)}.p0"
            parts = []
            for mask, p in zip(masks, _part_addresses(builder, vector, args[0]), strict=True):
                parts.append(masked(builder, name, vector.part, [p, mask, zero], 0, vector.bits // 8))
            return join(builder, vector, parts)

        return vector(types.int64, types.int64), codegen

    return load_first


def _store_first(vector: Vector) -> Any:
    @intrinsic
    def store_first(typingctx: Any, address: Any, value: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            masks = first_lanes(builder, vector, args[2])
            name = f"llvm.masked.store.{suffix(vector)}.p0"
            addresses = _part_addresses(builder, vector, args[0])
            for mask, p, part in zip(masks, addresses, split(builder, args[1]), strict=True):
                masked(builder, name, ir.VoidType(), [part, p, mask], 1, vector.bits // 8)
            return context.get_dummy_value()

        return types.void(types.int64, vector, types.int64), codegen

    return store_first


def masked(builder: Any, name: str, result: Any, args: list[Any], pointer: int, alignment: int) -> Any:
    """A masked load or store, in the older form with the alignment as an operand; LLVM upgrades it when it parses."""
    where = pointer + 1
    operands = [*args[:where], ir.Constant(ir.IntType(32), alignment), *args[where:]]
    return call_llvm(builder, name, result, operands)


load_f32x, load_f64x, load_i32x, load_i64x = (_load(v) for v in (f32x, f64x, i32x, i64x))
store_f32x, store_f64x, store_i32x, store_i64x = (_store(v) for v in (f32x, f64x, i32x, i64x))
load_first_f32x, load_first_f64x, load_first_i32x, load_first_i64x = (_load_first(v) for v in (f32x, f64x, i32x, i64x))
store_first_f32x, store_first_f64x, store_first_i32x, store_first_i64x = (
    _store_first(v) for v in (f32x, f64x, i32x, i64x)
)


def _splat(vector: Vector) -> Any:
    @intrinsic
    def splat(typingctx: Any, scalar: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return join(builder, vector, [splat_part(builder, vector, args[0])] * PARTS)

        return vector(vector.scalar), codegen

    return splat


splat_f32x, splat_f64x, splat_i32x, splat_i64x = (_splat(v) for v in (f32x, f64x, i32x, i64x))


# --- functions ---------------------------------------------------------------------------------------------------------


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once; twice where the arithmetic is `fast` (`rt_native.multiply_add`)."""
    vector = _vector_of((a, b, c))
    return define(vector, (vector,) * 3, multiply_add) if vector else None


@intrinsic
def fma_once(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once in every arithmetic: for what a rounding has lost. Slow where `fma` is fast without FMA."""
    vector = _vector_of((a, b, c))
    return define(vector, (vector,) * 3, multiply_add_once) if vector else None


def _math(name: str) -> Any:
    @intrinsic
    def function(typingctx: Any, a: Any) -> Any:
        def one(builder: Any, part: Any) -> Any:
            return call_llvm(builder, f"llvm.{name}.{suffix(a)}", part.type, [part])

        return define(a, (a,), one) if isinstance(a, Vector) else None

    return function


sqrt, absolute, floor, ceil, trunc = (_math(n) for n in ("sqrt", "fabs", "floor", "ceil", "trunc"))
round_even = _math("roundeven")


@intrinsic
def copysign(typingctx: Any, magnitude: Any, sign: Any) -> Any:
    """`magnitude` with the sign of `sign`."""
    vector = _vector_of((magnitude, sign))
    if vector is None:
        return None

    def one(builder: Any, a: Any, b: Any) -> Any:
        return call_llvm(builder, f"llvm.copysign.{suffix(vector)}", a.type, [a, b])

    return define(vector, (vector, vector), one)


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lane by lane: `a` where the mask is set, else `b`."""
    vector = _vector_of((a, b))
    if vector is None or mask is not _MASK[vector]:
        return None
    return define(vector, (mask, vector, vector), lambda builder, m, x, y: builder.select(m, x, y))


@intrinsic
def bits(typingctx: Any, a: Any) -> Any:
    """The bits of a float vector, as integers."""
    to = _INTEGER[a]
    return define(to, (a,), lambda builder, p: builder.bitcast(p, to.part))


@intrinsic
def from_bits(typingctx: Any, a: Any) -> Any:
    """The floats that have these bits."""
    to = _FLOAT[a]
    return define(to, (a,), lambda builder, p: builder.bitcast(p, to.part))


def _tree(name: str, combine: Callable[[Any, Vector, Any, Any], Any]) -> Any:
    """Reduce a vector to a scalar in one fixed tree: halves are combined until one lane is left.

    The last two lanes are combined as a vector too: of one float, x86 would make a branch out of `select`.
    """

    def lanes(builder: Any, value: Any, numbers: list[int]) -> Any:
        undef = ir.Constant(value.type, ir.Undefined)
        return builder.shuffle_vector(value, undef, ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers))

    @intrinsic
    def reduce_lanes(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            parts = split(builder, args[0])
            while len(parts) > 1:  # lanes i and i + n/2
                half = len(parts) // 2
                parts = [combine(builder, a, parts[i], parts[i + half]) for i in range(half)]
            value, width = parts[0], a.part.count
            while width > 2:
                width //= 2
                low, high = (lanes(builder, value, list(range(start, start + width))) for start in (0, width))
                value = combine(builder, a, low, high)
            value = combine(builder, a, value, lanes(builder, value, [1, 0]))
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return (types.boolean if a.kind == "m" else a.scalar)(a), codegen

    reduce_lanes.__doc__ = name
    return reduce_lanes


def _pick(symbol: str) -> Any:
    """The larger or smaller; NaN wins, wherever it stands."""

    def combine(builder: Any, vector: Vector, a: Any, b: Any) -> Any:
        if vector.kind == "i":
            return builder.select(builder.icmp_signed(symbol, a, b), a, b)
        keep = builder.or_(builder.fcmp_ordered(symbol, a, b), builder.fcmp_unordered("uno", a, a))
        return builder.select(keep, a, b)

    return combine


sum_lanes = _tree("Sum over lanes.", _emit_arithmetic("add"))
product_lanes = _tree("Product over lanes.", _emit_arithmetic("mul"))
max_lanes = _tree("The largest lane; NaN if there is one.", _pick(">"))
min_lanes = _tree("The smallest lane; NaN if there is one.", _pick("<"))
any_lane = _tree("Is a lane of the mask set?", _emit_bits("or_"))


def _choose(symbol: str) -> Any:
    @intrinsic
    def choose(typingctx: Any, a: Any, b: Any) -> Any:
        vector = _vector_of((a, b))
        combine = _pick(symbol)
        return (
            define(vector, (vector, vector), lambda builder, x, y: combine(builder, vector, x, y)) if vector else None
        )

    return choose


maximum = _choose(">")
"""The larger of two, lane by lane; NaN if either is NaN (ONNX Max, NumPy maximum)."""
minimum = _choose("<")
"""The smaller of two, lane by lane; NaN if either is NaN (ONNX Min, NumPy minimum)."""
