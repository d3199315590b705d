"""Trees over the lanes of several vectors at once, in hardly more instructions than one of them takes.

    of four vectors of eight lanes     a0 ... a7    b0 ... b7    c0 ... c7    d0 ... d7
    lanes i and i + 4, two in one      a04 ... a37 b04 ... b37   c04 ... c37 d04 ... d37
    i and i + 2, all in one            a0246 a1357 b0246 b1357 c0246 c1357 d0246 d1357
    i and i + 1                        a b c d

What is combined with what is the same as in `sum_lanes`, and so are the bits.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.vector import BYTES, PARTS, Vector, join

Labelled = tuple[Any, list[tuple[int, int]]]
"""A hardware vector, and for each of its lanes the row and the number in the row."""
_TOGETHER = 16
"""Bytes within which x86 moves lanes in one cheap instruction."""


def add(builder: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return builder.fadd(a, b)


def larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger; a NaN may be lost."""
    return builder.select(builder.fcmp_ordered(">", b, a), b, a)


def _order(pair: list[Labelled], half: int, size: int) -> list[tuple[int, int]]:
    """The lanes that two vectors (or one) leave, so that they are cheap to bring there; the last ones by row."""
    near = _TOGETHER // size
    left = [[label for label in labels if label[1] < half] for _, labels in pair]
    if half == 1:
        return sorted(chain(*left))
    if half >= near:
        return list(chain(*left))
    pieces = (lanes[at : at + near // 2] for at in range(0, len(left[0]), near // 2) for lanes in left)
    return list(chain(*pieces))


def _halved(builder: Any, combine: Callable[..., Any], pair: list[Labelled], half: int, size: int) -> Labelled:
    """Lanes i and i + half of each row combined, of two vectors (or one)."""
    place = {label: lane for lane, label in enumerate(chain(*(labels for _, labels in pair)))}
    order = _order(pair, half, size)

    def shuffled(shift: int) -> Any:
        lanes = [place[row, number + shift] for row, number in order]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        return builder.shuffle_vector(pair[0][0], pair[-1][0], mask)

    return combine(builder, shuffled(0), shuffled(half)), order


def _whole(builder: Any, vector: Vector, done: list[Any]) -> list[Any]:
    """Hardware vectors, the first lanes of which are `done`."""
    count = vector.part.count
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), count), [i % done[0].type.count for i in range(count)])
    parts = [builder.shuffle_vector(value, value, lanes) for value in done]
    return parts + [ir.Constant(vector.part, [0.0] * count)] * (PARTS - len(parts))


def make_lanes_of_rows(vector: Vector, rows: int, combine: Callable[..., Any]) -> Any:
    """lanes_of_rows(address) -> vector: lane r is the tree over the lanes of the r-th of `rows` vectors in memory.

    `rows` is a power of two, at most the number of lanes of 64 bytes; lanes behind them mean nothing.
    """
    step, count, size = BYTES // PARTS, vector.part.count, vector.bits // 8

    @intrinsic
    def lanes_of_rows(typingctx: Any, address: Any) -> Any:
        def load(builder: Any, address: Any, row: int, part: int) -> Any:
            place = builder.add(address, ir.Constant(ir.IntType(64), row * BYTES + part * step))
            return builder.load(builder.inttoptr(place, vector.part.as_pointer()), typ=vector.part, align=size)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left: list[Labelled] = []
            for row in range(rows):
                parts = [load(builder, args[0], row, part) for part in range(PARTS)]
                while len(parts) > 1:
                    half = len(parts) // 2
                    parts = [combine(builder, parts[i], parts[i + half]) for i in range(half)]
                left.append((parts[0], [(row, number) for number in range(count)]))
            half = count // 2
            while half:
                pairs = [left[i : i + 2] for i in range(0, len(left), 2)]
                left, half = [_halved(builder, combine, pair, half, size) for pair in pairs], half // 2
            return join(builder, vector, _whole(builder, vector, [value for value, _ in left]))

        return vector(types.int64), codegen

    return lanes_of_rows
