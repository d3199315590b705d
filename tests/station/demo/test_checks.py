"""The demo's claims: each comes true on good facts, and each fails on facts in which the thing did not happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from station.demo import checks
from station.demo.facts import Answer, AxisInterval, Interval, Look, Mute, PlantView
from station.errors import ExitCode
from station.show.snapshot import Snapshot, TaskView
from tests.station.examples_of import TIMING, link

MS = 1_000_000
CYCLES_NS = {"x": 1 * MS, "y": 2 * MS, "detector": 20 * MS}
MUTE = Mute(from_ns=5_000 * MS, seconds=1.0)
TIMEOUT_S = 0.1


def task(name: str, at_ns: int, missed: int = 0, bad: int = 0, **changes: Any) -> TaskView:
    """A task that began at time 0, looked at `at_ns`."""
    cycle_ns = CYCLES_NS[name]
    ticks = at_ns // cycle_ns
    view = TaskView(
        name=name,
        model="policy",
        model_version=1,
        cycle_ns=cycle_ns,
        cycles=ticks - missed,
        overruns=missed,
        wake_up=TIMING,
        execution=TIMING,
        counters={"missed": missed, "bad_inputs": bad, "safe": bad},
        note="outputs safe, inputs bad" if bad else "",
        first_due_ns=0,
        due_ns=ticks * cycle_ns,
        switched_ns=0,
    )
    return replace(view, **changes)


def look(at_ms: int, tasks: Mapping[str, TaskView] | None = None, **plant: Any) -> Look:
    """Station and plant at one moment; all is well unless `tasks` or the plant's values say otherwise."""
    views = {name: task(name, at_ms * MS) for name in CYCLES_NS} | dict(tasks or {})
    machine = link("machine", "modbus-tcp", "up", reads=1, writes=1)
    snapshot = Snapshot("demo", 1, at_ms / 1000, tuple(views.values()), (machine,), {}, ())
    view = PlantView(
        time_s=at_ms / 1000,
        slipped_s=0.0,
        anomaly_score=0.5,
        holds={"x": "none", "y": "none"},
        commands={"x": 1.0, "y": 1.0},
        errors_m={"x": 0.0, "y": 0.0},
    )
    return Look(at_ms * MS, at_ms * MS, snapshot, replace(view, **plant))


def interval(rms_m: float | None = 0.02, holds: Mapping[str, int] | None = None, running_s: float = 4.0) -> Interval:
    """Four seconds of the plant; x as told, y always well."""
    x = AxisInterval(running_s, rms_m, 0.04, holds or {})
    return Interval("some", 10.0, 14.0, {"x": x, "y": AxisInterval(4.0, 0.02, 0.04, {})})


def missing(at_ms: int, count: int) -> Look:
    """A look at which x has missed so many ticks so far."""
    return look(at_ms, {"x": task("x", at_ms * MS, missed=count)})


def switched(**changes: dict[str, Any]) -> Look:
    """A look at 8 s, after both policy tasks took version 2 at 7 s; `changes` by task."""
    good = {"model_version": 2, "switched_ns": 7_000 * MS}
    return look(8_000, {name: task(name, 8_000 * MS, **(good | changes.get(name, {}))) for name in ("x", "y")})


