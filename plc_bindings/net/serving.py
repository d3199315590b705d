"""All servers of a station in one event loop in one thread, away from the real-time threads.

So areas and sessions need no locks, and a request is one moment for whoever looks at it.
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from fieldbus.link.link import Link
from fieldbus.plc.link import POLLS, PlcLink
from plc_bindings.calls.replay import NATIVE, ServerLoop
from plc_bindings.errors import ServerError
from rt_native.turns import TURNS

START_S: Final = 10.0
STOP_S: Final = 2.0
_LEAST_POLL_S: Final = 0.001

_HELP: Final = {
    errno.EACCES: "a port below 1024 needs a right: choose another (port = 1502), or grant it: `sudo sysctl "
    "net.ipv4.ip_unprivileged_port_start=502`, or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit",
    errno.EADDRINUSE: "another program listens there: `ss -ltnp` names it; end it, or choose another host or port",
    errno.EMFILE: "too few files may be open: `ulimit -n` says how many; allow more, or LimitNOFILE= in a systemd unit",
    errno.EADDRNOTAVAIL: "this computer has no such address: `ip address` lists those that it has",
}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server at one moment. Counters count from its start."""

    address: str
    """Protocol and place, for people: `ads 127.0.0.1:48898`."""
    clients: int
    requests: int
    refused: int
    """Connections, users, writes and calls that were; commands, where clients come through a broker."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What its kind counts besides, from its start."""
    gauges: Mapping[str, int] = field(default_factory=dict)
    """What its kind measures besides, now."""
    trouble: str = ""
    """What keeps it from serving, for people; empty: nothing."""


class Server(Protocol):
    """A server of some protocol."""

    def status(self) -> ServerStatus:
        """How it does. Any thread."""

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""

    async def stop(self) -> None:
        """Close every connection."""


class Serving:
    """Runs servers from `start` to `stop`, and tells PLC links the time.

    From `start` to `stop`, Python threads take short turns: while a model is loaded, a request waits for other threads
    several times (at a load per 20 ms, p99.9 of a call fell from 31 to 10 ms).

    Args:
        servers: their names in the station's file, for messages.
        links: of which the servers' clients write and read the PLC links.
    """

    def __init__(self, servers: Mapping[str, Server], links: Iterable[Link] = ()) -> None:
        self._servers = dict(servers)
        self._links = tuple(link for link in links if isinstance(link, PlcLink))
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failed: ServerError | None = None
        self._loop_done: asyncio.Event | None = None
        self._is_over = False
        self._turns = ExitStack()

    def start(self) -> None:
        """Start all servers; returns when they listen.

        Raises:
            ServerError: one cannot listen, or the system gives too little; none does then.
        """
        if not self._servers:
            return
        NATIVE.function("replay_wait")  # built first if need be: that takes longer than starting may
        with ExitStack() as turns:
            turns.enter_context(TURNS.short())
            self._start()
            self._turns = turns.pop_all()

    def _start(self) -> None:
        self._ready.clear()
        self._failed, self._is_over = None, False
        self._thread = threading.Thread(target=self._main, name="plc-servers", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            raise ServerError(f"the system gave no thread for the servers: {error}; see 'ulimit -u'") from error
        if not self._ready.wait(START_S):
            self.stop()
            raise ServerError(f"the servers did not start within {START_S:g} s")
        if self._failed is not None:
            self._thread.join(STOP_S)
            self._thread = None
            raise self._failed

    def stop(self) -> None:
        """Close all connections and end the thread. Takes a bounded time whatever clients do."""
        if self._thread is None:
            return
        self._is_over = True
        loop, done = self._loop, self._loop_done
        if loop is not None and done is not None:
            with suppress(RuntimeError):  # it has ended already
                loop.call_soon_threadsafe(done.set)
        self._thread.join(STOP_S * 2)
        self._thread = None
        self._turns.close()

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=ServerLoop) as runner:
                runner.run(self._serve())
        except OSError as error:  # too few descriptors for the loop itself
            self._failed = ServerError(f"the servers cannot start: {_why(error)}")
            self._ready.set()

    async def _serve(self) -> None:
        done = asyncio.Event()
        self._loop, self._loop_done = asyncio.get_running_loop(), done
        if self._is_over:  # before this thread came so far
            done.set()
        started: list[Server] = []
        try:
            for name, server in self._servers.items():
                try:
                    await server.start()
                except OSError as error:
                    raise ServerError(f"server {name} cannot listen: {_why(error)}") from error
                started.append(server)
        except ServerError as error:
            self._failed = error
            await _stop(started)
            self._ready.set()
            return
        polls = [asyncio.create_task(_poll(link)) for link in self._links]
        self._ready.set()
        await done.wait()
        for poll in polls:
            poll.cancel()
        await _stop(started)


def _why(error: OSError) -> str:
    """What the system says, and what helps."""
    said, helps = error.strerror or str(error), _HELP.get(error.errno or 0)
    return f"{said}; {helps}" if helps else said


async def _stop(servers: Sequence[Server]) -> None:
    for server in servers:
        try:
            await asyncio.wait_for(server.stop(), STOP_S)
        except TimeoutError:
            continue


async def _poll(link: PlcLink) -> None:
    """Look often enough whether the link's clients still write."""
    every_s = max(link.timeout_s / POLLS, _LEAST_POLL_S)
    while True:
        await asyncio.sleep(every_s)
        link.poll(time.monotonic_ns())
