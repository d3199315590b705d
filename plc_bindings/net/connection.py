"""Connections of clients: all that is the same whatever the protocol.

    bytes -> Connection -> Conversation -> answers -> bytes

Of one connection the answers come in the order of the requests. After a turn others have theirs; what takes long runs in a
thread; a client that does not fetch its answers is not listened to, and disconnected after a while. What comes meanwhile
waits; when it is too much, it is left in the socket. Calls that are repeated are answered in native code.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from plc_bindings.calls.repeated import RepeatedCalls
from plc_bindings.calls.replay import ReplaySelector, replays
from plc_bindings.net.conversation import Conversation
from plc_bindings.net.fetching import Fetching, send_small
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access, Client

WORKERS: Final = 4
"""Threads of a server for what takes long."""
MOST_WAITING: Final = 1 << 16
"""Bytes that wait for their turn; then a connection is not read for a while."""
REST_S: Final = 0.02
"""A client that has asked too much is not listened to for so long."""
SWEEP_S: Final = 1.0
"""How often stuck and idle clients are looked for."""
_RECEIVE_BYTES: Final = 16 * 1024
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a protocol's connections have of their own.

    Attributes:
        keep_alive: TCP options that let the system notice a client that vanished without a word.
        stuck: what the audit log says of a client that fetches no answers for `stuck_s`: (what, outcome).
        idle: and of one that asks nothing for `idle_s`.
        high_water: unsent bytes from which on its requests wait; None: asyncio's own choice.
    """

    keep_alive: Mapping[str, int]
    stuck: tuple[str, str]
    stuck_s: float = 10.0
    idle: tuple[str, str] = ("", "")
    idle_s: float = _NEVER
    high_water: int | None = None


class ConnectionServer(ABC):
    """A server of connections; see `plc_bindings.net.serving.Server`.

    Args:
        access: who may come, and how much.
        rules: for its connections.
        workers: how its threads are called.
    """

    def __init__(self, access: Access, rules: Rules, workers: str) -> None:
        self.access, self.rules, self._workers = access, rules, workers
        self._known: tuple[frozenset[Connection], int] = frozenset(), 0
        """Those that are, and the requests of those that have ended: one object, so who looks meanwhile sees each request once."""
        self.address: tuple[str, int] | str = ""
        """(host, port), or another place, once started."""
        self.pool: ThreadPoolExecutor | None = None
        self._listening: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    @abstractmethod
    def conversation(self, client: Client, host: str) -> Conversation:
        """With a new client, which has connected to the address `host`."""

    @abstractmethod
    def repeated(
        self, conversation: Any, selector: ReplaySelector, fd: int, client: Client, write: Callable[[bytes], None]
    ) -> RepeatedCalls:
        """Its calls, for replays."""

    def open_pool(self) -> ThreadPoolExecutor:
        """Threads for what takes long."""
        self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=self._workers)
        return self.pool

    async def listen(self, host: str, port: int, make: Callable[[], asyncio.Protocol] | None = None) -> None:
        """Accept connections; `make` gives what comes between a socket and a `Connection`. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(make or self.connection, host, port)
        self.address = self._listening.sockets[0].getsockname()[:2]
        self.open_pool()
        self._sweep = loop.call_later(SWEEP_S, self._look_around, loop)

    def connection(self) -> Connection:
        """A new one."""
        return Connection(self)

    async def stop(self) -> None:
        """Close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._listening is not None:
            self._listening.close()
        for connection in self.connections:
            connection.abort()
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(0)  # so that they notice

    @property
    def connections(self) -> frozenset[Connection]:
        """Those that are. Any thread."""
        return self._known[0]

    def know(self, connection: Connection) -> None:
        """It has begun."""
        connections, ended = self._known
        self._known = connections | {connection}, ended

    def forget(self, connection: Connection) -> None:
        """It has ended; its requests still count."""
        connections, ended = self._known
        if connection in connections:
            self._known = connections - {connection}, ended + connection.answered

    def status_of(self, kind: str, more: int = 0) -> ServerStatus:
        """How it does. Any thread. `more` requests came otherwise than over connections."""
        place = self.address if isinstance(self.address, str) else "{}:{}".format(*self.address)
        connections, ended = self._known
        requests = more + ended + sum(connection.answered for connection in connections)
        return ServerStatus(f"{kind} {place}", self.access.clients, requests, self.access.refused)

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        for connection in self.connections:
            connection.check(loop.time())
        self._sweep = loop.call_later(SWEEP_S, self._look_around, loop)


