"""Neighbouring addresses merged into as few requests as the protocol allows. Pure.

spans     [10,2) [12,1)  [15,2)            [300,4)
gap = 0   [10 ...  12]   [15 16]           [300 .. 303]     three requests
gap = 2   [10 ............. 16]            [300 .. 303]     two: 13 and 14 are read and ignored
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """`count` addresses from `start` on that must not be split, and whose they are."""

    start: int
    count: int
    owner: T

    @property
    def end(self) -> int:
        """The address after the last one."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Block(Generic[T]):
    """One request: `count` addresses from `start` on, and the spans in it in the order of their addresses."""

    start: int
    count: int
    spans: tuple[Span[T], ...]


def merge(spans: Iterable[Span[T]], limit: int, gap: int = 0) -> list[Block[T]]:
    """Blocks of at most `limit` addresses that cover all spans, bridging holes of at most `gap` addresses.

    Spans may overlap (several bits of one register). From the lowest address on, a block grows as far as it can: for
    spans that do not overlap no other choice needs fewer requests. A span longer than `limit` is the caller's mistake.
    """
    blocks: list[Block[T]] = []
    members: list[Span[T]] = []
    start = end = 0
    for span in sorted(spans, key=lambda s: (s.start, s.count)):
        assert 0 < span.count <= limit, span
        if members and (span.start - end > gap or max(end, span.end) - start > limit):
            blocks.append(Block(start, end - start, tuple(members)))
            members = []
        if not members:
            start = end = span.start
        members.append(span)
        end = max(end, span.end)
    if members:
        blocks.append(Block(start, end - start, tuple(members)))
    return blocks


def pieces(start: int, width: int, count: int, limit: int) -> Sequence[tuple[int, int, int]]:
    """(address, first element, elements) of an array of `count` elements of `width` addresses, cut to fit `limit`.

    One piece if it fits in a request; a longer array is cut between elements, never inside of one.
    """
    most = limit // width
    return [(start + first * width, first, min(most, count - first)) for first in range(0, count, most)]
