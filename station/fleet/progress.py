"""How far a station is with each version that it shall run: from what is on its disk, what it shows, and what failed. Pure.

there is no such model -> rejected      it runs -> committed           its change is under way -> gate, shadow, trial
its change ended -> rolled back, rejected                              its file is here -> staged, else fetching
the last attempt failed -> waiting, longer each time                   five attempts -> rejected
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rt_engine.change import ChangeState
from station.fleet.documents import ENDED, MOST_WORDS, Stage, Wanted
from station.fleet.events import After, Retry, SlotSeen, Tried

MOST_ATTEMPTS: Final = 5
"""At one version, over restarts: one that ends the station each time is given up."""
SETTLE_S: Final = 3.0
"""So long a version must have been seen to have failed: a station that stops takes back what is under way, which is no failure."""
FETCH_AGAIN_S: Final = (2.0, 300.0)
APPLY_AGAIN_S: Final = (10.0, 600.0)
"""The first pause between two attempts, and the longest."""
SHORT: Final = 12
STAGES: Final = {
    ChangeState.STAGED: Stage.STAGED,
    ChangeState.GATE: Stage.GATE,
    ChangeState.SHADOW: Stage.SHADOW,
    ChangeState.TRIAL: Stage.TRIAL,
}
FAILED: Final = {ChangeState.REJECTED: Stage.REJECTED, ChangeState.ROLLED_BACK: Stage.ROLLED_BACK}
Key = tuple[str, str, int]


class Progress:
    """See the module. `tried`: what is on the disk; `seen`: what the station shows.

    Args:
        name: the station's: not all wait equally long.
        now: monotonic seconds.
    """

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._name, self._now = name, now
        self.tried: Mapping[str, Tried] = {}
        self.seen: Mapping[str, SlotSeen] = {}
        self._there: set[str] = set()
        self._fetching: set[str] = set()
        self._fetches: dict[str, Retry] = {}
        self.applying: dict[str, str] = {}
        """Slot -> the version that the station is taking, until it was looked at since."""
        self._unseen: set[str] = set()
        """Slots whose attempt has ended, and that were not looked at since."""
        self._applies: dict[Key, Retry] = {}
        self._final: dict[Key, str] = {}
        self._free: set[Key] = set()
        """Their newest attempt does not count."""
        self._failed_since: dict[tuple[str, str], float] = {}

    def of(self, slot: str, wanted: Wanted) -> Tried:
        """What became of the version until now."""
        tried = self.tried.get(slot)
        if tried is not None and is_of(tried, wanted):
            return tried
        return Tried(sha256=wanted.sha256, serial=wanted.serial)

    def look(self, slots: Mapping[str, SlotSeen]) -> None:
        """The station as it is now."""
        self.seen = slots
        while self._unseen:
            self.applying.pop(self._unseen.pop(), None)

    # --- files --------------------------------------------------------------------------------------------------------

    def fetch(self, sha256: str) -> bool:
        """Is the file to be asked for now? Then it is, from here on."""
        retry = self._fetches.get(sha256)
        if sha256 in self._fetching or (retry is not None and self._now() < retry.until_s):
            return False
        self._fetching.add(sha256)
        return True

    def fetched(self, sha256: str, why: str) -> bool:
        """The file is there, or why it is not; is that news?"""
        self._fetching.discard(sha256)
        if not why:
            self._there.add(sha256)
            self._fetches.pop(sha256, None)
            return False
        retry = self._fetches.setdefault(sha256, Retry())
        is_news = retry.why != why[:MOST_WORDS]
        retry.failed(why, self._now(), self._name, *FETCH_AGAIN_S)
        return is_news

    # --- attempts -----------------------------------------------------------------------------------------------------

    def may_try(self, slot: str) -> bool:
        """One attempt at a time, and none while another change of the slot is under way."""
        return not self.applying and self.seen[slot].state not in STAGES

    def armed(self, slot: str, wanted: Wanted) -> Tried:
        """What is to be on the disk before the next attempt."""
        return self.of(slot, wanted).model_copy(update={"attempts": self._attempts(slot, wanted) + 1})

    def begun(self, slot: str, wanted: Wanted) -> None:
        """It is on the disk: the attempt is made."""
        self.applying[slot] = wanted.sha256
        self._free.discard((slot, wanted.sha256, wanted.serial))

    def applied(self, slot: str, wanted: Wanted, why: str, after: After) -> None:
        """The attempt has ended: well, or why not, and what follows."""
        self._unseen.add(slot)  # until the next look nothing is known of it
        self._there.discard(wanted.sha256)  # a file that was damaged since is fetched anew
        key = (slot, wanted.sha256, wanted.serial)
        if not why:
            return
        if after == After.NEVER:
            self._final[key] = why
            return
        if after == After.FREE:
            self._free.add(key)
        self._applies.setdefault(key, Retry()).failed(why, self._now(), self._name, *APPLY_AGAIN_S)

    def _attempts(self, slot: str, wanted: Wanted) -> int:
        """Those that count."""
        return self.of(slot, wanted).attempts - ((slot, wanted.sha256, wanted.serial) in self._free)

    # --- where it stands ----------------------------------------------------------------------------------------------

    def stage(self, slot: str, wanted: Wanted) -> tuple[Stage, str]:
        """How far the version is, and why."""
        seen, tried = self.seen.get(slot), self.of(slot, wanted)
        if seen is None:
            return Stage.REJECTED, "this station has no model of this name"
        if tried.stage is not None:
            return _after_end(seen, tried)
        runs, is_it = seen.sha256 == wanted.sha256, seen.candidate == wanted.sha256
        if seen.state in STAGES and is_it:
            return STAGES[seen.state], seen.why
        if seen.state in STAGES or self.applying.get(slot, wanted.sha256) != wanted.sha256:
            return Stage.WAITING, "another change of it is under way"  # it may be live later: what runs now is no end
        if runs:
            return Stage.COMMITTED, seen.why if is_it else "it runs already"
        if is_it and seen.state in FAILED and tried.attempts:
            return FAILED[seen.state], seen.why
        return self._before_attempt(slot, wanted)

    def _before_attempt(self, slot: str, wanted: Wanted) -> tuple[Stage, str]:
        key, attempts = (slot, wanted.sha256, wanted.serial), self._attempts(slot, wanted)
        retry = self._applies.get(key)
        if key in self._final:
            return Stage.REJECTED, self._final[key]
        if slot in self.applying:
            return Stage.STAGED, "the station looks at it"
        if attempts >= MOST_ATTEMPTS:
            said = f": {retry.why}" if retry is not None else ""
            return Stage.REJECTED, f"given up after {attempts} attempts{said}"
        if retry is not None and self._now() < retry.until_s:
            return Stage.WAITING, retry.why
        if not wanted.back and wanted.sha256 not in self._there:
            failed = self._fetches.get(wanted.sha256)
            return Stage.FETCHING, failed.why if failed is not None else ""
        return Stage.STAGED, "its file is here"

    def ended(self, slot: str, wanted: Wanted) -> Tried | None:
        """The end of the version that is not on the disk yet, where it has come to one for good."""
        tried, (stage, why) = self.of(slot, wanted), self.stage(slot, wanted)
        if stage not in ENDED or stage == Stage.REPLACED or tried.stage == stage:
            self._failed_since.pop((slot, wanted.sha256), None)
            return None
        since = self._failed_since.setdefault((slot, wanted.sha256), self._now())
        if stage != Stage.COMMITTED and self._now() - since < SETTLE_S:
            return None
        return tried.model_copy(update={"stage": stage, "why": why})


def is_of(tried: Tried, wanted: Wanted | None) -> bool:
    """Is it this version's?"""
    return wanted is not None and (tried.sha256, tried.serial) == (wanted.sha256, wanted.serial)


def _after_end(seen: SlotSeen, tried: Tried) -> tuple[Stage, str]:
    assert tried.stage is not None
    if tried.stage != Stage.COMMITTED or seen.sha256 == tried.sha256:
        return tried.stage, tried.why
    if seen.candidate == tried.sha256 and seen.state == ChangeState.ROLLED_BACK:
        return Stage.ROLLED_BACK, seen.why
    return Stage.REPLACED, f"{seen.sha256[:SHORT]} runs: somebody has put it there"
