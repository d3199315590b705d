"""The demo's claims of changes: each comes true on good facts, and fails on facts in which the thing did not happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plc_bindings.data.changes import ChangeView, Difference
from rt_engine.change import ChangeState, Verdict
from station.demo import change_checks, checks
from station.demo.facts import Answer, AxisInterval, Interval, Look
from station.errors import ExitCode
from tests.station.demo.test_checks import look, task

MS = 1_000_000
GATE = "policy.onnx is refused, the running model goes on: the gate refuses policy: "
MEANING = (
    f"{GATE}same meaning: input 'observation', element 2 'angle' is in deg, of the running one in rad; input 'observation', "
    "element 3 'angular_velocity' is in deg/s, of the running one in rad/s; station: task x: tag x.angle is in rad"
)
TIME = f"{GATE}execution time: median 4.1 ms; task x has 0.99 ms for it; task y has 2 ms for it"
BEYOND = Difference("x", "x.force_command", 150, 1.0, 7, 0.5, 140, 0)
BIASED = ChangeView("policy", ChangeState.REJECTED, reason="in shadow", disagreements=140, differences=(BEYOND,))
BRITTLE = ChangeView(
    "policy",
    ChangeState.ROLLED_BACK,
    verdict=Verdict.NOT_FINITE,
    verdict_task="x",
    verdict_ns=7_000 * MS,
)
DONE, REFUSED = Answer(ExitCode.OK, "done"), Answer(ExitCode.REFUSED, f"{GATE}no")


def changed(at_ms: int, change: ChangeView, pid: int = 1, **models: str) -> Look:
    """A look at which the slot's newest change is this one."""
    seen = look(at_ms)
    return replace(seen, station=replace(seen.station, changes=(change,), pid=pid, models=models))


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Answer(ExitCode.REFUSED, MEANING), True),
        (Answer(ExitCode.OK, MEANING), False),
        (Answer(ExitCode.REFUSED, MEANING.replace("in deg,", "otherwise,")), False),
        (Answer(ExitCode.REFUSED, TIME), False),
    ],
    ids=["refused", "taken", "no unit", "for another reason"],
)
def test_units_named(answer: Answer, ok: bool) -> None:
    """Refused is not enough: both units must be there; the evidence is what the contract says, and no more."""
    check = change_checks.units_named(answer)
    assert check.ok is ok
    assert "station:" not in check.evidence


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Answer(ExitCode.REFUSED, TIME), True),
        (Answer(ExitCode.OK, TIME), False),
        (Answer(ExitCode.REFUSED, TIME.replace("task y", "one")), False),
        (Answer(ExitCode.REFUSED, MEANING), False),
    ],
    ids=["refused", "taken", "a task is missing", "for another reason"],
)
def test_time_named(answer: Answer, ok: bool) -> None:
    """Refused with its own time and that of each task."""
    assert change_checks.time_named(answer).ok is ok


@pytest.mark.parametrize(
    ("answer", "change", "ok"),
    [
        (DONE, BIASED, True),
        (REFUSED, BIASED, False),
        (DONE, replace(BIASED, state=ChangeState.SHADOW), False),
        (DONE, replace(BIASED, state=ChangeState.COMMITTED), False),
        (DONE, replace(BIASED, differences=()), False),
        (DONE, replace(BIASED, differences=(replace(BEYOND, beyond=0),)), False),
    ],
    ids=["caught", "refused by the gate", "still in shadow", "committed", "nothing compared", "nothing beyond"],
)
def test_caught_in_shadow(answer: Answer, change: ChangeView, ok: bool) -> None:
    """Rejected, with values beyond the tolerance."""
    assert change_checks.caught_in_shadow(answer, changed(8_000, change), "policy").ok is ok


