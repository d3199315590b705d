"""A server of kind MQTT: looks at the database in the servers' thread, hands what it saw to its own, and writes what that is told.

servers' thread   every period: the moments of all areas that are published; writes of commands
own thread        everything else (`uplink`): packing, comparing, messages, the broker, the store
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from plc_bindings.data.database import Database, NotAllowedError, Session
from plc_bindings.errors import ServerError
from plc_bindings.mqtt.options import MqttOptions
from plc_bindings.mqtt.payload import CommandError
from plc_bindings.mqtt.points import points
from plc_bindings.mqtt.uplink import Look, Uplink, Writes
from plc_bindings.net.apart import stand_back
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access, Client

TURN_NS: Final = 200_000
"""So long a look holds the servers' thread at a time, and then one area more."""
NICE: Final = 5
"""It gives way to calls of PLCs."""
LEAVE_S: Final = 1.5
"""For the broker to hear that we go."""
MOST_LOOKS: Final = 100
"""Looks that our own thread has not taken; then the next are left out, and counted."""
_ANSWER_S: Final = 2.0
_BEGIN_S: Final = 0.01


class MqttServer:
    """A client of a broker that serves a station.

    Args:
        database: of the station.
        options: see there.
        access: names that commands may write, their rate, the audit log.
        avoid: processors that belong to tasks.

    Raises:
        BindingError: the library is missing; nothing is published.
    """

    def __init__(
        self, database: Database, options: MqttOptions, access: Access, avoid: Collection[int] = frozenset()
    ) -> None:
        self._database, self._options, self._access, self._avoid = database, options, access, avoid
        self._points = points(database, options.publish, access.writable, options.deadband)
        if not self._points.all:
            raise ServerError(
                f"{', '.join(options.publish)}: means no value that is there; `rt-engine symbols` lists them"
            )
        who, rate = f"mqtt {options.broker.address}", float(access.limits.requests_per_second)
        self._client = Client(who, "", rate)
        self._session = Session(database, database.writable(access.writable), who=who)
        self.uplink = Uplink(options, self._points, self._carry_out, self._client, access.audit)
        self._thread: threading.Thread | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._is_over = False
        self._waiting = self._left_out = 0
        self._fault = ""
        """An error of ours."""

    def status(self) -> ServerStatus:
        """How it does. Any thread."""
        uplink, options = self.uplink, self._options
        counts, store = uplink.broker.counts, uplink.store
        return ServerStatus(
            f"mqtt {options.payload} {options.group}/{options.node} at {options.broker.address}",
            int(uplink.is_born),
            uplink.commands,
            uplink.refused,
            {
                "messages": counts.sent,
                "message_bytes": counts.sent_bytes,
                "connects": counts.connects,
                "births": uplink.births,
                "dropped_records": store.dropped,
                "dropped_commands": counts.dropped,
                "left_out_looks": self._left_out,
            },
            {"stored_records": len(store), "stored_bytes": store.bytes},
            self._fault or store.trouble or ("" if uplink.is_born else counts.last_error or "the broker is away"),
        )

    async def start(self) -> None:
        """Begin to look; a broker that is away is tried again and again, so nothing is waited for.

        Raises:
            OSError: the system gives no thread.
        """
        self._servers = asyncio.get_running_loop()
        self._own, self._stopped, self._is_over = None, None, False
        self._thread = threading.Thread(target=self._main, name="mqtt", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            raise OSError(f"the system gave no thread for MQTT: {error}; see 'ulimit -u'") from error
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """The broker is told, what waits is kept."""
        self._looking.cancel()
        self._is_over = True
        if self._own is not None and self._stopped is not None:
            with suppress(RuntimeError):  # it has ended already
                self._own.call_soon_threadsafe(self._stopped.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, LEAVE_S)
            self._thread = None

    def _main(self) -> None:
        stand_back(self._avoid, NICE)
        try:
            asyncio.run(self._run())
        except Exception as error:
            self._blame(error)

    async def _run(self) -> None:
        own = asyncio.get_running_loop()
        own.set_exception_handler(lambda _, context: self._blame(context.get("exception")))
        self._own, self._stopped = own, asyncio.Event()
        if self._is_over:  # before this thread came so far
            self._stopped.set()
        await self.uplink.run(self._stopped)

    def _blame(self, error: BaseException | None) -> None:
        """Tell of an error of ours; that aiomqtt watches a socket which has been closed meanwhile is none."""
        fault = f"error of ours, please report: {type(error).__name__}: {error}"
        if error is not None and not isinstance(error, OSError) and fault != self._fault:
            self._access.audit(self._client.name, "mqtt", fault)
            self._fault = fault

    async def _look(self) -> None:
        period_s = self._options.period_s
        while self._own is None:  # its thread begins
            await asyncio.sleep(_BEGIN_S)
        due_s = time.monotonic()
        while True:
            looks = await self._looks()
            if self._waiting >= MOST_LOOKS:
                self._left_out += 1
            else:
                self._waiting += 1
                try:
                    self._own.call_soon_threadsafe(self._take, looks)
                except RuntimeError:  # it has ended: see `_blame`
                    return
            due_s = max(due_s + period_s, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())

    async def _looks(self) -> list[Look]:
        """Each area of one moment, without holding the loop for long."""
        looks, end_ns = [], time.monotonic_ns() + TURN_NS
        for number, group in enumerate(self._points.groups):
            moment = self._database.areas[group.area].moment()
            now_ns = time.monotonic_ns()
            age_ns = now_ns - moment.timestamp_ns if moment.timestamp_ns else 0
            looks.append(Look(number, moment, (time.time_ns() - age_ns) // 1_000_000))
            if now_ns > end_ns:
                await asyncio.sleep(0)
                end_ns = time.monotonic_ns() + TURN_NS
        return looks

    def _take(self, looks: list[Look]) -> None:
        self._waiting -= 1
        self.uplink.look(looks)

    async def _carry_out(self, writes: Writes) -> None:
        """In our own thread: values are written in the servers' thread, all at once."""
        own, turn = asyncio.get_running_loop(), threading.Lock()  # whoever has it first: they are written, or refused
        done: asyncio.Future[CommandError | None] = own.create_future()

        def settle(error: CommandError | None) -> None:
            if not done.done():
                done.set_result(error)

        def write() -> None:
            if turn.acquire(blocking=False):
                own.call_soon_threadsafe(settle, self._written(writes))

        self._servers.call_soon_threadsafe(write)
        try:
            await asyncio.wait((done,), timeout=_ANSWER_S)
        finally:
            is_refused = turn.acquire(blocking=False)
        if is_refused:
            raise CommandError("the servers' thread did not answer")
        if (error := await done) is not None:
            raise error

    def _written(self, writes: Writes) -> CommandError | None:
        session = self._session
        session.begin()
        try:
            for point, data in writes:
                session.write(point.area, point.offset, data)
            session.commit()
        except NotAllowedError:
            return CommandError("a value is not writable")
        except Exception as error:  # of an area: the command is not carried out, and nothing else ends
            return CommandError(f"{type(error).__name__}: {error}")
        return None
