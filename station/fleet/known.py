"""What a commander knows of a fleet: every message looked at, signed ones believed, the newer of two kept. Pure.

The key of a station is the first that was seen of its name (`pins`); a report with another one is refused, until a person says trust.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from plc_bindings.security.signing import PublicKey
from station.fleet.documents import MOST_NAME, TERM, Desired, Online, Present, Reported, Topics, Word
from station.fleet.events import Note
from station.fleet.rollout import Member, Plan
from station.fleet.sealed import ForgedError
from station.terms.tables import NAME_PATTERN

COMMANDERS: Final = "commander"
"""The name for which a commander's own documents are signed."""
MOST_MEMBERS: Final = 200_000
MOST_REPORT_BYTES: Final = 512 << 20
"""Of the newest reports of all stations: who makes stations up fills no memory."""
MOST_SAID_TERM: Final = 1 << 40
"""Terms that no commander has signed count up to here alone: a station or a broker that lies uses none of the others up."""


@dataclass(slots=True)
class Fleet:
    """All stations, and what commanders say. `keys`: who may command; `pins`: station -> its key."""

    topics: Topics
    keys: tuple[PublicKey, ...]
    pins: dict[str, PublicKey] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    plan: Plan | None = None
    word: Word | None = None
    present: Present = field(default_factory=lambda: Present(online=False))
    payloads: dict[str, bytes] = field(default_factory=dict)
    """Topic -> the newest document of a commander's, as it is at the broker."""
    report_bytes: int = 0
    stale: int = 0
    """Reports that came behind newer ones."""

    def take(self, topic: str, payload: bytes) -> list[Note]:
        """A message; what is to be noted of it."""
        if not payload:
            return []
        name, what = self.topics.station_of(topic)
        try:
            if name and what in ("online", "reported", "desired"):
                self._station(name, what, topic, payload)
            elif topic == self.topics.commander("online"):
                self.present = Present.read(payload[:1000])
            elif topic in (self.topics.commander("rollout"), self.topics.commander("word")):
                self._commander(topic, payload)
        except ForgedError as error:
            return [Note("broker", f"message on {topic}"[:200], f"refused: {error}")]
        return []

    def _station(self, name: str, what: str, topic: str, payload: bytes) -> None:
        member = self.members.get(name)
        if member is None:
            if len(name) > MOST_NAME or re.fullmatch(NAME_PATTERN, name) is None:
                raise ForgedError("no station can have this name")
            if len(self.members) >= MOST_MEMBERS:
                raise ForgedError(f"more than {MOST_MEMBERS:,} stations")
            member = Member(name)
        if what == "online":
            member.online = Online.read(payload[:1000]).online
        elif what == "desired":
            self._desired(member, topic, payload)
        else:
            self._reported(member, payload)
        self.members[name] = member

    def _desired(self, member: Member, topic: str, payload: bytes) -> None:
        desired, _ = Desired.unsealed(payload, member.name, self.keys)
        if member.desired is not None and desired.generation < member.desired.generation:
            raise ForgedError(f"an order of generation {desired.generation}, behind {member.desired.generation}")
        member.desired = desired
        self.payloads[topic] = payload

    def _reported(self, member: Member, payload: bytes) -> None:
        pin = self.pins.get(member.name)
        reported, key = Reported.unsealed(payload, member.name, None if pin is None else (pin,))
        if reported.station != member.name:
            raise ForgedError(f"it is of {reported.station}")
        if member.reported is not None and reported.order < member.reported.order:
            self.stale += 1
            raise ForgedError(f"a report {reported.order}, behind {member.reported.order}")
        total = self.report_bytes + len(payload) - member.report_bytes
        if total > MOST_REPORT_BYTES:
            raise ForgedError(f"all reports have more than {MOST_REPORT_BYTES:,} bytes")
        self.report_bytes, member.report_bytes = total, len(payload)
        self.pins[member.name] = key
        member.reported = reported

    def _commander(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/word"):
            word, _ = Word.unsealed(payload, COMMANDERS, self.keys)
            if self.word is None or word.number > self.word.number:
                self.word = word
            return
        plan, _ = Plan.unsealed(payload, COMMANDERS, self.keys)
        if self.plan is not None and plan.order < self.plan.order:
            raise ForgedError(f"a plan {plan.order}, behind {self.plan.order}")
        self.plan = plan
        self.payloads[topic] = payload

    def newest_term(self, more: int = 0) -> int:
        """The highest term that was ever seen anywhere; `more`: what a journal has."""
        members = self.members.values()
        signed = [one.desired.generation // TERM for one in members if one.desired is not None]
        said = [one.reported.generation // TERM for one in members if one.reported is not None]
        believed = [term for term in (*said, self.present.term) if term <= MOST_SAID_TERM]
        plan = self.plan.term if self.plan is not None else 0
        return max(more, plan, *signed, *believed, 0)


def counted(members: Mapping[str, Member]) -> tuple[int, int]:
    """(stations, those that are there)."""
    return len(members), sum(member.online for member in members.values())
