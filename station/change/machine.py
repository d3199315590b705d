"""The states of a change, and what leads from one to the next. Pure: no clock, no thread, no model.

    STAGED --kept--> GATE --passed--> SHADOW --enough--> TRIAL --enough--> COMMITTED --back--> ROLLED_BACK
      |               |                 |                  |
      +---------------+-----------------+--> REJECTED      +--> ROLLED_BACK

A policy without shadow, or without trial, leaves that state out; without both, what passed the gate is committed. What is
not in `NEXT` changes nothing in that state; of a person's words, `objection` says why not.

    seen(state, policy, how long, what tasks have shown) -> an event, or None
    after(state, event, policy)                          -> the next state, or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from rt_engine.change import ChangeState, Verdict

MOST_SKIPPED: Final = 10
"""A shadow of N cycles has starved when 10 N have come, and not N of them had time for it."""
NEVER_LIVE: Final = frozenset(
    {ChangeState.NONE, ChangeState.STAGED, ChangeState.GATE, ChangeState.SHADOW, ChangeState.REJECTED}
)
ENDED: Final = frozenset({ChangeState.COMMITTED, ChangeState.REJECTED, ChangeState.ROLLED_BACK})
"""States that no time leads out of."""


class Event(StrEnum):
    """What can happen to a change."""

    KEPT = "kept"
    """The store has its files."""
    PASSED = "passed"
    """The gate let it pass."""
    FAILED = "failed"
    """It cannot be read, or the gate did not let it pass."""
    ENOUGH = "enough"
    """Shadow or trial took as long as the policy says, and nothing speaks against the new version."""
    STARVED = "starved"
    """The same, but there was hardly a cycle in which the new version computed: nothing is known of it."""
    DISAGREED = "disagreed"
    """More outputs lay apart by more than the tolerance, or were not finite, than the policy allows."""
    VERDICT = "verdict"
    """A task found the new version bad, in trial; it has published the old one's outputs since."""
    NO_WORD = "no word"
    """The trial is over, and nobody said that the new version may stay."""
    COMMIT = "commit"
    """A person, or the PLC, says: on to the next state."""
    BACK = "back"
    """A person, or the PLC, says: not this one."""
    STOP = "stop"
    """The station ends."""
    BROKE = "broke"
    """What leads to the next state could not be done: a task did not take it in time, or an error of ours."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long: a time, or so many cycles of each task; one of both is 0."""

    ns: int = 0
    cycles: int = 0

    def is_over(self, for_ns: int, cycles: int) -> bool:
        """Has it passed?"""
        return for_ns >= self.ns if self.ns else cycles >= self.cycles


