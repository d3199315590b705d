"""What the two payloads have in common: what a station tells a payload, and what a payload tells the station.

looks of the sampler -> Record   -> store -> Payload.data()     -> messages for the broker
messages of the broker           -> Payload.command()           -> Order, or CommandError
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fieldbus.tags import Quality
from plc_bindings.data.types import String
from plc_bindings.errors import BindingError
from plc_bindings.mqtt.broker import Message
from plc_bindings.mqtt.points import RANGES, Change, Point, Value


class CommandError(BindingError):
    """A command is none that can be carried out; the message says which value, what was expected, what came."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was new in one area at one look: Unix time in ms, quality, values."""

    time_ms: int
    group: int
    quality: Quality
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Order:
    """What a message asks for: values to be written at once, to be born again, or what the primary host says of itself."""

    writes: tuple[tuple[Point, bytes], ...] = ()
    rebirth: bool = False
    host_is_up: bool | None = None


Latest = Callable[[int], Record | None]
"""All values of a group as they were at the newest look; None: it was never looked at."""


class Payload(Protocol):
    """How values become messages. One per server, one loop."""

    def topics(self) -> Mapping[str, int]:
        """Filter -> QoS of what it wants to hear."""

    def will(self) -> Message:
        """For the next connection."""

    def births(self, time_ms: int) -> list[Message]:
        """What is said first over a connection, and when it is asked for again: all values as they are now."""

    def data(self, record: Record, is_historical: bool) -> list[Message]:
        """What was new."""

    def history_ends(self, time_ms: int) -> list[Message]:
        """What is said behind the last of what had waited."""

    def death(self) -> Message:
        """What is said before an orderly end."""

    def is_of_host(self, topic: str) -> bool:
        """Does the primary host say there how it is? Others' commands do not make that one too many."""

    def command(self, message: Message) -> Order:
        """What a message asks for; raises `CommandError`."""

    @property
    def qos(self) -> int:
        """Of data: at 0 the broker does not acknowledge them, and is asked now and then."""


def encoded(point: Point, value: Value) -> bytes:
    """A value as the database holds it.

    Raises:
        CommandError: of another type, or outside of the range; says which.
    """
    if not point.is_writable:
        raise CommandError(f"{point.name} is not writable: `writable` of this server names what is")
    type_ = point.type
    if isinstance(type_, String):
        if not isinstance(value, str) or len(value.encode()) > type_.length:
            raise CommandError(f"{point.name} is a {type_.name}, not {_shown(value)}")
        return value.encode().ljust(type_.size, b"\0")
    if type_.name == "BOOL":
        if not isinstance(value, bool):
            raise CommandError(f"{point.name} is a BOOL, not {_shown(value)}")
        return struct.pack("<?", value)
    if isinstance(value, bool | str):
        raise CommandError(f"{point.name} is a {type_.name}, not {_shown(value)}")
    return _number(point, value)


def _number(point: Point, value: float) -> bytes:
    assert not isinstance(point.type, String)
    low, high = point.low, point.high
    if point.type.name in RANGES:
        if isinstance(value, float):
            if not value.is_integer():
                raise CommandError(f"{point.name} is a {point.type.name}, not {_shown(value)}")
            value = int(value)
        low, high = max(low, RANGES[point.type.name][0]), min(high, RANGES[point.type.name][1])
    elif isinstance(value, float) and not math.isfinite(value):
        raise CommandError(f"{point.name}: {_shown(value)} is no number")
    if not low <= value <= high:
        raise CommandError(f"{point.name}: {_shown(value)} is outside of {low:g} to {high:g}")
    try:
        return struct.pack("<" + point.type.char, value)
    except (struct.error, OverflowError) as error:
        raise CommandError(f"{point.name}: {_shown(value)} does not fit {point.type.name}") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
