"""Transposing a square block in registers: rows are loaded, exchanged in log2(n) steps, stored.

step 1   a0 a1 a2 a3      a0 b0 a2 b2        step 2 does the same with pairs of lanes and rows two apart, ...
         b0 b1 b2 b3  ->  a1 b1 a3 b3
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.vector import masked

SIDE = {1: 8, 2: 8, 4: 8, 8: 8}
"""Element size in bytes -> rows and columns of a block: what fits in the registers of every machine."""

_I64 = ir.IntType(64)


def _exchange(builder: Any, rows: list[Any], step: int) -> list[Any]:
    n = len(rows)
    low = [k if not k & step else n + k - step for k in range(n)]
    high = [k + step if not k & step else n + k for k in range(n)]
    low, high = (ir.Constant(ir.VectorType(ir.IntType(32), n), lanes) for lanes in (low, high))
    out = list(rows)
    for i in range(n):
        if not i & step:
            a, b = rows[i], rows[i + step]
            out[i], out[i + step] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)
    return out


def make_transpose(nbytes: int) -> Any:
    """transpose(source, source_stride, target, target_stride): target[i, j] = source[j, i] for one block.

    Elements have `nbytes` bytes. Strides are in bytes, between rows; elements of a row are neighbours.
    """
    side = SIDE[nbytes]
    row = ir.VectorType(ir.IntType(8 * nbytes), side)

    def places(builder: Any, address: Any, stride: Any) -> list[Any]:
        steps = [builder.mul(stride, ir.Constant(_I64, i)) for i in range(side)]
        return [builder.inttoptr(builder.add(address, step), row.as_pointer()) for step in steps]

    @intrinsic
    def transpose(typingctx: Any, source: Any, source_stride: Any, target: Any, target_stride: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows = [builder.load(p, typ=row, align=nbytes) for p in places(builder, args[0], args[1])]
            step = side // 2
            while step:
                rows = _exchange(builder, rows, step)
                step //= 2
            for value, pointer in zip(rows, places(builder, args[2], args[3]), strict=True):
                builder.store(value, pointer, align=nbytes)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return transpose


FEW = 4
"""Longest output run of `transpose_few`."""


@intrinsic
def transpose_few(typingctx: Any, source: Any, source_stride: Any, target: Any, target_stride: Any, run: Any) -> Any:
    """target[i, j] = source[j, i] for 8 rows i of up to `FEW` elements j of 4 bytes: a picture's channels, interleaved.

    Arguments as those of `make_transpose`; nothing beyond `run` elements of a row is written.
    """
    i32, i64 = ir.IntType(32), _I64
    row, some = ir.VectorType(i32, 8), ir.VectorType(i32, FEW)

    def lanes(numbers: list[int]) -> Any:
        return ir.Constant(ir.VectorType(i32, len(numbers)), numbers)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, source_stride, target, target_stride, run = args
        rows, last = [], builder.sub(run, ir.Constant(i64, 1))
        for j in range(FEW):  # rows beyond the run repeat its last one
            number = ir.Constant(i64, j)
            number = builder.select(builder.icmp_signed("<", number, last), number, last)
            place = builder.add(source, builder.mul(source_stride, number))
            rows.append(builder.load(builder.inttoptr(place, row.as_pointer()), typ=row, align=4))
        zipped = lanes([lane + 8 * k for lane in range(8) for k in range(2)])
        low, high = builder.shuffle_vector(rows[0], rows[1], zipped), builder.shuffle_vector(rows[2], rows[3], zipped)
        limit = builder.insert_element(ir.Constant(some, ir.Undefined), builder.trunc(run, i32), ir.Constant(i32, 0))
        limit = builder.shuffle_vector(limit, ir.Constant(some, ir.Undefined), lanes([0] * FEW))
        mask = builder.icmp_signed("<", lanes(list(range(FEW))), limit)
        for i in range(8):
            value = builder.shuffle_vector(low, high, lanes([2 * i, 2 * i + 1, 16 + 2 * i, 17 + 2 * i]))
            place = builder.add(target, builder.mul(target_stride, ir.Constant(i64, i)))
            pointer = builder.inttoptr(place, some.as_pointer())
            masked(builder, "llvm.masked.store.v4i32.p0", ir.VoidType(), [value, pointer, mask], 1, 4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _make_interleave(run: int) -> Any:
    """interleave(source, source_stride, target): target[i, j] = source[j, i] for 8 rows i of `run` elements j of 4 bytes.

    Rows of the target stand close together, so that whole vectors are stored.
    """
    row = ir.VectorType(ir.IntType(32), 8)

    @intrinsic
    def interleave(typingctx: Any, source: Any, source_stride: Any, target: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, source_stride, target = args

            def pointer(address: Any, offset: Any) -> Any:
                return builder.inttoptr(builder.add(address, offset), row.as_pointer())

            strides = [builder.mul(source_stride, _I64(j)) for j in range(run)]
            rows = [builder.load(pointer(source, stride), typ=row, align=4) for stride in strides]
            for k in range(run):
                places = [divmod(8 * k + lane, run) for lane in range(8)]
                value = rows[0]
                for j in range(run):
                    mask = [8 + i if channel == j else lane for lane, (i, channel) in enumerate(places)]
                    value = builder.shuffle_vector(value, rows[j], ir.Constant(ir.VectorType(ir.IntType(32), 8), mask))
                builder.store(value, pointer(target, _I64(32 * k)), align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return interleave


interleave_2, interleave_3, interleave_4 = (_make_interleave(run) for run in (2, 3, 4))
