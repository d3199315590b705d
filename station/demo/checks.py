"""What the demo claims, each claim a pure function of recorded facts: did it happen, and the numbers that say so.

The limits allow for a busy machine: they are far from what a good run gives, and still farther from what a run gives in
which the thing did not happen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from station.demo.facts import Answer, Interval, Look, Mute, StationLook
from station.errors import ExitCode
from station.show.snapshot import TaskView

POLICY_TASKS: Final = ("x", "y")
RUNNING_SHARE: Final = 0.95
"""Of an interval in which an axis is called held, the share that its brake must be released."""
CLEARLY_BETTER: Final = 0.8
AS_GOOD_AGAIN: Final = 1.5
ALARM_SCORE: Final = 2.0
RECOVERY_S: Final = 3.0
TOLD_LATE_S: Final = 0.02
"""The link's timeout runs from the last good exchange, which we do not see: one of its cycles, and a tick, and air."""
MORE_MISSED: Final = "no more ticks were missed around the update ({}) than without one (up to {})"
AROUND_S: Final = 0.1
AROUND_NS: Final = round(AROUND_S * 1e9)
TICK_AIR_NS: Final = 20_000_000
"""A tick may be under way while we look."""
SERVED_SHARE: Final = 0.8
"""Without real-time rights and on a full machine a task may miss ticks; a task that stood still has missed all."""


@dataclass(frozen=True, slots=True)
class Check:
    """A claim, whether it came true, and the numbers behind."""

    claim: str
    ok: bool
    evidence: str


# --- holding and tracking ---------------------------------------------------------------------------------------------


def both_axes_held(interval: Interval) -> Check:
    """The plant's word: no brake engaged in the interval, and both axes ran nearly all of it."""
    ok = all(
        not axis.holds and axis.running_s >= RUNNING_SHARE * interval.seconds > 0 for axis in interval.axes.values()
    )
    axes = "; ".join(
        f"{name} ran {axis.running_s:.1f} s, brake {_engagements(axis.holds)}, "
        f"leaned {math.degrees(axis.max_angle_rad):.1f} degrees at most"
        for name, axis in interval.axes.items()
    )
    return Check("both axes are held", ok, f"in {interval.seconds:.1f} s {axes}")


def tracks_better(before: Interval, after: Interval) -> Check:
    """The tracking error (RMS) of every axis is clearly smaller in the second interval."""
    return Check(
        "the new policy follows the reference better", _ratio_at_most(before, after, CLEARLY_BETTER),
        _errors(before, after),
    )  # fmt: skip


def tracks_again(before: Interval, after: Interval) -> Check:
    """After the recovery every axis runs, and its tracking error is about what it was before the fault."""
    ok = both_axes_held(after).ok and _ratio_at_most(before, after, AS_GOOD_AGAIN)
    return Check("both axes follow their references again", ok, _errors(before, after))


def _ratio_at_most(before: Interval, after: Interval, limit: float) -> bool:
    for name, axis in before.axes.items():
        rms_before, rms_after = axis.tracking_rms_m, after.axes[name].tracking_rms_m
        if rms_before is None or rms_after is None or not rms_after <= limit * rms_before:
            return False
    return True


def _errors(before: Interval, after: Interval) -> str:
    def text(rms_m: float | None) -> str:
        return "-" if rms_m is None else f"{rms_m * 1000:.1f}"

    return "tracking error (RMS) " + ", ".join(
        f"{name} {text(axis.tracking_rms_m)} -> {text(after.axes[name].tracking_rms_m)} mm"
        for name, axis in before.axes.items()
    )


# --- hot update -------------------------------------------------------------------------------------------------------


def taken_at_one_tick(before: Look, after: Look) -> Check:
    """Each policy task's own word: it took a version, at a tick that it served, and these are the same moment.

    The same file once more, when this is played again, is the same version.
    """
    pairs = [(before.task(name), after.task(name)) for name in POLICY_TASKS]
    newer = all(b.model_version <= a.model_version and b.switched_ns < a.switched_ns for b, a in pairs)
    same = len({a.switched_ns for _, a in pairs}) == len({a.model_version for _, a in pairs}) == 1
    ticks = " and ".join(f"{a.name}'s tick {_tick_number(a):,}" for _, a in pairs)
    apart_us = (max(a.switched_ns for _, a in pairs) - min(a.switched_ns for _, a in pairs)) / 1000
    versions = ", ".join(str(a.model_version) for _, a in pairs)
    evidence = f"versions {versions}, taken at {ticks}, {apart_us:.0f} us apart" if newer else "not taken by every task"
    return Check("both tasks took it at the same tick", newer and same, evidence)


