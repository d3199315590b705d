"""Inputs drawn from what a contract says of them, always the same ones for one seed.

Row 0 is the mean of everything. Of every ten that follow, five are uniform between the limits, two have each element at one of its
limits, three are spread as the training data (with its covariance, where there is one). Where nothing is said of an element, it
is taken to be spread as N(0, 1) within +-3; whole numbers and booleans of which nothing is said are 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rt_engine.gate.elements import Floats, Meaning

ASSUMED = 3.0
KINDS = ("uniform", "edges", "uniform", "spread", "uniform", "spread", "edges", "uniform", "spread", "uniform")
MEAN = "mean"


def kind_of(row: int) -> str:
    """How a row was drawn."""
    return MEAN if row == 0 else KINDS[row % len(KINDS)]


class Draws:
    """A stream of inputs: `take` gives the next ones, and however many are taken at once, they are the same."""

    def __init__(self, inputs: Sequence[Meaning], seed: int) -> None:
        self._columns = [_Column(meaning, seed + at) for at, meaning in enumerate(inputs)]
        self._next = 0

    @property
    def assumed(self) -> int:
        """Elements (of one sample) of which the contract does not say how far they go."""
        return sum(column.assumed for column in self._columns)

    def take(self, count: int) -> dict[str, NDArray[np.generic]]:
        """Input name -> array [count, *shape] of the input's type."""
        rows = range(self._next, self._next + count)
        self._next = rows.stop
        return {column.name: column.rows(rows) for column in self._columns}


class _Column:
    """The stream of one input."""

    def __init__(self, meaning: Meaning, seed: int) -> None:
        self._spec, self.name, self._rows = meaning.spec, meaning.spec.name, meaning.rows()
        self._random = {kind: np.random.default_rng([seed, at]) for at, kind in enumerate(sorted(set(KINDS)))}
        low, high = self._limits = meaning.limits()
        known, found = np.isfinite(low) & np.isfinite(high), meaning.statistics
        self._is_whole = meaning.spec.dtype.kind in "iub"
        self.assumed = 0 if found is not None else int((~known).sum())
        most = 0.0 if self._is_whole else ASSUMED
        least = np.array(found.least) if found is not None else np.minimum(-most, high - 2 * most)
        greatest = np.array(found.greatest) if found is not None else np.maximum(most, low + 2 * most)
        self._low = np.where(np.isfinite(low), low, np.minimum(least, high))
        self._high = np.where(np.isfinite(high), high, np.maximum(greatest, low))
        middle = self._low / 2 + self._high / 2
        self._mean = np.clip(middle if found is None else np.array(found.mean), low, high)
        self._deviation = np.where(known, (self._high - self._low) / 6, 0.0 if self._is_whole else 1.0)
        if found is not None:
            self._deviation = np.array(found.deviation)
        self._root = None if found is None or found.covariance is None else _root(np.array(found.covariance))

    def rows(self, rows: range) -> NDArray[np.generic]:
        """Those rows, which follow the ones that were asked for before."""
        kinds = np.array([kind_of(row) for row in rows])
        made = np.empty((len(rows), len(self._rows)))
        for kind in (MEAN, *self._random):
            which = np.flatnonzero(kinds == kind)
            made[which] = self._of_kind(kind, len(which))
        return self._typed(made.reshape(len(rows), *self._spec.shape))

    def _of_kind(self, kind: str, count: int) -> Floats:
        """[count, elements of the tensor], or what broadcasts to it."""
        if kind == MEAN:
            return self._mean[self._rows]
        random, low, high = self._random[kind], self._low, self._high
        if kind == "edges":
            return np.where(random.random((count, len(low))) < 0.5, low, high)[:, self._rows]
        if kind == "uniform":
            part = random.random((count, len(self._rows)))
            return np.asarray(low[self._rows] * (1 - part) + high[self._rows] * part)
        normal = random.standard_normal((count, len(self._rows)))
        if self._root is None:
            spread = normal * self._deviation[self._rows]
        else:  # there are statistics of a sample only where samples lie in a row
            spread = (normal.reshape(-1, len(low)) @ self._root).reshape(normal.shape)
        least, greatest = self._limits
        return np.clip(self._mean[self._rows] + spread, least[self._rows], greatest[self._rows])

    def _typed(self, made: Floats) -> NDArray[np.generic]:
        dtype = self._spec.dtype
        if dtype.kind == "b":
            return np.asarray(made >= 0.5)
        if self._is_whole:
            ends = np.iinfo(dtype)
            return np.clip(np.rint(made), float(ends.min), float(ends.max)).astype(dtype)
        with np.errstate(over="ignore"):
            return made.astype(dtype)


def _root(covariance: Floats) -> Floats:
    """What rows of standard normal numbers are multiplied by to have that covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)
