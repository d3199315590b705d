"""Extreme values: a generalised extreme value distribution (GEV) of the longest of blocks, what it says of rare cycles, and how sure.
Pure, NumPy alone. Times are in nanoseconds.

    maxima of intervals --blocks_of--> maxima of equal blocks --gev--> location, scale, shape --level--> exceeded once in N cycles
                                             parametric bootstrap: drawn from the fit, fitted again --> intervals, tests (doubts.py)

Block maxima and not peaks over a threshold: the maxima are what can be kept for days, and no threshold has to be chosen. The shape has
Coles's sign: negative is a tail with an end, 0 Gumbel's, positive heavy.

Fitted by L-moments (Hosking, Wallis and Wood, "Estimation of the generalized extreme-value distribution by the method of
probability-weighted moments", Technometrics 27, 1985; Hosking, "L-moments", JRSS B 52, 1990): a closed form, better than maximum
likelihood below some hundred blocks, good for shapes below 1. The rest: Coles, "An Introduction to Statistical Modeling of Extreme
Values", 2001, chapter 3. Intervals are parametric: to draw from the data again makes them too narrow for few blocks (Kysely,
"A cautionary note on the use of nonparametric bootstrap for estimating uncertainties in extreme-value models", JAMC 47, 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BLOCKS: Final = 120
"""So many blocks are wanted; a measurement of more intervals has longer blocks."""
LEAST_BLOCKS: Final = 60
MOST_INTERVALS: Final = 60
"""A block is at most so many intervals: longer measurements have more of them."""
DRAWS: Final = 1000
_FLAT: Final = 1e-6
"""A shape this near 0 is Gumbel's."""
_EULER: Final = 0.5772156649015329
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gev:
    """A distribution; `location` and `scale` in nanoseconds."""

    location: float
    scale: float
    shape: float

    def quantile(self, p: NDArray[np.floating[Any]] | float) -> Floats:
        """What a block's longest is below with this probability."""
        gumbel = -np.log(-np.log(np.asarray(p, np.float64)))
        if abs(self.shape) < _FLAT:
            return np.asarray(self.location + self.scale * gumbel)
        return np.asarray(self.location + self.scale * (np.exp(self.shape * gumbel) - 1) / self.shape)

    def below(self, values: Floats) -> Floats:
        """The probability that a block's longest is below these."""
        scaled = (np.asarray(values, np.float64) - self.location) / self.scale
        if abs(self.shape) < _FLAT:
            return np.asarray(np.exp(-np.exp(-scaled)))
        inner = np.maximum(1 + self.shape * scaled, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(-(inner ** (-1 / self.shape))))

    def draw(self, rng: np.random.Generator, *size: int) -> Floats:
        """Longest of blocks that are so distributed."""
        return self.quantile(rng.uniform(size=size))


def blocks_of(maxima: NDArray[np.int64]) -> tuple[Floats, int]:
    """(the longest of each block, in its order; how many intervals a block has). An incomplete last block is left out.

    The size follows from the number of intervals alone, and never from what they hold: nobody looks for one that fits.
    """
    size = min(max(len(maxima) // BLOCKS, 1), MOST_INTERVALS)
    count = len(maxima) // size
    return maxima[: count * size].reshape(count, size).max(axis=1).astype(np.float64) if count else np.zeros(0), size


def l_moments(samples: Floats) -> Floats:
    """[first, second, ratio of third to second] of each row of sorted values: shape (rows, 3)."""
    ordered = np.atleast_2d(samples)
    n = ordered.shape[1]
    rank = np.arange(n, dtype=np.float64)
    b0 = ordered.mean(axis=1)
    b1 = ordered @ (rank / (n - 1)) / n
    b2 = ordered @ (rank * (rank - 1) / ((n - 1) * (n - 2))) / n
    second = np.maximum(2 * b1 - b0, np.finfo(np.float64).tiny)
    return np.stack([b0, second, (6 * b2 - 6 * b1 + b0) / second], axis=1)


def gev_of_moments(moments: Floats) -> Floats:
    """[location, scale, shape] of each row. Hosking's k is minus the shape; his approximation of it is good to 0.0009."""
    first, second, third = moments.T
    c = 2 / (3 + third) - math.log(2) / math.log(3)
    k = 7.8590 * c + 2.9554 * c * c
    k = np.where(np.abs(k) < _FLAT, _FLAT, np.maximum(k, -0.99))
    gamma = np.vectorize(math.gamma)(1 + k)
    scale = second * k / ((1 - 2.0**-k) * gamma)
    return np.stack([first - scale * (1 - gamma) / k, scale, -k], axis=1)


def gev(maxima: Floats) -> Gev:
    """The distribution of these."""
    location, scale, shape = gev_of_moments(l_moments(np.sort(maxima)))[0]
    return Gev(float(location), float(scale), float(shape))


def redrawn(fitted: Gev, count: int, rng: np.random.Generator, draws: int = DRAWS) -> tuple[Floats, Floats]:
    """(sorted samples, their own fits) of as many blocks as there were, drawn from the fit: the parametric bootstrap."""
    samples = np.sort(fitted.draw(rng, draws, count), axis=1)
    return samples, gev_of_moments(l_moments(samples))


@dataclass(frozen=True, slots=True)
class Level:
    """A time that one of `cycles` cycles is longer than, in the mean; and its interval of 99 %."""

    cycles: float
    ns: float
    low_ns: float
    high_ns: float


def level(fitted: Gev, fits: Floats, cycles: float, block_cycles: float) -> Level:
    """The time that a cycle exceeds with the probability 1 / `cycles`.

    The longest of a block of n cycles stays below it with (1 - 1 / cycles) to the power n, which is close to exp(-n / cycles).
    """
    gumbel = -math.log(block_cycles / cycles)
    location, scale, shape = fits.T
    flat = np.abs(shape) < _FLAT
    safe = np.where(flat, 1.0, shape)
    found = location + scale * np.where(flat, gumbel, (np.exp(safe * gumbel) - 1) / safe)
    low, high = np.percentile(found, [0.5, 99.5])
    return Level(cycles, float(fitted.quantile(math.exp(-math.exp(-gumbel)))), float(low), float(high))


def anderson_darling(probabilities: Floats) -> Floats:
    """A squared of each row of sorted probabilities; the larger, the worse they are uniform, most of all at their ends."""
    p = np.clip(np.atleast_2d(probabilities), 1e-12, 1 - 1e-12)
    n = p.shape[1]
    weights = 2 * np.arange(1, n + 1) - 1
    return np.asarray(-n - ((np.log(p) + np.log(1 - p[:, ::-1])) @ weights) / n)


def below_of(samples: Floats, fits: Floats) -> Floats:
    """`Gev.below`, a row of samples for a row of fits."""
    location, scale, shape = (column[:, None] for column in fits.T)
    flat = np.abs(shape) < _FLAT
    safe = np.where(flat, 1.0, shape)
    scaled = (samples - location) / scale
    inner = np.maximum(1 + safe * scaled, 1e-300)
    with np.errstate(over="ignore"):
        return np.asarray(np.where(flat, np.exp(-np.exp(-scaled)), np.exp(-(inner ** (-1 / safe)))))