def _tick_number(task: TaskView) -> int:
    return (task.switched_ns - task.first_due_ns) // task.cycle_ns


def no_tick_missed(calm: Sequence[StationLook], looks: Sequence[StationLook], switched_ns: int) -> Check:
    """From `AROUND_S` before the switch to as long after it no more ticks were missed than in some equally long time
    without an update, but with as much other work: 0 on a quiet machine with real-time rights.

    The update's own work, from file to live, takes a few hundredths of a second.
    """
    before = [look for look in looks if look.answered_ns <= switched_ns - AROUND_NS]
    after = [look for look in looks if look.asked_ns >= switched_ns + AROUND_NS]
    claim = "no cycle was missed because of it"
    if not before or not after:
        return Check(claim, False, "nobody looked before and after the switch")
    window_ns = after[0].answered_ns - before[-1].asked_ns
    missed, usual = after[0].missed - before[-1].missed, most_missed(calm, window_ns)
    ms = window_ns // 1_000_000
    if not missed:
        return Check(claim, True, f"not one tick was missed in the {ms} ms around the switch")
    evidence = f"{missed} ticks missed in the {ms} ms around the switch; in {ms} ms without one, up to {usual}"
    return Check(MORE_MISSED.format(missed, usual) if missed <= usual else claim, missed <= usual, evidence)


def most_missed(calm: Sequence[StationLook], window_ns: int) -> int:
    """The most ticks missed between any two of the looks that are at most `window_ns` apart."""
    return max(
        (
            late.missed - early.missed
            for place, early in enumerate(calm)
            for late in calm[place:]
            if late.answered_ns - early.asked_ns <= window_ns
        ),
        default=0,
    )


def refused_with_reason(answer: Answer) -> Check:
    """The command line said no, and why: the model's input is not the running one's."""
    named = all(words in answer.text for words in ("observation: float32[1, 5]", "observation: float32[1, 7]"))
    said = answer.text.split("goes on: ")[-1] if answer.code else answer.text
    return Check("the wrong model was refused, with the reason", answer.code == ExitCode.REFUSED and named, said)


def unharmed(before: Look, after: Look, interval: Interval) -> Check:
    """The refusal changed nothing: same version since the same tick, outputs live, cycles going on, both axes held."""
    pairs = [(before.task(name), after.task(name)) for name in POLICY_TASKS]
    ok = all(
        (b.model_version, b.switched_ns) == (a.model_version, a.switched_ns) and a.cycles > b.cycles and not a.note
        for b, a in pairs
    )
    words = "; ".join(
        f"{a.name} ran {a.cycles - b.cycles:,} cycles meanwhile with version {a.model_version}" for b, a in pairs
    )
    return Check("the running model was unharmed", ok and both_axes_held(interval).ok, words)


# --- the detector -----------------------------------------------------------------------------------------------------


def push_seen(before: Sequence[Look], after: Sequence[Look], interval: Interval) -> Check:
    """The score on the plant's panel was below the alarm before the push and above it after; no axis fell."""
    quiet = max((look.plant.anomaly_score for look in before), default=math.nan)
    peak = max((look.plant.anomaly_score for look in after), default=math.nan)
    held = both_axes_held(interval)
    stayed = "both axes stayed up" if held.ok else f"not held: {held.evidence}"
    evidence = f"score {quiet:.1f} before, {peak:.1f} after; the alarm is at {ALARM_SCORE:g}; {stayed}"
    return Check("the anomaly detector saw the push", quiet < ALARM_SCORE <= peak and held.ok, evidence)


# --- the cable --------------------------------------------------------------------------------------------------------


def told_in_time(mute: Mute, before: Look, during: Sequence[Look], timeout_s: float) -> Check:
    """Every policy task had bad inputs within the link's timeout after the cable was pulled, counted in its ticks."""
    after_s = {name: _bad_after_s(name, mute, before, during) for name in POLICY_TASKS}
    ok = all(seconds <= timeout_s + TOLD_LATE_S for seconds in after_s.values())
    words = ", ".join(f"{name} after {seconds * 1000:.0f} ms" for name, seconds in after_s.items())
    return Check(
        "the tasks knew at once that their inputs were bad",
        ok,
        f"{words}; the link's timeout is {timeout_s * 1000:.0f} ms",
    )


def _bad_after_s(name: str, mute: Mute, before: Look, during: Sequence[Look]) -> float:
    """From the cut to a task's first cycle with bad inputs; infinite when there was none.

    A look at a task in its n-th bad cycle in a row dates the first one n cycles back. Missed ticks make that too late,
    never too early, so the smallest is the truest.
    """
    firsts = [
        task.due_ns - bad * task.cycle_ns
        for task in (look.task(name) for look in during)
        if (bad := task.counters["bad_inputs"] - before.task(name).counters["bad_inputs"]) and task.note
    ]
    return (min(firsts) - mute.from_ns) / 1e9 if firsts else math.inf


