"""Sockets around `session`: one protocol object for each connection, on the loop of `plc_bindings.net.serving`."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, cast

from plc_bindings.ads.calls import Job
from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.repeated import RepeatedCalls
from plc_bindings.ads.session import AdsSession
from plc_bindings.calls.replay import replays
from plc_bindings.data.database import Database
from plc_bindings.data.models import Models
from plc_bindings.net.serving import ServerStatus, receive_small
from plc_bindings.security.access import Access, Client

_HIGH_WATER: Final = 256 * 1024
"""Unsent bytes from which on a client's requests wait, and its notifications are left out."""
_PATIENCE_S: Final = 10.0
"""A client that fetches nothing for so long is disconnected."""
_REST_S: Final = 0.02
"""A client that has asked too much is not listened to for so long."""
_KEEPALIVE_S: Final = 10
_WORKERS: Final = 4
_NEVER: Final = float("inf")


class AdsServer:
    """An ADS server; see `plc_bindings.net.serving.Server`.

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
        self.connections: set[_Connection] = set()
        self._workers: ThreadPoolExecutor | None = None
        self.address: tuple[str, int] = (self.options.host, self.options.port)

    def status(self) -> ServerStatus:
        """How it does."""
        host, port = self.address
        requests = self._device.requests + sum(connection.answered for connection in tuple(self.connections))
        return ServerStatus(f"ads {host}:{port}", self.access.clients, requests, self.access.refused)

    async def start(self) -> None:
        """Listen; raises `OSError`."""
        loop, options = asyncio.get_running_loop(), self.options
        self._server = await loop.create_server(lambda: _Connection(self), options.host, options.port, backlog=64)
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="ads-call")
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    def session(self, client: Client, host: str) -> AdsSession:
        """What answers a new client, which has connected to the address `host`."""
        return AdsSession(self._device, client, self._writable, self._device.net_id(host))

    def note_answered(self, count: int) -> None:
        """So many requests were answered without Python."""
        self._device.requests += count

    def run(self, job: Job) -> Future[bytes]:
        """Run what takes long in a thread."""
        assert self._workers is not None
        return self._workers.submit(job)


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: AdsServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._session: AdsSession | None = None
        self._client: Client | None = None
        self._is_paused = self._is_resting = False
        self._planned = _NEVER
        self._repeated: RepeatedCalls | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = self._transport.get_extra_info("peername")
        self._client = self._server.access.admit(str(peer[0]) if peer else "?")
        if self._client is None:
            self._transport.abort()
            return
        sock: socket.socket = self._transport.get_extra_info("socket")
        _watch(sock)
        receive_small(self._transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._session = self._server.session(self._client, sock.getsockname()[0])
        self._server.connections.add(self)
        selector = replays()
        if selector is not None:
            self._repeated = RepeatedCalls(self._session, selector, sock.fileno(), self._client, self._transport.write)

    @property
    def answered(self) -> int:
        """Requests that were answered without Python. Any thread."""
        return self._repeated.replay.answered if self._repeated is not None else 0

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            answer = self._session.feed(data)
            self._send(self._session, answer)
            if self._repeated is not None:
                self._repeated.note(data, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stuck):
            if timer is not None:
                timer.cancel()
        if self._repeated is not None:
            self._server.note_answered(self.answered)
            self._repeated.replay.close()
            self._repeated = None
        if self._session is not None:
            self._session.close()
            self._session = None
        self._server.connections.discard(self)
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
        self._go_on()
        self._plan()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def _give_up(self) -> None:
        if self._client is not None:
            self._server.access.audit(self._client.name, "answers are not fetched", "disconnected")
        self._transport.abort()

    def _send(self, session: AdsSession, packets: bytes) -> None:
        if packets:
            self._transport.write(packets)
        if session.is_closed:
            self._transport.close()
        elif session.job is not None:
            self._run_job(session.job)
        elif session.is_over_rate:
            self._transport.pause_reading()
            self._is_resting = True
            self._loop.call_later(_REST_S, self._rested)
        elif session.has_more:
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on)
        if session.next_due < self._planned:
            self._plan()

    def _rested(self) -> None:
        self._is_resting = False
        self._go_on()

    def _go_on(self) -> None:
        """Take up what waits, then what comes: unless a job runs, answers are not fetched, or it asked too much."""
        session = self._session
        if session is None or self._is_paused or self._is_resting or session.job is not None:
            return
        if session.has_more:
            self._send(session, session.feed(b""))
        if not (self._is_paused or self._is_resting or session.has_more or session.job is not None):
            self._transport.resume_reading()

    def _run_job(self, job: Job) -> None:
        self._transport.pause_reading()
        self._server.run(job).add_done_callback(self._job_done)

    def _job_done(self, future: Future[bytes]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._finish_job, future)

    def _finish_job(self, future: Future[bytes]) -> None:
        session = self._session
        if session is None or future.cancelled():
            return
        error = future.exception()
        assert error is None or isinstance(error, Exception)
        self._send(session, session.resume(error or future.result()))
        self._go_on()

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
        if self._session.is_closed:
            self._transport.close()
        self._plan()


def _watch(sock: socket.socket) -> None:
    """Find out when a client has vanished, though it said no word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000 * _KEEPALIVE_S)
