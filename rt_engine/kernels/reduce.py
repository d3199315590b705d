"""Reductions of float tensors along one axis: the tensor is seen as [outer, R, inner] and R goes.

    reduce_<op>_<type>   operand  in, out        op: sum mean max min prod l1 l2 sum_square log_sum log_sum_exp
                         size     outer, R, inner
    argmax_<type>        operand  in, out        out is int64
    argmin_<type>        size     outer, R, inner, last      of equals: the first (last = 0) or the last (1)

Several axes that are neighbours are one axis. inner == 1 folds rows, inner > 1 vectors of neighbouring columns; the order is
in `rt_engine.kernels.fold` and depends on the shape alone. Nothing outside of the tensors is read or written.

NaN wins in max, min, argmax and argmin, as in NumPy. R == 0 gives the neutral element (sum 0, prod 1, max -inf, min inf,
log_sum and log_sum_exp -inf, mean NaN), as ONNX says since opset 20; argmax and argmin then give 0.
"""

from typing import Any

from rt_engine.kernels.abi import kernel, operand, size
from rt_engine.kernels.elementary import log
from rt_engine.kernels.fold import (
    MAX,
    MIN,
    PRODUCT,
    SUM,
    SUM_EXP,
    SUM_MAGNITUDE,
    SUM_SQUARE,
    Fold,
    make_chains,
    make_finite,
    make_row,
)
from rt_engine.kernels.lanes import F32, F64, Element, first_lane
from rt_native.lang import inline, store_i64
from rt_native.vector import BYTES, any_lane, sqrt


@inline
def same(total, count, shift):  # type: ignore[no-untyped-def]
    """The total itself."""
    return total


@inline
def over_count(total, count, shift):  # type: ignore[no-untyped-def]
    """The mean."""
    return total / count


@inline
def square_root(total, count, shift):  # type: ignore[no-untyped-def]
    """sqrt(total)."""
    return sqrt(total)


@inline
def logarithm(total, count, shift):  # type: ignore[no-untyped-def]
    """log(total) + shift."""
    return log(total) + shift


def _make_no_shift(of: Element) -> tuple[Any, Any]:
    splat, zero = of.splat, of.scalar(0.0)

    @inline
    def of_row(address, count):  # type: ignore[no-untyped-def]
        return splat(zero)

    @inline
    def of_columns(address, stride, count, width):  # type: ignore[no-untyped-def]
        return splat(zero)

    return of_row, of_columns


def _make_max_shift(of: Element) -> tuple[Any, Any]:
    """What log_sum_exp subtracts: the largest element, or 0 where that is not finite."""
    splat, zero, finite = of.splat, of.scalar(0.0), make_finite(of)
    row, chains = make_row(of, MAX), make_chains(of, MAX, partial=True)

    @inline
    def of_row(address, count):  # type: ignore[no-untyped-def]
        return finite(splat(row(address, count, splat(zero))))

    @inline
    def of_columns(address, stride, count, width):  # type: ignore[no-untyped-def]
        return finite(chains(address, stride, count, width, splat(zero)))

    return of_row, of_columns


def _make_reduce(of: Element, name: str, fold: Fold, end: Any, make_shift: Any) -> None:
    lanes, nbytes, scalar, splat = of.lanes, of.nbytes, of.scalar, of.splat
    store, store_first, store_vector = of.store, of.store_first, of.store_vector
    row, whole_columns, some_columns = make_row(of, fold), make_chains(of, fold), make_chains(of, fold, partial=True)
    row_shift, column_shift = make_shift(of)

    @inline
    def rows(source, target, outer, count):  # type: ignore[no-untyped-def]
        for _ in range(outer):
            shift = row_shift(source, count)
            total = row(source, count, shift)
            store(target, first_lane(end(splat(total), splat(scalar(count)), shift)))
            source += count * nbytes
            target += nbytes

    @inline
    def columns(source, target, count, inner):  # type: ignore[no-untyped-def]
        stride, n, left = inner * nbytes, splat(scalar(count)), inner
        while left >= lanes:
            shift = column_shift(source, stride, count, lanes)
            store_vector(target, end(whole_columns(source, stride, count, lanes, shift), n, shift))
            source += BYTES
            target += BYTES
            left -= lanes
        if left:
            shift = column_shift(source, stride, count, left)
            store_first(target, end(some_columns(source, stride, count, left, shift), n, shift), left)

    @kernel(f"reduce_{name}_{of.suffix}", __name__)
    def reduce(arena, record):  # type: ignore[no-untyped-def]
        outer, count, inner = size(record, 0), size(record, 1), size(record, 2)
        source, target = operand(arena, record, 0), operand(arena, record, 1)
        if inner == 1:
            rows(source, target, outer, count)
        else:
            for _ in range(outer):
                columns(source, target, count, inner)
                source += count * inner * nbytes
                target += inner * nbytes
        return 0


