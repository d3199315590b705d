"""What got worse from one result to the next: found where it was planted, and not where chance alone differs."""

from dataclasses import replace

import numpy as np
import pytest

from station.latency.compare import block_sizes, compare, summary, to_html
from station.latency.result import LatencyFileError
from tests.station.latency.made import gev, result, subject
from tests.station.latency.test_page import Whole


def two(factor=1.0, count=600, seed=1, **more):
    """A result and one whose longest are so many times longer."""
    rng = np.random.default_rng(seed)
    return result(subject(gev(rng, count, 0.1))), result(subject(factor * gev(rng, count, 0.1), **more))


def judgements(compared):
    return {row.kind: row.judgement for row in compared.rows}


def test_what_got_worse_is_found():
    """By its factor; the execution, which is as it was, is not."""
    found = compare(*two(1.3))
    assert judgements(found) == {"wakeup": "worse", "execution": "no difference", "reaction": "worse"}
    row = next(row for row in found.worse if row.kind == "reaction")
    assert row.low < 1.3 < row.high
    assert summary(found).level == "bad"
    assert "worse: wake-up of axis" in summary(found).text


def test_what_got_better_is_told():
    found = compare(*two(0.7))
    assert judgements(found)["reaction"] == "better"
    assert summary(found).level == "ok"


def test_chance_is_no_difference():
    """Of twenty pairs that are alike none or one is told apart."""
    told = sum(any(row.judgement in ("worse", "better") for row in compare(*two(seed=seed)).rows) for seed in range(20))
    assert told <= 1


def test_a_difference_too_small_to_matter_is_none():
    """Sure, and below a twentieth."""
    rng = np.random.default_rng(3)
    one, other = (result(subject(factor * gev(rng, 600, 0.0, scale=100.0))) for factor in (1.0, 1.02))
    assert judgements(compare(one, other))["reaction"] == "no difference"


def test_too_short_is_said():
    found = compare(*two(1.5, count=9))
    assert set(judgements(found).values()) == {"too short to tell"}
    assert summary(found).level == "warn"


def test_what_was_measured_otherwise_is_said():
    """Other loads, another cycle, a file of a killed run: compared all the same, and told."""
    one, other = two(period_ns=2_000_000)
    found = compare(one, replace(other, loads=(), complete=False))
    assert [words.split(":")[0] for words in found.unlike[:2]] == ["loads", "cycle of axis"]
    assert "killed" in found.unlike[-1]


def test_intervals_of_other_lengths_are_made_equal():
    """Ten minutes by seconds against five by tenths of the same machine: ten tenths are a second, and no difference is left."""
    rng = np.random.default_rng(9)
    tenths = gev(rng, 3_000, 0.0, location=50_000 - 5_000 * np.log(10))
    shorter = replace(result(subject(tenths)), interval_ns=100_000_000)
    row = compare(result(subject(gev(rng, 600, 0.0))), shorter).rows[-1]
    assert row.judgement == "no difference"
    assert row.ratio == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("a_ns", "b_ns", "wanted_ns", "sizes"),
    [
        (1000, 1000, 2500, (3, 3)),
        (400, 1000, 2480, (10, 4)),
        (1000, 400, 2480, (4, 10)),
        (395, 1000, 2400, (10, 4)),
        (1000, 97, 10, (2, 21)),
    ],
)
def test_blocks_are_of_equal_length(a_ns, b_ns, wanted_ns, sizes):
    """Or as near to it as 2 %, where there is such a pair."""
    assert block_sizes(a_ns, b_ns, wanted_ns) == sizes


def test_nothing_in_common_is_refused():
    one = result(subject([1_000] * 20))
    with pytest.raises(LatencyFileError, match="one has axis, the other other"):
        compare(one, result(subject([1_000] * 20, name="other")))


def test_the_page_is_whole():
    text = to_html(compare(*two(1.3)))
    Whole(text)
    assert text.count("<svg") == 3


def test_what_goes_up_and_down_by_itself_got_no_worse():
    """A host that is busy for a minute now and then: neighbouring blocks say the same twice."""
    worse = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        level = np.zeros((2, 450))
        for i in range(1, 450):
            level[:, i] = 0.967 * level[:, i - 1] + 0.25 * rng.normal(size=2)
        longest = (1e5 * np.exp(0.3 * level) * (1 + 0.1 * rng.uniform(size=level.shape))).astype(np.int64)
        worse += bool(compare(*(result(subject(run)) for run in longest)).worse)
    assert worse <= 6
