"""A change goes from one state to the next: the journal, the tasks, and whoever has to hear of it.

A state that leads on is in the journal before it takes effect; so is the way back from COMMITTED. The way out of shadow and trial
takes effect first: what a journal that ends in one of them comes to, after a power cut, is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from rt_engine.change import ChangeState, Verdict
from rt_engine.errors import EngineError
from scheduler.errors import SchedulerError
from station.change import words
from station.change.machine import Event, after
from station.change.parts import Candidate, Change, Found, Kept, Stand, Taken, Tasks, Told
from station.change.seen_again import Recordings, nowhere, with_place
from station.errors import StoreError
from station.show.changes import STATES

REFUSALS: Final = (EngineError, SchedulerError, MemoryError)
"""What the engine and the tasks refuse a version with."""
ON: Final = frozenset({ChangeState.GATE, ChangeState.SHADOW, ChangeState.TRIAL, ChangeState.COMMITTED})
COMPARED: Final = (ChangeState.SHADOW, ChangeState.TRIAL)
NOT_ITS_FAULT: Final = frozenset({Event.STOP, Event.BROKE})
"""Events that end a change and do not bar its versions."""


class Steps:
    """Takes changes from state to state. One at a time: the caller holds a lock.

    `kept`: the store, or None.
    """

    def __init__(
        self,
        tasks: Tasks,
        told: Told,
        versions: Callable[[str], int],
        now: Callable[[], int],
        recordings: Recordings = nowhere,
    ) -> None:
        self._tasks, self._told, self._versions, self._now = tasks, told, versions, now
        self._recordings = recordings
        self.kept: Kept | None = None

    def step(self, change: Change, event: Event, who: str, why: str = "") -> bool:
        """Take a change to where an event leads; gives whether it went there. If it could not, it has ended."""
        to = after(change.state, event, change.policy)
        if to is None:
            return False
        found = self._tasks.found(change) if change.state in COMPARED else change.found
        if (
            to in ON and change.state in COMPARED and found.verdict != Verdict.NONE
        ):  # what was found bad goes no step on
            self.step(change, Event.VERDICT, who)
            return False
        why, was = why or words.why(event, change, found, who), change.state
        why = with_place(why, event, self._recordings())
        try:
            taken = self._done(change, to, who, why, event)
        except (*REFUSALS, StoreError) as error:
            return self._broke(change, to, who, why, found, str(error) or "there is too little memory for it")
        self._settle(change, to, who, why, found, taken)
        assert change.state != was
        return True

    def _done(self, change: Change, to: ChangeState, who: str, why: str, event: Event) -> Mapping[str, Taken]:
        """The journal and the tasks, in their order."""
        bars = event not in NOT_ITS_FAULT
        if change.state in COMPARED and to not in ON:
            taken = self._effect(change, to)
            self._record(change, to, who, why, bars)
            return taken
        try:
            self._record(change, to, who, why, bars)
        except StoreError:
            if change.state == ChangeState.COMMITTED:  # a disk that is full keeps nobody from going back
                self._effect(change, to)
            raise
        return self._effect(change, to)

    def _broke(self, change: Change, to: ChangeState, who: str, why: str, found: Found, error: str) -> bool:
        """What leads on could not be done: the change ends. What ends it could not be done: it has ended all the same."""
        if to not in ON:
            self._settle(change, to, who, f"{why}; and: {error}", found, {})
            return True
        end, reason, bars = (
            after(change.state, Event.BROKE, change.policy),
            f"it could not be {STATES[to]}: {error}",
            False,
        )
        assert end is not None, "whatever leads on can break"
        if change.state in COMPARED:
            found = self._tasks.found(change)
            if found.verdict != Verdict.NONE:  # a task was quicker than the word
                reason, bars = words.why(Event.VERDICT, change, found, who), True
            self._attempt(lambda: self._effect(change, end))
        unsaid = self._attempt(lambda: self._record(change, end, who, reason, bars))
        if unsaid and to == ChangeState.COMMITTED:
            reason += f"; the store may still have it as committed, for the next start: {unsaid}"
        self._settle(change, end, who, reason, found, {})
        return False

    @staticmethod
    def _attempt(do: Callable[[], object]) -> str:
        """Why it could not be done; mostly what is told is what broke first."""
        try:
            do()
        except (*REFUSALS, StoreError) as error:
            return str(error)
        return ""

    def _record(self, change: Change, state: ChangeState, who: str, why: str, bars: bool) -> None:
        if self.kept is not None and change.is_kept:
            self.kept.record(change.number, change.hashes, state, who, why, bars)

    def _effect(self, change: Change, to: ChangeState) -> Mapping[str, Taken]:
        """What the tasks do for it."""
        match (change.state, to):
            case (ChangeState.GATE, ChangeState.COMMITTED):
                return self._tasks.replace(change)
            case (_, ChangeState.SHADOW):
                self._tasks.shadow(change)
            case (_, ChangeState.TRIAL):
                return self._tasks.trial(change)
            case (ChangeState.SHADOW | ChangeState.TRIAL, ChangeState.COMMITTED):
                return self._tasks.commit(change)
            case (ChangeState.SHADOW | ChangeState.TRIAL, _):
                self._tasks.withdraw(change)
            case (ChangeState.COMMITTED, _):
                return self._tasks.back(change)
        return {}

    def _settle(
        self, change: Change, to: ChangeState, who: str, why: str, found: Found, taken: Mapping[str, Taken]
    ) -> None:
        """The change is in its new state: whoever looks sees it, and who has to hear of it does."""
        was = change.state
        change.found, change.taken = found, taken or change.taken
        change.version = {slot: self._version(change, slot, taken) for slot in change.candidates}
        change.stand = Stand(to, self._now(), time.time(), why)
        if to == ChangeState.GATE:
            return
        for slot, candidate in change.candidates.items():
            if to == ChangeState.REJECTED and was not in COMPARED:
                self.refuse(candidate, why, who, self._facts(change, slot))
            else:
                self._tell(change, candidate, was, who, taken.get(slot))

    def _version(self, change: Change, slot: str, taken: Mapping[str, Taken]) -> int:
        if slot in taken and change.state != ChangeState.COMMITTED:
            return taken[slot].version
        return change.version.get(slot) or change.candidates[slot].number or self._versions(slot) + 1

    # --- who hears of it ----------------------------------------------------------------------------------------------

    def _tell(self, change: Change, candidate: Candidate, was: ChangeState, who: str, taken: Taken | None) -> None:
        to, why, slot = change.state, change.stand.why, candidate.slot
        if to == ChangeState.TRIAL or (to == ChangeState.COMMITTED and was != ChangeState.TRIAL):
            self._told.live(slot, candidate, who)
        elif to == ChangeState.ROLLED_BACK and was in (ChangeState.TRIAL, ChangeState.COMMITTED):
            self._told.back(slot)
        elif to == ChangeState.REJECTED:
            self._told.refused(slot)
        text = f"{candidate.name} is {STATES[to]}: {why}"
        line = f"{candidate.name} {STATES[to]}: {why}, SHA-256 {candidate.sha256}"
        if was == ChangeState.GATE and to == ChangeState.COMMITTED and taken is not None:
            text = words.live(change, candidate, taken, self._now())
            line = f"replaced by {candidate.name}, SHA-256 {candidate.sha256}"
        self._told.note(slot, text, good=to in ON)
        self._told.audit(who, slot, line, is_change=True, **self._facts(change, slot))

    @staticmethod
    def _facts(change: Change, slot: str) -> dict[str, str | int]:
        """What programs look for in the audit log."""
        facts: dict[str, str | int] = {"state": change.state.name, "change": change.number}
        return facts | {"sha256": change.candidates[slot].sha256, "version": change.version.get(slot, 0)}

    def refuse(self, candidate: Candidate, why: str, who: str, facts: Mapping[str, str | int] | None = None) -> None:
        """Tell that a version was refused before anything of it ran. `facts`: of one that had come, and was rejected."""
        self._told.note(candidate.slot, f"{candidate.name} refused: {why}", good=False)
        text = f"{candidate.name} refused: {why}"
        self._told.audit(who, candidate.slot, text, is_change=facts is not None, **(facts or {}))
        self._told.refused(candidate.slot)
