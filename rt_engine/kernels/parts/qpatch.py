"""Winograd's F(4x4, 3x3) in exact integers, from the points 0, 1, -1, 2, -2 and infinity, written in LLVM IR.

    v = B' patch B         16 bits, below 2^15: 68 * 255 at most        m[position] = v[position] @ u[position]
    u = G w G'             16 bits: 49 * 128 at most                    32 bits, which wrap around

    B' = 4  0 -5  0  1  0      A' = 1 -4 -4  1  1  0  / 24      G = 6  0  0
         0 -4 -4  1  1  0           0 -2  2  1 -1  0  / 12          1  1  1
         0  4 -4 -1  1  0           0 -1 -1  1  1  0  / 6           1 -1  1
         0 -2 -1  2  1  0           0 -1  1  2 -2  1  / 6           1  2  4
         0  2 -1 -2  1  0                                           1 -2  4
         0  4  0 -5  0  1                                           0  0  6

A' without its divisors gives result (i, j) times 9 * 2^(_SHIFTS[i] + _SHIFTS[j]). Modulo 2^32 a product with the inverse of 9
divides by 9; so sums below `MOST_SUM` come out exactly, whatever wrapped around before.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_engine.kernels.parts.qbytes import ToBytes
from rt_native.dot import is_widened, widened_dots
from rt_native.vector import BYTES, PARTS, call_llvm, f32x, i32x

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_PIXELS, _PAIRS = ir.VectorType(_I8, 16), ir.VectorType(_I16, 16)
_SHIFTS = (3, 2, 1, 1)
_NINTH = pow(9, -1, 1 << 32)


def pairs_part(builder: Any, acc: Any, a: Any, w: Any) -> Any:
    """acc + a[2i] * w[2i] + a[2i + 1] * w[2i + 1] of signed 16 bits, one hardware vector; all three are vectors of int32."""
    count = acc.type.count
    if not builder.module.triple.startswith("x86_64"):
        return _plain_pairs(builder, acc, a, w)
    if not is_widened(builder, 32 * count):
        return call_llvm(builder, f"llvm.x86.avx512.vpdpwssd.{32 * count}", acc.type, [acc, a, w])
    halves = ir.VectorType(_I16, 2 * count)
    return widened_dots(builder, acc, [builder.bitcast(a, halves)], [builder.bitcast(w, halves)])


def _plain_pairs(builder: Any, acc: Any, a: Any, w: Any) -> Any:
    """Low halves, then high ones; on Arm each is one instruction that widens, multiplies and adds."""
    half, by = ir.VectorType(_I16, acc.type.count), ir.Constant(acc.type, [16] * acc.type.count)
    for shift in (False, True):
        x, y = ((builder.lshr(value, by) if shift else value) for value in (a, w))
        x, y = (builder.sext(builder.trunc(value, half), acc.type) for value in (x, y))
        acc = builder.add(acc, builder.mul(x, y))
    return acc


def _shifted(builder: Any, value: Any, by: int) -> Any:
    return builder.shl(value, ir.Constant(value.type, [by] * value.type.count))


def _six(builder: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> list[Any]:
    """B' times six pixels."""
    add, sub = builder.add, builder.sub
    even, odd = sub(e, _shifted(builder, c, 2)), sub(d, _shifted(builder, b, 2))
    near, far = sub(e, c), _shifted(builder, sub(d, b), 1)
    return [
        add(_shifted(builder, sub(a, c), 2), near), add(even, odd), sub(even, odd), add(near, far), sub(near, far),
        sub(sub(f, d), _shifted(builder, far, 1)),
    ]  # fmt: skip


def _four(builder: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> list[Any]:
    """A' without its divisors times six sums."""
    add, sub = builder.add, builder.sub
    ones, odd_ones, twos, odd_twos = add(b, c), sub(b, c), add(d, e), sub(d, e)
    return [
        add(sub(a, _shifted(builder, ones, 2)), twos), sub(odd_twos, _shifted(builder, odd_ones, 1)), sub(twos, ones),
        add(sub(_shifted(builder, odd_twos, 1), odd_ones), f),
    ]  # fmt: skip


def _offset(builder: Any, table: Any, index: int) -> Any:
    pointer = builder.inttoptr(builder.add(table, _I64(4 * index)), _I32.as_pointer())
    return builder.sext(builder.load(pointer, typ=_I32, align=4), _I64)


def _place(builder: Any, base: Any, table: Any, index: int, nowhere: Any) -> Any:
    """base + table[index], or `nowhere` where that is negative."""
    offset = _offset(builder, table, index)
    return builder.select(builder.icmp_signed("<", offset, _I64(0)), nowhere, builder.add(base, offset))


@intrinsic
def patch_in(typingctx: Any, x: Any, table: Any, nowhere: Any, v: Any, step: Any) -> Any:
    """16 channels of a patch: 36 pixels by the table, padding from `nowhere`, to v, whose positions are `step` bytes apart."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, table, nowhere, v, step = args

        def pixel(k: int) -> Any:
            pointer = builder.inttoptr(_place(builder, x, table, k, nowhere), _PIXELS.as_pointer())
            return builder.zext(builder.load(pointer, typ=_PIXELS, align=1), _PAIRS)

        columns = [_six(builder, *(pixel(6 * row + column) for row in range(6))) for column in range(6)]
        for i in range(6):
            for j, value in enumerate(_six(builder, *(column[i] for column in columns))):
                at = builder.add(v, builder.mul(step, _I64(6 * i + j)))
                builder.store(value, builder.inttoptr(at, _PAIRS.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def patch_out(
    typingctx: Any, m: Any, bias: Any, scale: Any, out: Any, places: Any, nowhere: Any, zero: Any, low: Any, high: Any,
) -> Any:  # fmt: skip
    """16 columns of a tile: the sums [36, 16] in m to 16 pixels by `places`, as bytes. Scales are below 1."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, bias, scale, out, places, nowhere, *numbers = args
        goal, width = ToBytes(builder, i32x.part.count, *numbers, moderate=True), i32x.part.count

        def load(base: Any, shift: int, kind: Any) -> Any:
            return builder.load(builder.inttoptr(builder.add(base, _I64(shift)), kind.as_pointer()), typ=kind, align=4)

        for part in range(PARTS):
            first = BYTES // PARTS * part
            at = [builder.add(m, _I64(BYTES * k)) for k in range(36)]
            columns = [_four(builder, *(load(at[6 * r + c], first, i32x.part) for r in range(6))) for c in range(6)]
            start, factor = load(bias, first, i32x.part), load(scale, first, f32x.part)
            for i in range(4):
                sums = _four(builder, *(column[i] for column in columns))
                totals = [builder.add(_divided(builder, s, _SHIFTS[i] + _SHIFTS[j]), start) for j, s in enumerate(sums)]
                value = goal.in_order(goal.bytes_of(totals, [factor] * 4))
                for j in range(4):
                    mask = ir.Constant(ir.VectorType(_I32, width), list(range(j * width, (j + 1) * width)))
                    one = builder.shuffle_vector(value, value, mask)
                    to = builder.add(_place(builder, out, places, 4 * i + j, nowhere), _I64(width * part))
                    builder.store(one, builder.inttoptr(to, one.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 6), types.int32, types.float32, types.float32), codegen


def _divided(builder: Any, value: Any, shift: int) -> Any:
    """value / (9 << shift), exactly."""
    ninth = builder.mul(value, ir.Constant(value.type, [_NINTH - (1 << 32)] * value.type.count))
    return builder.ashr(ninth, ir.Constant(value.type, [shift] * value.type.count))
