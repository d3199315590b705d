"""What the demo reads out of recordings, on recordings of its own station's task x, made on a fake clock."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from station.demo import demo, recorded
from station.demo.recorded import Ticks
from tests.scheduler.recorded import Live, Recorded
from tests.station.replay.recordings import record, write

TEXT = (demo.HERE / "station.toml").read_text(encoding="utf-8")
MODELS = {"policy": (demo.DATA / "policy-v2.onnx").read_bytes()}
BIASED = demo.DATA / "policy-biased.onnx"
NAME = "demo-{:06}-20261129T030000Z-{}.mcap"


def pushed(k: int, live: Live) -> None:
    """The pole leans more and more, and turns most in cycle 120."""
    live.put(0.01, 0.0, 0.0005 * k, math.exp(-((k - 120) ** 2) / 50.0), 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def ran() -> Recorded:
    """200 cycles of task x."""
    return record(MODELS, 200, pushed, TEXT, "x")


def shelved(folder: Path, ran: Recorded, why: str = "when") -> Path:
    """As the station's recorder names it."""
    (folder / recorded.FOLDER).mkdir(exist_ok=True)
    number = len(recorded.shelf(folder).kept()) + 1
    return write(folder / recorded.FOLDER / NAME.format(number, why), ran, MODELS, text=TEXT)


def ticks(ran: Recorded) -> Ticks:
    """A trial that ended in cycle 50, and a push in cycle 100."""
    return Ticks(*(int(ran.records["tick_ns"][at]) for at in (50, 100)))


def test_all_claims(tmp_path: Path, ran: Recorded) -> None:
    """Run again to the bit, tried with another network, explained at the strongest answer; each command names a file that is there."""
    path = shelved(tmp_path, ran)
    found = recorded.look_into(tmp_path, ticks(ran), BIASED, 0.5)
    assert [check.ok for check in found.claims] == [True] * 3, found.claims
    same, other, why = (check.evidence for check in found.claims)
    assert same.startswith("200 cycles of x in ")
    assert other.endswith("of 200 cycles")
    assert "x.angular_velocity = " in why
    assert why.startswith("20 ms after it x.force_command was ")
    assert sum(str(path) in line for line in found.words) == 3


def test_the_same_network_is_no_news(tmp_path: Path, ran: Recorded) -> None:
    """Nothing lies beyond the tolerance then."""
    shelved(tmp_path, ran)
    found = recorded.look_into(tmp_path, ticks(ran), demo.DATA / "policy-v2.onnx", 0.5)
    assert [check.ok for check in found.claims] == [True, False, True]


def test_a_record_that_was_changed_is_found(tmp_path: Path, ran: Recorded) -> None:
    """One bit of one output, in one cycle."""
    changed = ran.records.copy()
    changed["published"]["x_force_command"][7] = np.nextafter(changed["published"]["x_force_command"][7], 1.0)
    again = recorded.again(shelved(tmp_path, replace(ran, records=changed)), ticks(ran).trial)
    assert [one.repeated - one.equal for one in again] == [1]


@pytest.mark.parametrize(("which", "word"), [("trial", "the trial"), ("push", "the push")])
def test_a_moment_that_is_not_recorded(tmp_path: Path, ran: Recorded, which: str, word: str) -> None:
    """Is a claim that fails, and nothing else is told."""
    shelved(tmp_path, ran)
    found = recorded.look_into(tmp_path, replace(ticks(ran), **{which: 1}), BIASED, 0.5)
    assert [check.ok for check in found.claims] == [False]
    assert word in found.claims[0].claim


def test_a_model_that_does_not_fit_and_a_file_that_is_none(tmp_path: Path, ran: Recorded) -> None:
    """Are told in words."""
    path = shelved(tmp_path, ran)
    assert "observation" in str(recorded.otherwise(path, demo.WRONG, 0.5))
    broken = path.with_name(NAME.format(7, "when"))
    broken.write_bytes(b"no recording")
    assert recorded.at_tick(tmp_path, ticks(ran).push) == path
    assert recorded.again(broken, 1)[0].why
    assert isinstance(recorded.reasons(broken, 1)[0], str)


def test_what_was_saved(tmp_path: Path, ran: Recorded) -> None:
    """Numbers of the first and the last cycle, and how many are missing between them."""
    assert recorded.saved(None) == {}
    whole = recorded.saved(shelved(tmp_path, ran, "salvaged"))["x"]
    assert (whole.last - whole.first, whole.lost, whole.last_ns) == (199, 0, ran.records["tick_ns"][-1])
    holed = replace(ran, records=np.delete(ran.records, [5, 6]))
    assert recorded.saved(shelved(tmp_path, holed, "salvaged"))["x"].lost == 2


def test_where_it_was_saved_is_the_stations_word(tmp_path: Path) -> None:
    """A file that is there before the station says so may not be whole yet."""
    assert recorded.saved_in(tmp_path, "recorder: cannot be saved yet") is None
    words = "warn recorder: process 7 had ended without writing it: 9 cycles of task x; saved in a.mcap\nrunning"
    assert recorded.saved_in(tmp_path, words) == tmp_path / recorded.FOLDER / "a.mcap"
