"""What the documents of a fleet say. Strict in what must be there, deaf to what is not known; bounded in all.

    PREFIX/stations/NAME/desired     Desired     retained; the commander writes it
    PREFIX/stations/NAME/reported    Reported    retained; the station writes it
    PREFIX/stations/NAME/online      Online      retained; the station, and the broker when the station has gone
    PREFIX/commander/rollout         Plan        retained; the commander
    PREFIX/commander/word            Word        retained; whoever has the commander's key
    PREFIX/commander/online          Present     retained; the commander, and the broker when it has gone

Order needs no clock: a newer `desired` has a higher generation, a newer `reported` a higher (boot, count), a newer `Plan` a higher
(term, revision).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plc_bindings.security.signing import SIGNATURE_BYTES, PublicKey
from station.fleet.sealed import ForgedError, opened, seal
from station.terms.tables import NAME_PATTERN, Labels

TERM: Final = 1_000_000
"""Generations of one term: 3,000,017 is the seventeenth order of the third commander."""
MOST_NAME: Final = 100
MOST_SLOTS: Final = 64
NAMES_FIT: Final = f"a fleet knows names of up to {MOST_NAME} letters, and {MOST_SLOTS} models of a station"
MOST_WORDS: Final = 500
"""Letters of a reason."""
MOST_FILE_BYTES: Final = 64 << 20
MOST_SIGNATURE: Final = 12 << 10
"""Of a file's signature, which may be a bundle: it travels in the order."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MaybeSha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=MOST_NAME)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Words = Annotated[str, Field(max_length=MOST_WORDS)]


class Document(BaseModel):
    """Any of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def text(self) -> bytes:
        """As it travels, without a signature."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Raises ForgedError: it is none; with the first thing that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))[:100]
            raise ForgedError(f"{where or 'it'}: {first['msg'][:MOST_WORDS]}") from None

    @classmethod
    def kind(cls) -> str:
        """What it is signed as."""
        return cls.__name__.lower()

    def sealed(self, key: Ed25519PrivateKey, name: str) -> bytes:
        """Signed, for this name."""
        return seal(key, self.kind(), name, self.text())

    @classmethod
    def unsealed(cls, data: bytes, name: str, keys: tuple[PublicKey, ...] | None) -> tuple[Self, PublicKey]:
        """The document, and who signed it. Raises ForgedError."""
        text, key = opened(data, cls.kind(), name, keys)
        return cls.read(text), key


class Wanted(Document):
    """The version that a slot shall run. `signature`: of the file, for the slot, as `rt-engine sign` makes it (either kind), in hex.

    `sources`: where it is. `back`: it is the one that ran before, and comes from the station's own store.
    """

    sha256: Sha256
    size: int = Field(gt=0, le=MOST_FILE_BYTES)
    serial: Annotated[int, Field(ge=0, lt=2**64)] = 0
    signature: str = Field(pattern="^([0-9a-f]{2})+$", min_length=2 * SIGNATURE_BYTES, max_length=2 * MOST_SIGNATURE)
    sources: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(max_length=8)
    back: bool = False
    before: MaybeSha256 = ""
    """What ran when the order was given, for who wants to go back; of an order `back`: the version that is to go."""


class Desired(Document):
    """All that a station shall run: a slot that is not in it stays as it is."""

    station: Name
    generation: Count
    rollout: str = Field(default="", max_length=100)
    slots: dict[Name, Wanted] = Field(max_length=MOST_SLOTS)

    def numbered(self, generation: int) -> Desired:
        """The same order with this generation."""
        return self.model_copy(update={"generation": generation})


class Stage(StrEnum):
    """How far a station is with the version that a slot shall run. The middle ones are the states of its own change."""

    IDLE = "idle"
    """Nothing is wanted."""
    WAITING = "waiting"
    """Another change of the slot is under way, or the next attempt is later; `why` says which."""
    FETCHING = "fetching"
    STAGED = "staged"
    GATE = "gate"
    SHADOW = "shadow"
    TRIAL = "trial"
    COMMITTED = "committed"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled back"
    REPLACED = "replaced"
    """It was committed, and somebody has put another version there since."""


BAD: Final = frozenset({Stage.REJECTED, Stage.ROLLED_BACK, Stage.REPLACED})
ENDED: Final = BAD | {Stage.COMMITTED}


class Slot(Document):
    """One slot of a station: what runs, what is wanted, how far that is."""

    sha256: str = Field(max_length=64)
    version: Count = 0
    stage: Stage = Stage.IDLE
    wanted: str = Field(default="", max_length=64)
    serial: Annotated[int, Field(ge=0, lt=2**64)] = 0
    before: MaybeSha256 = ""
    """What ran when what is wanted was ordered, as the order says."""
    why: Words = ""


class Health(Document):
    """How well a station runs. `late`: ticks that did not run, and overruns, since it started.

    `reaction_ns`: p99 of the time from when inputs came to when outputs were sent, 0 where nothing counts it; `limit_ns`: what the
    station file allows, 0: it says nothing.
    """

    well: bool = True
    words: Words = ""
    monitor_quiet: bool = True
    late: Count = 0
    reaction_ns: Count = 0
    limit_ns: Count = 0

    @property
    def reacts(self) -> bool:
        """Is the reaction time within its limit?"""
        return not self.limit_ns or self.reaction_ns <= self.limit_ns


class Reported(Document):
    """What a station says of itself. `refused`: orders that it refused since it started, and the newest reason."""

    station: Name
    boot: Count
    count: Count
    engine: str = Field(default="", max_length=64)
    labels: Labels = {}
    generation: Count = 0
    rollout: str = Field(default="", max_length=100)
    slots: dict[Name, Slot] = Field(default={}, max_length=MOST_SLOTS)
    health: Health = Health()
    refused: Count = 0
    refusal: Words = ""

    @property
    def order(self) -> tuple[int, int]:
        """Which of two is newer."""
        return self.boot, self.count


class Online(Document):
    """Is the station there? Not signed: the broker says it, too."""

    online: bool
    boot: Count = 0


class Present(Document):
    """Is a commander there? `commander`: its own number, drawn when it begins."""

    online: bool
    commander: str = Field(default="", max_length=64)
    term: Count = 0
    who: str = Field(default="", max_length=100)


class Word(Document):
    """What somebody says to a rollout. A newer one has a higher `number`."""

    rollout: str = Field(max_length=100)
    number: Count
    word: Literal["pause", "resume", "abort"]
    back: bool = False
    """Take back what was changed, too."""
    who: str = Field(default="", max_length=100)


@dataclass(frozen=True, slots=True)
class Topics:
    """Where documents are."""

    prefix: str = "rt-engine"

    def desired(self, station: str) -> str:
        """Of one station; `+`: of all."""
        return f"{self.prefix}/stations/{station}/desired"

    def reported(self, station: str) -> str:
        """Of one station."""
        return f"{self.prefix}/stations/{station}/reported"

    def online(self, station: str) -> str:
        """Of one station."""
        return f"{self.prefix}/stations/{station}/online"

    @property
    def stations(self) -> str:
        """All of all stations, to subscribe to."""
        return f"{self.prefix}/stations/+/+"

    def commander(self, what: str) -> str:
        """`rollout`, `word`, `online`."""
        return f"{self.prefix}/commander/{what}"

    def station_of(self, topic: str) -> tuple[str, str]:
        """(name, `desired` or what it is) of a topic of a station; ("", "") of any other."""
        words = topic.removeprefix(f"{self.prefix}/").split("/")
        return (words[1], words[2]) if len(words) == 3 and words[0] == "stations" else ("", "")
