"""May the fit be believed? Each assumption is a check with its number; where one does not hold nothing is extrapolated. Pure.

    blocks          enough of them
    independence    no block follows from the one before: rank correlations of the first lags (Ljung and Box), and the extremal
                    index of the intervals: long cycles in clusters count once (Ferro and Segers, JRSS B 65, 2003)
    steadiness      the first half is as the second (Kolmogorov and Smirnov), and there is no trend (Spearman)
    fit             Anderson and Darling's distance, against samples drawn from the fit and fitted themselves (parametric bootstrap)
    tail            heavy beyond what a mean survives: no level means anything
    one cause       no gap in the order of the maxima that one distribution would not leave: long ones of another cause have
                    another tail, which a few of them cannot tell

Why all of it: Griffin and Burns, "Realism in statistical analysis of worst case execution times", WCET 2010; Lima, Dias and Barros,
"Extreme value theory for estimating task execution time bounds: a careful look", ECRTS 2016; Gil et al., "Open challenges for
probabilistic measurement-based worst-case execution time", IEEE ESL 9, 2017; Reghenzani, Massari and Fornaciari, "Probabilistic-WCET
reliability: statistical testing of EVT hypotheses", Microprocessors and Microsystems 77, 2020. What is measured must also be what will
run: no test sees a load that was not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.latency.fit import (
    LEAST_BLOCKS,
    Floats,
    Gev,
    Level,
    anderson_darling,
    below_of,
    blocks_of,
    gev,
    level,
    redrawn,
)
from station.latency.ties import normal_tail, ranks

LEVEL_P: Final = 0.01
"""A check fails below it: each of five would refuse one good measurement of a hundred."""
LAGS: Final = 5
LEAST_INDEX: Final = 0.5
CLUSTER_QUANTILE: Final = 0.9
MOST_SHAPE: Final = 0.5
"""From here on a tail has no variance; no computer's has none, so its causes are mixed or its time was too short."""
BEYOND: Final = 10.0
"""Times as many cycles as were measured: so far a level is told."""
STEPS: Final = (1.0, 3.0, BEYOND)
SEED: Final = 16


@dataclass(frozen=True, slots=True)
class Check:
    """An assumption. `found`: the number in words; `means`: what is so, or what would be wrong with the result."""

    name: str
    holds: bool
    found: str
    means: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a task's rare cycles. `levels` is empty where a check fails; `fitted` is told all the same."""

    cycles: int
    longest_ns: int
    blocks: int
    block_cycles: float
    fitted: Gev | None
    shape_low: float
    shape_high: float
    checks: tuple[Check, ...]
    levels: tuple[Level, ...]

    @property
    def holds(self) -> bool:
        """Do all assumptions?"""
        return all(check.holds for check in self.checks)

    @property
    def doubts(self) -> tuple[Check, ...]:
        """Those that do not."""
        return tuple(check for check in self.checks if not check.holds)


def examine(maxima: NDArray[np.int64], cycles: int) -> Verdict:
    """Of the longest of every interval, in their order, and how many cycles that were."""
    blocks, size = blocks_of(maxima)
    longest = int(maxima.max()) if len(maxima) else 0
    enough = Check("enough blocks", len(blocks) >= LEAST_BLOCKS, f"{len(blocks)}", f"{LEAST_BLOCKS} are needed")
    per_block = cycles / len(maxima) * size if len(maxima) else 0.0
    if not enough.holds or np.ptp(blocks) == 0:
        same = [] if not enough.holds else [Check("one cause", False, "all blocks are equal", "nothing to fit")]
        return Verdict(cycles, longest, len(blocks), per_block, None, 0.0, 0.0, (enough, *same), ())
    rng = np.random.default_rng(SEED)
    fitted = gev(blocks)
    samples, fits = redrawn(fitted, len(blocks), rng)
    low, high = (float(value) for value in np.percentile(fits[:, 2], [2.5, 97.5]))
    checks = (
        enough,
        independent(blocks),
        clustered(maxima.astype(np.float64)),
        halves(blocks),
        trend(blocks),
        fits_well(blocks, fitted, samples, fits),
        tail(fitted.shape, low, high),
        one_cause(blocks, samples),
    )
    holds = all(check.holds for check in checks)
    levels = tuple(level(fitted, fits, step * cycles, per_block) for step in STEPS) if holds else ()
    return Verdict(cycles, longest, len(blocks), per_block, fitted, low, high, checks, levels)


def independent(blocks: Floats) -> Check:
    """Ljung and Box, of ranks: one giant does not hide the rest."""
    r = ranks(blocks)
    r -= r.mean()
    n, whole = len(r), float(r @ r)
    if whole == 0:
        return Check("independence", True, "all are equal", "nothing follows from anything")
    lags = [float(r[k:] @ r[:-k]) / whole for k in range(1, LAGS + 1)]
    q = n * (n + 2) * sum(value**2 / (n - k) for k, value in enumerate(lags, 1))
    p = chi_square_tail(q, LAGS)
    found = f"correlation with the block before {lags[0]:+.2f}, p {p:.2g}"
    return Check("independence", p >= LEVEL_P, found, "blocks that follow from each other are fewer than they look")


