"""How far two arrays lie apart, output by output: counts, largest, quantiles. Taken piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_CUT: Final = 52 - 5
"""Bits of a float64 that a bin knows nothing of: 32 bins for each doubling, so a bin is 3 % wide."""


@dataclass(frozen=True, slots=True)
class Furthest:
    """The largest difference, and its tick (0: none)."""

    largest: float
    at_ns: int


class Apartness:
    """Of each output, over all that was added: how many were `compared`, of them the same bits (`equal`), `beyond` the tolerance."""

    def __init__(self, outputs: int, tolerance: NDArray[np.float64]) -> None:
        self._tolerance = tolerance
        self._bins: list[dict[int, int]] = [{} for _ in range(outputs)]
        self.compared, self.equal, self.beyond, self.not_finite, self.old_not_finite = np.zeros((5, outputs), np.int64)
        self.largest = np.zeros(outputs)
        self.largest_ns, self.first_beyond_ns, self.first_bad_ns = np.zeros((3, outputs), np.int64)

    def add(
        self, tick_ns: NDArray[np.int64], old: NDArray[np.float64], new: NDArray[np.float64], which: NDArray[np.bool_]
    ) -> None:
        """Values [cycles, outputs] of both; `which` cycles count."""
        tick_ns, old, new = tick_ns[which], np.ascontiguousarray(old[which]), np.ascontiguousarray(new[which])
        if not len(tick_ns):
            return
        numbers = np.isfinite(old), np.isfinite(new)
        lost, same = numbers[0] & ~numbers[1], old.view(np.int64) == new.view(np.int64)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(numbers[0] & numbers[1], np.abs(new - old), 0.0)
        self.compared += len(tick_ns)
        self.equal += same.sum(axis=0)
        self.not_finite += lost.sum(axis=0)
        self.old_not_finite += (~numbers[0] & numbers[1]).sum(axis=0)
        self._first(self.first_bad_ns, tick_ns, lost)
        beyond = apart > self._tolerance
        self.beyond += beyond.sum(axis=0)
        self._first(self.first_beyond_ns, tick_ns, beyond)
        at = apart.argmax(axis=0)
        most = apart[at, np.arange(len(at))]
        self.largest_ns[:] = np.where(most > self.largest, tick_ns[at], self.largest_ns)
        self.largest[:] = np.maximum(most, self.largest)
        self._count(apart, numbers[0] & numbers[1])

    @staticmethod
    def _first(found_ns: NDArray[np.int64], tick_ns: NDArray[np.int64], which: NDArray[np.bool_]) -> None:
        first = np.where(which.any(axis=0), tick_ns[which.argmax(axis=0)], 0)
        found_ns[:] = np.where(found_ns == 0, first, found_ns)

    def _count(self, apart: NDArray[np.float64], which: NDArray[np.bool_]) -> None:
        for i, bins in enumerate(self._bins):
            kinds, counts = np.unique(apart[which[:, i], i].view(np.int64) >> _CUT, return_counts=True)
            for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
                bins[kind] = bins.get(kind, 0) + count

    def quantiles(self, i: int) -> Mapping[str, float]:
        """Of |difference| of one output: at most so much; empty where nothing was compared."""
        return quantiles_of(self._bins[i], float(self.largest[i]))

    def bins(self, i: int) -> Mapping[int, int]:
        """How many |differences| of one output are of each size, for `quantiles_of`; those of several replays may be added."""
        return dict(self._bins[i])

    def furthest(self, i: int) -> Furthest:
        """The largest difference of one output."""
        return Furthest(float(self.largest[i]), int(self.largest_ns[i]))


def quantiles_of(bins: Mapping[int, int], largest: float) -> Mapping[str, float]:
    """What `Apartness.quantiles` gives, of `Apartness.bins` and the largest difference."""
    if not bins:
        return {}
    kinds = sorted(bins)
    edges = np.array([kind + 1 if kind else 0 for kind in kinds], np.int64) << _CUT
    tops = np.minimum(edges.view(np.float64), largest)
    upto = np.cumsum([bins[kind] for kind in kinds])
    return {name: float(tops[np.searchsorted(upto, part * upto[-1])]) for name, part in QUANTILES.items()}
