"""What a commander knows of a fleet: every message looked at, signed ones believed, the newer of two kept. Pure.

The key of a station is the first that was seen of its name (`pins`); a report with another one is refused, until a person says trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from plc_bindings.security.signing import PublicKey
from station.fleet.documents import Desired, Document, Online, Present, Reported, Topics, Word
from station.fleet.events import Note
from station.fleet.rollout import Member, Plan
from station.fleet.sealed import ForgedError

COMMANDERS: Final = "commander"
"""The name for which a commander's own documents are signed."""
MOST_MEMBERS: Final = 1_000_000


class Journaled(Document):
    """A line of a commander's journal: the plan as it became, and the generations of orders that are sent now."""

    plan: Plan
    orders: dict[str, int] = {}  # noqa: RUF012


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
        from station.fleet.documents import TERM

        generations = [
            number
            for member in self.members.values()
            for number in (
                member.desired.generation if member.desired is not None else 0,
                member.reported.generation if member.reported is not None else 0,
            )
        ]
        plan = self.plan.term if self.plan is not None else 0
        return max(more, plan, self.present.term, max(generations, default=0) // TERM)


def counted(members: Mapping[str, Member]) -> tuple[int, int]:
    """(stations, those that are there)."""
    return len(members), sum(member.online for member in members.values())
