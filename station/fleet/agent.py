"""A station's side of a fleet, pure: no socket, no disk, no clock of its own. Events in, things to do out.

    begin() ------> Keep --- kept() --.
    connected() ----------------------+--> Publish: what the station reports
    received(desired) --> Keep -------+--> Fetch ... fetched() --> Keep --> Apply ... applied()
    seen(slots, health) --------------'            each second; what the station itself says of its changes

Whatever has an effect follows from what is kept: an order is on the disk before it is followed, an attempt before it is made, an end
before it is told for good. So a station that is killed anywhere goes on where it was, and brings a version (slot, SHA-256, serial
number) to its end once. One `Keep` is under way at a time; what it says holds when `kept` is called.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plc_bindings.security.signing import PublicKey
from rt_engine.change import ChangeState
from station.fleet.documents import ENDED, MOST_WORDS, Desired, Health, Online, Reported, Slot, Stage, Topics, Wanted
from station.fleet.events import Apply, Fetch, Keep, Memory, Note, Out, Publish, Retry, SlotSeen, Tried
from station.fleet.sealed import ForgedError

MOST_ATTEMPTS: Final = 5
"""At one version, over restarts: one that ends the station each time is given up."""
REPORT_S: Final = 60.0
"""Numbers alone are told no more often."""
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


@dataclass(frozen=True, slots=True)
class Self:
    """Who the station is. `keys`: who may give orders; `own`: signs what it reports."""

    name: str
    keys: tuple[PublicKey, ...]
    own: Ed25519PrivateKey
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: str = ""
    topics: Topics = field(default_factory=Topics)


class Agent:
    """See the module. One thread.

    Args:
        me: who it is.
        memory: what its disk has.
        now: monotonic seconds.
    """

    def __init__(self, me: Self, memory: Memory, now: Callable[[], float]) -> None:
        self._me, self._now = me, now
        self.memory = memory
        self.desired: Desired | None = None
        self._starting: list[Out] = []
        self._seen: Mapping[str, SlotSeen] = {}
        self._health = Health()
        self._is_connected = self.has_begun = self._has_seen = False
        self._writing: Memory | None = None
        self._arming = ""
        """The slot whose attempt is being written."""
        self._incoming: list[Note] = []
        self._held: Desired | None = None
        """An order that is good, and not on the disk yet; `_held_text` as it came."""
        self._held_text = self._held_note = ""
        self._there: set[str] = set()
        self._fetching: set[str] = set()
        self._applying: set[str] = set()
        self._unseen: set[str] = set()
        self._fetches: dict[str, Retry] = {}
        self._applies: dict[tuple[str, str, int], Retry] = {}
        self._final: dict[tuple[str, str, int], str] = {}
        self._failed_since: dict[tuple[str, str], float] = {}
        self.refused, self._refusal = 0, ""
        self.orders = 0
        """Messages that were to be orders."""
        self._count = 0
        self._told: Reported | None = None
        self._told_s = 0.0
        self._believe(memory)

    @property
    def name(self) -> str:
        """The station's."""
        return self._me.name

    @property
    def generation(self) -> int:
        """Of the newest order on the disk; 0: none came."""
        return self.desired.generation if self.desired is not None else 0

    # --- events -------------------------------------------------------------------------------------------------------

    @property
    def will(self) -> Publish:
        """What the broker says when the station has gone. After `begin`."""
        return self._presence(False)

    def begin(self) -> list[Out]:
        """The station starts: this is another boot."""
        outs, self._starting = self._starting, []
        return [*outs, *self._keep(self.memory.model_copy(update={"boot": self.memory.boot + 1}))]

    def connected(self) -> list[Out]:
        """The broker is there, maybe another than before: it is told all."""
        self._is_connected, self._told = True, None
        return [self._presence(True), *self._step()] if self.has_begun else []

    def disconnected(self) -> list[Out]:
        """The broker is not there; what is wanted is wanted on."""
        self._is_connected = False
        return []

    def received(self, topic: str, payload: bytes) -> list[Out]:
        """A message of the broker's, whatever it is."""
        name, what = self._me.topics.station_of(topic)
        if name != self._me.name or not payload:  # what was taken off the broker is still wanted
            return []
        if what == "online":
            return self._answer_presence(payload)
        return self._ordered(payload) if what == "desired" else []

    def seen(self, slots: Mapping[str, SlotSeen], health: Health) -> list[Out]:
        """The station as it is now. Called each second: time passes with it."""
        self._seen, self._health, self._has_seen = slots, health, True
        for slot in self._unseen:
            self._applying.discard(slot)
        self._unseen.clear()
        return self._step()

    def kept(self) -> list[Out]:
        """What was to be written is on the disk."""
        written, armed = self._writing, self._arming
        assert written is not None, "something was written"
        self._writing, self._arming = None, ""
        before, self.memory, self.has_begun = self.memory, written, True
        notes, self._incoming = self._incoming, []
        outs: list[Out] = list(notes)
        if written.boot != before.boot and self._is_connected:
            outs.append(self._presence(True))
        if written.desired != before.desired:
            self._believe(written)
            if written.desired == self._held_text:
                self._held = None
        wanted = self._wanted().get(armed)
        if wanted is not None and armed not in self._applying:
            self._applying.add(armed)
            outs.append(Apply(armed, wanted))
        return [*outs, *self._step()]

    def unkept(self, why: str) -> list[Out]:
        """It is not: nothing follows from it. It is tried again with the next `seen`."""
        self._writing, self._arming, self._incoming = None, "", []
        words = f"{why}: no order can be followed until its folder can be written"
        return [Note("fleet", "memory", f"refused: {words}")]

    def fetched(self, sha256: str, why: str = "") -> list[Out]:
        """The file is there; or why it is not."""
        self._fetching.discard(sha256)
        if not why:
            self._there.add(sha256)
            self._fetches.pop(sha256, None)
            return self._step()
        retry = self._fetches.setdefault(sha256, Retry())
        is_news = retry.why != why[:MOST_WORDS]
        retry.failed(why, self._now(), self._me.name, *FETCH_AGAIN_S)
        note = Note("fleet", f"file {sha256[:SHORT]}", f"refused: {why}")
        return [*([note] if is_news else []), *self._step()]

    def applied(self, slot: str, wanted: Wanted, why: str = "", is_final: bool = False) -> list[Out]:
        """The station has taken the version; or why it has not. `is_final`: another attempt would end alike."""
        self._unseen.add(slot)  # until the next look nothing is known of it
        self._there.discard(wanted.sha256)  # a file that was damaged since is fetched anew
        key = (slot, wanted.sha256, wanted.serial)
        if why and is_final:
            self._final[key] = why
        elif why:
            self._applies.setdefault(key, Retry()).failed(why, self._now(), self._me.name, *APPLY_AGAIN_S)
        return self._step()

    # --- orders -------------------------------------------------------------------------------------------------------

    def _ordered(self, payload: bytes) -> list[Out]:
        self.orders += 1
        try:
            desired, key = Desired.unsealed(payload, self._me.name, self._me.keys)
            if desired.station != self._me.name:
                raise ForgedError(f"it is for {desired.station}")
            known = base64.b64encode(payload).decode()
            self._check_order(desired, known)
        except ForgedError as error:
            self.refused, self._refusal = self.refused + 1, str(error)[:MOST_WORDS]
            return [Note("broker", "order for this station", f"refused: {error}"), *self._step()]
        if known != self.memory.desired:
            self._held, self._held_text, self._held_note = desired, known, f"fleet, key {key.text}"
        return self._step()

    def _check_order(self, desired: Desired, known: str) -> None:
        """Raises ForgedError where an order is older than one that came, or another with its generation."""
        for newest, text in ((self.desired, self.memory.desired), (self._held, self._held_text)):
            if newest is None:
                continue
            if desired.generation < newest.generation:
                raise ForgedError(f"its generation is {desired.generation}, and {newest.generation} has come before")
            if desired.generation == newest.generation and known != text:
                raise ForgedError(f"another order has its generation, {newest.generation}")

    def _take(self, desired: Desired) -> list[Out]:
        """Write a good order down; what became of versions that it wants still is kept."""
        what = ", ".join(f"{slot} {wanted.sha256[:SHORT]}" for slot, wanted in desired.slots.items())
        facts: dict[str, str | int] = {"generation": desired.generation, "rollout": desired.rollout}
        self._incoming = [Note(self._held_note, "order for this station", f"taken: {what or 'nothing'}", True, facts)]
        same = {slot: tried for slot, tried in self.memory.tried.items() if _is_of(tried, desired.slots.get(slot))}
        return self._keep(self.memory.model_copy(update={"desired": self._held_text, "tried": same}))

    def _believe(self, memory: Memory) -> None:
        """The order that is kept; one that is not signed by who may now is none."""
        self.desired = None
        if memory.desired:
            try:
                payload = base64.b64decode(memory.desired)
                self.desired, _ = Desired.unsealed(payload, self._me.name, self._me.keys)
            except (ForgedError, ValueError) as error:
                self._starting = [Note("fleet", "kept order", f"refused: {error}")]

    def _wanted(self) -> Mapping[str, Wanted]:
        return self.desired.slots if self.desired is not None else {}

    # --- from what is wanted to what is done --------------------------------------------------------------------------

    def _step(self) -> list[Out]:
        """What is to do now, as all that is known stands."""
        if not self.has_begun:
            return [] if self._writing is not None else self.begin()
        outs: list[Out] = []
        if self._writing is None:
            if self._held is not None:
                outs = self._take(self._held)
            elif self._has_seen:
                outs = self._noted() or self._ways()
        return [*outs, *self._report()]

    def _noted(self) -> list[Out]:
        """Ends that are not on the disk yet."""
        for slot, wanted in self._wanted().items():
            tried, (stage, why) = self._tried(slot, wanted), self._stage(slot, wanted)
            if stage not in ENDED or stage == Stage.REPLACED or tried.stage == stage:
                self._failed_since.pop((slot, wanted.sha256), None)
            elif stage == Stage.COMMITTED or self._has_settled(slot, wanted):
                facts: dict[str, str | int] = {"slot": slot, "sha256": wanted.sha256, "state": stage.value}
                outcome = f"{stage.value}: {why}" if why else stage.value
                self._incoming = [Note("fleet", f"order for model {slot}", outcome, True, facts)]
                return self._remember(slot, tried.model_copy(update={"stage": stage, "why": why}))
        return []

    def _has_settled(self, slot: str, wanted: Wanted) -> bool:
        since = self._failed_since.setdefault((slot, wanted.sha256), self._now())
        return self._now() - since >= SETTLE_S

    def _ways(self) -> list[Out]:
        """Files to get, and an attempt to make, each slot for itself."""
        outs: list[Out] = []
        for slot, wanted in self._wanted().items():
            stage, _ = self._stage(slot, wanted)
            if stage == Stage.FETCHING and self._may_fetch(wanted):
                self._fetching.add(wanted.sha256)
                outs.append(Fetch(wanted))
            elif stage == Stage.STAGED and not self._applying and self._seen[slot].state not in STAGES:
                tried = self._tried(slot, wanted)
                self._arming = slot
                return [*outs, *self._remember(slot, tried.model_copy(update={"attempts": tried.attempts + 1}))]
        return outs

    def _may_fetch(self, wanted: Wanted) -> bool:
        retry = self._fetches.get(wanted.sha256)
        return wanted.sha256 not in self._fetching and (retry is None or self._now() >= retry.until_s)

    def _stage(self, slot: str, wanted: Wanted) -> tuple[Stage, str]:
        """How far the version is, and why."""
        seen, tried = self._seen.get(slot), self._tried(slot, wanted)
        if seen is None:
            return Stage.REJECTED, "this station has no model of this name"
        if tried.stage is not None:
            return self._after_end(seen, tried)
        runs, is_it = seen.sha256 == wanted.sha256, seen.candidate == wanted.sha256
        if seen.state in STAGES:
            return (STAGES[seen.state], seen.why) if is_it else (Stage.WAITING, "another change of it is under way")
        if runs:
            return Stage.COMMITTED, seen.why if is_it else "it runs already"
        if is_it and seen.state in FAILED and tried.attempts:
            return FAILED[seen.state], seen.why
        return self._before_attempt(slot, wanted, tried)

    def _before_attempt(self, slot: str, wanted: Wanted, tried: Tried) -> tuple[Stage, str]:
        key = (slot, wanted.sha256, wanted.serial)
        retry = self._applies.get(key)
        if key in self._final:
            return Stage.REJECTED, self._final[key]
        if slot in self._applying:
            return Stage.STAGED, "the station looks at it"
        if tried.attempts >= MOST_ATTEMPTS:
            said = f": {retry.why}" if retry is not None else ""
            return Stage.REJECTED, f"given up after {tried.attempts} attempts{said}"
        if retry is not None and self._now() < retry.until_s:
            return Stage.WAITING, retry.why
        if not wanted.back and wanted.sha256 not in self._there:
            failed = self._fetches.get(wanted.sha256)
            return Stage.FETCHING, failed.why if failed is not None else ""
        return Stage.STAGED, "its file is here"

    @staticmethod
    def _after_end(seen: SlotSeen, tried: Tried) -> tuple[Stage, str]:
        assert tried.stage is not None
        if tried.stage != Stage.COMMITTED or seen.sha256 == tried.sha256:
            return tried.stage, tried.why
        if seen.candidate == tried.sha256 and seen.state == ChangeState.ROLLED_BACK:
            return Stage.ROLLED_BACK, seen.why
        return Stage.REPLACED, f"{seen.sha256[:SHORT]} runs: somebody has put it there"

    # --- memory -------------------------------------------------------------------------------------------------------

    def _tried(self, slot: str, wanted: Wanted) -> Tried:
        tried = self.memory.tried.get(slot)
        if tried is not None and _is_of(tried, wanted):
            return tried
        return Tried(sha256=wanted.sha256, serial=wanted.serial)

    def _remember(self, slot: str, tried: Tried) -> list[Out]:
        return self._keep(self.memory.model_copy(update={"tried": {**self.memory.tried, slot: tried}}))

    def _keep(self, memory: Memory) -> list[Out]:
        assert self._writing is None, "one at a time"
        self._writing = memory
        return [Keep(memory)]

    # --- what is told -------------------------------------------------------------------------------------------------

    def _presence(self, online: bool) -> Publish:
        return Publish(self._me.topics.online(self._me.name), Online(online=online, boot=self.memory.boot).text())

    def _answer_presence(self, payload: bytes) -> list[Out]:
        """The broker says that this station is not there: the connection before has died late."""
        try:
            said = Online.read(payload[:1000])
        except ForgedError:
            return []
        return [self._presence(True)] if self._is_connected and self.has_begun and not said.online else []

    def _report(self) -> Iterator[Publish]:
        """What the station reports, if the broker has not been told."""
        if not self._is_connected or not self._has_seen:
            return
        fresh, told = self._reported(), self._told
        if told is not None:
            same = fresh.model_copy(update={"count": told.count})
            is_news = _news(fresh) != _news(told)
            if not is_news and (same == told or self._now() - self._told_s < REPORT_S):
                return
        self._count += 1
        self._told, self._told_s = fresh.model_copy(update={"count": self._count}), self._now()
        yield Publish(self._me.topics.reported(self._me.name), self._told.sealed(self._me.own, self._me.name))

    def _reported(self) -> Reported:
        desired = self.desired
        return Reported(
            station=self._me.name,
            boot=self.memory.boot,
            count=0,
            engine=self._me.engine,
            labels=dict(self._me.labels),
            generation=self.generation,
            rollout=desired.rollout if desired is not None else "",
            slots=dict(self._slots()),
            health=self._health,
            refused=self.refused,
            refusal=self._refusal,
        )

    def _slots(self) -> Iterator[tuple[str, Slot]]:
        for slot, seen in self._seen.items():
            wanted = self._wanted().get(slot)
            if wanted is None:
                yield slot, Slot(sha256=seen.sha256, version=seen.version)
                continue
            stage, why = self._stage(slot, wanted)
            yield slot, _slot(seen, stage, wanted, why)
        for slot, wanted in self._wanted().items():
            if slot not in self._seen:
                stage, why = self._stage(slot, wanted)
                yield slot, _slot(SlotSeen("", 0), stage, wanted, why)


def _is_of(tried: Tried, wanted: Wanted | None) -> bool:
    return wanted is not None and (tried.sha256, tried.serial) == (wanted.sha256, wanted.serial)


def _slot(seen: SlotSeen, stage: Stage, wanted: Wanted, why: str) -> Slot:
    return Slot(
        sha256=seen.sha256,
        version=seen.version,
        stage=stage,
        wanted=wanted.sha256,
        serial=wanted.serial,
        why=why[:MOST_WORDS],
    )


def _news(said: Reported) -> object:
    """What of a report is told at once: all but numbers that move all the time."""
    health = said.health
    return (
        *(said.boot, said.generation, said.rollout, said.slots, said.labels, said.refused > 0),
        *(health.well, health.monitor_quiet, health.late > 0, health.reacts),
    )
