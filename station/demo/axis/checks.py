"""What `rt-engine demo --ethercat` claims, each claim a pure function of recorded facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from station.demo.axis.facts import AXIS_TAGS, ENABLED, FAULT, OTHER_TAGS, AxisLook, errors_rad, rms
from station.demo.checks import CLEARLY_BETTER, Check
from station.demo.facts import Answer
from station.errors import ExitCode

HELD_SHARE: Final = 0.9
"""Of the looks at an axis that is called held."""
SOFT_RMS_RAD: Final = 0.6
"""Farther off than that no network holds anything: the reference itself has 0.57 rad (RMS)."""
AS_GOOD_AGAIN: Final = 2.0
KNOWN_S: Final = 0.3
"""So long after the power went the tags of the drive have to be BAD: the link's timeout, and time to look."""
SILENT_FRAMES: Final = 20
"""So many that did not come back in time are the link's timeout: simulated slaves that did not get the processor."""
INIT, SAFE_OP, STATE_BITS = 1, 4, 0x0F


def held(name: str, looks: Sequence[AxisLook]) -> Check:
    """The drive's own word: its power stage was on in nearly all looks, and it was where it should be."""
    share = sum(look.holds for look in looks) / len(looks)
    off = rms(errors_rad(looks))
    words = (
        f"{share:.0%} of {len(looks)} looks: enabled, all values good; {off * 1000:.0f} mrad (RMS) off its reference"
    )
    return Check(f"{name} holds the axis", share >= HELD_SHARE and off < SOFT_RMS_RAD, words)


def tracks_better(before: Sequence[AxisLook], after: Sequence[AxisLook]) -> Check:
    """The error is clearly smaller."""
    return _ratio("the better network follows the reference better", before, after, CLEARLY_BETTER)


def tracks_again(before: Sequence[AxisLook], after: Sequence[AxisLook]) -> Check:
    """The error is about what it was."""
    return _ratio("the axis follows its reference again", before, after, AS_GOOD_AGAIN)


def _ratio(claim: str, before: Sequence[AxisLook], after: Sequence[AxisLook], most: float) -> Check:
    was, now = rms(errors_rad(before)), rms(errors_rad(after))
    return Check(claim, now <= most * was, f"{was * 1000:.0f} -> {now * 1000:.0f} mrad (RMS)")


def taken_at_a_tick(before: AxisLook, after: AxisLook) -> Check:
    """The task's own word: it took another version, at a tick that it served."""
    was, now = before.task("axis"), after.task("axis")
    ok = was.model_version != now.model_version and was.switched_ns < now.switched_ns
    tick = (now.switched_ns - now.first_due_ns) // now.cycle_ns
    return Check(
        "the task took it at one tick", ok, f"version {was.model_version} -> {now.model_version}, tick {tick:,}"
    )


def drive_known_lost(off_ns: int, on_ns: int, looks: Sequence[AxisLook]) -> Check:
    """While the drive had no power, its tags were BAD, soon after it went."""
    later = [look for look in looks if off_ns + KNOWN_S * 1e9 <= look.asked_ns and look.answered_ns <= on_ns]
    bad = sum(look.worst(AXIS_TAGS) == "BAD" for look in later)
    ok = bool(later) and bad == len(later)
    return Check("its values were bad while it was gone", ok, f"in {bad} of {len(later)} looks from {KNOWN_S:g} s on")


def others_live(before: AxisLook, off_ns: int, on_ns: int, looks: Sequence[AxisLook]) -> Check:
    """The terminals in front of it went on, and so did the task that has nothing to do with the drive."""
    during = [look for look in looks if off_ns <= look.asked_ns and look.answered_ns <= on_ns]
    bad = sum(look.worst(OTHER_TAGS) == "BAD" for look in during)
    cycles = during[-1].task("setpoint").cycles - before.task("setpoint").cycles if during else 0
    words = f"the terminals' values were bad in {bad} of {len(during)} looks; setpoint ran {cycles:,} cycles"
    return Check("the other slaves were live", bool(during) and not bad and cycles > 0, words)


def outputs_safe(before: AxisLook, looks: Sequence[AxisLook]) -> Check:
    """The task that depends on the drive knew it, cycle by cycle."""
    count = looks[-1].task("axis").unlive - before.task("axis").unlive
    return Check("the outputs of its task were safe meanwhile", count > 0, f"{count:,} cycles")


def named(looks: Sequence[AxisLook]) -> Check:
    """The link says who is missing."""
    notes = [look.link.note for look in looks if "drive" in look.link.note]
    return Check("the link named it", bool(notes), notes[0] if notes else looks[-1].link.note or "it says nothing")


def back_by_itself(on_ns: int, back: AxisLook | None) -> Check:
    """From power to a powered axis without anybody's help."""
    claim = "it came back by itself: found, checked, set up, in OP, enabled"
    if back is None:
        return Check(claim, False, "it did not")
    return Check(claim, True, f"{(back.answered_ns - on_ns) / 1e9:.1f} s after its power")


def disturbance(before: AxisLook, after: AxisLook) -> str:
    """Signs that the computer did not run station and slaves on time, in words."""
    missed = after.missed_since(before)
    lost = (after.link.count("frames_lost") or 0) - (before.link.count("frames_lost") or 0)
    signs = {
        f"{missed} ticks missed": missed > 0,
        f"{lost} frames did not come back in time": lost >= SILENT_FRAMES,
        "the drive had heard nothing for so long that it has a fault": after.drive == FAULT,
    }
    return ", ".join(words for words, found in signs.items() if found)


def ended(answer: Answer, drive: str, slaves: Sequence[Mapping[str, Any]]) -> Check:
    """The station ended in order; the drive is without power on its axis, and no slave is in OP."""
    states = [int(slave["al_status"]) & STATE_BITS for slave in slaves]
    ok = answer.code == ExitCode.OK and drive != ENABLED and max(states, default=0) <= SAFE_OP
    words = f"exit code {answer.code}; the drive: {drive.lower().replace('_', ' ')}; AL states {states}"
    return Check("the station ended, the axis stands, the slaves left OP", ok, words)
