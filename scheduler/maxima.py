"""The longest wake-up, execution and reaction of every interval, with their ticks: memory that a task's cycle writes."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_native.histogram import Histogram
from rt_native.memory import Block
from scheduler.maxima_block import MAXIMA, MAXIMUM

KINDS: Final = ("wakeup", "execution", "reaction")


class Maxima:
    """Room for so many intervals of one task (drawn in `scheduler.maxima_block`); all of it is touched here, before a cycle does.

    Give it to `Scheduler(maxima={task: ...})`; nothing is counted until `begin`. Reading while the task runs is safe: only the
    newest interval still grows.
    """

    def __init__(self, interval_ns: int, rows: int) -> None:
        self._block = Block(MAXIMA.itemsize + rows * MAXIMUM.itemsize)
        self.address = self._block.address
        self._head = self._block.view(MAXIMA)
        self._head["interval_ns"], self._head["rows"] = interval_ns, rows
        self._rows = self._block.view(MAXIMUM, MAXIMA.itemsize, rows)
        places = {kind: self._block.view(MAXIMA)[kind].ctypes.data - self.address for kind in KINDS}
        self._histograms = {kind: Histogram(self._block, place) for kind, place in places.items()}

    @property
    def interval_ns(self) -> int:
        """How long each is."""
        return int(self._head["interval_ns"][0])

    @property
    def first_ns(self) -> int:
        """The tick from which on cycles count; 0 before `begin`."""
        return int(self._head["first_ns"][0])

    def begin(self, first_ns: int) -> None:
        """Forget everything, and count cycles from that tick on. While the task runs: no cycle may be behind it yet."""
        self._head["first_ns"] = 0
        self._rows[:] = np.zeros(1, MAXIMUM)
        for histogram in self._histograms.values():
            histogram.reset()
        self._head["first_ns"] = first_ns

    def histogram(self, kind: str) -> Histogram:
        """Of all cycles that were counted: "wakeup", "execution" or "reaction"."""
        return self._histograms[kind]

    def rows(self) -> NDArray[Any]:
        """A copy of the intervals until the newest that has a cycle, of dtype `MAXIMUM`."""
        used = np.flatnonzero(self._rows["cycles"])
        return self._rows[: int(used[-1]) + 1 if len(used) else 0].copy()
