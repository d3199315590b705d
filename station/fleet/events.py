"""What an agent keeps, sees, and has others do: the vocabulary of `station.fleet.agent`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, NamedTuple

from pydantic import Field

from rt_engine.change import ChangeState
from station.fleet.documents import MOST_WORDS, Count, Document, Sha256, Stage, Wanted


class Tried(Document):
    """What became of a version until now. `stage`: its end; None: it has none yet."""

    sha256: Sha256
    serial: Annotated[int, Field(ge=0, lt=2**64)]
    attempts: Count = 0
    stage: Stage | None = None
    why: str = ""


class Memory(Document):
    """What is on the station's disk. `desired`: the newest order as it came, base64."""

    boot: Count = 0
    desired: str = ""
    tried: dict[str, Tried] = Field(default={})


class After(Enum):
    """What follows from an attempt that failed."""

    AGAIN = "another attempt; so many are made"
    FREE = "another attempt; this one does not count: the disk had no room"
    NEVER = "it would end alike"


class SlotSeen(NamedTuple):
    """A slot as the station has it: what is live, and its newest change since the start (`ChangeView`)."""

    sha256: str
    version: int = 1
    state: ChangeState = ChangeState.NONE
    candidate: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """Write it to the disk; then `kept()`, or `unkept(why)`. What comes after it in a list is done whatever became of it."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Publish:
    """Retained, with an acknowledgement. One that cannot be sent is forgotten: `connected` says all again."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the file, then `fetched`; at once if it is there already."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Apply:
    """Have the station take the version, then `applied`."""

    slot: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the audit log."""

    who: str
    what: str
    outcome: str
    is_change: bool = False
    facts: Mapping[str, str | int] = field(default_factory=dict)


Out = Keep | Publish | Fetch | Apply | Note


@dataclass(slots=True)
class Retry:
    """Something that failed: until when it rests, and why."""

    until_s: float = 0.0
    times: int = 0
    why: str = ""

    def failed(self, why: str, now_s: float, name: str, first_s: float, most_s: float) -> None:
        """Rest twice as long as before, and not all stations equally long."""
        spread = 0.75 + 0.5 * zlib.crc32(f"{name} {self.times}".encode()) / 2**32
        self.until_s = now_s + min(first_s * 2.0 ** min(self.times, 20), most_s) * spread
        self.times, self.why = self.times + 1, why[:MOST_WORDS]
