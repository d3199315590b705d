"""A log-linear histogram of nanoseconds in native memory: 32 bins per octave, so every percentile is known to 3 %.

words   0 count   1 sum   2 min   3 max   4 last   5..7 spare   8... bins
bin(ns) = ns                                       below 32
          32 * (octave - 4) + next five bits       above; octave = position of the highest set bit
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_native.memory import Block

OCTAVES = 36  # up to 2^36 ns = 68 s; what is longer counts in the last bin
SUB_BINS = 32
BINS = SUB_BINS * (OCTAVES - 4)
HEADER_WORDS = 8
NBYTES = 8 * (HEADER_WORDS + BINS)


def bin_of(ns: int) -> int:
    """The bin that a time falls into."""
    if ns < SUB_BINS:
        return max(ns, 0)
    octave = ns.bit_length() - 1
    return min(SUB_BINS * (octave - 4) + ((ns >> (octave - 5)) & (SUB_BINS - 1)), BINS - 1)


def edges_ns() -> NDArray[np.int64]:
    """The lower edge of each bin, and the upper edge of the last: `BINS + 1` values in nanoseconds."""
    low = np.arange(SUB_BINS, dtype=np.int64)
    rows = [(SUB_BINS + low) << octave for octave in range(OCTAVES - 5 + 1)]
    return np.concatenate([low, *rows])[: BINS + 1]


_EDGES = edges_ns()


class Histogram:
    """Counts of times in nanoseconds. One writer; reading while it counts is safe and at worst one sample behind.

    Args:
        block, offset: memory of `NBYTES` that native code may count into; its own by default.
    """

    def __init__(self, block: Block | None = None, offset: int = 0) -> None:
        self._block = block or Block(NBYTES)
        self.address = self._block.address + offset
        words = self._block.view(np.int64, offset, HEADER_WORDS + BINS)
        self._head, self._bins = words[:HEADER_WORDS], words[HEADER_WORDS:]

    @classmethod
    def sum(cls, parts: "Iterable[Histogram]") -> "Histogram":
        """What several have counted, together; `last` is that of the last part."""
        total = cls()
        head, bins = total._head, total._bins
        for part in (part for part in parts if part.count):
            head[2] = part.min if head[0] == 0 else min(int(head[2]), part.min)
            head[3], head[4] = max(int(head[3]), part.max), part.last
            head[:2] += part._head[:2]
            bins += part._bins
        return total

    def add(self, ns: int) -> None:
        """Count one time (Python's side; native code uses `histogram_native.add`)."""
        head = self._head
        head[2] = ns if head[0] == 0 else min(int(head[2]), ns)
        head[3] = max(int(head[3]), ns)
        head[4] = ns
        head[1] += ns
        self._bins[bin_of(ns)] += 1
        head[0] += 1

    @property
    def count(self) -> int:
        """How many times were counted."""
        return int(self._head[0])

    @property
    def mean(self) -> float:
        """Mean in nanoseconds; 0 when empty."""
        return float(self._head[1]) / max(self.count, 1)

    @property
    def min(self) -> int:
        """The shortest, in nanoseconds; 0 when empty."""
        return int(self._head[2])

    @property
    def max(self) -> int:
        """The longest, in nanoseconds; 0 when empty."""
        return int(self._head[3])

    @property
    def last(self) -> int:
        """The newest, in nanoseconds; 0 when empty."""
        return int(self._head[4])

    def percentile(self, percent: float) -> float:
        """The time in nanoseconds that `percent` of all were at or below (upper edge of its bin, at most the maximum)."""
        return self.percentiles(percent)[0]

    def percentiles(self, *percents: float) -> tuple[float, ...]:
        """Several at once, of one moment."""
        sums = np.cumsum(self._bins)
        total = int(sums[-1])
        if total == 0:
            return (0.0,) * len(percents)
        ranks = [max(1, math.ceil(total * percent / 100.0)) for percent in percents]
        low, high = self.min, self.max
        return tuple(float(min(max(int(_EDGES[i + 1]), low), high)) for i in np.searchsorted(sums, ranks))

    def bins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(edges in nanoseconds, counts); one edge more than counts."""
        return edges_ns(), self._bins.copy()

    def reset(self) -> None:
        """Forget everything; at worst one sample that is counted at this moment is lost."""
        self._head[:] = 0
        self._bins[:] = 0

    def summary(self) -> dict[str, Any]:
        """Count, min, mean, p50, p99, p99.9, p99.99 and max, in nanoseconds, as plain numbers."""
        wanted = (50, 99, 99.9, 99.99)
        points = {f"p{p:g}": ns for p, ns in zip(wanted, self.percentiles(*wanted), strict=True)}
        return {"count": self.count, "min": self.min, "mean": self.mean, **points, "max": self.max}