def cut(at_ms: int, since_ms: int, **changes: Any) -> Look:
    """A look in the cut or after it: x and y have had bad inputs since a moment."""
    bad = {n: (at_ms - since_ms) * MS // CYCLES_NS[n] for n in ("x", "y")}
    return look(at_ms, {n: task(n, at_ms * MS, bad=bad[n], **changes) for n in ("x", "y")})


# --- held, better, again ----------------------------------------------------------------------------------------------


def test_held() -> None:
    """Held is an axis whose brake never engaged and that ran all the time."""
    assert checks.both_axes_held(interval()).ok


@pytest.mark.parametrize(
    "bad",
    [
        interval(holds={"tilt": 1}),
        interval(holds={"communication": 1}),
        interval(running_s=3.0),
        replace(interval(running_s=0.0), end_s=10.0),
    ],
    ids=["fell", "cut off", "held for a second", "no time passed"],
)
def test_not_held(bad: Interval) -> None:
    """A brake that engaged, even once, and an axis that did not run, are not held; the evidence names the axis."""
    check = checks.both_axes_held(bad)
    assert not check.ok
    assert "x ran" in check.evidence


@pytest.mark.parametrize(
    ("x_m", "y_m", "ok"),
    [
        (0.010, 0.010, True),
        (0.020, 0.010, False),
        (0.010, 0.020, False),
        (0.018, 0.018, False),
        (0.030, 0.010, False),
        (None, 0.010, False),
    ],
    ids=["both", "not x", "not y", "hardly", "x worse", "x never ran"],
)
def test_tracks_better(x_m: float | None, y_m: float, ok: bool) -> None:
    """Better is a clearly smaller error (from 20 mm) on every axis; the same, a larger one, or none at all is not."""
    after = interval(x_m)
    after = replace(after, axes={**after.axes, "y": replace(after.axes["y"], tracking_rms_m=y_m)})
    assert checks.tracks_better(interval(0.020), after).ok is ok


@pytest.mark.parametrize(
    ("after", "ok"),
    [
        (interval(0.021), True),
        (interval(0.05), False),
        (interval(0.02, {"communication": 1}), False),
        (interval(None, running_s=0.0), False),
    ],
    ids=["as before", "far off", "braked again", "never ran"],
)
def test_tracks_again(after: Interval, ok: bool) -> None:
    """After the recovery every axis runs without its brake, with about the error of before."""
    assert checks.tracks_again(interval(), after).ok is ok


# --- hot update -------------------------------------------------------------------------------------------------------


def test_taken_at_one_tick() -> None:
    """Both tasks tell a newer version, taken at the same moment; the evidence numbers their ticks."""
    check = checks.taken_at_one_tick(look(6_000), switched())
    assert check.ok
    assert "x's tick 7,000 and y's tick 3,500" in check.evidence
    same = {"model_version": 1}
    assert checks.taken_at_one_tick(look(6_000), switched(x=same, y=same)).ok


@pytest.mark.parametrize(
    "after",
    [
        look(8_000),
        switched(y={"switched_ns": 7_002 * MS}),
        switched(y={"model_version": 1, "switched_ns": 0}),
        switched(y={"model_version": 3}),
    ],
    ids=["nobody", "one tick later", "one did not", "another version"],
)
def test_not_taken_at_one_tick(after: Look) -> None:
    """No new version, one task later than the other, or another version, is not it."""
    assert not checks.taken_at_one_tick(look(6_000), after).ok


@pytest.mark.parametrize(
    ("calm", "missed", "ok"),
    [
        ([0, 0, 0, 0], 0, True),
        ([0, 0, 0, 0], 1, False),
        ([0, 2, 2, 2], 2, True),
        ([0, 2, 2, 2], 3, False),
        ([0, 2, 4, 6], 4, True),
        ([0, 2, 4, 6], 5, False),
    ],
)
def test_no_tick_missed(calm: list[int], missed: int, ok: bool) -> None:
    """Of equally long windows (two steps of the looks), that of the switch may miss no more ticks than one without."""
    looks = [missing(1_000 + 100 * place, count) for place, count in enumerate(calm)]
    around = [missing(6_000, 0), missing(6_100, 1), missing(6_300, 1 + missed), missing(6_400, 90)]
    assert checks.no_tick_missed(looks, around, 6_200 * MS).ok is ok


def test_missed_ticks_are_not_called_none() -> None:
    """Some missed, but not more than usual: the claim says just that; none missed: it says so."""
    calm = [missing(1_000, 0), missing(1_100, 3), missing(1_200, 3), missing(1_300, 3), missing(1_400, 3)]
    around = [missing(6_000, 0), missing(6_100, 1), missing(6_300, 3), missing(6_400, 3)]
    check = checks.no_tick_missed(calm, around, 6_200 * MS)
    assert check.claim == "no more ticks were missed around the update (2) than without one (up to 3)"
    still = [missing(6_000, 0), missing(6_100, 1), missing(6_300, 1)]
    assert checks.no_tick_missed(calm, still, 6_200 * MS).evidence.startswith("not one tick was missed")


def test_no_look_around_the_switch() -> None:
    """Without a look well before and well after the switch nothing is proven."""
    looks = [missing(6_000, 0), missing(6_200, 0), missing(6_400, 0)]
    assert checks.no_tick_missed([], looks, 6_200 * MS).ok
    assert not checks.no_tick_missed([], looks[1:], 6_200 * MS).ok
    assert not checks.no_tick_missed([], looks[:-1], 6_200 * MS).ok


def test_most_missed_keeps_to_the_window() -> None:
    """Only looks that are at most the window apart are compared; without looks it is 0."""
    looks = [missing(1_000, 0), missing(2_000, 1), missing(3_000, 5)]
    assert checks.most_missed(looks, 1_000 * MS) == 4
    assert checks.most_missed(looks, 2_000 * MS) == 5
    assert checks.most_missed(looks, 500 * MS) == 0
    assert checks.most_missed([], 500 * MS) == 0


REASON = "the new model's inputs are (observation: float32[1, 5]), the running one's are (observation: float32[1, 7])"


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Answer(ExitCode.REFUSED, f"bad.onnx is refused, the running model goes on: {REASON}"), True),
        (Answer(ExitCode.OK, "bad.onnx is live as version 3"), False),
        (Answer(ExitCode.REFUSED, "bad.onnx is refused, the running model goes on: no such file"), False),
        (Answer(ExitCode.NOT_RUNNING, "no station answers"), False),
        (Answer(ExitCode.OK, REASON), False),
    ],
    ids=["refused", "taken", "another reason", "no station", "said so, and took it"],
)
def test_refused(answer: Answer, ok: bool) -> None:
    """Refused is the exit code of a refusal, with both shapes named."""
    assert checks.refused_with_reason(answer).ok is ok


