"""A fleet as one sees it who has a commander's key: a session with the broker, and the audit log.

async with Session(options, log) as session:         returns when all that is retained has come
    session.fleet.members["press-1"].reported        and follows what comes after it
    await session.publish(topic, payload)
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plc_bindings.mqtt.broker import Broker, BrokerError, BrokerOptions, Message
from plc_bindings.security.signing import PublicKey
from station.errors import RolloutError
from station.fleet.documents import Present, Topics
from station.fleet.events import Note
from station.fleet.kept_up import keep_up
from station.fleet.known import Fleet
from station.fleet.pins import Pins
from station.fleet.sealed import public_of

LOOK_S: Final = 0.5
STOP_S: Final = 3.0
QUIET_S: Final = 0.7
SURE_S: Final = 3.0
"""Behind our own mark: so long nothing new must have come until all that is retained is here; it is after so long in any case."""
PATIENCE_S: Final = 30.0
MOST_LOOK_S: Final = 600.0
"""A broker that sends nothing for so long is not reached; one that sends without an end is left."""


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Where the broker is, and who commands. `folder`: journal, audit log, keys of stations; `keys`: of other commanders."""

    broker: BrokerOptions
    folder: Path
    key: Ed25519PrivateKey
    who: str
    keys: tuple[PublicKey, ...] = ()
    topic: str = "rt-engine"


class Log(Protocol):
    """An audit log (`plc_bindings.security.audit.AuditLog`)."""

    def record(self, who: str, what: str, outcome: str) -> None:
        """What was refused."""

    def record_change(self, who: str, what: str, outcome: str, **more: str | int) -> None:
        """What was changed."""

    def settled(self) -> bool:
        """Write what waits; is every change on the disk now?"""


class Session:
    """A fleet, looked at: an async context manager; inside, `fleet` is as all that is retained says, and follows.

    Args:
        commands: is this the commander? Then the broker knows it by a name that only one can have.
        present: what is said of it, and, by the broker, when it has gone.
    """

    def __init__(self, options: CommandOptions, log: Log, commands: bool = False) -> None:
        self.options, self.log = options, log
        self.topics = Topics(options.topic)
        keys = dict.fromkeys((public_of(options.key), *options.keys))
        self.pins = Pins(options.folder)
        self.fleet = Fleet(self.topics, tuple(keys), dict(self.pins.known))
        self.id, self.term = secrets.token_hex(8), 0
        self._mark = f"{options.topic}/mark/{self.id}"
        self._commands = commands
        name = f"{options.topic.replace('/', '-')}-{'commander' if commands else f'looks-{self.id}'}"
        broker = replace(
            options.broker, client_id=name, most_waiting=2_000_000, most_waiting_bytes=512 << 20, most_per_s=1_000_000
        )
        topics = {
            self._mark: 0,
            self.topics.commander("+"): 1,
            self.topics.stations: 0,
        }  # no answer waits behind all reports
        self.broker = Broker(broker, topics, self._received, self._connected, self._will)
        self._newest_s, self._marked_s, self._is_first = time.monotonic(), 0.0, True
        self._echoed: set[str] = set()
        """Topics where the broker has, over this connection, what was said there last."""
        self._running: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Session:
        self._running = asyncio.create_task(
            keep_up(self.broker, lambda why: self.log.record("commander", "broker", why))
        )
        try:
            await self._settled()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.keep_pins()
        tasks = [task for task in (self._again, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Retained and acknowledged; as often as it takes while the broker is away, or until something newer is said there."""
        self.fleet.payloads[topic] = payload
        while self.fleet.payloads[topic] == payload:
            try:
                await self.broker.publish(Message(topic, payload, 1, True))
                return
            except BrokerError:
                await asyncio.sleep(LOOK_S)

    def keep_pins(self) -> None:
        """Those that were seen for the first time; where they cannot be kept, the audit log says it, and they are seen again."""
        try:
            self.pins.add(self.fleet.pins)
        except (OSError, RolloutError) as error:
            self.log.record("commander", "keys of the stations", f"refused: {self.pins.path} is not written: {error}")

    def note(self, note: Note) -> None:
        """To the audit log."""
        if note.is_change:
            self.log.record_change(note.who, note.what, note.outcome, **note.facts)
        else:
            self.log.record(note.who, note.what, note.outcome)

    # --- the broker ---------------------------------------------------------------------------------------------------

    async def _received(self, message: Message) -> None:
        self._newest_s = time.monotonic()
        if message.topic == self._mark:
            self._marked_s = time.monotonic()
            return
        for note in self.fleet.take(message.topic, message.payload):
            self.note(note)
        if self.fleet.payloads.get(message.topic) == message.payload:
            self._echoed.add(message.topic)
        else:
            self._echoed.discard(message.topic)

    async def _connected(self) -> None:
        self._marked_s = 0.0
        self._echoed.clear()
        for member in self.fleet.members.values():
            member.online = False  # until the broker says so again
        await self.broker.publish(Message(self._mark, b"-"))
        if not self._is_first and self._commands:
            self._again = asyncio.create_task(self._remind())
        self._is_first = False

    def _will(self) -> Message | None:
        if not self._commands:
            return None
        return Message(self.topics.commander("online"), self.present(False), 1, True)

    def present(self, online: bool) -> bytes:
        """What is said of this commander."""
        return Present(online=online, commander=self.id, term=self.term, who=self.options.who[:100]).text()

    async def _settled(self) -> None:
        """All that is retained has come."""
        begun = self._newest_s = time.monotonic()
        while not self._is_settled(now := time.monotonic()):
            if now - self._newest_s > PATIENCE_S or now - begun > MOST_LOOK_S:
                why = self.broker.counts.last_error or "its messages do not end"
                raise RolloutError(f"the broker {self.options.broker.address} is not reached: {why}")
            await asyncio.sleep(0.05)

    def _is_settled(self, now: float) -> bool:
        return bool(self._marked_s) and (now - self._newest_s >= QUIET_S or now - self._marked_s >= SURE_S)

    async def _remind(self) -> None:
        """The broker was away, and may have forgotten, or remember something older: what a commander said last is said again."""
        with suppress(RolloutError):
            await self._settled()
        await self.publish(self.topics.commander("online"), self.present(True))
        for topic in tuple(self.fleet.payloads):  # orders are given meanwhile: the newest is said
            if topic not in self._echoed:
                await self.publish(topic, self.fleet.payloads[topic])
