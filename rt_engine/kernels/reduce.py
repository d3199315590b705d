"""Reductions of float tensors along one axis: the tensor is seen as [outer, R, inner] and R goes.

    reduce_<op>_<type>              op: sum mean max min prod l1 l2 sum_square log_sum log_sum_exp
    argmax_<type>, argmin_<type>    records: `interface.reduce`, where R is `count`

Several axes that are neighbours are one axis. inner == 1 folds rows, inner > 1 vectors of neighbouring columns; the
order is in `rt_engine.kernels.parts.fold` and depends on the shape alone. Nothing outside of the tensors is read or
written.

NaN wins in max, min, argmax and argmin, as in NumPy. R == 0 gives the neutral element (sum 0, prod 1, max -inf, min
inf, log_sum and log_sum_exp -inf, mean NaN), as ONNX says since opset 20; argmax and argmin then write nothing.
"""

from functools import cache
from typing import Any

from rt_engine.kernels.interface.reduce import ARG, REDUCE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.elementary import log
from rt_engine.kernels.parts.fold import (
    MAX,
    MAX_NUMBER,
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
from rt_engine.kernels.parts.lanes import F32, F64, Element, first_lane
from rt_native.lang import inline, stack, store_i64
from rt_native.vector import any_lane, select, sqrt


@inline
def same(total, count, shift):
    """The total itself."""
    return total


@inline
def over_count(total, count, shift):
    """The mean."""
    return total / count


@inline
def square_root(total, count, shift):
    """sqrt(total)."""
    return sqrt(total)


@inline
def logarithm(total, count, shift):
    """log(total) + shift."""
    return log(total) + shift


@cache
def _make_shifts(of: Element) -> tuple[Any, Any]:
    """What log_sum_exp subtracts: the largest element, or 0 where that is not finite."""
    splat, zero, finite = of.splat, of.scalar(0.0), make_finite(of)
    row, chains = make_row(of, MAX_NUMBER), make_chains(of, MAX_NUMBER, partial=True)

    @inline
    def of_row(address, count):
        return finite(splat(row(address, count, splat(zero))))

    @inline
    def of_columns(address, stride, count, width):
        return finite(chains(address, stride, count, width, splat(zero)))

    return of_row, of_columns


@cache
def _make_no_shifts(of: Element) -> tuple[Any, Any]:
    splat, zero = of.splat, of.scalar(0.0)

    @inline
    def of_row(address, count):
        return splat(zero)

    @inline
    def of_columns(address, stride, count, width):
        return splat(zero)

    return of_row, of_columns


def _make_reduce(of: Element, name: str, fold: Fold, end: Any, make_shifts: Any) -> None:
    lanes, nbytes, scalar, splat = of.lanes, of.nbytes, of.scalar, of.splat
    store, store_first, store_vector = of.store, of.store_first, of.store_vector
    row, whole_columns, some_columns = make_row(of, fold), make_chains(of, fold), make_chains(of, fold, partial=True)
    row_shift, column_shift = make_shifts(of)

    @kernel(f"reduce_{name}_{of.suffix}", REDUCE)
    def reduce(record):
        outer, count, inner = record.outer, record.count, record.inner
        source, target = record.x, record.out
        n, stride = splat(scalar(count)), inner * nbytes
        for _ in range(outer):
            if inner == 1:
                shift = row_shift(source, count)
                total = row(source, count, shift)
                store(target, first_lane(end(splat(total), n, shift)))
            else:
                column = 0
                while column + lanes <= inner:
                    at = source + column * nbytes
                    shift = column_shift(at, stride, count, lanes)
                    total = whole_columns(at, stride, count, lanes, shift)
                    store_vector(target + column * nbytes, end(total, n, shift))
                    column += lanes
                if column < inner:
                    at = source + column * nbytes
                    shift = column_shift(at, stride, count, inner - column)
                    total = some_columns(at, stride, count, inner - column, shift)
                    store_first(target + column * nbytes, end(total, n, shift), inner - column)
            source += count * stride
            target += stride
        return 0


def _make_finders(of: Element) -> tuple[Any, Any]:
    """(find_first, find_last): where in a row its best element stands; when there is a NaN, the best is NaN."""
    lanes, nbytes, splat, load, load_vector = of.lanes, of.nbytes, of.splat, of.load, of.load_vector

    @inline
    def find_first(address, count, best):
        i, wanted = 0, splat(best)
        while i + lanes <= count:
            x = load_vector(address + i * nbytes)
            if any_lane((x == wanted) | (x != x)):
                break
            i += lanes
        while i < count - 1:
            y = load(address + i * nbytes)
            if y == best or y != y:
                break
            i += 1
        return i

    @inline
    def find_last(address, count, best):
        left, wanted = count, splat(best)
        while left >= lanes:
            x = load_vector(address + (left - lanes) * nbytes)
            if any_lane((x == wanted) | (x != x)):
                break
            left -= lanes
        while left > 1:
            y = load(address + (left - 1) * nbytes)
            if y == best or y != y:
                break
            left -= 1
        return left - 1

    return find_first, find_last


def _make_arg(of: Element, name: str, fold: Fold, finders: tuple[Any, Any]) -> None:
    lanes, nbytes, splat, zero, load_first = of.lanes, of.nbytes, of.splat, of.scalar(0.0), of.load_first
    splat_index, store_index, load_index = of.splat_index, of.store_index, of.load_index
    best_of_row = make_row(of, fold)
    find_first, find_last = finders
    sign = of.scalar(1.0 if fold is MAX else -1.0)

    @inline
    def of_columns(address, stride, count, width, last, target, line):
        best = load_first(address, width) * sign
        at = splat_index(0)
        for i in range(1, count):
            x = load_first(address + i * stride, width) * sign
            if last:
                take = (x >= best) | (x != x)
            else:
                take = (x > best) | ((x != x) & (best == best))
            best, at = select(take, x, best), select(take, splat_index(i), at)
        store_index(line, at)
        for lane in range(width):
            store_i64(target + 8 * lane, load_index(line + lane * nbytes))

    @inline
    def of_row(address, count, last):
        best = best_of_row(address, count, splat(zero))
        if last:
            return find_last(address, count, best)
        return find_first(address, count, best)

    @kernel(f"{name}_{of.suffix}", ARG)
    def arg(record):
        outer, count, inner, last = record.outer, record.count, record.inner, record.last
        source, target = record.x, record.out
        line = stack(64)
        for _ in range(outer if count else 0):
            if inner == 1:
                store_i64(target, of_row(source, count, last))
            else:
                for column in range(0, inner, lanes):
                    width = min(lanes, inner - column)
                    at = source + column * nbytes
                    of_columns(at, inner * nbytes, count, width, last, target + 8 * column, line)
            source += count * inner * nbytes
            target += 8 * inner
        return 0


for _of in (F32, F64):
    for _name, _fold, _end, _shifts in (
        ("sum", SUM, same, _make_no_shifts),
        ("mean", SUM, over_count, _make_no_shifts),
        ("max", MAX, same, _make_no_shifts),
        ("min", MIN, same, _make_no_shifts),
        ("prod", PRODUCT, same, _make_no_shifts),
        ("l1", SUM_MAGNITUDE, same, _make_no_shifts),
        ("l2", SUM_SQUARE, square_root, _make_no_shifts),
        ("sum_square", SUM_SQUARE, same, _make_no_shifts),
        ("log_sum", SUM, logarithm, _make_no_shifts),
        ("log_sum_exp", SUM_EXP, logarithm, _make_shifts),
    ):
        _make_reduce(_of, _name, _fold, _end, _shifts)
    _finders = _make_finders(_of)
    _make_arg(_of, "argmax", MAX, _finders)
    _make_arg(_of, "argmin", MIN, _finders)
