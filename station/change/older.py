"""Back to a version that the store has, when no change of this run can be taken back: after a restart, or a second time.

The journal first, then the tasks; what was committed together goes back together. The version before is loaded again, so this
takes as long as that; it is live at one tick all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rt_engine.change import ChangeState
from station.change import words
from station.change.machine import Policy
from station.change.parts import Candidate, Change, Gate, Kept, Stand, Taken, Tasks, Told
from station.change.steps import REFUSALS
from station.errors import RefusedError, StoreError
from station.show.changes import STATES


def roll_back(
    slot: str, who: str, kept: Kept, gate: Gate, tasks: Tasks, told: Told, now: Callable[[], int]
) -> tuple[Change, Mapping[str, Taken]]:
    """Take the committed version of a slot back; gives the change that has ended so, and how the ones before were taken.

    Raises:
        RefusedError: the store has none before it, or it cannot be loaded; nothing has changed.
    """
    before = _before(slot, kept)
    try:
        for candidate in before.values():
            gate.load(candidate)
    except REFUSALS as error:
        raise RefusedError(
            f"{_names(before)} was committed before and cannot be loaded: {words.refusal(error)}"
        ) from error
    hashes = {name: version.sha256 for name, version in kept.together(slot).items()}
    gone = {
        name: Candidate(name, version.name, version.name, sha256=version.sha256, number=version.number)
        for name, version in kept.together(slot).items()
    }
    number, why = kept.next_change(), f"taken back by {who} after it was committed; {_names(before)} runs again"
    try:
        kept.record(number, hashes, ChangeState.ROLLED_BACK, who, why)
    except StoreError as error:  # a disk that is full keeps nobody from going back
        why = f"{why}; and: {error}"
    stand = Stand(ChangeState.ROLLED_BACK, now(), time.time(), why)
    change = Change(number, gone, Policy(), {}, who, stand, is_kept=True)
    back = Change(number, before, Policy(), dict.fromkeys(before, Policy()), who, stand)
    try:
        taken = tasks.replace(back)
    except REFUSALS as error:
        raise RefusedError(f"the tasks did not take {_names(before)}, the next start will: {error}") from error
    change.version = {name: candidate.number for name, candidate in gone.items()}
    for name, candidate in before.items():
        told.live(name, candidate, who)
        told.note(name, f"{gone[name].name} is {STATES[ChangeState.ROLLED_BACK]}: {why}", good=False)
        line = f"{gone[name].name} {STATES[ChangeState.ROLLED_BACK]}: {why}, SHA-256 {hashes[name]}"
        told.audit(
            who, name, line, is_change=True, state=ChangeState.ROLLED_BACK.name, sha256=hashes[name], change=number
        )
    return change, taken


def _before(slot: str, kept: Kept) -> dict[str, Candidate]:
    """The versions before, of all slots that go back together."""
    found: dict[str, Candidate] = {}
    for name in kept.together(slot):
        version = kept.previous(name)
        if version is None:
            raise RefusedError(
                f"there is nothing to take back in slot {name}: the store has no version before the one that runs"
            )
        try:
            source = kept.source(version)
        except StoreError as error:
            raise RefusedError(f"the version before of slot {name} cannot be read: {error}") from error
        found[name] = Candidate(name, version.name, version.name, source, version.sha256, version.number)
    if not found:
        raise RefusedError(f"there is nothing to take back in slot {slot}: the store has no committed version of it")
    return found


def _names(candidates: Mapping[str, Candidate]) -> str:
    return ", ".join(candidate.name for candidate in candidates.values())


def is_committed(slot: str, sha256: str, kept: Kept | None) -> bool:
    """Does the store have this version as the one that runs?"""
    rows = () if kept is None else kept.versions(slot)
    return any(row.role == "committed" and row.version.sha256 == sha256 for row in rows)
