"""A life sign: an input that must change, or the device answers and does not work. Pure."""

import numpy as np
from numpy.typing import NDArray

from fieldbus.tags import Tag

NS = 1_000_000_000


class LifeSign:
    """Watches one input, which is in cell `cell`.

    A device that was just connected to lives from the first change on: what it says before may be as old as its last stop.
    """

    def __init__(self, tag: Tag, cell: int, timeout_s: float) -> None:
        self.tag, self.timeout_s = tag, timeout_s
        self._cell = cell
        self.reset()

    def reset(self) -> None:
        """A new connection: nothing has been seen."""
        self._last: bytes | None = None
        self._changed_ns: int | None = None

    def words(self, has_changed: bool) -> str:
        """What is said of a device whose sign stands still."""
        since = f"for {self.timeout_s:g} s" if has_changed else "yet"
        return f"the device answers, but its life sign {self.tag.name} has not changed {since}"

    def look(self, values: NDArray[np.float64], now_ns: int) -> str:
        """Why the inputs are not to be trusted, all values having come at `now_ns`; empty: the device lives."""
        seen = values[self._cell].tobytes()
        if self._last is not None and seen != self._last:
            self._changed_ns = now_ns
        self._last = seen
        if self._changed_ns is not None and now_ns - self._changed_ns <= self.timeout_s * NS:
            return ""
        return self.words(self._changed_ns is not None)