def _make_arg(of: Element, name: str, fold: Fold) -> None:
    lanes, nbytes, splat, zero = of.lanes, of.nbytes, of.splat, of.scalar(0.0)
    load, load_vector = of.load, of.load_vector
    best_of_row = make_row(of, fold)
    largest = fold is MAX

    @inline
    def better(x, best, last):  # type: ignore[no-untyped-def]
        """Does x take the place of `best`, which stands before it?"""
        if x != x:
            return best == best or last != 0
        if x == best:
            return last != 0
        return x > best if largest else x < best

    @inline
    def is_best(x, best):  # type: ignore[no-untyped-def]
        return x == best or x != x  # when there is a NaN, the best is NaN

    @inline
    def find_first(address, count, best):  # type: ignore[no-untyped-def]
        i, wanted = 0, splat(best)
        while i + lanes <= count:
            x = load_vector(address + i * nbytes)
            if any_lane((x == wanted) | (x != x)):
                break
            i += lanes
        while i < count - 1 and not is_best(load(address + i * nbytes), best):
            i += 1
        return i

    @inline
    def find_last(address, count, best):  # type: ignore[no-untyped-def]
        left, wanted = count, splat(best)
        while left >= lanes:
            x = load_vector(address + (left - lanes) * nbytes)
            if any_lane((x == wanted) | (x != x)):
                break
            left -= lanes
        while left > 1 and not is_best(load(address + (left - 1) * nbytes), best):
            left -= 1
        return left - 1

    @inline
    def of_column(address, stride, count, last):  # type: ignore[no-untyped-def]
        best, at = load(address), 0
        for i in range(1, count):
            x = load(address + i * stride)
            if better(x, best, last):
                best, at = x, i
        return at

    @kernel(f"{name}_{of.suffix}", __name__)
    def arg(arena, record):  # type: ignore[no-untyped-def]
        outer, count, inner, last = size(record, 0), size(record, 1), size(record, 2), size(record, 3)
        source, target = operand(arena, record, 0), operand(arena, record, 1)
        for o in range(outer):
            for i in range(inner):
                address = source + (o * count * inner + i) * nbytes
                if count == 0:
                    at = 0
                elif inner > 1:
                    at = of_column(address, inner * nbytes, count, last)
                elif last:
                    at = find_last(address, count, best_of_row(address, count, splat(zero)))
                else:
                    at = find_first(address, count, best_of_row(address, count, splat(zero)))
                store_i64(target + 8 * (o * inner + i), at)
        return 0


for _of in (F32, F64):
    for _name, _fold, _end, _shift in (
        ("sum", SUM, same, _make_no_shift),
        ("mean", SUM, over_count, _make_no_shift),
        ("max", MAX, same, _make_no_shift),
        ("min", MIN, same, _make_no_shift),
        ("prod", PRODUCT, same, _make_no_shift),
        ("l1", SUM_MAGNITUDE, same, _make_no_shift),
        ("l2", SUM_SQUARE, square_root, _make_no_shift),
        ("sum_square", SUM_SQUARE, same, _make_no_shift),
        ("log_sum", SUM, logarithm, _make_no_shift),
        ("log_sum_exp", SUM_EXP, logarithm, _make_max_shift),
    ):
        _make_reduce(_of, _name, _fold, _end, _shift)
    _make_arg(_of, "argmax", MAX)
    _make_arg(_of, "argmin", MIN)
