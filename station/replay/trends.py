"""Trends of two over hours, and the moments in which they lay furthest apart, without keeping all of both.

A column of a trend is a stretch of time and holds the least and the greatest of all its values: nothing between two points is left
out, so a peak of one cycle is seen. A moment holds every cycle around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS: Final = 600
MOMENTS: Final = 3
AROUND: Final = 100
"""Cycles on either side of a moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """One output: of each column of equal length, from `first_ns` to `last_ns`, (least, greatest) of old and new, and the greatest
    difference in one cycle; NaN: no value."""

    first_ns: int
    last_ns: int
    old: tuple[Floats, Floats]
    new: tuple[Floats, Floats]
    apart: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Cycles around `at_ns`, where the two lay `apart`."""

    at_ns: int
    apart: float
    tick_ns: Ints
    old: Floats
    new: Floats


class Trends:
    """Of all outputs; pieces are added in the order of time."""

    def __init__(self, outputs: int, first_ns: int, last_ns: int) -> None:
        self._first_ns, self._last_ns = first_ns, max(last_ns, first_ns + 1)
        self._ends = np.full((5, COLUMNS, outputs), np.nan)

    def add(self, tick_ns: Ints, old: Floats, new: Floats) -> None:
        """Values [cycles, outputs] of both; NaN where there is none."""
        share = (tick_ns - self._first_ns) / (self._last_ns + 1 - self._first_ns)
        columns = np.clip((share * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
        kinds, begins = np.unique(columns, return_index=True)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(new - old)
        least, greatest = np.fmin, np.fmax
        taken = (least, old), (greatest, old), (least, new), (greatest, new), (greatest, apart)
        for ends, (function, values) in zip(self._ends, taken, strict=True):
            finite = np.where(np.isfinite(values), values, np.nan)
            ends[kinds] = function(ends[kinds], function.reduceat(finite, begins, axis=0))

    def result(self) -> tuple[Trend, ...]:
        """One for each output."""
        ends = np.moveaxis(self._ends, 2, 0)
        return tuple(Trend(self._first_ns, self._last_ns, (o[0], o[1]), (o[2], o[3]), o[4]) for o in ends)


class Moments:
    """Of each output the `MOMENTS` cycles in which two lay furthest apart, each with the cycles around it, not overlapping."""

    def __init__(self, outputs: int, period_ns: int) -> None:
        self._around_ns = AROUND * period_ns
        self._found: list[list[Moment]] = [[] for _ in range(outputs)]
        self._rest: tuple[Ints, Floats, Floats] | None = None
        self._looked = 0
        """So many cycles of the rest have been looked at."""

    def add(self, tick_ns: Ints, old: Floats, new: Floats) -> None:
        """Values [cycles, outputs] of both; looked at once what follows them has come."""
        if self._rest is not None:
            joined = [np.concatenate(pair) for pair in zip(self._rest, (tick_ns, old, new), strict=True)]
            tick_ns, old, new = joined
        end = max(len(tick_ns) - AROUND, self._looked)
        self._look(tick_ns, old, new, self._looked, end)
        begin = max(end - AROUND, 0)
        self._rest, self._looked = (tick_ns[begin:], old[begin:], new[begin:]), end - begin

    def result(self) -> tuple[tuple[Moment, ...], ...]:
        """For each output, the furthest first."""
        if self._rest is not None:
            self._look(*self._rest, self._looked, len(self._rest[0]))
            self._looked = len(self._rest[0])
        return tuple(map(tuple, self._found))

    def _look(self, tick_ns: Ints, old: Floats, new: Floats, begin: int, end: int) -> None:
        if end <= begin:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(new[begin:end] - old[begin:end])
        apart[~np.isfinite(apart)] = 0.0
        for i, found in enumerate(self._found):
            mine = apart[:, i].copy()
            for _ in range(MOMENTS):
                at = int(mine.argmax())
                if mine[at] <= (found[-1].apart if len(found) == MOMENTS else 0.0):
                    break
                self._take(found, self._moment(tick_ns, old[:, i], new[:, i], begin + at, float(mine[at])))
                mine[max(at - AROUND, 0) : at + AROUND + 1] = 0.0

    def _moment(self, tick_ns: Ints, old: Floats, new: Floats, at: int, apart: float) -> Moment:
        """The cycles around one; none beyond a gap in time."""
        here = int(tick_ns[at])
        first, last = np.searchsorted(tick_ns, (here - self._around_ns, here + self._around_ns + 1))
        part = slice(max(int(first), at - AROUND), min(int(last), at + AROUND + 1))
        return Moment(here, apart, tick_ns[part].copy(), old[part].copy(), new[part].copy())

    def _take(self, found: list[Moment], one: Moment) -> None:
        """Keep it, unless one close by is further apart."""
        near = [other for other in found if abs(other.at_ns - one.at_ns) <= self._around_ns]
        if any(other.apart >= one.apart for other in near):
            return
        kept = [other for other in found if other not in near]
        found[:] = sorted([*kept, one], key=lambda moment: -moment.apart)[:MOMENTS]
