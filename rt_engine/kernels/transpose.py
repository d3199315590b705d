"""Transposing a square block in registers: rows are loaded, exchanged in log2(n) steps, stored.

step 1   a0 a1 a2 a3      a0 b0 a2 b2        step 2 does the same with pairs of lanes and rows two apart, ...
         b0 b1 b2 b3  ->  a1 b1 a3 b3
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

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
