"""How far two lie apart, against NumPy on the whole."""

import numpy as np
import pytest

from station.replay.apart import QUANTILES, Apartness

TICKS = np.arange(1, 5001, dtype=np.int64) * 1000


@pytest.fixture
def both():
    rng = np.random.default_rng(3)
    old = rng.normal(size=(5000, 2)) * [1.0, 1e6]
    return old, old + rng.normal(size=old.shape) * [0.1, 1e-3]


def taken(old, new, tolerance=(0.25, np.inf), pieces=1, which=None):
    found = Apartness(old.shape[1], np.array(tolerance))
    which = np.ones(len(old), np.bool_) if which is None else which
    for part in np.array_split(np.arange(len(old)), pieces):
        found.add(TICKS[part], old[part], new[part], which[part])
    return found


def test_figures_are_those_of_the_whole(both):
    """Largest, its tick, how often beyond, the first: of two outputs at once, and no different taken in 7 pieces."""
    old, new = both
    apart = np.abs(new - old)
    for pieces in (1, 7):
        found = taken(old, new, pieces=pieces)
        assert found.largest.tolist() == apart.max(axis=0).tolist()
        assert found.largest_ns.tolist() == TICKS[apart.argmax(axis=0)].tolist()
        assert found.beyond.tolist() == [(apart[:, 0] > 0.25).sum(), 0]
        assert found.first_beyond_ns.tolist() == [TICKS[(apart[:, 0] > 0.25).argmax()], 0]


def test_quantiles_are_at_most_three_percent_above(both):
    """Never below: so many values are within."""
    old, new = both
    found = taken(old, new, pieces=3)
    for i, apart in enumerate(np.abs(new - old).T):
        for name, part in QUANTILES.items():
            exact = np.quantile(apart, part, method="inverted_cdf")
            assert exact <= found.quantiles(i)[name] <= exact * 1.04


def test_what_is_equal_is_zero_apart_and_counted(both):
    """The same bits; minus zero is other bits, and no difference."""
    old = both[0]
    new = old.copy()
    old[3, 0], new[3, 0] = 0.0, -0.0
    found = taken(old, new)
    assert found.equal.tolist() == [4999, 5000]
    assert found.largest.tolist() == [0.0, 0.0]
    assert found.quantiles(0)["p99.9"] == 0.0


def test_numbers_that_are_none_are_counted_apart(both):
    """Only the new one's, only the old one's, of both: the first alone speaks against the new one."""
    old, new = both
    new[10, 0], new[20, 0], old[30, 0], old[40, 0], new[40, 0] = np.nan, np.inf, np.nan, np.nan, np.nan
    found = taken(old, new)
    assert found.not_finite.tolist() == [2, 0]
    assert found.old_not_finite.tolist() == [1, 0]
    assert found.first_bad_ns.tolist() == [TICKS[10], 0]
    assert np.isfinite(found.largest).all()


def test_cycles_that_do_not_count_do_not(both):
    old, new = both
    new[7] = 1e9
    which = np.arange(5000) != 7
    assert taken(old, new, which=which).largest[0] < 1.0
    assert taken(old, new, which=np.zeros(5000, np.bool_)).quantiles(0) == {}