def test_unharmed() -> None:
    """The tasks go on with the version and the tick of before."""
    assert checks.unharmed(look(8_000), look(9_000), interval()).ok


@pytest.mark.parametrize(
    ("after", "meanwhile"),
    [
        (look(9_000, {"x": task("x", 9_000 * MS, model_version=2)}), interval()),
        (look(9_000, {"x": task("x", 9_000 * MS, switched_ns=8_500 * MS)}), interval()),
        (look(9_000, {"x": task("x", 8_000 * MS)}), interval()),
        (look(9_000, {"x": task("x", 9_000 * MS, bad=1)}), interval()),
        (look(9_000), interval(holds={"tilt": 1})),
    ],
    ids=["other version", "other tick", "stands still", "outputs safe", "fell"],
)
def test_harmed(after: Look, meanwhile: Interval) -> None:
    """A version that changed, a task that stands or puts out safe values, an axis that fell: harm."""
    assert not checks.unharmed(look(8_000), after, meanwhile).ok


# --- detector ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "held", "ok"),
    [
        ([0.5, 1.2], [1.0, 4.0, 1.0], interval(), True),
        ([0.5, 1.2], [1.0, 1.9], interval(), False),
        ([0.5, 2.5], [4.0], interval(), False),
        ([0.5], [4.0], interval(holds={"tilt": 1}), False),
        ([float("nan")], [4.0], interval(), False),
        ([0.5], [], interval(), False),
    ],
    ids=["seen", "not seen", "alarm before", "axis fell", "no score", "nobody looked"],
)
def test_push_seen(before: list[float], after: list[float], held: Interval, ok: bool) -> None:
    """Seen is a score below the alarm before and at it after, with both axes up."""
    looks = [[look(1_000 + place, anomaly_score=s) for place, s in enumerate(scores)] for scores in (before, after)]
    assert checks.push_seen(looks[0], looks[1], held).ok is ok


# --- cable ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since_ms", "ok"), [(5_005, True), (5_095, True), (5_119, True), (5_130, False), (5_500, False)]
)
def test_told_in_time(since_ms: int, ok: bool) -> None:
    """The tasks' inputs are bad from about the link's timeout after the cut on; later is too late."""
    during = [look(5_003), cut(5_600, since_ms), cut(5_900, since_ms)]
    assert checks.told_in_time(MUTE, look(4_999), during, TIMEOUT_S).ok is ok


def test_never_told() -> None:
    """Inputs that never were bad, or were so before the cut only, fail."""
    assert not checks.told_in_time(MUTE, look(4_999), [look(5_100), look(5_900)], TIMEOUT_S).ok
    earlier = {n: task(n, 4_999 * MS, bad=50) for n in ("x", "y")}
    later = {n: task(n, 5_900 * MS, bad=50) for n in ("x", "y")}
    assert not checks.told_in_time(MUTE, look(4_999, earlier), [look(5_900, later)], TIMEOUT_S).ok


def test_missed_ticks_do_not_spoil_the_time() -> None:
    """A look after missed ticks dates the first bad cycle too late; an earlier look knows better."""
    late = cut(5_900, 5_200)  # 110 ms of ticks were missed: counts too few bad cycles
    assert checks.told_in_time(MUTE, look(4_999), [cut(5_100, 5_090), late], TIMEOUT_S).ok
    assert not checks.told_in_time(MUTE, look(4_999), [late], TIMEOUT_S).ok


