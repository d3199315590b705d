"""What crosses the border of a loop lives as long as the loop."""

from hypothesis import given
from hypothesis import strategies as st

from rt_engine.lower.loops import STRAIGHT, Loops


def naive(first, last, ranges):
    """By looking at every range until nothing changes."""
    for _ in range(2 * len(ranges) + 2):
        for begin, end in ranges:
            if first < begin <= last <= end:
                last = end
            if begin < first <= end < last:
                first = begin
    return first, last


def nested(draws, low, high):
    """Ranges of which one lies within the other, or they are apart."""
    found = []
    while draws and low <= high:
        begin = min(low + draws.pop(), high)
        end = min(begin + draws.pop() if draws else high, high)
        found.append((begin, end))
        if draws and draws.pop() % 2:
            found += nested(draws, begin, end)
        low = end + 1
    return found


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(-1, 60), st.integers(0, 60))
def test_a_life_is_extended_as_by_looking_at_all(draws, a, b):
    ranges = list(dict.fromkeys(nested(list(draws), 0, 60)))
    first, last = min(a, b), max(a, b)
    assert Loops(ranges).extended(first, last) == naive(first, last, ranges)


def test_borders_one_by_one():
    """Read inside: to the loop's end. Made inside, read behind: from its beginning. Within one pass: as it is."""
    loops = Loops([(10, 20), (12, 15), (30, 40)])
    assert loops.extended(5, 13) == (5, 20)
    assert loops.extended(11, 13) == (11, 15)
    assert loops.extended(13, 25) == (10, 25)
    assert loops.extended(13, 14) == (13, 14)
    assert loops.extended(14, 33) == (10, 40)
    assert list(loops.around(13)) == [(12, 15), (10, 20)]
    assert STRAIGHT.extended(3, 9) == (3, 9)
