"""Ranges of calls that are repeated, and how long what crosses their borders lives. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Ranges = Sequence[tuple[int, int]]
"""First and last call of every range of calls that is repeated."""


@dataclass(frozen=True)
class Loops:
    """Ranges of calls that are repeated: of two, one lies within the other, or they are apart."""

    ranges: Ranges = ()

    @cached_property
    def _sorted(self) -> list[tuple[int, int]]:
        return sorted(self.ranges, key=lambda r: (r[0], -r[1]))

    @cached_property
    def _begins(self) -> list[int]:
        return [begin for begin, _ in self._sorted]

    @cached_property
    def _parents(self) -> list[int]:
        """For each range the smallest one around it, -1 for none."""
        parents: list[int] = []
        around: list[int] = []
        for i, (begin, _) in enumerate(self._sorted):
            while around and self._sorted[around[-1]][1] < begin:
                around.pop()
            parents.append(around[-1] if around else -1)
            around.append(i)
        return parents

    def around(self, call: int) -> Iterator[tuple[int, int]]:
        """The ranges that a call stands in, from the smallest outwards."""
        i = bisect_right(self._begins, call) - 1
        while i >= 0:
            if self._sorted[i][1] >= call:
                yield self._sorted[i]
            i = self._parents[i]

    def extended(self, first: int, last: int) -> tuple[int, int]:
        """A life, with every loop that it crosses the border of: what enters a loop is read, what leaves it kept, each time."""
        if not self.ranges:
            return first, last
        while True:  # a longer life may cross further borders
            longer = max((end for begin, end in self.around(last) if begin > first), default=last)
            earlier = min((begin for begin, end in self.around(first) if end < longer), default=first)
            if (earlier, longer) == (first, last):
                return first, last
            first, last = earlier, longer


STRAIGHT = Loops()
"""No loop at all."""
