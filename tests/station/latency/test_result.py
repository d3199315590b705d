"""The file of a result: whole, of its version, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from station.latency.result import KINDS, LatencyFileError, Spread, read, to_json, write
from tests.station.latency.made import gev, result, subject

ONE = result(subject(gev(np.random.default_rng(1), 90, 0.1)))


def test_what_was_written_is_read(tmp_path):
    """Every value comes back, and the same bytes once more."""
    write(ONE, tmp_path / "a.json")
    back = read(tmp_path / "a.json")
    assert to_json(back) == to_json(ONE)
    assert back.subjects[0].maxima().tolist() == ONE.subjects[0].maxima().tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_one_that_was_killed_says_so(tmp_path):
    write(replace(ONE, complete=False), tmp_path / "a.json")
    assert not read(tmp_path / "a.json").complete


def changed(**changes):
    plain = json.loads(to_json(ONE))
    plain.update(changes)
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "another kind of file"),
        (json.dumps({"kind": "report"}), "another kind of file"),
        (changed(version=2), "has version 2"),
        (changed(subjects=[{}]), "is damaged"),
        (changed(started="yesterday"), "is damaged"),
        (changed(started="2026-01-01T00:00:00"), "is damaged"),
        (changed(asked_s=float("nan")), "is damaged"),
        (changed(interval_ns=0), "is damaged"),
        (changed(rights=[{}]), "is damaged"),
        (to_json(ONE).replace('"count":', '"count":1e999,"was":', 1), "is damaged"),
        ('{"kind": ' + "[" * 100_000 + "]" * 100_000 + "}", "is no JSON"),
    ],
)
def test_other_files_are_refused(text, words, tmp_path):
    """With what they are, and what was expected."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LatencyFileError, match=words):
        read(tmp_path / "a.json")


def test_intervals_without_a_cycle_have_no_longest():
    """A cycle that took several intervals leaves empty ones, whose zero says nothing."""
    whole = subject([5_000, 9_000, 7_000])
    empty = replace(whole.stretches[0], cycles=np.array([1000, 0, 1000]))
    assert replace(whole, stretches=(empty,)).maxima().tolist() == [5_000, 7_000]


def test_spreads_add_up():
    """Counts, extremes, mean and percentiles of two together."""
    one, other = Spread.of_bars([(0, 1000, 9)]), Spread.of_bars([(0, 1000, 1), (5000, 6000, 10)])
    both = Spread.sum([one, other, Spread.of_bars([])])
    assert (both.count, both.min, both.max, both.percentile(50), both.percentile(51)) == (20, 0, 5000, 1000, 5000)
    assert both.mean == pytest.approx(3000.0)
    assert set(KINDS) == set(ONE.subjects[0].spreads)