class Connection(asyncio.Protocol):
    """One client, from the moment when it is let in."""

    def __init__(self, server: ConnectionServer) -> None:
        self._server, self._loop = server, asyncio.get_running_loop()
        self._transport: Any = None
        self._client: Client | None = None
        self._talk: Conversation | None = None
        self._repeated: RepeatedCalls | None = None
        self._answered = 0
        """At its end."""
        self._waiting = b""
        self._is_busy = self._is_ending = False
        """Busy: others have their turn, a job runs, or it rests."""
        self._fetching: Fetching | None = None
        self._done: Future[Any] | None = None
        """A job that has ended while the client fetches no answers."""
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._planned = _NEVER

    # --- what asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, or not."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        client = self._client = self._server.access.admit(str(peer[0]) if peer else "?", certificate(transport))
        if client is None:
            self._transport.abort()
            return
        try:
            self._begin(client, transport)
        except BaseException:
            self._transport.abort()
            raise

    def _begin(self, client: Client, transport: asyncio.BaseTransport) -> None:
        server, sock = self._server, transport.get_extra_info("socket")
        keep_alive(sock, server.rules.keep_alive)
        receive_small(transport)
        send_small(sock)
        self._fetching = Fetching(transport, self._heard)
        if server.rules.high_water is not None:
            self._transport.set_write_buffer_limits(high=server.rules.high_water)
        talk = self._talk = server.conversation(client, sock.getsockname()[0])
        server.know(self)
        selector = replays()
        if selector is not None and transport.get_extra_info("ssl_object") is None:
            self._repeated = server.repeated(talk, selector, sock.fileno(), client, self._transport.write)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole, unless it has to wait."""
        talk, repeated = self._talk, self._repeated
        if talk is None:
            return
        self._heard = self._loop.time()
        if repeated is not None:
            repeated.catch_up()
            repeated.replay.allow(False)  # until all that came is answered
        if self._is_busy or self._is_stuck:
            self._waiting += data
            if len(self._waiting) > MOST_WAITING:
                self._transport.pause_reading()
        else:
            self._settle(talk, data, talk.feed(data))

    def eof_received(self) -> bool:
        """The client sends no more: answer what it has asked, then close."""
        self._is_ending = True
        return self._is_busy or self._is_stuck

    def pause_writing(self) -> None:
        """The client does not fetch its answers."""
        assert self._fetching is not None, "who was not let in is sent nothing"
        self._fetching.pause(self._loop.time())
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        assert self._fetching is not None, "it was paused"
        self._fetching.resume()
        done, self._done = self._done, None
        if done is not None:
            self._finish_job(done)
        elif not self._is_busy:
            self._go_on()
        self._plan()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None:
            self._server.access.release(self._client)
        if self._repeated is not None:
            self._repeated.catch_up()
        self._answered = self.answered
        self._server.forget(self)
        if self._repeated is not None:
            self._repeated.replay.close()
        if self._talk is not None:
            self._talk.close()
        self._talk = self._repeated = self._client = None
        self._waiting = b""

    @property
    def _is_stuck(self) -> bool:
        """Are answers not fetched?"""
        return self._fetching is not None and self._fetching.is_paused

    # --- what its server calls ----------------------------------------------------------------------------------------

    @property
    def answered(self) -> int:
        """Requests, with Python and without. Any thread."""
        repeated, talk = self._repeated, self._talk  # in this order: the talk ends first
        if talk is None:
            return self._answered
        return talk.requests + (repeated.replay.answered if repeated is not None else 0)

    def check(self, now: float) -> None:
        """Disconnect a client that fetches no answers, or asks nothing and waits for nothing that is sent unasked."""
        rules = self._server.rules
        if self._repeated is not None and self._repeated.catch_up():
            self._heard = now
        if self._fetching is not None and self._fetching.stuck_s(now) > rules.stuck_s:
            self._drop(*rules.stuck)
        elif now - self._heard > rules.idle_s and (self._talk is None or self._talk.next_due == _NEVER):
            self._drop(*rules.idle)

    def abort(self) -> None:
        """Disconnect at once."""
        self._transport.abort()

    def _drop(self, what: str, outcome: str) -> None:
        if self._client is not None:
            self._server.access.audit(self._client.name, what, outcome)
        self._transport.abort()

    # --- turns --------------------------------------------------------------------------------------------------------

    def _settle(self, talk: Conversation, data: bytes, answers: bytes) -> None:
        """`data` was fed: send the answers, and do what is next."""
        if answers:
            self._transport.write(answers)
        if talk.is_closed:
            self._transport.close()
        elif talk.job is not None:
            self._run(talk.job)
        elif talk.is_over_rate:
            self._is_busy = True
            self._transport.pause_reading()
            self._loop.call_later(REST_S, self._go_on)
        elif talk.has_more:
            self._is_busy = True
            self._loop.call_soon(self._go_on)
        else:
            self._all_done(talk, data, answers)
        if talk.next_due < self._planned:
            self._plan()

    def _all_done(self, talk: Conversation, data: bytes, answers: bytes) -> None:
        """Nothing that was fed is left."""
        if self._repeated is not None:
            nothing_waits = not self._waiting and not self._transport.get_write_buffer_size()
            self._repeated.note(data, answers, talk.is_whole and nothing_waits)
        if self._is_stuck:
            return
        if self._waiting:
            self._go_on()
        elif self._is_ending:
            self._transport.close()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _go_on(self) -> None:
        """Take up what waits, unless its answers would not be fetched."""
        self._is_busy = False
        talk = self._talk
        if talk is not None and not self._is_stuck:
            data, self._waiting = self._waiting, b""
            self._settle(talk, data, talk.feed(data))

    def _run(self, job: Callable[[], Any]) -> None:
        """Do what takes long in a thread; requests that come meanwhile wait for their turn."""
        assert self._server.pool is not None
        self._is_busy = True
        try:
            future = self._server.pool.submit(job)
        except RuntimeError as error:  # the system gives no thread: the client is told that it failed
            future = Future()
            future.set_exception(error)
        future.add_done_callback(self._job_done)

    def _job_done(self, future: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._finish_job, future)

    def _finish_job(self, future: Future[Any]) -> None:
        talk = self._talk
        if talk is None or future.cancelled():
            return
        if self._is_stuck:  # what comes behind it is not computed for nobody
            self._done = future
            return
        self._is_busy = False
        self._settle(talk, b"", talk.resume(future.exception() or future.result()))

    # --- what is sent unasked -----------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Come back when something is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._planned = _NEVER
        if self._talk is not None and not self._is_stuck:
            self._planned = self._talk.next_due
            if self._planned < _NEVER:
                self._timer = self._loop.call_later(max(self._planned - time.monotonic(), 0.0), self._tick)

    def _tick(self) -> None:
        talk = self._talk
        if talk is None or self._is_stuck:
            return
        packets = talk.tick(time.monotonic())
        if packets:
            self._transport.write(packets)
        if talk.is_closed:
            self._transport.close()
        self._plan()


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


def keep_alive(sock: socket.socket, options: Mapping[str, int]) -> None:
    """Let the system notice a client that vanished."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def receive_small(transport: asyncio.BaseTransport) -> None:
    """Let a socket's transport receive at most 16 KiB at once.

    asyncio asks for 256 KiB each time, and to get so much memory from the system takes as long as a whole request.
    """
    transport.max_size = _RECEIVE_BYTES  # type: ignore[attr-defined]