@dataclass(frozen=True, slots=True)
class Policy:
    """How a new version gets its place.

    `commit`: when the trial is over, "auto" keeps the new version, "manual" takes it back unless somebody has said commit.
    `tolerance`, and `tolerances` by output: an output that lies further from the live one's, in its unit, disagrees.
    `disagreements`: so many values may, of all tasks together, in the shadow and again in the trial.
    """

    shadow: Span | None = None
    trial: Span | None = None
    commit: Literal["auto", "manual"] = "auto"
    tolerance: float = float("inf")
    tolerances: Mapping[str, float] = field(default_factory=dict)
    disagreements: int = 0

    @property
    def is_plain(self) -> bool:
        """Gate, then live and committed?"""
        return self.shadow is None and self.trial is None

    @property
    def has_tolerance(self) -> bool:
        """Can an output lie too far apart? Else differences are only shown."""
        return any(limit != float("inf") for limit in (self.tolerance, *self.tolerances.values()))

    def tolerance_of(self, output: str) -> float:
        """By how much this output may lie apart."""
        return self.tolerances.get(output, self.tolerance)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the tasks have shown of the new version since its state began. Of several tasks, the one with the fewest `cycles`.

    `cycles`: those in which it computed. `skipped`: those whose time was too short for it. `disagreements`: of all tasks.
    `never`: why it never will compute beside the live one; empty: nothing known.
    """

    cycles: int = 0
    skipped: int = 0
    disagreements: int = 0
    verdict: Verdict = Verdict.NONE
    never: str = ""


def _behind_gate(policy: Policy) -> ChangeState:
    return ChangeState.SHADOW if policy.shadow is not None else _behind_shadow(policy)


def _behind_shadow(policy: Policy) -> ChangeState:
    return ChangeState.TRIAL if policy.trial is not None else ChangeState.COMMITTED


_Next = ChangeState | Callable[[Policy], ChangeState]
_S, _E = ChangeState, Event
NEXT: Final[Mapping[tuple[ChangeState, Event], _Next]] = {
    (_S.STAGED, _E.KEPT): _S.GATE,
    **{(_S.STAGED, event): _S.REJECTED for event in (_E.FAILED, _E.BACK, _E.STOP, _E.BROKE)},
    (_S.GATE, _E.PASSED): _behind_gate,
    **{(_S.GATE, event): _S.REJECTED for event in (_E.FAILED, _E.BACK, _E.STOP, _E.BROKE)},
    **{(_S.SHADOW, event): _behind_shadow for event in (_E.ENOUGH, _E.COMMIT)},
    **{(_S.SHADOW, event): _S.REJECTED for event in (_E.STARVED, _E.DISAGREED, _E.VERDICT, _E.BACK, _E.STOP, _E.BROKE)},
    **{(_S.TRIAL, event): _S.COMMITTED for event in (_E.ENOUGH, _E.COMMIT)},
    **{
        (_S.TRIAL, event): _S.ROLLED_BACK
        for event in (_E.STARVED, _E.DISAGREED, _E.VERDICT, _E.NO_WORD, _E.BACK, _E.STOP, _E.BROKE)
    },
    **{(_S.COMMITTED, event): _S.ROLLED_BACK for event in (_E.BACK, _E.BROKE)},
}
"""(state, event) -> the next state; of a pair that is not here the state does not change."""


def after(state: ChangeState, event: Event, policy: Policy) -> ChangeState | None:
    """The state to which an event leads; None: it changes nothing here."""
    found = NEXT.get((state, event))
    return found(policy) if callable(found) else found


def seen(state: ChangeState, policy: Policy, for_ns: int, evidence: Evidence) -> Event | None:
    """What time, and what the tasks have shown, mean for a change that has been in `state` for `for_ns`; None: nothing yet.

    What speaks against a version comes before what speaks for it, and the verdict of a task before all.
    """
    span = {ChangeState.SHADOW: policy.shadow, ChangeState.TRIAL: policy.trial}.get(state)
    if span is None:
        return None
    if evidence.verdict != Verdict.NONE:
        return Event.VERDICT
    if evidence.never and state == ChangeState.SHADOW:
        return Event.STARVED
    if evidence.disagreements > policy.disagreements:
        return Event.DISAGREED
    if not span.is_over(for_ns, evidence.cycles):
        came = evidence.cycles + evidence.skipped
        return Event.STARVED if span.cycles and came >= MOST_SKIPPED * span.cycles else None
    if not evidence.cycles:
        return Event.STARVED
    return Event.NO_WORD if state == ChangeState.TRIAL and policy.commit == "manual" else Event.ENOUGH


def objection(state: ChangeState, word: Event) -> str:
    """Why a person's word, COMMIT or BACK, changes nothing in this state; empty: it does."""
    if (state, word) in NEXT:
        return ""
    return {
        ChangeState.NONE: "there is no change",
        ChangeState.STAGED: "its files are not in the store yet",
        ChangeState.GATE: "its gate has not ended",
        ChangeState.COMMITTED: "it is committed already",
        ChangeState.REJECTED: "it was rejected",
        ChangeState.ROLLED_BACK: "it was rolled back",
    }[state]
