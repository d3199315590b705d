"""Folding many elements into one, in an order that belongs to the program and not to the machine.

chains   vectors, some bytes apart:  vector j joins chain j % 4;  chains join as (0+2)+(1+3)
row      neighbouring elements:      whole vectors as chains; then the rest, filled up; then the lanes, in their tree
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from rt_engine.kernels.parts.elementary import exp
from rt_engine.kernels.parts.lanes import Element
from rt_native.lang import inline
from rt_native.vector import (
    BYTES,
    absolute,
    fma,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    product_lanes,
    select,
    sum_lanes,
)


@inline
def add(chain, x, shift):
    """chain + x."""
    return chain + x


@inline
def multiply(chain, x, shift):
    """chain * x."""
    return chain * x


@inline
def add_magnitude(chain, x, shift):
    """chain + |x|."""
    return chain + absolute(x)


@inline
def add_square(chain, x, shift):
    """chain + x * x."""
    return fma(x, x, chain)


@inline
def add_exp(chain, x, shift):
    """chain + exp(x - shift)."""
    return chain + exp(x - shift)


@inline
def larger(chain, x, shift):
    """The larger; NaN wins."""
    return maximum(chain, x)


@inline
def larger_number(chain, x, shift):
    """The larger; NaN is passed over, which takes one instruction."""
    return select(x > chain, x, chain)


@inline
def smaller(chain, x, shift):
    """The smaller; NaN wins."""
    return minimum(chain, x)


@dataclass(frozen=True, slots=True)
class Fold:
    """How elements become one.

    Args:
        neutral: what a chain starts with, and what no element at all gives.
        filler: an element that changes nothing, for the lanes behind the end of a row.
        step: (chain, x, shift) -> chain, for one more vector x; `shift` is a vector that most ignore.
        join: (chain, chain, shift) -> chain.
        lanes: vector -> scalar.
    """

    neutral: float
    filler: float
    step: Any
    join: Any
    lanes: Any


SUM = Fold(0.0, 0.0, add, add, sum_lanes)
SUM_MAGNITUDE = Fold(0.0, 0.0, add_magnitude, add, sum_lanes)
SUM_SQUARE = Fold(0.0, 0.0, add_square, add, sum_lanes)
SUM_EXP = Fold(0.0, -np.inf, add_exp, add, sum_lanes)
PRODUCT = Fold(1.0, 1.0, multiply, multiply, product_lanes)
MAX = Fold(-np.inf, -np.inf, larger, larger, max_lanes)
MAX_NUMBER = Fold(-np.inf, -np.inf, larger_number, larger_number, max_lanes)
"""For what is subtracted before exp: a NaN comes back through exp itself."""
MIN = Fold(np.inf, np.inf, smaller, smaller, min_lanes)


@cache
def make_chains(of: Element, fold: Fold, partial: bool = False) -> Any:
    """chains(address, stride, count, width, shift) -> vector: fold `count` vectors, `stride` bytes apart, on 4 chains.

    With `partial`, only the first `width` lanes are loaded, and the others mean nothing.
    """
    step, join, splat, neutral = fold.step, fold.join, of.splat, of.scalar(fold.neutral)
    load = of.load_first if partial else of.load_vector_of

    @inline
    def chains(address, stride, count, width, shift):
        c0 = c1 = c2 = c3 = splat(neutral)
        while count >= 4:
            c0 = step(c0, load(address, width), shift)
            c1 = step(c1, load(address + stride, width), shift)
            c2 = step(c2, load(address + 2 * stride, width), shift)
            c3 = step(c3, load(address + 3 * stride, width), shift)
            address += 4 * stride
            count -= 4
        for _ in range(count):
            c0, c1, c2, c3 = c1, c2, c3, step(c0, load(address, width), shift)
            address += stride
        return join(join(c0, c2, shift), join(c1, c3, shift), shift)

    return chains


@cache
def make_total(of: Element, fold: Fold) -> Any:
    """total(address, count, shift) -> vector: fold `count` neighbouring elements, up to the tree over its lanes."""
    lanes, load_first_or = of.lanes, of.load_first_or
    step = fold.step
    chains = make_chains(of, fold)
    filler = of.scalar(fold.filler)

    @inline
    def total(address, count, shift):
        whole = count // lanes
        found = chains(address, BYTES, whole, lanes, shift)
        rest = count - whole * lanes
        if rest:
            found = step(found, load_first_or(address + BYTES * whole, rest, filler), shift)
        return found

    return total


@cache
def make_row(of: Element, fold: Fold) -> Any:
    """row(address, count, shift) -> scalar: fold `count` neighbouring elements."""
    total, lanes_of = make_total(of, fold), fold.lanes

    @inline
    def row(address, count, shift):
        return lanes_of(total(address, count, shift))

    return row


@cache
def make_finite(of: Element) -> Any:
    """finite(x) -> x where it is finite, else 0: what may be subtracted from infinities without making NaN of them."""
    splat, zero = of.splat, of.scalar(0.0)

    @inline
    def finite(x):
        return select(x - x == splat(zero), x, splat(zero))

    return finite