def safe_values_out(mute: Mute, before: Look, after: Look, timeout_s: float) -> Check:
    """Each cycle with bad inputs gave the safe value, for as long as the cut lasted beyond the timeout."""
    least_s = SERVED_SHARE * (mute.seconds - timeout_s)
    counts = []
    for name in POLICY_TASKS:
        b, a = before.task(name), after.task(name)
        safe, bad = (a.counters[key] - b.counters[key] for key in ("safe", "bad_inputs"))
        counts.append((name, safe, bad, a.cycle_ns / 1e9))
    ok = all(safe >= bad and bad * cycle_s >= least_s for _, safe, bad, cycle_s in counts)
    words = ", ".join(f"{name} {safe:,} times ({safe * cycle_s:.2f} s)" for name, safe, _, cycle_s in counts)
    return Check("the tasks put out the safe value, 0 N", ok, words)


def braked_once(interval: Interval) -> Check:
    """The plant's word: each axis was braked once, because nobody talked to it, and for no other reason."""
    ok = all(axis.holds == {"communication": 1} for axis in interval.axes.values())
    words = "; ".join(f"{name}: {_engagements(axis.holds)}" for name, axis in interval.axes.items())
    return Check("the plant braked each axis once", ok, words)


def kept_ticking(before: Look, after: Look) -> Check:
    """Every task's ticks are those of the clock between two looks, and nearly all were served by a cycle."""
    words, ok = [], True
    for b in before.station.tasks:
        a = after.task(b.name)
        cycles, missed = a.cycles - b.cycles, a.counters["missed"] - b.counters["missed"]
        least = (after.asked_ns - before.answered_ns - TICK_AIR_NS) / b.cycle_ns - 1
        most = (after.answered_ns - before.asked_ns + TICK_AIR_NS) / b.cycle_ns + 1
        ok &= least <= cycles + missed <= most and cycles >= SERVED_SHARE * (cycles + missed)
        words.append(f"{b.name} {cycles:,} cycles + {missed:,} missed")
    seconds = (after.asked_ns - before.answered_ns) / 1e9
    return Check("the real-time tasks did not stop ticking", ok, f"in {seconds:.2f} s: " + ", ".join(words))


def recovered(mute: Mute, back: Look | None) -> Check:
    """With the cable back, station and plant found together by themselves, within `RECOVERY_S`."""
    if back is None:
        return Check("it recovered by itself", False, f"not within {RECOVERY_S:g} s")
    seconds = max(back.answered_ns - mute.until_ns, 0) / 1e9
    evidence = f"links up, brakes released, outputs live {seconds:.2f} s after the cable was back"
    return Check("it recovered by itself", is_whole(back) and seconds <= RECOVERY_S, evidence)


def is_whole(look: Look) -> bool:
    """Is every link up, every brake released, and every policy task's output its model's own?"""
    links = all(link.state == "up" for link in look.station.links)
    return links and look.plant.runs and not any(look.task(name).note for name in POLICY_TASKS)


# --- a busy computer --------------------------------------------------------------------------------------------------


def disturbance(before: Look, after: Look, silence: bool = False) -> str:
    """Signs that the computer did not run us on time, in words; an act that fails without any has no excuse.

    `silence`: the plant's drives heard nothing for too long, though nobody had pulled the cable.
    """
    signs = {
        f"{after.missed_since(before)} ticks missed": after.missed_since(before) > 0,
        "the plant's process did not get the processor": after.plant.slipped_s > before.plant.slipped_s,
        "Modbus fell silent for longer than the plant accepts": silence,
    }
    return ", ".join(words for words, found in signs.items() if found)


# --- the end ----------------------------------------------------------------------------------------------------------


def ended_safe(answer: Answer, last_commands: Sequence[float]) -> Check:
    """The station ended in order, and the plant's word: the last command of every axis is 0 N."""
    ok = answer.code == ExitCode.OK and bool(last_commands) and all(force == 0.0 for force in last_commands)
    forces = ", ".join(f"{force:g} N" for force in last_commands)
    return Check(
        "the station ended with safe outputs", ok, f"exit code {answer.code}; last commands at the plant {forces}"
    )


def _engagements(holds: Mapping[str, int]) -> str:
    return ", ".join(f"engaged {count} x ({reason})" for reason, count in holds.items()) or "never engaged"