def test_on_trial() -> None:
    """That file, and no other, and on trial; or it was, and a task ended that."""
    change = replace(BRITTLE, state=ChangeState.TRIAL, file="a.onnx")
    assert change_checks.on_trial(changed(8_000, change), "policy", "a.onnx").ok
    assert not change_checks.on_trial(changed(8_000, change), "policy", "b.onnx").ok
    assert not change_checks.on_trial(changed(8_000, replace(change, state=ChangeState.SHADOW)), "policy", "a.onnx").ok
    assert change_checks.on_trial(changed(8_000, replace(BRITTLE, file="a.onnx")), "policy", "a.onnx").ok
    back = replace(BRITTLE, file="a.onnx", verdict=Verdict.NONE)
    assert not change_checks.on_trial(changed(8_000, back), "policy", "a.onnx").ok
    assert not change_checks.on_trial(look(8_000), "policy", "a.onnx").ok


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"state": ChangeState.TRIAL}, False),
        ({"verdict": Verdict.NONE}, False),
        ({"verdict": Verdict.TOO_SLOW}, False),
        ({"verdict_ns": 5_000 * MS}, False),
    ],
    ids=["found out", "still on trial", "taken back without", "for another reason", "before it was pushed"],
)
def test_found_out(changes: dict[str, Any], ok: bool) -> None:
    """Rolled back because a task saw NaN, after the look before the push; task and tick are named."""
    check = change_checks.found_out(look(6_000), changed(8_000, replace(BRITTLE, **changes)), "policy")
    assert check.ok is ok
    assert not ok or "task x, tick 7,000" in check.evidence


@pytest.mark.parametrize(
    ("x", "ok"),
    [
        (AxisInterval(4.0, 0.02, 0.04, {}, 900, 0), True),
        (AxisInterval(4.0, 0.02, 0.04, {}, 900, 1), False),
        (AxisInterval(4.0, 0.02, 0.04, {"command": 1}, 900, 0), False),
        (AxisInterval(1.0, 0.02, 0.04, {}, 900, 0), False),
        (AxisInterval(4.0, 0.02, 0.04, {}, 0, 0), False),
    ],
    ids=["not noticed", "one NaN came", "it braked", "it stood", "nothing came"],
)
def test_not_noticed(x: AxisInterval, ok: bool) -> None:
    """Commands came, all of them numbers, and the axis ran on without its brake."""
    assert change_checks.not_noticed(Interval("push", 10.0, 14.0, {"x": x})).ok is ok


def test_old_one_again() -> None:
    """The version of before, live, and the tasks go on."""
    before = look(7_000)
    assert change_checks.old_one_again(before, look(8_000)).ok
    for wrong in ({"model_version": 2}, {"note": "outputs held"}, {"cycles": 7_000}):
        assert not change_checks.old_one_again(before, look(8_000, {"x": task("x", 8_000 * MS, **wrong)})).ok


def test_is_barred() -> None:
    """Refused, and for that reason."""
    assert change_checks.is_barred(Answer(ExitCode.REFUSED, f"{GATE}this version is barred: on trial")).ok
    assert not change_checks.is_barred(REFUSED).ok
    assert not change_checks.is_barred(DONE).ok


def test_committed_runs() -> None:
    """In a new process, the committed file; not before it is back."""
    before = changed(7_000, BRITTLE, pid=1, policy="v4.onnx")
    good = changed(8_000, BRITTLE, pid=2, policy="version 2 (v2.onnx, 1234)")
    assert change_checks.committed_runs(before, good, "policy", "v2.onnx").ok
    assert not change_checks.committed_runs(before, good, "policy", "v4.onnx").ok
    same = changed(8_000, BRITTLE, pid=1, policy="version 2 (v2.onnx, 1234)")
    assert not change_checks.committed_runs(before, same, "policy", "v2.onnx").ok
    assert not change_checks.committed_runs(before, None, "policy", "v2.onnx").ok


def test_says_so() -> None:
    """A line that names the file and says rolled back, because the station ended."""
    words = "warn update policy: version 3 (v4.onnx, 12) is rolled back: the station ended while it was on trial\n"
    assert change_checks.says_so(f"starts\n{words}ok", "v4.onnx").ok
    assert not change_checks.says_so("starts\nok", "v4.onnx").ok
    assert not change_checks.says_so(words, "v5.onnx").ok
    assert not change_checks.says_so("v4.onnx is rolled back: on trial 9 values disagreed, 0 may", "v4.onnx").ok


def test_a_station_that_started_anew_counts_from_zero() -> None:
    """What it missed since then is the sign of a busy computer; what the process before had missed is not."""
    missed = look(1_000, {"x": task("x", 1_000 * MS, missed=9)})
    calm, busy = look(500), look(500, {"x": task("x", 500 * MS, missed=1)})
    anew = [replace(one, station=replace(one.station, pid=2)) for one in (calm, busy)]
    assert not checks.disturbance(missed, anew[0])
    assert "1 ticks missed" in checks.disturbance(missed, anew[1])
