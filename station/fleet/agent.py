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
from itertools import islice
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plc_bindings.security.signing import PublicKey
from station.fleet.documents import (
    MOST_NAME,
    MOST_SLOTS,
    MOST_WORDS,
    NAMES_FIT,
    Desired,
    Health,
    Online,
    Reported,
    Slot,
    Stage,
    Topics,
    Wanted,
)
from station.fleet.events import After, Apply, Fetch, Keep, Memory, Note, Out, Publish, SlotSeen, Tried
from station.fleet.progress import SHORT, Progress, is_of
from station.fleet.sealed import MOST_BYTES, ForgedError

REPORT_S: Final = 60.0
"""Numbers alone are told no more often."""
FEW_WORDS: Final = 50
"""Letters of a reason in a report that would be too long with all."""


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
        self._progress = Progress(me.name, now)
        self._health = Health()
        self._is_connected = self.has_begun = self._has_seen = False
        self._writing: Memory | None = None
        self._arming = ""
        """The slot whose attempt is being written."""
        self._incoming: list[Note] = []
        self._held: Desired | None = None
        """An order that is good, and not on the disk yet; `_held_text` as it came."""
        self._held_text = self._held_note = ""
        self.refused, self._refusal = 0, ""
        self._unkept = ""
        """Why the newest memory is not on the disk."""
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
        fit = {slot: seen for slot, seen in slots.items() if len(slot) <= MOST_NAME}
        if unfit := len(slots) - min(len(fit), MOST_SLOTS):
            words = f"{unfit} models are not told: {NAMES_FIT}"
            health = health.model_copy(update={"well": False, "words": f"{words}; {health.words}"[:MOST_WORDS]})
        self._progress.look(fit)
        self._health, self._has_seen = health, True
        return self._step()

    def kept(self) -> list[Out]:
        """What was to be written is on the disk."""
        written, armed = self._writing, self._arming
        assert written is not None, "something was written"
        self._writing, self._arming, self._unkept = None, "", ""
        before, self.memory, self.has_begun = self.memory, written, True
        self._progress.tried = written.tried
        notes, self._incoming = self._incoming, []
        outs: list[Out] = list(notes)
        if written.boot != before.boot and self._is_connected:
            outs.append(self._presence(True))
        if written.desired != before.desired:
            self._believe(written)
            if written.desired == self._held_text:
                self._held = None
        wanted = self._wanted().get(armed)
        if wanted is not None and armed not in self._progress.applying:
            self._progress.begun(armed, wanted)
            outs.append(Apply(armed, wanted))
        return [*outs, *self._step()]

    def unkept(self, why: str) -> list[Out]:
        """It is not: nothing follows from it. It is tried again with the next `seen`."""
        self._writing, self._arming, self._incoming = None, "", []
        words = f"{why}: no order can be followed until its folder can be written"
        self._unkept = words[:MOST_WORDS]
        return [Note("fleet", "memory", f"refused: {words}")]

    def fetched(self, sha256: str, why: str = "") -> list[Out]:
        """The file is there; or why it is not."""
        is_news = self._progress.fetched(sha256, why)
        note = Note("fleet", f"file {sha256[:SHORT]}", f"refused: {why}")
        return [*([note] if is_news else []), *self._step()]

    def applied(self, slot: str, wanted: Wanted, why: str = "", after: After = After.AGAIN) -> list[Out]:
        """The station has taken the version; or why it has not, and what follows."""
        self._progress.applied(slot, wanted, why, after)
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
        same = {slot: tried for slot, tried in self.memory.tried.items() if is_of(tried, desired.slots.get(slot))}
        return self._keep(self.memory.model_copy(update={"desired": self._held_text, "tried": same}))

    def _believe(self, memory: Memory) -> None:
        """The order that is kept; one that is not signed by who may now is none."""
        self.desired, self._progress.tried = None, memory.tried
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
            if (tried := self._progress.ended(slot, wanted)) is not None and (stage := tried.stage) is not None:
                facts: dict[str, str | int] = {"slot": slot, "sha256": wanted.sha256, "state": stage.value}
                outcome = f"{stage.value}: {tried.why}" if tried.why else stage.value
                self._incoming = [Note("fleet", f"order for model {slot}", outcome, True, facts)]
                return self._remember(slot, tried)
        return []

    def _ways(self) -> list[Out]:
        """Files to get, and an attempt to make, each slot for itself."""
        outs: list[Out] = []
        for slot, wanted in self._wanted().items():
            stage, _ = self._progress.stage(slot, wanted)
            if stage == Stage.FETCHING and self._progress.fetch(wanted.sha256):
                outs.append(Fetch(wanted))
            elif stage == Stage.STAGED and self._progress.may_try(slot):
                self._arming = slot
                return [*outs, *self._remember(slot, self._progress.armed(slot, wanted))]
        return outs

    # --- memory -------------------------------------------------------------------------------------------------------

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
        payload = self._told.sealed(self._me.own, self._me.name)
        if len(payload) > MOST_BYTES:
            payload = _with_few_words(self._told).sealed(self._me.own, self._me.name)
        yield Publish(self._me.topics.reported(self._me.name), payload)

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
            slots=dict(islice(self._slots(), MOST_SLOTS)),
            health=self._health,
            refused=self.refused,
            refusal=self._unkept or self._refusal,
        )

    def _slots(self) -> Iterator[tuple[str, Slot]]:
        seen, wants = self._progress.seen, self._wanted()
        for slot, wanted in wants.items():
            yield slot, _slot(seen.get(slot, SlotSeen("", 0)), *self._progress.stage(slot, wanted), wanted)
        yield from (
            (slot, Slot(sha256=one.sha256, version=one.version)) for slot, one in seen.items() if slot not in wants
        )


def _slot(seen: SlotSeen, stage: Stage, why: str, wanted: Wanted) -> Slot:
    return Slot(
        sha256=seen.sha256,
        version=seen.version,
        stage=stage,
        wanted=wanted.sha256,
        serial=wanted.serial,
        before=wanted.before,
        why=why[:MOST_WORDS],
    )


def _with_few_words(said: Reported) -> Reported:
    """The same report, with the beginnings of reasons alone."""
    slots = {name: slot.model_copy(update={"why": slot.why[:FEW_WORDS]}) for name, slot in said.slots.items()}
    return said.model_copy(update={"slots": slots})


def _news(said: Reported) -> object:
    """What of a report is told at once: all but numbers that move all the time."""
    health = said.health
    return (
        *(said.boot, said.generation, said.rollout, said.slots, said.labels, said.refused > 0),
        *(health.well, health.monitor_quiet, health.late > 0, health.reacts),
    )
