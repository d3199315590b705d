"""The Modbus server: asyncio around sessions. TCP and TLS here, serial lines in `serial_line`.

    bytes -> _Connection -> frames (mbap) -> ModbusSession -> answers -> bytes

Of one connection the answers come in the order of the requests. A few requests are answered at a time, then others have
their turn; a slow model is called in a thread. A client that does not fetch its answers is not read any more.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fieldbus.modbus.protocol import Code
from plc_bindings.calls.predict import Predictor
from plc_bindings.calls.replay import replays
from plc_bindings.data.database import Database, Session
from plc_bindings.data.models import Models
from plc_bindings.modbus import mbap
from plc_bindings.modbus.gate import Gate
from plc_bindings.modbus.map import RegisterMap
from plc_bindings.modbus.options import ModbusOptions, Rtu, Tcp, Tls
from plc_bindings.modbus.pdu import exception
from plc_bindings.modbus.plan import Planner
from plc_bindings.modbus.repeated import RepeatedCalls
from plc_bindings.modbus.serial_line import SerialLine
from plc_bindings.modbus.session import Job, ModbusSession
from plc_bindings.net.serving import ServerStatus, receive_small
from plc_bindings.security.access import Access, Client

TURN: Final = 16
TURN_S: Final = 0.0005
"""Requests of one connection that are answered before others have their turn, and how long that takes at most, about."""
MOST_WAITING: Final = 1 << 16
"""Bytes of requests that wait; then a connection is not read for a while."""
SWEEP_S: Final = 1.0
HANDSHAKE_S: Final = 5.0
WORKERS: Final = 4
"""Threads for slow models."""
_ANY_UNIT: Final = (0, 255)
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A client that vanished is noticed within 25 s."""


