"""From looks at the database to a broker, and commands back: in a thread of its own, since MQTT's library and large births take time.

    look()  -->  changes  -->  store  -->  payload.data()  -->  broker
                                 ^ confirmed                       |
    carry_out()  <--  payload.command()  <---------------------------

While nobody listens (no connection, no primary host) records wait in the store; those that are older than the births of a connection
are historical there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.tags import Quality
from plc_bindings.data.database import Moment
from plc_bindings.mqtt.broker import Broker, BrokerError, Message
from plc_bindings.mqtt.options import MqttOptions
from plc_bindings.mqtt.payload import CommandError, Order, Payload, Record
from plc_bindings.mqtt.plain import Plain
from plc_bindings.mqtt.points import Point, Points
from plc_bindings.mqtt.remembered import Remembered
from plc_bindings.mqtt.sparkplug import FIRST, Sparkplug
from plc_bindings.mqtt.store import Store
from plc_bindings.security.access import Client
from plc_bindings.security.access import Record as Audit

BATCH: Final = 64
"""Records that are sent at once."""
CONFIRM_S: Final = 0.5
"""So often the broker is asked whether it has what it does not acknowledge."""
REBIRTH_S: Final = 1.0
"""Births that are asked for sooner after the last ones are said then, once for all who asked."""
Writes = Sequence[tuple[Point, bytes]]


@dataclass(frozen=True, slots=True)
class Look:
    """A group at one moment. `time_ms`: Unix time of its values."""

    group: int
    moment: Moment
    time_ms: int


class Uplink:
    """One server's side of the broker.

    Args:
        carry_out: writes values, all at once; awaited in this loop, raises `CommandError`.
        client: for the rate of commands, and its name in the audit log.
        audit: what was commanded, and refused.
    """

    def __init__(
        self,
        options: MqttOptions,
        points: Points,
        carry_out: Callable[[Writes], Awaitable[None]],
        client: Client,
        audit: Audit,
    ) -> None:
        self._options, self._points, self._carry_out = options, points, carry_out
        self._client, self._audit = client, audit
        self.store = Store(points, options.store_bytes, options.store_file)
        self._payload = self._made(options)
        topics = self._payload.topics()
        self.broker = Broker(options.broker, topics, self._received, self._connected, self._payload.will)
        self._looks: dict[int, Look] = {}
        self.commands = self.refused = self.births = 0
        self._has_looked, self._new, self._asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._speaking = asyncio.Lock()
        self._born_s = 0.0
        self._born_over = 0
        """The connection over which we were born; 0: none."""
        self._live_from = 0
        """Number of the first record that is newer than the births."""
        self._batch = 1
        self._refreshed_s = 0.0

    def _made(self, options: MqttOptions) -> Payload:
        if options.payload == "sparkplug":
            file = options.store_file
            bd_seq = Remembered(file and file.with_name(file.name + ".bdseq"), *FIRST)
            return Sparkplug(options.group, options.node, self._points, self._latest, options.host, bd_seq=bd_seq)
        return Plain(f"{options.group}/{options.node}", self._points, self._latest)

    @property
    def is_born(self) -> bool:
        """Do others know what there is, over this connection?"""
        return self.broker.up and self._born_over == self.broker.counts.connects

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped`; then the broker is told, and what waits is kept."""
        self.store.load()
        work: list[asyncio.Task[object]] = [
            asyncio.create_task(one()) for one in (self.broker.run, self._forward, self._confirm, self._be_born_again)
        ]
        ending = asyncio.create_task(stopped.wait())
        await asyncio.wait([*work, ending], return_when=asyncio.FIRST_COMPLETED)
        for task in work[1:]:
            task.cancel()
        self.store.keep()  # first: a broker that hangs is not waited for to the end
        if self.is_born:
            with contextlib.suppress(BrokerError):
                await self.broker.publish(self._payload.death())
                await self._settle()
        for task in (*work, ending):
            task.cancel()
        self.store.again()
        self.store.keep()
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def look(self, looks: Sequence[Look]) -> None:
        """What the sampler saw. In our loop."""
        now_s = time.monotonic()
        if self._options.refresh_s and now_s - self._refreshed_s >= self._options.refresh_s:
            self._refreshed_s = now_s
            for group in self._points.groups:
                group.forget()
        for look in looks:
            self._looks[look.group] = look
            quality = _quality(look)
            changes = self._points.groups[look.group].changed(look.moment.pack(), quality)
            if changes:
                self.store.put(Record(look.time_ms, look.group, quality, changes))
        self._has_looked.set()
        if self.is_born:
            self._new.set()
        else:
            self.store.again()
            self.store.keep()

    def _latest(self, group: int) -> Record | None:
        look = self._looks.get(group)
        if look is None:
            return None
        return Record(look.time_ms, group, _quality(look), list(self._points.groups[group].values(look.moment.pack())))

    async def _connected(self) -> None:
        self.store.again()
        if not self._options.host:
            await self._be_born()

    async def _be_born(self) -> None:
        await self._has_looked.wait()
        async with self._speaking:
            live_from = self.store.end  # what changes while births are said is newer than they are
            for message in self._payload.births(time.time_ns() // 1_000_000):
                await self.broker.publish(message)
                await asyncio.sleep(0)
            self.births += 1
            self._born_s = time.monotonic()
            if not self.is_born:
                self._live_from, self._batch = live_from, 1
                self._born_over = self.broker.counts.connects
        self._new.set()

    async def _be_born_again(self) -> None:
        while True:
            await self._asked.wait()
            await asyncio.sleep(self._born_s + REBIRTH_S - time.monotonic())
            self._asked.clear()
            if self.is_born:
                try:
                    await self._be_born()
                except BrokerError as error:
                    self.broker.leave(str(error))

    async def _forward(self) -> None:
        while True:
            await self._new.wait()
            self._new.clear()
            with contextlib.suppress(BrokerError):
                while self.is_born and await self._send_some():
                    continue

    async def _send_some(self) -> bool:
        """Records of the store; False when there was none.

        Of history one first, then twice as many each time, and on only when the broker has them: one that ends each connection soon
        gets it all the same.
        """
        async with self._speaking:
            number = self.store.next
            is_old = number < self._live_from
            records = self.store.take(self._batch if is_old else BATCH)
            messages = [
                message
                for i, record in enumerate(records, number)
                for message in self._payload.data(record, i < self._live_from)
            ]
            end = self.store.next
            if is_old and end >= self._live_from:
                messages += self._payload.history_ends(time.time_ns() // 1_000_000)
            try:
                await asyncio.gather(*map(self.broker.publish, messages))
                if self._payload.qos:
                    self.store.confirm(end)
                elif is_old:
                    await self._settle()
            except BrokerError as error:
                self.broker.leave(str(error))
                raise
            self._batch = min(2 * self._batch, BATCH)
        return bool(records)

    async def _confirm(self) -> None:
        while True:
            await asyncio.sleep(CONFIRM_S)
            if self.is_born and not self._payload.qos:
                try:
                    await self._settle()
                except BrokerError as error:
                    self.broker.leave(str(error))

    async def _settle(self) -> None:
        number, over = self.store.next, self.broker.counts.connects
        if number > self.store.first:
            await self.broker.confirm()
            if over == self.broker.counts.connects:
                self.store.confirm(number)

    async def _received(self, message: Message) -> None:
        if not self._payload.is_of_host(message.topic) and not self._client.may_ask():
            self._refuse(message, f"more than {self._client.rate:g} commands in a second")
            return
        try:
            order = self._payload.command(message)
            if order.writes:
                await self._carry_out(order.writes)
        except CommandError as error:
            self._refuse(message, str(error))
            return
        except Exception as error:  # ours: one command is lost, and told of; nothing else
            self._refuse(message, f"cannot be read: {type(error).__name__}: {error}")
            return
        self.commands += bool(order.writes or order.rebirth)
        for point, _ in order.writes:
            self._audit(self._client.name, f"write of {point.name}", f"done: {message.topic}")
        await self._obey(order)

    async def _obey(self, order: Order) -> None:
        if order.rebirth:
            self._asked.set()
        if order.host_is_up and not self.is_born:
            await self._be_born()
        if order.host_is_up is False and self.is_born:
            await self.broker.publish(self._payload.death())
            self.broker.leave(f"the primary host {self._options.host} is away")

    def _refuse(self, message: Message, why: str) -> None:
        self._audit(self._client.name, f"command at {message.topic[:200]}", f"refused: {why}")
        self.refused += 1


def _quality(look: Look) -> Quality:
    return look.moment.quality if look.moment.timestamp_ns else Quality.BAD
