"""Spans that overlap are found by a sweep; each pair of them, tried one by one, says the same."""

import random
from itertools import combinations

from station.terms.spans import sharing


def test_the_pairs_are_those_that_overlap() -> None:
    """Against every pair, of random spans that often touch, contain or equal each other."""
    rng = random.Random(5)
    for _ in range(200):
        spans = [range(start, start + rng.randint(1, 6)) for start in (rng.randint(0, 30) for _ in range(12))]
        wanted = [
            (one, other)
            for one, other in combinations(range(len(spans)), 2)
            if spans[one].start < spans[other].stop and spans[other].start < spans[one].stop
        ]
        assert sharing(spans) == wanted


def test_spans_that_touch_do_not_overlap() -> None:
    """One ends where the next begins."""
    assert sharing([range(0, 2), range(2, 4)]) == []