class ModbusServer:
    """Serves a database and models to Modbus clients.

    Raises:
        MapError: the station has more values than Modbus has addresses.
    """

    def __init__(
        self, database: Database, models: Models, options: ModbusOptions | None = None, access: Access | None = None
    ) -> None:
        self.options = options or ModbusOptions()
        self.access = access or Access()
        self.map = RegisterMap(database, models)
        self.address: tuple[str, int] | str = ""
        """(host, port) or the serial device, once started."""
        self._models, self._writable = models, database.writable(self.access.writable)
        self._planner = Planner(self.map, self._writable, self.options.order)
        self._objects = self.options.identity.objects()
        self._connections: set[_Connection] = set()
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._line: SerialLine | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self.pool: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""
        transport = self.options.transport
        loop = asyncio.get_running_loop()
        self.pool = ThreadPoolExecutor(WORKERS, "modbus-model")
        if isinstance(transport, Rtu):
            self._open(transport, self.pool)
            return
        make: Callable[[], asyncio.Protocol] = functools.partial(_Connection, self, loop)
        if isinstance(transport, Tls):
            make = functools.partial(Gate, self.access, tls_context(transport), HANDSHAKE_S, make)
        self._server = await loop.create_server(make, transport.host, transport.port, reuse_address=True)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)
        self._sweep = loop.call_later(SWEEP_S, self._look_around, loop)

    async def stop(self) -> None:
        """Close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.close()
        if self._line is not None:
            self._line.close()
            self.access.release(self._line.client)
        for connection in tuple(self._connections):
            connection.end()
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(0)

    def status(self) -> ServerStatus:
        """How it does."""
        place = self.address if isinstance(self.address, str) else "{}:{}".format(*self.address)
        kind = f"modbus-{type(self.options.transport).__name__.lower()}"
        requests = (
            self.requests
            + (self._line.requests if self._line is not None else 0)
            + sum(connection.answered for connection in tuple(self._connections))
        )
        return ServerStatus(f"{kind} {place}", self.access.clients, requests, self.access.refused)

    def session(self, client: Client) -> ModbusSession:
        """What a new connection knows."""

        def refused(what: str) -> None:
            self.access.audit(client.name, what, "refused")

        values = Session(self.map.database, self._writable, refused)
        predictor = Predictor(self._models, self.access.limits.batch)
        return ModbusSession(self._planner, values, predictor, self._objects, refused)

    def opened(self, connection: _Connection) -> None:
        """A connection was let in."""
        self._connections.add(connection)

    def closed(self, connection: _Connection, client: Client) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self.access.release(client)

    def _open(self, transport: Rtu, pool: ThreadPoolExecutor) -> None:
        client = self.access.admit("")
        if client is None:
            raise OSError(f"{transport.device}: a serial line has no certificates, and may have one server only")
        note = functools.partial(self.access.audit, client.name)
        self._line = SerialLine(transport, self.options.unit, self.session(client), pool, client, note)
        self._line.open()
        self.address = transport.device

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        for connection in tuple(self._connections):
            connection.check(loop.time())
        self._sweep = loop.call_later(SWEEP_S, self._look_around, loop)


class _Connection(asyncio.Protocol):
    """One client over TCP or TLS."""

    def __init__(self, server: ModbusServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._units = frozenset((server.options.unit, *_ANY_UNIT))
        self._received = b""
        self._client: Client | None = None
        self._transport: Any = None
        self._session: Any = None
        self._is_busy = False
        self._is_ending = False
        self._stuck_since: float | None = None
        self._heard = loop.time()
        self._repeated: RepeatedCalls | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, or not."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = self._server.access.admit(peer[0] if peer else "?", certificate(transport))
        if self._client is None:
            self._transport.abort()
            return
        keep_alive(transport.get_extra_info("socket"))
        receive_small(transport)
        self._session = self._server.session(self._client)
        self._server.opened(self)
        selector = replays()
        if selector is not None and transport.get_extra_info("ssl_object") is None:
            fd = transport.get_extra_info("socket").fileno()
            order = self._server.options.order
            self._repeated = RepeatedCalls(self._session, order, selector, fd, self._client, self._transport.write)

    @property
    def answered(self) -> int:
        """Requests that were answered without Python, and are not counted yet. Any thread."""
        return self._repeated.unseen if self._repeated is not None else 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._repeated is not None:
            self._catch_up(self._repeated)
            self._repeated.replay.close()
        if self._session is not None:
            self._session.close()
        if self._client is not None:
            self._server.closed(self, self._client)
            self._client = None
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        if self._client is None:
            return
        self._heard = self._loop.time()
        if self._repeated is not None:
            self._catch_up(self._repeated)
            self._repeated.replay.allow(False)
        self._received = self._received + data if self._received else data
        if self._is_busy or self._stuck_since is not None:
            if len(self._received) > MOST_WAITING:
                self._transport.pause_reading()
            return
        self._pump()

    def eof_received(self) -> bool:
        """The client sends no more: answer what it has asked, then close."""
        self._is_ending = True
        return self._is_busy or self._stuck_since is not None

    def pause_writing(self) -> None:
        """The client does not fetch its answers."""
        self._stuck_since = self._loop.time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._stuck_since = None
        if not self._is_busy:
            self._pump()

    def check(self, now: float) -> None:
        """Close a connection that is of no use any more."""
        options = self._server.options
        if self._repeated is not None and self._catch_up(self._repeated):
            self._heard = now
        if self._stuck_since is not None and now - self._stuck_since > options.stuck_s:
            self._drop("fetches no answers")
        elif now - self._heard > options.idle_s:
            self._drop("idle")

    def end(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _drop(self, why: str) -> None:
        if self._client is not None:
            self._server.access.audit(self._client.name, "connection", f"closed: {why}")
        self._transport.abort()

    def _pump(self) -> None:
        """Answer a few requests; then it is others' turn."""
        data, at, client = self._received, 0, self._client
        answers: list[bytes] = []
        if client is None:
            return
        if self._repeated is not None:
            self._repeated.replay.allow(False)  # until all that came is answered
        until = self._loop.time() + TURN_S
        try:
            for _ in range(TURN):
                frame = mbap.next_frame(data, at)
                if frame is None:
                    self._leave(data[at:], answers)
                    return
                at, transaction, unit, pdu, is_modbus = frame
                if not is_modbus:
                    continue
                answer: bytes | Job
                if not client.may_ask():
                    answer = exception(pdu[0], Code.BUSY)
                elif unit not in self._units:
                    answer = exception(pdu[0], Code.NO_TARGET)
                else:
                    answer = self._session.answer(pdu)
                if isinstance(answer, Job):
                    self._received = data[at:]
                    self._send(answers)
                    self._start(answer, transaction, unit)
                    return
                answers.append(mbap.frame(transaction, unit, answer))
                if at < len(data) and self._loop.time() > until:
                    break
        except mbap.FrameError as error:
            self._send(answers)
            self._server.access.audit(client.name, "frame", f"closed: {error}")
            self._transport.close()
            self._received = b""
            return
        self._received = data[at:]
        self._send(answers)
        self._is_busy = True
        self._loop.call_soon(self._go_on)

    def _leave(self, rest: bytes, answers: list[bytes]) -> None:
        """All whole requests are answered."""
        request, self._received = self._received, rest
        self._send(answers)
        if self._repeated is not None:
            is_whole = not rest and not self._transport.get_write_buffer_size()
            self._repeated.note(request, answers[0] if len(answers) == 1 else b"", is_whole)
        if self._stuck_since is None:
            if self._is_ending:
                self._transport.close()
            elif not self._transport.is_reading():
                self._transport.resume_reading()

    def _send(self, answers: list[bytes]) -> None:
        if answers:
            self._server.requests += len(answers)
            self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))

    def _catch_up(self, repeated: RepeatedCalls) -> int:
        count = repeated.catch_up()
        self._server.requests += count
        return count

    def _go_on(self) -> None:
        self._is_busy = False
        if self._stuck_since is None:
            self._pump()

    def _start(self, job: Job, transaction: int, unit: int) -> None:
        """Call slow models in a thread; requests that come meanwhile wait for their turn."""
        pool = self._server.pool
        assert pool is not None
        self._is_busy = True

        def done(future: asyncio.Future[None]) -> None:
            if self._client is not None and not future.cancelled():
                self._send([mbap.frame(transaction, unit, job.finish())])
                self._go_on()

        self._loop.run_in_executor(pool, job.run).add_done_callback(done)


def tls_context(transport: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer, clients with certificates only; raises `OSError` when a file is missing or wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(transport.certificate, transport.key)
    context.load_verify_locations(transport.ca)
    return context


def certificate(transport: asyncio.BaseTransport) -> tuple[str, str] | None:
    """(SHA-256 fingerprint, common name) of a client that has a certificate."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    der = tls.getpeercert(binary_form=True)
    if not der:
        return None
    subject = (tls.getpeercert() or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    return hashlib.sha256(der).hexdigest(), names[0] if names else ""


def keep_alive(sock: Any) -> None:
    """Let the system notice a client that vanished."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


__all__ = ["ModbusOptions", "ModbusServer", "Rtu", "Tcp", "Tls"]
