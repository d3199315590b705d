"""Which of many places lie in each other's way."""

from __future__ import annotations

from collections.abc import Sequence


def sharing(spans: Sequence[range]) -> list[tuple[int, int]]:
    """The pairs of spans that overlap, by their numbers, in their order."""
    pairs: list[tuple[int, int]] = []
    reaching: list[int] = []
    for number in sorted(range(len(spans)), key=lambda one: spans[one].start):
        reaching = [other for other in reaching if spans[other].stop > spans[number].start]
        pairs += [(min(other, number), max(other, number)) for other in reaching]
        reaching.append(number)
    return sorted(pairs)