def test_safe_values_out() -> None:
    """As many safe outputs as bad inputs, for about as long as the cut lasted beyond the timeout."""
    assert checks.safe_values_out(MUTE, look(4_999), cut(6_100, 5_090), TIMEOUT_S).ok


@pytest.mark.parametrize(
    "after",
    [look(6_100), cut(6_100, 5_900), cut(6_100, 5_090, counters={"missed": 0, "bad_inputs": 1000, "safe": 999})],
    ids=["never", "too short", "a bad cycle without"],
)
def test_not_safe(after: Look) -> None:
    """No safe values, safe values for a fifth of the cut, or a single bad cycle without them: fails."""
    assert not checks.safe_values_out(MUTE, look(4_999), after, TIMEOUT_S).ok


@pytest.mark.parametrize(
    ("holds", "ok"),
    [({"communication": 1}, True), ({}, False), ({"communication": 2}, False), ({"tilt": 1}, False),
     ({"communication": 1, "tilt": 1}, False)],
)  # fmt: skip
def test_braked_once(holds: dict[str, int], ok: bool) -> None:
    """Each axis is braked once, for want of communication, and for nothing else."""
    both = replace(interval(), axes=dict.fromkeys(("x", "y"), AxisInterval(3.0, 0.02, 0.04, holds)))
    assert checks.braked_once(both).ok is ok
    one = replace(both, axes={**both.axes, "y": AxisInterval(4.0, 0.02, 0.04, {})})
    assert not checks.braked_once(one).ok


@pytest.mark.parametrize(
    ("x", "ok"),
    [
        (task("x", 6_000 * MS), True),
        (task("x", 6_000 * MS, missed=100), True),
        (task("x", 6_000 * MS, missed=500), False),
        (task("x", 5_000 * MS), False),
        (task("x", 5_900 * MS), False),
        (task("x", 6_500 * MS), False),
    ],
    ids=["all served", "a tenth missed", "half missed", "stood still", "stood for 100 ms", "more ticks than time"],
)
def test_kept_ticking(x: TaskView, ok: bool) -> None:
    """Between two looks a second apart a task has a second's ticks, and has served most of them."""
    assert checks.kept_ticking(look(5_000), look(6_000, {"x": x})).ok is ok


def test_recovered() -> None:
    """Recovered is all well again soon after the cable was back; late, never, or with a brake on is not."""
    assert checks.recovered(MUTE, look(6_200)).ok
    assert not checks.recovered(MUTE, look(9_100)).ok
    assert not checks.recovered(MUTE, None).ok
    assert not checks.recovered(MUTE, look(6_200, holds={"x": "none", "y": "communication"})).ok


def test_whole() -> None:
    """Whole is: links up, brakes released, outputs live."""
    good = look(1_000)
    assert checks.is_whole(good)
    down = tuple(link.model_copy(update={"state": "down"}) for link in good.station.links)
    assert not checks.is_whole(replace(good, station=replace(good.station, links=down)))
    assert not checks.is_whole(look(1_000, holds={"x": "tilt", "y": "none"}))
    assert not checks.is_whole(cut(6_000, 5_090))


# --- busy, and the end ------------------------------------------------------------------------------------------------


def test_disturbance() -> None:
    """Missed ticks, a plant whose clock slipped, a silent Modbus: each is named; a quiet computer is no excuse."""
    assert checks.disturbance(look(1_000), look(2_000)) == ""
    assert "3 ticks missed" in checks.disturbance(look(1_000), missing(2_000, 3))
    assert "plant's process" in checks.disturbance(look(1_000), look(2_000, slipped_s=0.1))
    assert "Modbus fell silent" in checks.disturbance(look(1_000), look(2_000), silence=True)


@pytest.mark.parametrize(
    ("code", "commands", "ok"),
    [
        (0, (0.0, 0.0), True),
        (1, (0.0, 0.0), False),
        (0, (0.0, 2.5), False),
        (0, (0.0, float("nan")), False),
        (0, (), False),
    ],
)
def test_ended_safe(code: int, commands: tuple[float, ...], ok: bool) -> None:
    """The end is an exit code of 0 and 0 N as the last command of every axis."""
    assert checks.ended_safe(Answer(code, ""), commands).ok is ok
