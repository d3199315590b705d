"""What the demo claims of changes of a model: refused by its contract or the gate, caught in shadow, taken back on trial, power cut.

Each claim is a pure function of recorded facts, as those of `station.demo.checks`.
"""

from __future__ import annotations

import re
from typing import Final

from rt_engine.change import ChangeState, Verdict
from station.demo.checks import POLICY_TASKS, Check, both_axes_held
from station.demo.facts import Answer, Interval, Look
from station.errors import ExitCode
from station.show.changes import STATES, VERDICTS

MEANING: Final = r"same meaning: (.*?)(?:; station: |$)"
ROLLED_BACK: Final = re.compile(r"^.*\bis rolled back: the station ended while .*$", re.MULTILINE)


def reason(answer: Answer) -> str:
    """Why a version was refused, without what became of the running one."""
    return answer.text.split("goes on: ")[-1] if answer.code else answer.text


def units_named(answer: Answer) -> Check:
    """The gate said no, and names both units of what is in degrees."""
    named = all(words in answer.text for words in ("'angle' is in deg,", "in rad", "'angular_velocity' is in deg/s,"))
    refused = answer.code == ExitCode.REFUSED and named
    said = re.search(MEANING, answer.text)
    return Check(
        "a network that takes degrees was refused, both units named", refused, said[1] if said else reason(answer)
    )


def time_named(answer: Answer) -> Check:
    """The gate said no, with the time that the version takes, and the time that the task has for it."""
    named = "execution time: median" in answer.text and all(f"task {name} has " in answer.text for name in POLICY_TASKS)
    refused = answer.code == ExitCode.REFUSED and named
    return Check("a network that is too slow was refused, with the figures", refused, reason(answer))


# --- shadow -----------------------------------------------------------------------------------------------------------


def caught_in_shadow(answer: Answer, after: Look, slot: str) -> Check:
    """It passed the gate and never was live: rejected for values beyond the tolerance, which are counted."""
    claim = "a network that is subtly bad was caught in shadow"
    change = after.change(slot)
    far = change.largest
    if answer.code != ExitCode.OK or far is None:
        return Check(claim, False, answer.text if answer.code else f"it is {STATES[change.state]}: {change.reason}")
    ok = change.state == ChangeState.REJECTED and change.disagreements > 0 and far.beyond > 0
    return Check(claim, ok, f"{STATES[change.state]}: {change.reason}")


# --- trial ------------------------------------------------------------------------------------------------------------


def on_trial(look: Look, slot: str, file: str) -> Check:
    """A version is live, and the old one its shadow; or was, until a task found it bad."""
    change = look.change(slot)
    was_live = change.state == ChangeState.ROLLED_BACK and change.verdict != Verdict.NONE
    ok = (change.state == ChangeState.TRIAL or was_live) and change.file == file
    return Check(f"{file} passed and went live, on trial", ok, f"{STATES[change.state]}: {change.reason}")


def found_out(before: Look, after: Look, slot: str) -> Check:
    """A task found the version bad, not before `before` was looked at, and the change was rolled back for that."""
    change = after.change(slot)
    is_back = change.state == ChangeState.ROLLED_BACK
    ok = is_back and change.verdict == Verdict.NOT_FINITE and change.verdict_ns > before.asked_ns
    words = f"{STATES[change.state]}: {VERDICTS[change.verdict]}"
    if change.verdict_task:
        task = after.task(change.verdict_task)
        tick = (change.verdict_ns - task.first_due_ns) // task.cycle_ns
        words += f", in task {task.name}, tick {tick:,}; the old one's outputs of that tick were published"
    return Check("the first bad value ended the trial, in its own tick", ok, words)


def not_noticed(interval: Interval) -> Check:
    """The plant's word: of all commands that came none was no number, no brake engaged, both axes ran on."""
    bad = sum(axis.not_finite for axis in interval.axes.values())
    came = sum(axis.commands for axis in interval.axes.values())
    held = both_axes_held(interval)
    ok = bad == 0 < came and held.ok
    return Check("the plant did not notice", ok, f"{bad} of {came:,} commands were no number; {held.evidence}")


def old_one_again(before: Look, after: Look) -> Check:
    """All tasks run the version of before, live."""
    pairs = [(before.task(name), after.task(name)) for name in POLICY_TASKS]
    ok = all(b.model_version == a.model_version and a.cycles > b.cycles and not a.note for b, a in pairs)
    words = ", ".join(f"{a.name} version {a.model_version}" for _, a in pairs)
    return Check("both tasks run the network of before", ok, words)


def is_barred(answer: Answer) -> Check:
    """The same file again is refused at once, because it was rolled back."""
    ok = answer.code == ExitCode.REFUSED and "this version is barred" in answer.text
    return Check("it may not come again", ok, reason(answer))


# --- the power --------------------------------------------------------------------------------------------------------


def committed_runs(before: Look, back: Look | None, slot: str, file: str) -> Check:
    """In a new process the version that was committed last runs, not the one on trial, nor that of the station file."""
    claim = "with the power back the committed network runs"
    if back is None:
        return Check(claim, False, "station and plant did not find together again")
    said = back.station.models[slot]
    pids = before.station.pid, back.station.pid
    ok = file in said and pids[0] != pids[1]
    return Check(claim, ok, f"model {slot}: {said}; station process {pids[1]}, before {pids[0]}")


def says_so(words: str, file: str) -> Check:
    """What the station said when it started again: the version on trial is rolled back."""
    found = [line.strip() for line in ROLLED_BACK.findall(words) if file in line]
    evidence = found[-1] if found else f"it said: {words[-300:]}"
    return Check("and the station says that the trial was rolled back", bool(found), evidence)
