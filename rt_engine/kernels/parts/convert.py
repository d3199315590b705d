"""Conversion of 16 elements at a time between any two element types, written in LLVM IR.

    16 elements --widen--> 16 x int64, uint64 or float64 --narrow--> 16 elements

`widen` loses nothing; `narrow` rounds, saturates or wraps. So n types need 4 n conversions, not n * n; the pairs that
models use most (`DIRECT`) go in one step, with the same result.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.parts.half import HALF, half_to_single, single_to_half

COUNT = 16
"""Elements per step."""

_I64, _F64, _F32 = ir.IntType(64), ir.DoubleType(), ir.FloatType()
_LLVM: dict[DType, Any] = {
    **{t: ir.IntType(8 * t.nbytes) for t in DType},
    **{DType.FLOAT: _F32, DType.DOUBLE: _F64, DType.FLOAT16: HALF},
}
_FLOATS, _SIGNED = (tuple(t for t in DType if t.kind == kind) for kind in "fi")

DIRECT = (
    (DType.FLOAT, DType.DOUBLE),
    (DType.DOUBLE, DType.FLOAT),
    (DType.INT64, DType.FLOAT),
    (DType.FLOAT, DType.INT64),
    (DType.INT32, DType.FLOAT),
    (DType.FLOAT, DType.INT32),
    (DType.BOOL, DType.FLOAT),
    (DType.FLOAT, DType.BOOL),
    (DType.UINT8, DType.FLOAT),
    (DType.INT8, DType.FLOAT),
    (DType.FLOAT, DType.UINT8),
    (DType.FLOAT, DType.INT8),
    (DType.FLOAT16, DType.FLOAT),
    (DType.FLOAT, DType.FLOAT16),
    (DType.INT64, DType.INT32),
    (DType.INT32, DType.INT64),
)


def _vector(element: Any) -> Any:
    return ir.VectorType(element, COUNT)


def _splat(element: Any, value: float) -> Any:
    return ir.Constant(_vector(element), [value] * COUNT)


def _load(builder: Any, kind: DType, address: Any) -> Any:
    kind_type = _vector(_LLVM[kind])
    value = builder.load(builder.inttoptr(address, kind_type.as_pointer()), typ=kind_type, align=kind.nbytes)
    if kind is DType.BOOL:  # any byte but 0 is true
        return builder.zext(builder.icmp_unsigned("!=", value, ir.Constant(kind_type, [0] * COUNT)), kind_type)
    return value


def _store(builder: Any, kind: DType, value: Any, address: Any) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=kind.nbytes)


# --- one conversion of a vector in registers -------------------------------------------------------------------------


def _to_wide(builder: Any, kind: DType, value: Any) -> Any:
    """Any element as int64 (uint64's bits are kept) or float64."""
    if kind is DType.BFLOAT16:
        bits = builder.shl(builder.zext(value, _vector(ir.IntType(32))), _splat(ir.IntType(32), 16))
        value = builder.bitcast(bits, _vector(_F32))
    if kind is DType.FLOAT16:
        value = half_to_single(builder, value)
    if kind is DType.DOUBLE or value.type == _vector(_I64):
        return value
    if kind in _FLOATS:
        return builder.fpext(value, _vector(_F64))
    return (builder.sext if kind in _SIGNED else builder.zext)(value, _vector(_I64))


def _float_to(builder: Any, value: Any, kind: DType) -> Any:
    """Round to nearest even; integers: toward zero, saturated, NaN gives 0; bool: is it not zero?"""
    if kind is DType.BOOL:
        zero = ir.Constant(value.type, [0.0] * COUNT)
        return builder.zext(builder.fcmp_unordered("!=", value, zero), _vector(ir.IntType(8)))
    if kind in _FLOATS:
        return _float_to_float(builder, value, kind)
    return _float_to_int(builder, value, _LLVM[kind], kind in _SIGNED)


def _float_to_int(builder: Any, value: Any, to: Any, signed: bool) -> Any:
    """Toward zero and saturated. (LLVM's own saturating conversion works element by element.)"""
    low, high = (-(2 ** (to.width - 1)), 2 ** (to.width - 1)) if signed else (0, 2**to.width)
    number = value.type.element
    above = builder.fcmp_ordered(">=", value, _splat(number, float(high)))
    below = builder.fcmp_ordered("<", value, _splat(number, float(low)))
    outside = builder.or_(builder.or_(above, below), builder.fcmp_unordered("uno", value, value))
    inside = builder.select(outside, _splat(number, 0.0), value)
    result = (builder.fptosi if signed else builder.fptoui)(inside, _vector(to))
    result = builder.select(above, _splat(to, high - 1), result)
    return builder.select(below, _splat(to, low), result)


def _float_to_float(builder: Any, value: Any, kind: DType) -> Any:
    if kind is DType.BFLOAT16:
        return _float_to_bfloat16(builder, _to_single_odd(builder, value))
    if kind is DType.FLOAT16:
        return single_to_half(builder, _to_single_odd(builder, value))
    to = _vector(_LLVM[kind])
    return value if value.type == to else builder.fptrunc(value, to)


def _to_single_odd(builder: Any, value: Any) -> Any:
    """float64 to float32 such that a second rounding is as good as one: what is lost sets the last bit."""
    if value.type == _vector(_F32):
        return value
    lost = (1 << 29) - 1  # the bits of a float64 mantissa that float32 does not have
    bits = builder.bitcast(value, _vector(_I64))
    inexact = builder.icmp_signed("!=", builder.and_(bits, _splat(_I64, lost)), _splat(_I64, 0))
    kept = builder.and_(bits, _splat(_I64, ~lost))
    sticky = builder.select(inexact, _splat(_I64, lost + 1), _splat(_I64, 0))
    return builder.fptrunc(builder.bitcast(builder.or_(kept, sticky), value.type), _vector(_F32))


def _float_to_bfloat16(builder: Any, value: Any) -> Any:
    i32 = ir.IntType(32)
    bits = builder.bitcast(value, _vector(i32))
    even = builder.and_(builder.lshr(bits, _splat(i32, 16)), _splat(i32, 1))
    rounded = builder.add(builder.add(bits, _splat(i32, 0x7FFF)), even)
    quiet = builder.or_(bits, _splat(i32, 1 << 22))
    result = builder.select(builder.fcmp_unordered("uno", value, value), quiet, rounded)
    return builder.trunc(builder.lshr(result, _splat(i32, 16)), _vector(ir.IntType(16)))


def _int_to(builder: Any, value: Any, kind: DType, signed: bool) -> Any:
    """Integers wrap; floats are rounded once (through float64 to float16 and bfloat16); bool: is it not zero?"""
    if kind is DType.BOOL:
        zero = ir.Constant(value.type, [0] * COUNT)
        return builder.zext(builder.icmp_signed("!=", value, zero), _vector(ir.IntType(8)))
    if kind in _FLOATS:
        to = _F32 if kind is DType.FLOAT else _F64
        number = (builder.sitofp if signed else builder.uitofp)(value, _vector(to))
        return _float_to_float(builder, number, kind)
    to = _vector(_LLVM[kind])
    width = value.type.element.width
    if width == to.element.width:
        return value
    return (
        builder.trunc(value, to) if width > to.element.width else (builder.sext if signed else builder.zext)(value, to)
    )


def _direct(builder: Any, value: Any, source: DType, target: DType) -> Any:
    if source not in _FLOATS:
        return _int_to(builder, value, target, source in _SIGNED)
    if (source, target) == (DType.FLOAT16, DType.FLOAT):
        return half_to_single(builder, value)
    if target in _FLOATS and target.nbytes > source.nbytes:
        return builder.fpext(value, _vector(_LLVM[target]))
    return _float_to(builder, value, target)


# --- what native code calls ------------------------------------------------------------------------------------------


def _switch(builder: Any, key: Any, cases: Mapping[int, Callable[[], None]], default: Callable[[], None]) -> None:
    """Branch on `key`; every case goes on behind the switch."""
    function = builder.function
    behind, otherwise = function.append_basic_block("behind"), function.append_basic_block("otherwise")
    table = builder.switch(key, otherwise)
    for value, emit in cases.items():
        block = function.append_basic_block(f"case{value}")
        table.add_case(ir.Constant(_I64, value), block)
        builder.position_at_end(block)
        emit()
        builder.branch(behind)
    builder.position_at_end(otherwise)
    default()
    builder.branch(behind)
    builder.position_at_end(behind)


_KEY = 32
"""More than any type's number: (source, target) -> source * _KEY + target."""
_WIDE = {0: DType.INT64, 1: DType.UINT64, 2: DType.DOUBLE}


class _Conversion:
    """Emits the conversion of `rounds` times 16 elements."""

    def __init__(self, builder: Any, args: Any) -> None:
        self.builder = builder
        self.source_kind, self.target_kind, self.source, self.target, self.rounds = args
        self.wide = cgutils.alloca_once(builder, _vector(_I64))

    def key(self, high: Any, low: Any) -> Any:
        return self.builder.add(self.builder.mul(high, ir.Constant(_I64, _KEY)), low)

    def emit(self) -> None:
        pairs = {int(s) * _KEY + int(t): partial(self.direct, s, t) for s, t in DIRECT}
        _switch(self.builder, self.key(self.source_kind, self.target_kind), pairs, self.two_steps)

    def place(self, address: Any, i: Any, kind: DType) -> Any:
        return self.builder.add(address, self.builder.mul(i, ir.Constant(_I64, COUNT * kind.nbytes)))

    def direct(self, source: DType, target: DType) -> None:
        with cgutils.for_range(self.builder, self.rounds) as loop:
            value = _load(self.builder, source, self.place(self.source, loop.index, source))
            value = _direct(self.builder, value, source, target)
            _store(self.builder, target, value, self.place(self.target, loop.index, target))

    def two_steps(self) -> None:
        builder = self.builder
        narrow: dict[int, Callable[[Any], None]] = {
            form * _KEY + int(kind): partial(self.narrow, wide, kind) for form, wide in _WIDE.items() for kind in DType
        }
        with cgutils.for_range(builder, self.rounds) as loop:
            widen = {int(kind): partial(self.widen, kind, loop.index) for kind in DType}
            _switch(builder, self.source_kind, widen, lambda: None)
            cases = {key: partial(emit, loop.index) for key, emit in narrow.items()}
            _switch(builder, self.key(self.form(), self.target_kind), cases, lambda: None)

    def form(self) -> Any:
        """Which wide type the source becomes: a key of `_WIDE`."""
        builder = self.builder
        form = ir.Constant(_I64, 0)
        for kind, number in [*((k, 2) for k in _FLOATS), (DType.UINT64, 1)]:
            same = builder.icmp_signed("==", self.source_kind, ir.Constant(_I64, int(kind)))
            form = builder.select(same, ir.Constant(_I64, number), form)
        return form

    def widen(self, kind: DType, i: Any) -> None:
        value = _to_wide(self.builder, kind, _load(self.builder, kind, self.place(self.source, i, kind)))
        self.builder.store(self.builder.bitcast(value, _vector(_I64)), self.wide)

    def narrow(self, wide: DType, kind: DType, i: Any) -> None:
        builder, value = self.builder, self.builder.load(self.wide)
        if wide is DType.DOUBLE:
            value = _float_to(builder, builder.bitcast(value, _vector(_F64)), kind)
        else:
            value = _int_to(builder, value, kind, wide is DType.INT64)
        _store(builder, kind, value, self.place(self.target, i, kind))


@intrinsic
def convert(typingctx: Any, source_kind: Any, target_kind: Any, source: Any, target: Any, rounds: Any) -> Any:
    """Convert `rounds` times 16 elements; the kinds are numbers of `DType`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _Conversion(builder, args).emit()
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen
