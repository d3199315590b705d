"""A wrong assumption is seen, a right one is not doubted; what is doubted is not extrapolated."""

import numpy as np
import pytest

from station.latency.doubts import chi_square_tail, examine, extremal_index, kolmogorov_tail
from station.latency.said import many, rounded_up, sentence
from tests.station.latency.made import gev, result, subject

COUNT = 600
CYCLES = 600_000


def carried(rng):
    """Each interval remembers the one before."""
    values = np.zeros(COUNT)
    for i, noise in enumerate(rng.normal(size=COUNT)):
        values[i] = 0.97 * values[i - 1] + noise
    return 50_000 * np.exp(0.1 * values)


def rising(rng):
    return gev(rng, COUNT, 0.0) * np.linspace(1, 1.25, COUNT)


def stepped(rng):
    return gev(rng, COUNT, 0.0) + np.repeat([0.0, 8_000.0], COUNT // 2)


def mixed(rng):
    """One interval of twenty has a second cause, far off."""
    return gev(rng, COUNT, 0.0) + 150_000 * (rng.uniform(size=COUNT) < 0.05)


def rare(rng):
    """Four of six hundred are of another world."""
    values = gev(rng, COUNT, 0.0)
    values[rng.choice(COUNT, 4, replace=False)] = rng.normal(2_000_000, 50_000, 4)
    return values


def clustered(rng):
    return np.repeat(gev(rng, COUNT // 3, 0.0), 3)


def heavy(rng):
    return gev(rng, COUNT, 0.9)


WRONG = {
    carried: {"independence"},
    rising: {"no trend"},
    stepped: {"halves alike"},
    mixed: {"fit", "one cause"},
    rare: {"one cause", "tail"},
    clustered: {"no clusters"},
    heavy: {"tail"},
}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_a_wrong_assumption_is_seen(make):
    """By the check whose it is, in nine of ten; and never is anything told beyond what was seen."""
    seen = 0
    for seed in range(10):
        verdict = examine(make(np.random.default_rng(seed)).astype(np.int64), CYCLES)
        doubts = {check.name for check in verdict.doubts}
        seen += bool(doubts & WRONG[make])
        assert bool(doubts) != bool(verdict.levels)
    assert seen >= 9


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.1])
def test_what_is_right_is_seldom_doubted(shape):
    """Of forty good measurements a few are refused, as each check fails once in a hundred."""
    good = sum(
        examine(gev(np.random.default_rng(seed), COUNT, shape).astype(np.int64), CYCLES).holds for seed in range(40)
    )
    assert good >= 33


def test_too_few_blocks_tell_nothing():
    verdict = examine(gev(np.random.default_rng(0), 59, 0.0).astype(np.int64), 59_000)
    assert [check.name for check in verdict.doubts] == ["enough blocks"]
    assert verdict.fitted is None
    assert examine(np.zeros(0, np.int64), 0).levels == ()
    assert not examine(np.full(200, 7_000), 200_000).holds


def test_tails_of_distributions():
    """Against their tables."""
    assert chi_square_tail(11.0705, 5) == pytest.approx(0.05, abs=1e-4)
    assert chi_square_tail(3.8415, 1) == pytest.approx(0.05, abs=1e-4)
    assert kolmogorov_tail(1.3581) == pytest.approx(0.05, abs=1e-4)


def test_the_extremal_index():
    """Alone: near 1; in threes: near a third; too few to tell: 1."""
    rng = np.random.default_rng(1)
    alone = rng.geometric(0.05, 4_000).astype(float)
    assert extremal_index(alone) > 0.9
    threes = np.tile([1.0, 1.0, 0.0], 2_000)
    threes[2::3] = rng.geometric(0.02, 2_000)
    assert extremal_index(threes) == pytest.approx(1 / 3, abs=0.06)
    assert extremal_index(np.ones(1)) == 1.0


def test_the_sentence_says_a_cycle_time_and_its_probability():
    """And how far it goes; a cycle that is too short for it is bad."""
    one = subject(gev(np.random.default_rng(5), COUNT, 0.0))
    verdict = examine(one.maxima(), one.cycles)
    grade, text = sentence(one, verdict, result(one))
    assert grade == "ok"
    assert "with model m.onnx this computer holds a cycle time of" in text
    assert "one cycle in 6 million takes longer than" in text
    assert "under cpu" in text
    short = subject(one.maxima(), period_ns=60_000)
    assert sentence(short, verdict, result(short))[0] == "bad"


def test_the_sentence_of_a_doubt_says_what_was_seen_alone():
    one = subject(rare(np.random.default_rng(5)))
    grade, text = sentence(one, examine(one.maxima(), one.cycles), result(one))
    assert grade == "bad"
    assert "only what was seen can be told: 600,000 cycles of 1 ms" in text
    assert "one cause: widest gap below the longest" in text
    assert "holds a cycle time" not in text


def test_numbers_for_people():
    assert [many(n) for n in (950, 4_512_000, 6e9)] == ["950", "4.5 million", "6 billion"]
    assert [rounded_up(ns) for ns in (101_000, 99_000, 7)] == [110_000, 99_000, 7]
