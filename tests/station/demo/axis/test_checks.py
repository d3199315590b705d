"""Claims of the demo on EtherCAT, on made-up looks: each comes true, and each can fail."""

import math
from dataclasses import replace

import pytest

from station.demo.axis import checks
from station.demo.axis.facts import AXIS_TAGS, OTHER_TAGS, AxisLook, errors_rad, rms
from station.demo.facts import Answer
from station.show.snapshot import NO_LATENCY, LinkView, Snapshot, TaskView
from station.show.tags import TagView

MS = 1_000_000


def tag(name, value=0.0, quality="GOOD"):
    return TagView(name, "bus", "in", "int16", "", "rad", (value,), "", quality, 0)


def task(name, **more):
    counters = {"missed": 0, "safe": 0, "held": 0}
    made = TaskView(name, "hold", 1, MS, 100, 0, NO_LATENCY, NO_LATENCY, counters, "", MS, 2 * MS, MS)
    return replace(made, **more)


def look(at_ms, off_rad=0.0, drive="OPERATION_ENABLED", note="", lost=(), frames_lost=0, **of_axis):
    link = LinkView(
        name="bus", device="", state="up", round_trip=NO_LATENCY, reads=1, writes=1, errors=0, reconnects=0,
        safe_writes=0, last_error="", note=note, frames_lost=frames_lost,
    )  # fmt: skip
    tasks = (task("axis", **of_axis), task("setpoint", cycles=100 + at_ms))
    snapshot = Snapshot("demo", 1, 0.0, tasks, (link,), {}, ())
    tags = {name: tag(name, 0.0, "BAD" if name in lost else "GOOD") for name in (*AXIS_TAGS, *OTHER_TAGS)}
    if "x.position" not in lost:
        tags["x.position"] = tag("x.position", -off_rad)
    return AxisLook(at_ms * MS, at_ms * MS, snapshot, tags, -off_rad, drive)


def turn(off_rad=0.1, **more):
    return [look(at, off_rad, **more) for at in range(0, 1000, 50)]


def test_an_axis_is_held_that_is_powered_and_near_its_reference():
    assert checks.held("it", turn()).ok
    assert not checks.held("it", turn(drive="SWITCH_ON_DISABLED")).ok
    assert not checks.held("it", turn(off_rad=1.0)).ok
    assert not checks.held("it", turn(lost=("reference",))).ok


def test_errors_are_compared():
    assert checks.tracks_better(turn(0.3), turn(0.02)).ok
    assert not checks.tracks_better(turn(0.3), turn(0.29)).ok
    assert checks.tracks_again(turn(0.02), turn(0.03)).ok
    assert not checks.tracks_again(turn(0.02), turn(0.3)).ok
    assert not checks.tracks_again(turn(0.02), turn(drive="FAULT")).ok  # nothing to compare
    assert rms(errors_rad(turn(-0.2))) == pytest.approx(0.2) and math.isnan(rms([]))


def test_a_version_is_taken_at_a_tick():
    assert checks.taken_at_a_tick(look(0), look(1, model_version=2, switched_ns=7 * MS)).ok
    assert not checks.taken_at_a_tick(look(0), look(1)).ok


def test_a_lost_drive_is_known_and_the_others_are_live():
    lost = [look(at, lost=AXIS_TAGS) for at in range(0, 1000, 50)]
    assert checks.drive_known_lost(0, 1000 * MS, lost).ok and checks.others_live(look(0), 0, 1000 * MS, lost).ok
    assert not checks.drive_known_lost(0, 1000 * MS, turn()).ok
    assert not checks.drive_known_lost(0, 1000 * MS, lost[:3]).ok  # nobody looked late enough
    gone = [look(at, lost=(*AXIS_TAGS, "reference")) for at in range(0, 1000, 50)]
    assert not checks.others_live(look(0), 0, 1000 * MS, gone).ok
    assert not checks.others_live(look(0), 0, 1000 * MS, [look(0)]).ok  # the other task stood still


def test_outputs_are_safe_meanwhile_and_who_is_lost_is_named():
    safe = look(900, counters={"missed": 0, "safe": 800, "held": 0})
    assert checks.outputs_safe(look(0), [safe]).ok and not checks.outputs_safe(look(0), turn()).ok
    assert checks.named([look(5, note="slave 3 'drive' does not answer any more")]).ok and not checks.named(turn()).ok


def test_it_comes_back_or_not():
    assert checks.back_by_itself(0, look(400)).evidence == "0.4 s after its power"
    assert not checks.back_by_itself(0, None).ok


def test_a_busy_computer_is_seen_by_ticks_by_frames_and_by_the_drive():
    """A few frames are no excuse."""
    calm = look(0, frames_lost=7)
    assert checks.disturbance(calm, look(1, frames_lost=9)) == ""
    assert checks.disturbance(calm, look(1, frames_lost=307)) == "300 frames did not come back in time"
    missed = look(1, counters={"missed": 3, "safe": 0, "held": 0})
    assert checks.disturbance(calm, missed) == "3 ticks missed"
    assert "the drive had heard nothing" in checks.disturbance(calm, look(1, drive="FAULT"))


def test_the_end_is_in_order():
    slaves = [{"al_status": 1}, {"al_status": 4}]
    assert checks.ended(Answer(0, ""), "SWITCH_ON_DISABLED", slaves).ok
    assert not checks.ended(Answer(1, ""), "SWITCH_ON_DISABLED", slaves).ok
    assert not checks.ended(Answer(0, ""), "OPERATION_ENABLED", slaves).ok
    assert not checks.ended(Answer(0, ""), "SWITCH_ON_DISABLED", [{"al_status": 8}]).ok
