"""Rows worked through in the order of a fold: what softmax and attention, layer and group norm share."""

from typing import Any

from rt_engine.kernels.parts.elementary import exp
from rt_engine.kernels.parts.fold import SUM_EXP, Fold, add, make_chains
from rt_engine.kernels.parts.lanes import Element
from rt_native.lang import inline
from rt_native.vector import BYTES, fma, sum_lanes


@inline
def _add_square_deviation(chain, x, shift):
    d = x - shift
    return fma(d, d, chain)


_SUM_SQUARE_DEVIATION = Fold(0.0, 0.0, _add_square_deviation, add, sum_lanes)


def make_exp_row(of: Element) -> Any:
    """row(source, target, count, shift) -> scalar: store exp(x - shift) of every x, and sum it as a fold does."""
    lanes, nbytes, splat, load_first_or = of.lanes, of.nbytes, of.splat, of.load_first_or
    load, store, store_first = of.load_vector, of.store_vector, of.store_first
    zero, filler = of.scalar(SUM_EXP.neutral), of.scalar(SUM_EXP.filler)

    @inline
    def exp_row(source, target, count, shift):
        c0 = c1 = c2 = c3 = splat(zero)
        at, whole = 0, count // lanes * lanes * nbytes
        while at + 4 * BYTES <= whole:
            e0, e1 = exp(load(source + at) - shift), exp(load(source + at + BYTES) - shift)
            e2, e3 = exp(load(source + at + 2 * BYTES) - shift), exp(load(source + at + 3 * BYTES) - shift)
            store(target + at, e0)
            store(target + at + BYTES, e1)
            store(target + at + 2 * BYTES, e2)
            store(target + at + 3 * BYTES, e3)
            c0, c1, c2, c3 = c0 + e0, c1 + e1, c2 + e2, c3 + e3
            at += 4 * BYTES
        while at < whole:
            e0 = exp(load(source + at) - shift)
            store(target + at, e0)
            c0, c1, c2, c3 = c1, c2, c3, c0 + e0
            at += BYTES
        total, rest = (c0 + c2) + (c1 + c3), count - whole // nbytes
        if rest:
            e0 = exp(load_first_or(source + at, rest, filler) - shift)
            store_first(target + at, e0, rest)
            total = total + e0
        return sum_lanes(total)

    return exp_row


def make_deviations(of: Element) -> Any:
    """total(source, n, mean) -> vector: the sum of the squared deviations of `n` neighbouring elements, up to its tree."""
    lanes, load_first_or = of.lanes, of.load_first_or
    splat = of.splat
    square_chains = make_chains(of, _SUM_SQUARE_DEVIATION)

    @inline
    def deviations(source, n, mean):
        whole = n // lanes
        total = square_chains(source, BYTES, whole, lanes, splat(mean))
        rest = n - whole * lanes
        if rest:
            total = _add_square_deviation(total, load_first_or(source + BYTES * whole, rest, mean), splat(mean))
        return total

    return deviations


def make_variance(of: Element) -> Any:
    """variance(source, n, mean) -> scalar: the mean of the squared deviations of `n` neighbouring elements."""
    deviations, scalar = make_deviations(of), of.scalar

    @inline
    def variance(source, n, mean):
        return sum_lanes(deviations(source, n, mean)) / scalar(n)

    return variance
