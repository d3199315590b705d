"""Which counters go with long cycles: intervals in which one stood out, against the others, by ranks. Pure.

Two samples of maxima are compared by Mann and Whitney's test (normal approximation, ties corrected); as many counters are looked at,
each p is multiplied by how many are left (Holm). What goes together need not be cause and effect: a load makes both.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.latency.causes import Counted, Usual
from station.latency.result import Longs, Tie

LEAST: Final = 5
"""Intervals on each side, so that ranks say something."""
LEVEL: Final = 0.01
PART_OF_MUCH: Final = 0.25
"""Of what the largest hundredth of the intervals have: a counter that is seldom other than 0 does not stand out by a 1."""
MOST: Final = 12
Floats = NDArray[np.float64]


def ranks(values: Floats) -> Floats:
    """From 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)


def normal_tail(z: float) -> float:
    """P(Z > z)."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def longer(ours: Floats, others: Floats, fewer: float = 1.0) -> tuple[float, float]:
    """(p that `ours` are not longer than `others`, one-sided; share of pairs in which ours is the longer).

    `fewer`: values that follow from each other count as so many times fewer.
    """
    n, m = len(ours), len(others)
    if n == 0 or m == 0:
        return 1.0, 0.5
    all_of = np.concatenate([ours, others])
    u = float(ranks(all_of)[:n].sum()) - n * (n + 1) / 2
    _, counts = np.unique(all_of, return_counts=True)
    total = n + m
    spread = fewer * n * m / 12 * (total + 1 - float((counts**3 - counts).sum()) / (total * (total - 1)))
    if spread <= 0:
        return 1.0, 0.5
    return normal_tail((u - n * m / 2 - 0.5) / math.sqrt(spread)), u / (n * m)


def ties(maxima: Longs, counted: Counted) -> tuple[Tie, ...]:
    """Counters with longer cycles where they stood out, the surest first. `maxima`: of the intervals of `counted`."""
    tried: list[Tie] = []
    values = maxima.astype(np.float64)
    for i, counter in enumerate(counted.counters):
        column = counted.values[:, i]
        usual = Usual.of(column)
        out = (column > usual.middle + 3 * usual.spread) & (column >= PART_OF_MUCH * np.percentile(column, 99))
        if not LEAST <= int(out.sum()) <= len(out) - LEAST:
            continue
        p, _ = longer(values[out], values[~out])
        medians = float(np.median(values[out])), float(np.median(values[~out]))
        tried.append(
            Tie(counter.source, ", ".join(filter(None, (counter.name, counter.where))), int(out.sum()), *medians, p)
        )
    ordered, least, found = sorted(tried, key=lambda tie: tie.p), 0.0, []
    for number, tie in enumerate(ordered):
        least = max(least, min(1.0, tie.p * (len(ordered) - number)))
        if least < LEVEL:
            found.append(Tie(tie.source, tie.name, tie.intervals, tie.with_ns, tie.without_ns, least))
    return tuple(found[:MOST])