def clustered(maxima: Floats) -> Check:
    """The extremal index: 1 where the longest come alone, 0.5 where in pairs."""
    over = np.flatnonzero(maxima > np.quantile(maxima, CLUSTER_QUANTILE))
    index = extremal_index(np.diff(over).astype(np.float64))
    found = f"extremal index {index:.2f} above the {CLUSTER_QUANTILE:.0%} quantile"
    return Check("no clusters", index >= LEAST_INDEX, found, f"below {LEAST_INDEX:g} long cycles come in clusters")


def extremal_index(gaps: Floats) -> float:
    """The intervals estimator: of the times from one exceedance to the next. 1 where there are too few."""
    if len(gaps) < 2:
        return 1.0
    if gaps.max() <= 2:
        return min(1.0, 2 * float(gaps.sum()) ** 2 / (len(gaps) * float((gaps**2).sum())))
    less = gaps - 1
    return min(1.0, 2 * float(less.sum()) ** 2 / (len(gaps) * float((less * (gaps - 2)).sum())))


def halves(blocks: Floats) -> Check:
    """Kolmogorov and Smirnov, of the first and the second half."""
    middle = len(blocks) // 2
    first, second = np.sort(blocks[:middle]), np.sort(blocks[middle:])
    every = np.concatenate([first, second])
    shares = (np.searchsorted(part, every, side="right") / len(part) for part in (first, second))
    distance = float(np.abs(next(shares) - next(shares)).max())
    n = len(first) * len(second) / (len(first) + len(second))
    p = kolmogorov_tail((math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance)
    found = f"medians {np.median(first) / 1000:.0f} and {np.median(second) / 1000:.0f} us, p {p:.2g}"
    return Check("halves alike", p >= LEVEL_P, found, "what changes while it is measured changes afterwards too")


def trend(blocks: Floats) -> Check:
    """Spearman's correlation with the time."""
    r, n = ranks(blocks), len(blocks)
    rho = float(np.corrcoef(r, np.arange(n))[0, 1])
    p = 2 * normal_tail(abs(rho) * math.sqrt(n - 1))
    return Check("no trend", p >= LEVEL_P, f"correlation with time {rho:+.2f}, p {p:.2g}", "it gets longer, or shorter")


def fits_well(blocks: Floats, fitted: Gev, samples: Floats, fits: Floats) -> Check:
    """Anderson and Darling, with a bootstrap, as the parameters are from the same data."""
    ours = float(anderson_darling(fitted.below(np.sort(blocks)))[0])
    theirs = anderson_darling(below_of(samples, fits))
    p = p_of(ours, theirs)
    return Check("fit", p >= LEVEL_P, f"A squared {ours:.2f}, p {p:.2g}", "the maxima are not of this distribution")


def p_of(ours: float, theirs: Floats) -> float:
    """How likely is a statistic as large as ours, of so many that were drawn? Never 0: ours is one of them."""
    return (1 + int((theirs >= ours).sum())) / (1 + len(theirs))


def tail(shape: float, low: float, high: float) -> Check:
    """The shape, with its interval."""
    kind = "has an end" if high < 0 else "is heavy" if low > 0 else "is light, or has an end"
    found = f"shape {shape:+.2f} ({low:+.2f} to {high:+.2f})"
    return Check("tail", high < MOST_SHAPE, found, f"the tail {kind}; from {MOST_SHAPE:g} on nothing can be told")


def one_cause(blocks: Floats, samples: Floats) -> Check:
    """The widest gap in the ordered maxima, against the widest of samples of the fit."""
    ours, place = widest(np.sort(blocks)[None, :])
    theirs, _ = widest(samples)
    p = p_of(float(ours[0]), theirs)
    above = len(blocks) - int(place[0]) - 1
    found = f"widest gap below the longest {above}, p {p:.2g}"
    return Check("one cause", p >= LEVEL_P, found, "those above a gap are of another cause, with a tail of its own")


def widest(ordered: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(gap, place) of each row: of logarithms, each times how many are beyond it on its nearer side, as spacings shrink so.

    The longest alone is no group: it may lie far off in any heavy tail.
    """
    logs = np.log(np.maximum(ordered, 1.0))
    n = logs.shape[1]
    place = np.arange(1, n)
    weight = np.minimum(place, n - place).astype(np.float64)
    weight[-1] = 0.0
    gaps = np.diff(logs, axis=1) * weight
    best = gaps.argmax(axis=1)
    return gaps[np.arange(len(gaps)), best], best


def chi_square_tail(x: float, degrees: int) -> float:
    """P(chi square > x), of an odd number of degrees: a finite sum (Abramowitz and Stegun, 26.4.4)."""
    assert degrees % 2 == 1
    root, term, total = math.sqrt(x), 1.0, 0.0
    for r in range(1, (degrees - 1) // 2 + 1):
        term = root if r == 1 else term * x / (2 * r - 1)
        total += term
    return 2 * normal_tail(root) + 2 * math.exp(-x / 2) / math.sqrt(2 * math.pi) * total


def kolmogorov_tail(x: float) -> float:
    """P(K > x), for large samples."""
    if x < 0.2:
        return 1.0
    signs = ((-1.0) ** (k - 1) * math.exp(-2.0 * k * k * x * x) for k in range(1, 101))
    return float(min(1.0, max(0.0, 2 * sum(signs))))
