"""Trends and moments: nothing that stands out is lost."""

import itertools

import numpy as np
import pytest

from station.replay.trends import AROUND, COLUMNS, MOMENTS, Moments, Trends
from tests.station.replay.cycles import FIRST_NS, PERIOD_NS

COUNT = 50_000
TICKS = FIRST_NS + np.arange(COUNT) * PERIOD_NS


@pytest.fixture
def both():
    old = np.sin(np.arange(COUNT) / 999)[:, None] * [1.0, 2.0]
    return old, old.copy()


def added(made, old, new, pieces):
    for part in np.array_split(np.arange(COUNT), pieces):
        made.add(TICKS[part], old[part], new[part])
    return made.result()


@pytest.mark.parametrize("pieces", [1, 13])
def test_a_peak_of_one_cycle_is_in_its_column(both, pieces):
    """Each column's ends are those of all its values, however the pieces were cut."""
    old, new = both
    new[31_234, 1] = 9.0
    trend = added(Trends(2, TICKS[0], TICKS[-1]), old, new, pieces)[1]
    assert len(trend.old[0]) == COLUMNS
    assert trend.new[1].max() == 9.0
    assert trend.new[1].argmax() == 31_234 * COLUMNS // COUNT
    assert trend.old[1].max() == old[:, 1].max()
    assert trend.old[0].min() == old[:, 1].min()
    assert np.flatnonzero(trend.apart).tolist() == [trend.new[1].argmax()]
    assert trend.apart.max() == 9.0 - old[31_234, 1]


def test_where_there_is_no_value_there_is_a_gap(both):
    """In one of the two only, where only that has none."""
    old, new = both
    new[10_000:20_000] = np.nan
    trend = added(Trends(2, TICKS[0], TICKS[-1]), old, new, 4)[0]
    gaps = np.isnan(trend.new[0])
    assert gaps.sum() in (COLUMNS // 5 - 1, COLUMNS // 5)
    assert not np.isnan(trend.old[0]).any()


def test_columns_of_a_year_are_right():
    """No number of nanoseconds overflows."""
    ticks = np.linspace(0, 3.2e16, 1000).astype(np.int64)
    trends = Trends(1, 0, int(ticks[-1]))
    values = np.arange(1000.0)[:, None]
    trends.add(ticks, values, values)
    known = trends.result()[0].old[0]
    assert (np.diff(known) > 0).all()


@pytest.mark.parametrize("pieces", [1, 2, 7, 400])
def test_the_worst_moments_are_found_with_all_around_them(both, pieces):
    """The furthest first, wherever pieces were cut; at the ends as much as there is; each output's own."""
    old, new = both
    places = {5: 0.5, 25_000: 3.0, COUNT - 1: 2.0, 40_000: 0.1}
    for place, apart in places.items():
        new[place, 0] += apart
    first, second = added(Moments(2, PERIOD_NS), old, new, pieces)
    assert second == ()
    assert [(moment.at_ns - FIRST_NS) // PERIOD_NS for moment in first] == [25_000, COUNT - 1, 5]
    assert [len(moment.tick_ns) for moment in first] == [2 * AROUND + 1, AROUND + 1, AROUND + 6]
    assert first[0].new[AROUND] - first[0].old[AROUND] == pytest.approx(3.0)
    assert len(first) == MOMENTS


def test_a_long_difference_is_one_moment_and_its_neighbours(both):
    """No two moments lie within each other's cycles."""
    old, new = both
    new[10_000:30_000, 0] += np.linspace(0.0, 1.0, 20_000)
    moments = added(Moments(2, PERIOD_NS), old, new, 9)[0]
    ats = sorted(moment.at_ns for moment in moments)
    assert moments[0].at_ns == TICKS[29_999]
    assert all(b - a > AROUND * PERIOD_NS for a, b in itertools.pairwise(ats))


def test_a_moment_does_not_reach_over_a_gap_in_time(both):
    old, new = both
    new[100, 0] += 1.0
    moments = Moments(2, PERIOD_NS)
    moments.add(TICKS[:101], old[:101], new[:101])
    moments.add(TICKS[:1000] + 3_600_000_000_000, old[:1000], old[:1000])
    (moment,) = moments.result()[0]
    assert len(moment.tick_ns) == AROUND + 1
