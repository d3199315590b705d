"""Trends: the least and the greatest of each value in steps of several lengths, made from every cycle, in bounded memory.

    records of a task -> steps of 5 ms -> of 20 ms -> of 100 ms -> ... each made from the one before, `BINS` of each are kept

A step holds UTC time [number * step, (number + 1) * step). One in which there was no cycle is a gap, and says so; one with nothing
but NaN has NaN; of others NaN is left out, and infinity is a number like any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STEPS_MS: Final = (5, 20, 100, 500, 2000, 10_000)
"""Each is a multiple of the one before."""
MOST_BINS: Final = 1200
"""In one answer."""
BINS: Final = MOST_BINS + 56
"""That are kept of each length: the newest is not whole yet."""
KEEPS_S: Final = tuple(MOST_BINS * step / 1000 for step in STEPS_MS)
MOST_COLUMNS: Final = 256
"""Values whose trends are kept, 121 KB each; those of tasks that come later in the station file have none."""
NS_PER_MS: Final = 1_000_000
LATE_NS: Final = 2_000_000_000
"""A step is whole when a later cycle has come, or after so long."""
STEPPED_NS: Final = 50 * NS_PER_MS
"""The computer's clock was set when its distance to the monotonic one changes by more."""
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """A value: its name, `level`, of an array `level[3]`, and its unit."""

    name: str
    unit: str = ""


class _Level:
    """Steps of one length, of all columns of a group; a ring by number of the step."""

    def __init__(self, step_ms: int, columns: int) -> None:
        self.step_ns = step_ms * NS_PER_MS
        self.numbers: Numbers = np.full(BINS, -1, np.int64)
        self.low: Floats = np.full((BINS, columns), np.nan)
        self.high: Floats = np.full((BINS, columns), np.nan)

    def add(self, at_ns: Numbers, low: Floats, high: Floats) -> tuple[Numbers, Floats, Floats]:
        """Take rows in, in order of time; gives what they are in steps of this length."""
        numbers = at_ns // self.step_ns
        first = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
        numbers, low, high = numbers[first], np.fmin.reduceat(low, first), np.fmax.reduceat(high, first)
        place = numbers % BINS
        is_known = (self.numbers[place] == numbers)[:, None]
        self.low[place] = np.where(is_known, np.fmin(self.low[place], low), low)
        self.high[place] = np.where(is_known, np.fmax(self.high[place], high), high)
        self.numbers[place] = numbers
        return numbers * self.step_ns, low, high

    def read(self, first: int, end: int, column: int) -> tuple[list[float | None], list[float | None]]:
        """Least and greatest of the steps from number `first` to before `end`; None where there was no cycle."""
        numbers = np.arange(first, end)
        place = numbers % BINS
        is_there = (self.numbers[place] == numbers).tolist()
        low, high = self.low[place, column].tolist(), self.high[place, column].tolist()
        return (
            [value if there else None for value, there in zip(low, is_there, strict=True)],
            [value if there else None for value, there in zip(high, is_there, strict=True)],
        )


class Group:
    """Values that come together: of a task. `columns` may be fewer than the values of a row; those are left out."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.levels = tuple(_Level(step, len(columns)) for step in STEPS_MS)
        self.newest_ns = 0
        self.every_ns = 0
        """From one row to the next, of those that came last; 0: there were not two."""

    def add(self, at_ns: Numbers, rows: Floats) -> None:
        """Rows with the UTC times of their cycles, in order."""
        low = high = rows[:, : len(self.columns)]
        apart = np.diff(at_ns, prepend=self.newest_ns or at_ns[0])
        if len(apart) > 1 or self.newest_ns:
            self.every_ns = max(int(np.median(apart)), 0)
        self.newest_ns = max(self.newest_ns, int(at_ns[-1]))
        for level in self.levels:
            at_ns, low, high = level.add(at_ns, low, high)


class Trends:
    """Of all values of a station. Any thread."""

    def __init__(self, now_ns: Callable[[], tuple[int, int]] = lambda: (time.time_ns(), time.monotonic_ns())) -> None:
        self._now_ns, self._lock = now_ns, threading.Lock()
        self._groups: dict[str, Group] = {}
        self._where: dict[str, tuple[Group, int]] = {}
        self._count = 0
        self._offset_ns: int | None = None

    def add(self, group: str, columns: Callable[[], Sequence[Column]], ticks_ns: Numbers, rows: Floats) -> None:
        """Rows of a group, with their ticks (CLOCK_MONOTONIC), in order; `columns` is asked the first time."""
        if not len(ticks_ns):
            return
        with self._lock:
            found = self._groups.get(group)
            if found is None:
                found = self._groups[group] = self._made(columns())
            if found.columns:
                found.add(ticks_ns + self._offset(), rows)

    def _made(self, columns: Sequence[Column]) -> Group:
        group = Group(columns[: max(MOST_COLUMNS - self._count, 0)])
        self._count += len(group.columns)
        for index, column in enumerate(group.columns):
            self._where.setdefault(column.name, (group, index))
        return group

    def _offset(self) -> int:
        """From the monotonic clock to UTC, the same until somebody sets the computer's clock."""
        utc_ns, monotonic_ns = self._now_ns()
        offset = utc_ns - monotonic_ns
        if self._offset_ns is None or abs(offset - self._offset_ns) > STEPPED_NS:
            self._offset_ns = offset
        return self._offset_ns

    def read(self, tags: Sequence[str], step_ms: int, after: int) -> dict[str, Any]:
        """Whole steps from number `after` on, the newest `MOST_BINS` at most, of tags; see `static/js/api.js`.

        Raises:
            ValueError: no steps of that length are kept.
        """
        if step_ms not in STEPS_MS:
            raise ValueError(f"step_ms is one of {', '.join(map(str, STEPS_MS))}")
        with self._lock:
            wanted = {tag: place for tag in tags if (place := self._place(tag)) is not None}
            now_ns = self._now_ns()[0]
            whole_ns = min((max(group.newest_ns, now_ns - LATE_NS) for group, _ in wanted.values()), default=now_ns)
            end = whole_ns // (step_ms * NS_PER_MS)
            first = min(max(after, end - MOST_BINS), end)
            level = STEPS_MS.index(step_ms)
            found: dict[str, Any] = {}
            for tag, (group, column) in wanted.items():
                low, high = group.levels[level].read(first, end, column)
                every_ms = group.every_ns / NS_PER_MS
                found[tag] = {"unit": group.columns[column].unit, "every_ms": every_ms, "low": low, "high": high}
        missing = [tag for tag in tags if tag not in found]
        return {"step_ms": step_ms, "first": first, "end": end, "missing": missing, "tags": found}

    def _place(self, tag: str) -> tuple[Group, int] | None:
        """Of an array without an index, the first value."""
        return self._where.get(tag) or self._where.get(f"{tag}[0]")
