"""Trends: the naive twin is all values, looked at step by step."""

import itertools
import math

import numpy as np
import pytest

from station.page import trends
from station.page.trends import BINS, MOST_BINS, STEPS_MS, Column, Trends

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
"""UTC of monotonic 0 here."""


class Clocks:
    def __init__(self, monotonic_ns=0):
        self.monotonic_ns, self.offset = monotonic_ns, EPOCH

    def __call__(self):
        return self.monotonic_ns + self.offset, self.monotonic_ns


def filled(ticks, values, chunk=7, clocks=None):
    """Trends of one value per tick, handed over in chunks."""
    clocks = clocks or Clocks()
    made = Trends(clocks)
    for at in range(0, len(ticks), chunk):
        part = np.asarray(ticks[at : at + chunk], np.int64)
        clocks.monotonic_ns = int(part[-1])
        made.add("axis", lambda: [Column("a", "mm")], part, np.asarray(values[at : at + chunk], float)[:, None])
    return made, clocks


def naive(ticks, values, step_ms):
    """Number of the step -> (least, greatest)."""
    steps = {}
    for tick, value in zip(ticks, values, strict=True):
        steps.setdefault((tick + EPOCH) // (step_ms * MS), []).append(value)
    finite = {number: [v for v in of if not math.isnan(v)] for number, of in steps.items()}
    return {n: (min(of), max(of)) if of else (math.nan, math.nan) for n, of in finite.items()}


@pytest.mark.parametrize("step_ms", STEPS_MS)
@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_each_step_has_the_least_and_the_greatest_of_all_cycles_in_it(step_ms, chunk):
    """With jitter, a gap, NaN and infinity; the newest step is left out: it is not whole."""
    random = np.random.default_rng(1)
    ticks = np.cumsum(random.integers(1, 3, 1500)) * MS
    ticks[700:] += 777 * MS
    values = random.normal(size=1500).round(3)
    values[[5, 6, 1200]] = math.nan
    values[100], values[101] = math.inf, -math.inf
    made, _ = filled(ticks.tolist(), values.tolist(), chunk)
    found, wanted = made.read(["a"], step_ms, 0), naive(ticks.tolist(), values.tolist(), step_ms)
    last = (int(ticks[-1]) + EPOCH) // (step_ms * MS)
    assert found["end"] == last and found["missing"] == []
    rows = found["tags"]["a"]
    assert rows["unit"] == "mm" and len(rows["low"]) == len(rows["high"]) == found["end"] - found["first"]
    for number, low, high in zip(range(found["first"], last), rows["low"], rows["high"], strict=True):
        if number not in wanted:
            assert low is None and high is None
        else:
            np.testing.assert_array_equal([low, high], wanted[number])


def test_a_step_of_nothing_but_nan_is_no_gap():
    made, _ = filled([0, 1 * MS, 6 * MS], [math.nan, math.nan, 1.0])
    found = made.read(["a"], 5, 0)["tags"]["a"]
    assert math.isnan(found["low"][-1]) and found["low"][-2] is None


def test_only_what_is_lacking_is_sent():
    made, _ = filled([n * 5 * MS for n in range(100)], list(range(100)))
    whole = made.read(["a"], 5, 0)
    rest = made.read(["a"], 5, whole["end"] - 3)
    assert rest["first"] == whole["end"] - 3 and rest["tags"]["a"]["low"] == whole["tags"]["a"]["low"][-3:]
    assert made.read(["a"], 5, whole["end"] + 100)["tags"]["a"]["low"] == []


def test_old_steps_make_room_and_are_no_longer_shown():
    count = 3 * BINS
    made, _ = filled([n * 5 * MS for n in range(count)], list(range(count)), 100)
    found = made.read(["a"], 5, 0)
    assert len(found["tags"]["a"]["low"]) == MOST_BINS
    assert found["tags"]["a"]["low"] == list(range(count - 1 - MOST_BINS, count - 1))


def test_when_cycles_end_the_steps_go_on_as_gaps():
    made, clocks = filled([n * MS for n in range(100)], list(range(100)))
    clocks.monotonic_ns += 10_000 * MS
    found = made.read(["a"], 100, 0)
    assert found["end"] == (clocks()[0] - trends.LATE_NS) // (100 * MS)
    assert found["tags"]["a"]["low"][-1] is None


def test_a_clock_that_is_set_moves_what_comes_and_nothing_that_was():
    made, clocks = filled([n * 5 * MS for n in range(10)], list(range(10)))
    clocks.offset += 3_600_000 * MS
    clocks.monotonic_ns = 50 * MS
    made.add("axis", lambda: [], np.array([50 * MS]), np.array([[99.0]]))
    made.add("axis", lambda: [], np.array([60 * MS]), np.array([[100.0]]))
    assert made.read(["a"], 5, 0)["tags"]["a"]["low"][-2:] == [99.0, None]
    assert made.read(["a"], 10_000, 0)["tags"]["a"]["high"][-360] == 9.0


def test_clocks_that_only_drift_leave_the_grid_alone():
    made, clocks = filled([0], [0.0])
    clocks.offset += trends.STEPPED_NS // 2
    made.add("axis", lambda: [], np.array([5 * MS]), np.array([[1.0]]))
    made.add("axis", lambda: [], np.array([10 * MS]), np.array([[2.0]]))
    assert made.read(["a"], 5, 0)["tags"]["a"]["low"][-2:] == [0.0, 1.0]


def test_memory_is_bounded_and_what_has_none_is_said():
    made, many = Trends(Clocks()), trends.MOST_COLUMNS + 10
    columns = [Column(f"v{n}") for n in range(many)]
    made.add("one", lambda: columns, np.array([0]), np.zeros((1, many)))
    made.add("two", lambda: [Column("other")], np.array([0]), np.zeros((1, 1)))
    found = made.read(["v0", f"v{many - 1}", "other", "none"], 100, 0)
    assert found["missing"] == [f"v{many - 1}", "other", "none"]


def test_an_array_without_an_index_is_its_first_value():
    made = Trends(Clocks())
    made.add(
        "axis", lambda: [Column("v[0]"), Column("v[1]")], np.array([0, 6 * MS]), np.array([[1.0, 2.0], [3.0, 4.0]])
    )
    found = made.read(["v", "v[1]"], 5, 0)["tags"]
    assert (found["v"]["low"][-1], found["v[1]"]["low"][-1]) == (1.0, 2.0)


def test_other_steps_are_refused():
    with pytest.raises(ValueError, match="step_ms is one of 5, 20"):
        Trends(Clocks()).read(["a"], 7, 0)


def test_steps_nest():
    """Each is made from the one before."""
    assert all(longer % shorter == 0 for shorter, longer in itertools.pairwise(STEPS_MS))


def test_how_often_values_come_is_told():
    """So that who draws them knows what is a gap, and what is only a slow task."""
    trends = Trends(lambda: (10_000_000_000, 0))
    trends.add("slow", lambda: [Column("level")], np.array([0]), np.array([[1.0]]))
    assert trends.read(["level"], 5, 0)["tags"]["level"]["every_ms"] == 0
    trends.add("slow", lambda: [], np.array([200_000_000]), np.array([[1.0]]))
    assert trends.read(["level"], 5, 0)["tags"]["level"]["every_ms"] == 200
    trends.add("slow", lambda: [], np.arange(3, 9) * 100_000_000, np.ones((6, 1)))
    assert trends.read(["level"], 5, 0)["tags"]["level"]["every_ms"] == 100
