"""The changes of a running station: from files to versions that stay or go.

update --> opened --> not barred? --> STAGED --> GATE --> SHADOW --> TRIAL --> COMMITTED
           (in the caller's thread, which waits)          (a thread of the change looks at time and evidence, and ends it)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from plc_bindings.data.changes import ChangeView
from plc_bindings.security.signing import PublicKey
from rt_engine.change import ChangeState
from rt_engine.read.external import sha256_of
from rt_engine.read.source import Source, opened_apart
from station.change import older, words
from station.change.answer import Updated, Wish
from station.change.machine import ENDED, Event, Policy, objection, seen
from station.change.parts import Candidate, Change, Found, Gate, Kept, Stand, Tasks, Told
from station.change.policy import together, wished
from station.change.proof import unproven
from station.change.seen_again import Recordings, named, nowhere
from station.change.show import view_of
from station.change.steps import COMPARED, REFUSALS, Steps
from station.errors import RefusedError, StoreError
from station.show.changes import STATES
from station.terms.findings import unknown

GATE_PATIENCE_S: Final = 60.0
LOOK_S: Final = 0.05
REST: Final = 20
"""After a look at thousands of outputs comes a rest so many times as long."""
SHOWN_NS: Final = 100_000_000
"""What tasks have found is shown to all who ask within so long as it was to the first."""
STOP_PATIENCE_S: Final = 2.0
UNDER_WAY: Final = (ChangeState.STAGED, ChangeState.GATE, ChangeState.SHADOW, ChangeState.TRIAL)
NO_WISH: Final = Wish()
UNPREPARED: Final = "are not prepared any more, as another change of one of its models came since"
SHORT: Final = 12
"""Digits of a hash that are shown, and enough to name a version."""


class Changes:
    """All changes of a station; at most one of each slot at a time. Any thread.

    Args:
        policies: slot -> what the station file says.
        versions: slot -> the number of the live version.
        now: monotonic nanoseconds.
        is_watched: does a thread look at shadows and trials? Else somebody calls `look`.
        recordings: where what tasks do is recorded.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        versions: Callable[[str], int],
        gate: Gate,
        tasks: Tasks,
        told: Told,
        now: Callable[[], int] = time.monotonic_ns,
        is_watched: bool = True,
        recordings: Recordings = nowhere,
        keys: Sequence[PublicKey] = (),
    ) -> None:
        self._policies, self._versions = policies, versions
        self._gate, self._tasks, self._told = gate, tasks, told
        self._now, self._is_watched = now, is_watched
        self._recordings, self._keys = recordings, tuple(keys)
        self._steps = Steps(tasks, told, versions, now, recordings)
        self._kept: Kept | None = None
        self._why_unkept = ""
        self._newest: dict[str, Change] = {}
        self._stays: dict[str, Change] = {}
        """Slot -> the newest change that was committed, and was not taken back."""
        self._shown: dict[int, tuple[Stand, Found, int]] = {}
        self._number = 0
        self._at_gate = threading.Lock()
        self._lock = threading.RLock()
        """Held while a change goes from one state to the next."""
        self._stopping, self._running = threading.Event(), threading.Event()

    # --- the station --------------------------------------------------------------------------------------------------

    def start(self, kept: Kept | None = None, why_unkept: str = "") -> None:
        """The station begins to run, with this store; or without one, and why, where that is worth a word."""
        self._kept = self._steps.kept = kept
        self._why_unkept = why_unkept
        self._stopping.clear()
        self._running.set()

    def ask_to_stop(self) -> None:
        """From now on nothing begins. Returns at once."""
        self._stopping.set()

    def stop(self) -> None:
        """The tasks have ended, outputs are safe: what is under way is taken back."""
        self._stopping.set()
        self._running.clear()
        if not self._lock.acquire(timeout=STOP_PATIENCE_S):
            return  # a disk that hangs: the next start ends what the journal has
        try:
            for change in dict.fromkeys(self._newest.values()):
                self._steps.step(change, Event.STOP, "the station")
        finally:
            self._lock.release()

    # --- what others ask ----------------------------------------------------------------------------------------------

    def update(
        self, files: Mapping[str, Path | Source], who: str, wish: Wish = NO_WISH, signature: bytes | None = None
    ) -> Updated:
        """New versions for one or several slots: through the gate, then as the policy says. Waits for the gate, not longer.

        Raises:
            KeyError: no such slot; the message names those that exist.
            RefusedError: with the reason; the running models go on.
        """
        begin = self._now()
        for slot in files:
            self._known(slot)
        candidates = {slot: self._opened(slot, file, who) for slot, file in files.items()}
        for candidate in candidates.values() if wish.signature else ():
            if why := unproven(self._keys, candidate, wish.signature):
                self._steps.refuse(candidate, why, who)
                raise RefusedError(words.refused(candidate, why))
        if not self._at_gate.acquire(timeout=GATE_PATIENCE_S):
            raise RefusedError(f"another update has not ended within {GATE_PATIENCE_S:g} s; try again")
        try:
            change = self._staged(candidates, who, wish, signature or wish.signature, begin)
            return self._brought(change)
        finally:
            self._at_gate.release()

    def commit(self, slot: str, who: str) -> str:
        """The change of a slot goes on: shadow to trial, trial to committed; with all slots that change with it.

        Raises:
            KeyError: no such slot.
            RefusedError: there is nothing to go on with; or it was found bad in this moment.
        """
        return self._word(slot, who, Event.COMMIT)

    def roll_back(self, slot: str, who: str) -> str:
        """Take a change back: one under way, else the newest that was committed; with all slots that change with it.

        Raises:
            KeyError: no such slot.
            RefusedError: there is nothing to take back.
        """
        self._known(slot)
        meant = self._meant(slot, Event.BACK)
        is_open = meant is not None and (meant.state in UNDER_WAY or self._is_prepared(meant))
        if is_open or self._kept is None or self._stopping.is_set():
            return self._word(slot, who, Event.BACK)
        if not self._at_gate.acquire(timeout=GATE_PATIENCE_S):
            raise RefusedError(f"an update has not ended within {GATE_PATIENCE_S:g} s; try again")
        try:
            with self._lock:
                self._refuse_of_store(slot, self._kept)
                change, _ = older.roll_back(slot, who, self._kept, self._gate, self._tasks, self._told, self._now)
                self._newest.update(dict.fromkeys(change.candidates, change))
                self._stays = {name: one for name, one in self._stays.items() if name not in change.candidates}
                return words.stands(change, {name: self._versions(name) for name in change.candidates})
        finally:
            self._at_gate.release()

    def allow(self, slot: str, sha256: str, who: str) -> str:
        """A version that was rejected or rolled back may come again; the first digits of its hash are enough.

        Raises:
            KeyError: no such slot.
            RefusedError: no such version is barred, or several are meant; or the store cannot be written.
        """
        self._known(slot)
        barred = self._barred(slot)
        meant = [one for one in barred if sha256 and one.startswith(sha256.lower())]
        if len(meant) != 1:
            why = "several barred versions begin so" if meant else "no barred version has this hash"
            which = ", ".join(one[:SHORT] for one in barred) or "none"
            raise RefusedError(f"{why}; barred in slot {slot}: {which}")
        assert self._kept is not None, "who has a store has barred versions"
        try:
            self._kept.allow(slot, meant[0], who)
        except StoreError as error:
            raise RefusedError(str(error)) from error
        message = f"version {meant[0][:SHORT]} of {slot} may come again; it was barred because {barred[meant[0]]}"
        self._told.note(slot, f"{message}; allowed by {who}", good=True)
        self._told.audit(who, slot, f"version {meant[0]} allowed again", is_change=True)
        return message

    def views(self) -> tuple[ChangeView, ...]:
        """One for each slot. Returns at once, also while a change goes from one state to the next."""
        return tuple(self._view(slot) for slot in self._policies)

    def paths(self) -> tuple[str, ...]:
        """Where the files of each slot's newest change came from; they may be others by now."""
        newest = dict.fromkeys(self._newest.values())
        return tuple(candidate.path for change in newest for candidate in change.candidates.values())

    # --- on the way in ------------------------------------------------------------------------------------------------

    def _known(self, slot: str) -> None:
        if slot not in self._policies:
            raise KeyError(unknown("model", slot, self._policies))

    def _opened(self, slot: str, file: Path | Source, who: str) -> Candidate:
        """The file, read once: before its turn, as a place that hangs holds no other update."""
        path = file.name if isinstance(file, Source) else str(file)
        candidate = Candidate(slot, path, Path(path).name)
        try:
            candidate.source = file if isinstance(file, Source) else opened_apart(file)
            candidate.sha256 = sha256_of(candidate.read)
        except REFUSALS as error:
            self._steps.refuse(candidate, words.refusal(error), who)
            raise RefusedError(words.refused(candidate, words.refusal(error))) from error
        return candidate

    def _staged(
        self, candidates: dict[str, Candidate], who: str, wish: Wish, signature: bytes | None, begin: int
    ) -> Change:
        """A change of these files, in the store if that can be."""
        if self._stopping.is_set():
            raise RefusedError("the station is stopping: its tasks have ended")
        if not self._running.wait(GATE_PATIENCE_S):
            raise RefusedError(f"the station has not started within {GATE_PATIENCE_S:g} s; try again")
        policies = {slot: wished(self._policies[slot], wish) for slot in candidates}
        policy = together(policies)
        for candidate in candidates.values():
            self._objections(candidate, policy, who)
        self._number = self._kept.next_change() if self._kept is not None else self._number + 1
        stand = Stand(ChangeState.STAGED, begin, time.time(), "its file has come")
        change = Change(self._number, candidates, policy, policies, who, stand, begin)
        self._keep(change, signature)
        with self._lock:
            self._newest.update(dict.fromkeys(candidates, change))
        return change

    def _objections(self, candidate: Candidate, policy: Policy, who: str) -> None:
        """Raises RefusedError where this cannot begin now."""
        slot = candidate.slot
        busy = self._newest.get(slot)
        if not policy.is_plain and not self._tasks.has_task(slot):
            raise RefusedError(
                f"no task runs model {slot} as its own model: there is no cycle for a shadow or a trial; update it without"
            )
        if busy is not None and busy.state in UNDER_WAY:
            raise RefusedError(
                f"slot {slot} has a change that is {STATES[busy.state]}: say `rt-engine commit {slot}` or "
                f"`rt-engine rollback {slot}` first"
            )
        if not policy.is_plain and older.is_committed(slot, candidate.sha256, self._kept):
            why = "a shadow or a trial would compare it with itself, and bar what runs where it goes wrong"
            raise RefusedError(f"{candidate.name} is what runs in slot {slot} already: {why}")
        if why := self._kept.barred(slot, candidate.sha256) if self._kept is not None else "":
            self._steps.refuse(candidate, f"this version is barred: {why}", who)
            helps = f"`rt-engine allow {slot} {candidate.sha256[:SHORT]}` lets it come again"
            raise RefusedError(f"{words.refused(candidate, f'this version is barred: {why}')}; {helps}")

    def _keep(self, change: Change, signature: bytes | None) -> None:
        """The files go to the store; where they cannot, the change goes on without and says so."""
        if self._kept is None:
            change.unkept = self._why_unkept
            return
        try:
            for slot, candidate in change.candidates.items():
                version = self._kept.add(slot, candidate.read, change.who, signature)
                candidate.sha256, candidate.number = version.sha256, version.number
            self._kept.record(change.number, change.hashes, ChangeState.STAGED, change.who, change.stand.why)
            change.is_kept = True
        except StoreError as error:
            change.unkept = str(error)

    def _brought(self, change: Change) -> Updated:
        """Through the gate, and to what comes next; an error of ours ends the change, so that another may come."""
        try:
            self._examine(change)
            return self._entered(change)
        except RefusedError:
            raise
        except Exception as error:
            with self._lock:
                self._steps.step(change, Event.BROKE, "the station", f"an error in rt-engine: {error!r}")
            raise

    def _examine(self, change: Change) -> None:
        """The gate; raises RefusedError, with the change REJECTED, where it lets one of the versions not pass."""
        with self._lock:
            self._steps.step(change, Event.KEPT, change.who, "its files are there")
        for candidate in change.candidates.values():
            try:
                self._gate.examine(candidate, self._kept if change.is_kept else None)
            except REFUSALS as error:
                is_end, why = self._stopping.is_set(), words.refusal(error)
                with self._lock:
                    self._steps.step(change, Event.STOP if is_end else Event.FAILED, change.who, why)
                raise RefusedError(words.refused(candidate, why)) from error

    def _entered(self, change: Change) -> Updated:
        """From the gate to what comes next; what is answered."""
        is_plain = change.policy.is_plain
        notes = [note for one in change.candidates.values() if (note := self._gate.notes(one, is_plain))]
        with self._lock:
            if self._stopping.is_set():
                self._steps.step(change, Event.STOP, "the station")
            self._step(change, Event.PASSED, change.who, "it passed the gate")
        if change.state not in (ChangeState.COMMITTED, *COMPARED):
            raise RefusedError(words.refused(next(iter(change.candidates.values())), change.stand.why))
        entered = Updated(words.entered(change, notes, self._now()), next(iter(change.version.values())), change.state)
        if change.state in COMPARED and self._is_watched:
            threading.Thread(target=self._watch, args=(change,), name="change", daemon=True).start()
        return entered

    # --- from state to state ------------------------------------------------------------------------------------------

    def _watch(self, change: Change) -> None:
        """Look again and again, until the change has ended."""
        rest_s = LOOK_S
        while not self._stopping.wait(rest_s) and change.state not in ENDED:
            begin_s = time.monotonic()
            self.look(change)
            rest_s = max(LOOK_S, REST * (time.monotonic() - begin_s))
        if change.state in ENDED and (file := named(change, self._recordings, self._stopping)):
            for slot, candidate in change.candidates.items():
                self._told.note(slot, f"what was seen of {candidate.name} is recorded in {file}", good=True)

    def _step(self, change: Change, event: Event, who: str, why: str = "") -> bool:
        """To the next state; which changes stay is known afterwards."""
        went = self._steps.step(change, event, who, why)
        for slot in change.candidates:
            if change.state == ChangeState.COMMITTED:
                self._stays[slot] = change
            elif self._stays.get(slot) is change:
                del self._stays[slot]
                self._newest[slot] = change
        return went

    def look(self, change: Change) -> None:
        """What do time, and what the tasks have shown, mean for a change?"""
        with self._lock:
            if change.state in COMPARED and not self._stopping.is_set():
                found = self._tasks.found(change)
                event = seen(change.state, change.policy, self._now() - change.stand.since_ns, found.evidence)
                if event is not None:
                    self._step(change, event, "the station")

    def _word(self, slot: str, who: str, word: Event) -> str:
        self._known(slot)
        with self._lock:
            change = self._meant(slot, word)
            why = objection(change.state if change is not None else ChangeState.NONE, word)
            if change is None or why:
                what = "commit" if word == Event.COMMIT else "take back"
                raise RefusedError(f"there is nothing to {what} in slot {slot}: {why}")
            if self._stopping.is_set():
                raise RefusedError("the station is stopping")
            self._refuse_older(change)
            if change.state == ChangeState.COMMITTED and not self._tasks.is_prepared(change):
                raise RefusedError(
                    f"the versions before {words.names(change)} {UNPREPARED}, and there is no store to load them from"
                )
            if not self._step(change, word, who):
                raise RefusedError(words.ended(change))
            return words.stands(change, {slot: self._versions(slot) for slot in change.candidates})

    def _is_prepared(self, change: Change) -> bool:
        """Is it committed, and can its tasks be back with the versions before within a tick?"""
        return change.state == ChangeState.COMMITTED and self._tasks.is_prepared(change)

    def _refuse_of_store(self, slot: str, kept: Kept) -> None:
        """Raise RefusedError where what the store has for this slot is not what goes back now."""
        meant = self._stays.get(slot)
        if meant is not None:
            self._refuse_older(meant)
            if not meant.is_kept:
                raise RefusedError(f"the versions before {words.names(meant)} {UNPREPARED}, and the store never had it")
        for name in kept.together(slot):
            if (newest := self._newest.get(name)) is not None and newest.state in UNDER_WAY:
                raise RefusedError(
                    f"{name} goes back together with {slot}, and has a change that is {STATES[newest.state]}: take that back first"
                )

    def _refuse_older(self, change: Change) -> None:
        """Slots that changed together go back together: not while one of them runs something newer."""
        later = [slot for slot in change.candidates if self._stays.get(slot, change) is not change]
        if change.state == ChangeState.COMMITTED and later:
            together = ", ".join(change.candidates)
            raise RefusedError(f"{together} changed together, and {later[0]} has changed since: take that back first")

    def _meant(self, slot: str, word: Event) -> Change | None:
        """The change that a word is about: the newest; to take back, where that has ended, the newest that was committed."""
        newest = self._newest.get(slot)
        if word == Event.BACK and newest is not None and newest.state not in UNDER_WAY:
            return self._stays.get(slot, newest)
        return newest

    # --- what is known ------------------------------------------------------------------------------------------------

    def _barred(self, slot: str) -> dict[str, str]:
        """Hash -> why, of the versions of a slot that must not come again."""
        rows = self._kept.versions(slot) if self._kept is not None else ()
        return {row.version.sha256: row.barred for row in rows if row.barred}

    def _view(self, slot: str) -> ChangeView:
        change = self._newest.get(slot)
        if change is None:
            return ChangeView(slot, version=self._versions(slot))
        return view_of(change, slot, self._versions(slot), self._found(change), self._now())

    def _found(self, change: Change) -> Found:
        if change.state not in COMPARED:
            return change.found
        stand, now = change.stand, self._now()
        seen, found, until = self._shown.get(change.number, (stand, change.found, 0))
        if seen is not stand or now >= until:
            found = self._tasks.found(change)
            self._shown = {change.number: (stand, found, now + SHOWN_NS)}
        return found
