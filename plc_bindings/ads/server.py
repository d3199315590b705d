"""Sockets around `session`: one protocol object for each connection, on the loop of `plc_bindings.serving`."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, cast

from plc_bindings.access import Access, Client
from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.session import AdsSession
from plc_bindings.database import Database
from plc_bindings.predict import Models
from plc_bindings.serving import ServerStatus

_HIGH_WATER: Final = 256 * 1024
"""Unsent bytes from which on a client's requests wait, and its notifications are left out."""
_PATIENCE_S: Final = 10.0
"""A client that fetches nothing for so long is disconnected."""
_WORKERS: Final = 2
_NEVER: Final = float("inf")


class AdsServer:
    """An ADS server; see `plc_bindings.serving.Server`.

    Args:
        database: what clients read and write.
        models: what they call.
        options: where it is found.
        access: who may come, and how much.
        attributes: model name -> its custom attributes.
        uploads: client's name -> its model uploads; None: not enabled.
    """

    def __init__(
        self,
        database: Database,
        models: Models,
        options: AdsOptions | None = None,
        access: Access | None = None,
        *,
        attributes: Any = None,
        uploads: Any = None,
    ) -> None:
        self.access = access or Access()
        self.options = options or AdsOptions()
        self._device = Device(database, models, self.options, self.access)
        if attributes is not None:
            self._device.attributes = attributes
        self._device.uploads = uploads
        self._writable = database.writable(self.access.writable)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._workers: ThreadPoolExecutor | None = None
        self.address: tuple[str, int] = (self.options.host, self.options.port)
        self.requests = 0

    def status(self) -> ServerStatus:
        """How it does."""
        host, port = self.address
        return ServerStatus(f"ads {host}:{port}", self.access.clients, self.requests, self.access.refused)

    async def start(self) -> None:
        """Listen; raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="ads-call")
        self._server = await loop.create_server(
            lambda: _Connection(self), self.options.host, self.options.port, backlog=64
        )
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: AdsServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._session: AdsSession | None = None
        self._client: Client | None = None
        self._is_paused = False
        self._planned = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = self._transport.get_extra_info("peername")
        self._client = self._server.access.admit(str(peer[0]) if peer else "?")
        if self._client is None:
            self._transport.abort()
            return
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._session = AdsSession(self._server._device, self._client, self._server._writable)
        self._server._connections.add(self)

    def data_received(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        answer = session.feed(data)
        self._server.requests += 1
        self._send(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stuck):
            if timer is not None:
                timer.cancel()
        if self._session is not None:
            self._session.close()
        self._session = None
        self._server._connections.discard(self)
        if self._client is not None:
            self._server.access.release(self._client)

    def pause_writing(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()
        self._stuck = self._loop.call_later(_PATIENCE_S, self._give_up)

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._stuck is not None:
            self._stuck.cancel()
        if self._session is not None and self._session.job is None:
            self._transport.resume_reading()
        self._plan()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def _give_up(self) -> None:
        if self._client is not None:
            self._server.access.audit(self._client.name, "answers are not fetched", "disconnected")
        self._transport.abort()

    def _send(self, packets: bytes) -> None:
        session = self._session
        assert session is not None
        if packets:
            self._transport.write(packets)
        if session.is_closed:
            self._transport.close()
        elif session.job is not None:
            self._run_job(session)
        elif session.next_due < self._planned:
            self._plan()

    def _run_job(self, session: AdsSession) -> None:
        assert session.job is not None and self._server._workers is not None
        self._transport.pause_reading()
        future = self._server._workers.submit(session.job)
        future.add_done_callback(self._job_done)

    def _job_done(self, future: Future[bytes]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._finish_job, future)

    def _finish_job(self, future: Future[bytes]) -> None:
        if self._session is None or future.cancelled():
            return
        if not self._is_paused:
            self._transport.resume_reading()
        failed = future.exception()
        self._send(self._session.resume(struct.pack("<II", 0x701, 0) if failed else future.result()))

    def _plan(self) -> None:
        """Come back when the next notification is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._planned = _NEVER
        if self._session is not None and not self._is_paused:
            self._planned = self._session.next_due
            if self._planned < _NEVER:
                self._timer = self._loop.call_later(max(self._planned - time.monotonic(), 0.0), self._notify)

    def _notify(self) -> None:
        if self._session is None or self._is_paused:
            return
        packets = self._session.tick(time.monotonic())
        if packets:
            self._transport.write(packets)
        self._plan()
