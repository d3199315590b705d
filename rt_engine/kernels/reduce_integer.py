"""Reductions and matrix products of integers: one scalar loop for all types, which models use for shapes and indices.

    reduce_<op>_int             op: sum mean max min prod l1 l2 sum_square
    argmax_int, argmin_int
    matmul_i32, matmul_i64      for signed and unsigned alike; records: `interface.reduce`, where R is `count`

`type` is any integer, or BOOL. Sums and products are taken modulo 2**64 and stored modulo
the type's range, as NumPy does for a given dtype. mean is rounded toward zero; l2 is the root in float64, toward zero.
R == 0: sum 0, prod 1, mean 0, max the lowest and min the highest number of the type; argmax and argmin write nothing.
"""

from typing import Any

import numpy as np
from numba import float64, int64, uint64

from rt_engine.kernels.interface.dtypes import NUMPY, DType
from rt_engine.kernels.interface.reduce import ARG, MATMUL, REDUCE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.int_elements import bytes_of, load_int, store_int
from rt_native.lang import inline, load_i32, load_i64, store_i32, store_i64

_INTEGERS = tuple(t for t, dtype in NUMPY.items() if dtype.kind in "biu")
_UINT64, _UINT8, _BOOL = int(DType.UINT64), int(DType.UINT8), int(DType.BOOL)
_FLIP = -(1 << 63)


def _limit(name: str, kind: DType) -> int:
    if kind is DType.BOOL:
        return int(name == "max")
    limit = int(getattr(np.iinfo(NUMPY[kind]), name))
    return limit + _FLIP if kind is DType.UINT64 else limit


def _table(name: str) -> tuple[int, ...]:
    """The limit of each type, by its number."""
    return tuple(_limit(name, DType(i)) if i in set(_INTEGERS) else 0 for i in range(max(_INTEGERS) + 1))


_LOWEST, _HIGHEST = _table("min"), _table("max")


@inline
def _stored(kind):
    """The type that stands in memory: a bool is a byte."""
    return _UINT8 if kind == _BOOL else kind


@inline
def _order(kind):
    """What turns the bits of a type into numbers that compare as signed: uint64 needs its highest bit flipped."""
    return _FLIP if kind == _UINT64 else 0


# --- steps and ends --------------------------------------------------------------------------------------------------


@inline
def _add(total, x, kind):
    return total + x


@inline
def _multiply(total, x, kind):
    return total * x


@inline
def _add_magnitude(total, x, kind):
    return total + (x if kind == _UINT64 else abs(x))


@inline
def _add_square(total, x, kind):
    return total + x * x


@inline
def _same(total, count, kind):
    return total


@inline
def _mean(total, count, kind):
    if count == 0:
        return 0
    if kind == _UINT64:
        return int64(uint64(total) // uint64(count))
    return total // count if total >= 0 else -(-total // count)


@inline
def _root(total, count, kind):
    if kind == _UINT64:
        return int64(uint64(np.sqrt(float64(uint64(total)))))
    return int64(np.sqrt(float64(total)))


def _make_fold(name: str, neutral: int, step: Any, end: Any) -> None:
    @kernel(f"reduce_{name}_int", REDUCE)
    def reduce(record):
        outer, count, inner, kind = record.outer, record.count, record.inner, record.type
        nbytes = bytes_of(kind)
        source, target = record.x, record.out
        for o in range(outer):
            for i in range(inner):
                total = neutral
                address = source + (o * count * inner + i) * nbytes
                for _ in range(count):
                    total = step(total, load_int(address, kind), kind)
                    address += inner * nbytes
                store_int(target, end(total, count, kind), kind)
                target += nbytes
        return 0


def _make_extreme(name: str, worst: tuple[int, ...], sign: int) -> None:
    """max (sign 1) or min (-1), and where it stands."""

    @inline
    def better(x, best):
        return x > best if sign > 0 else x < best

    @kernel(f"reduce_{name}_int", REDUCE)
    def reduce(record):
        outer, count, inner, code = record.outer, record.count, record.inner, record.type
        kind = _stored(code)
        nbytes, flip = bytes_of(kind), _order(kind)
        source, target = record.x, record.out
        for o in range(outer):
            for i in range(inner):
                best = worst[code]
                address = source + (o * count * inner + i) * nbytes
                for _ in range(count):
                    x = load_int(address, kind) ^ flip
                    best = x if better(x, best) else best
                    address += inner * nbytes
                store_int(target, best ^ flip, kind)
                target += nbytes
        return 0

    @kernel(f"arg{name}_int", ARG)
    def arg(record):
        outer, count, inner, last = record.outer, record.count, record.inner, record.last
        code = record.type
        kind = _stored(code)
        nbytes, flip = bytes_of(kind), _order(kind)
        source, target = record.x, record.out
        for o in range(outer if count else 0):
            for i in range(inner):
                best, at = worst[code], 0
                address = source + (o * count * inner + i) * nbytes
                for r in range(count):
                    x = load_int(address, kind) ^ flip
                    if better(x, best) or (last and x == best):
                        best, at = x, r
                    address += inner * nbytes
                store_i64(target, at)
                target += 8
        return 0


def _make_matmul(suffix: str, nbytes: int, load: Any, store: Any) -> None:
    @kernel("matmul_" + suffix, MATMUL)
    def matmul(record):
        m, k, n = record.rows, record.depth, record.columns
        for batch in range(record.batch):
            a = record.a + batch * record.a_batch * nbytes
            b = record.b + batch * record.b_batch * nbytes
            c = record.out + batch * record.out_batch * nbytes
            for i in range(m):
                for j in range(n):
                    total = 0
                    for p in range(k):
                        total += load(a + (i * k + p) * nbytes) * load(b + (p * n + j) * nbytes)
                    store(c + (i * n + j) * nbytes, total)
        return 0


for _name, _neutral, _step, _end in (
    ("sum", 0, _add, _same),
    ("mean", 0, _add, _mean),
    ("prod", 1, _multiply, _same),
    ("l1", 0, _add_magnitude, _same),
    ("l2", 0, _add_square, _root),
    ("sum_square", 0, _add_square, _same),
):
    _make_fold(_name, _neutral, _step, _end)
_make_extreme("max", _LOWEST, 1)
_make_extreme("min", _HIGHEST, -1)
_make_matmul("i32", 4, load_i32, store_i32)
_make_matmul("i64", 8, load_i64, store_i64)
