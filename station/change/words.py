"""What is said of a change: to who asked for it, in the events, in the audit log and in the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rt_engine.change import ChangeState
from station.change.machine import Event, Evidence, Policy, Span
from station.change.parts import Candidate, Change, Found, Taken
from station.show.changes import STATES, VERDICTS, difference, duration

NS_PER_MS: Final = 1e6


def length(span: Span) -> str:
    """`10 min`, `1 h`, `5,000 cycles`."""
    if span.cycles:
        return f"{span.cycles:,} cycle" + ("s" if span.cycles != 1 else "")
    return duration(span.ns)


def worst(found: Found, most: int = 3) -> str:
    """The outputs that lay furthest apart, in words; empty where nothing was compared."""
    all_ = [one for differences in found.differences.values() for one in differences if one.compared or one.not_finite]
    ordered = sorted(all_, key=lambda d: (d.not_finite > 0, d.beyond, d.largest), reverse=True)
    return ", ".join(difference(one) for one in ordered[:most])


def counted(evidence: Evidence) -> str:
    """`4,991 cycles, 9 without time for it`."""
    skipped = f", {evidence.skipped:,} without time for it" if evidence.skipped else ""
    return f"{evidence.cycles:,} cycle{'s' if evidence.cycles != 1 else ''}{skipped}"


def why(event: Event, change: Change, found: Found, who: str) -> str:
    """Why an event led a change on, with its figures."""
    evidence, doing = found.evidence, STATES[change.state]
    figures = f": {worst(found)}" if worst(found) else ""
    match event:
        case Event.ENOUGH:
            return f"{doing} for {counted(evidence)}, as long as asked for{figures}"
        case Event.STARVED if evidence.never and change.state == ChangeState.SHADOW:
            return f"{doing} it can never compute: {evidence.never}"
        case Event.STARVED:
            return f"{doing} it computed in {counted(evidence)}: too few to know it; its tasks have no time left for two models"
        case Event.DISAGREED:
            allowed = change.policy.disagreements
            return (
                f"{doing} {evidence.disagreements:,} values disagreed, {allowed:,} may, in {counted(evidence)}{figures}"
            )
        case Event.VERDICT:
            where = f" in task {found.task}" if found.task else ""
            where += f", output {found.output}" if found.output else ""
            return f"{doing}{where}, after {counted(evidence)}: {VERDICTS[found.verdict]}; its outputs of that tick were not published"
        case Event.NO_WORD:
            return f"nobody said commit within {length(change.policy.trial or Span())}{figures}"
        case Event.COMMIT:
            return f"by {who}, {doing} for {counted(evidence)}{figures}"
        case Event.BACK:
            when = "after it was committed" if change.state == ChangeState.COMMITTED else f"while it was {doing}"
            return f"taken back by {who} {when}{figures}"
        case Event.STOP:
            return f"the station stopped while it was {doing}"
        case _:
            return doing


def next_steps(change: Change) -> str:
    """What happens next, and what an operator can say."""
    slots, policy = next(iter(change.candidates)), change.policy
    say = f"`rt-engine commit {slots}`", f"`rt-engine rollback {slots}`"
    if change.state == ChangeState.SHADOW:
        then = f"then on trial for {length(policy.trial)}" if policy.trial is not None else "then it goes live"
        return f"{then}{_without_tolerance(change)}; `rt-engine status` shows it, {say[0]} ends the shadow now, {say[1]} takes it away"
    how = "then it stays" if policy.commit == "auto" else f"and is taken back unless {say[0]} is said by then"
    return f"{how}; `rt-engine status` shows it, {say[0]} ends the trial now, {say[1]} takes it back"


def _without_tolerance(change: Change) -> str:
    """Tolerances are each slot's own: of which slots differences reject nothing."""
    without = [slot for slot, policy in change.policies.items() if not policy.has_tolerance]
    of = f" for {', '.join(without)}" if len(without) < len(change.policies) else ""
    return f"; no tolerance is set{of}: differences are shown and reject nothing" if without else ""


def begun(policy: Policy, state: ChangeState) -> str:
    """`in shadow for 10 min`."""
    span = policy.shadow if state == ChangeState.SHADOW else policy.trial
    return f"{STATES[state]} for {length(span or Span())}"


# --- answers ----------------------------------------------------------------------------------------------------------


def refusal(error: Exception) -> str:
    """What refused a version, in words."""
    return "there is too little memory for it" if isinstance(error, MemoryError) else str(error)


def refused(candidate: Candidate, why: str) -> str:
    """A version that never ran."""
    return f"{candidate.path} is refused, the running model goes on: {why}"


def live(change: Change, candidate: Candidate, taken: Taken, now_ns: int) -> str:
    """A version that is live without a trial."""
    took_ms = (now_ns - change.begun_ns) / NS_PER_MS
    state = f"; its state was {taken.state}" if taken.state else ""
    return (
        f"{candidate.name} is live as version {taken.version}, {taken.tick}, {took_ms:.1f} ms from file to live{state}"
    )


def entered(change: Change, notes: Sequence[str], now_ns: int) -> str:
    """The answer to an update that passed the gate."""
    unkept = _unkept(change)
    noted = "".join(f"; {note}" for note in notes)
    if change.state == ChangeState.COMMITTED:
        lines = (live(change, candidate, change.taken[slot], now_ns) for slot, candidate in change.candidates.items())
        return "; ".join(lines) + noted + unkept
    which, has = names(change), "have" if len(change.candidates) > 1 else "has"
    took_ms = (now_ns - change.begun_ns) / NS_PER_MS
    is_, state = "are" if has == "have" else "is", begun(change.policy, change.state)
    return f"{which} {has} passed the gate and {is_} {state}, {took_ms:.1f} ms from file to there; {next_steps(change)}{noted}{unkept}"


def ended(change: Change) -> str:
    """A change that did not go where it was told to."""
    return f"{names(change)} is {STATES[change.state]}: {change.stand.why}"


def stands(change: Change, versions: Mapping[str, int]) -> str:
    """The answer to a word: where the change is now, and which versions are live."""
    live = ", ".join(f"{slot} v{version}" for slot, version in versions.items())
    if change.state == ChangeState.TRIAL:
        return f"{names(change)} is {begun(change.policy, change.state)}; {next_steps(change)}"
    if change.state == ChangeState.COMMITTED or not change.is_kept:
        unkept = _unkept(change) if change.state == ChangeState.COMMITTED else ""
        return f"{names(change)} is {STATES[change.state]}; live: {live}{unkept}"
    slot, sha256 = next(iter(change.hashes.items()))
    return f"{names(change)} is {STATES[change.state]}; live: {live}; `rt-engine allow {slot} {sha256[:12]}` lets it come again"


def _unkept(change: Change) -> str:
    return f"; it will not survive a restart: {change.unkept}" if change.unkept else ""


def names(change: Change) -> str:
    """The files; with their slots where there are several."""
    if len(change.candidates) == 1:
        return next(iter(change.candidates.values())).name
    return ", ".join(f"{candidate.name} ({slot})" for slot, candidate in change.candidates.items())
