"""A server of HTTP in a thread and a loop of its own, so that neither PLC clients nor control wait for it.

bind (in the servers' loop: an address that cannot be had is told at the start)
  -> thread, nicer than the others, away from the tasks' processors
       Door -> Gate (TLS) -> Caller -> what the kind of server answers
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from plc_bindings.net.gate import Gate, tls_context
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access
from plc_bindings.web.door import Door

HANDSHAKE_S: Final = 5.0
STOP_S: Final = 1.5
BACKLOG: Final = 1024
"""Connections that wait to be let in, or turned away: a burst of them must not make those behind it wait for TCP to try again."""
_Tell = Callable[[BaseException | None], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens. Port 0: a free one. `certificate`, `key`: PEM files, with them it speaks TLS; `ca`: clients need a
    certificate too."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: str = ""
    key: str = ""
    ca: str = ""


class ApartServer(ABC):
    """See `plc_bindings.net.serving.Server`.

    Args:
        kind: how its thread is called, and it itself in messages.
        place: where it listens.
        access: who may come, and how much.
        nice: how far its thread stands back.
        said: what stands before its address, where that is not `kind`.
    """

    def __init__(self, kind: str, place: Place, access: Access, nice: int, said: str = "") -> None:
        self.kind, self.place, self.access, self.nice, self._said = kind, place, access, nice, said or kind
        self.address: tuple[str, int] = (place.host, place.port)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None

    # --- what a kind of server says; `open`, `say_goodbye` and `close` are called in its own thread --------------------

    @property
    @abstractmethod
    def requests(self) -> int:
        """So many came until now. Any thread."""

    @abstractmethod
    def avoid(self) -> Collection[int]:
        """Processors that belong to tasks."""

    @abstractmethod
    async def open(self) -> web.Server:
        """What answers requests."""

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """What is done all the while."""
        return []

    async def say_goodbye(self) -> None:  # noqa: B027  most have none
        """The last words to those who are connected."""

    async def close(self) -> None:  # noqa: B027  most have nothing to do
        """All connections are closed."""

    # --- what `Serving` calls -----------------------------------------------------------------------------------------

    def status(self) -> ServerStatus:
        """How it does. Any thread."""
        scheme = "https" if self.place.certificate else "http"
        host, port = self.address
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        said = f"{self._said} {scheme}://{where}/"
        return ServerStatus(said, self.access.clients, self.requests, self.access.refused)

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""
        place = self.place
        context = tls_context(place.certificate, place.key, place.ca) if place.certificate else None
        listener = _listener(place.host, place.port)
        self.address = listener.getsockname()[:2]
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tell = functools.partial(_tell, asyncio.get_running_loop(), ready, self.kind)

        def make(door: Door) -> asyncio.Protocol:
            return door.caller() if context is None else Gate(self.access, context, HANDSHAKE_S, door.caller)

        self._thread = threading.Thread(target=self._main, args=(listener, make, tell), name=self.kind, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            listener.close()
            raise OSError(f"the system gave no thread for the {self.kind}: {error}; see 'ulimit -u'") from error
        await ready

    async def stop(self) -> None:
        """Tell those who are connected, close every connection, end the thread."""
        thread, loop, done = self._thread, self._loop, self._done
        self._thread = None
        if thread is None or loop is None or done is None:
            return
        with suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(done.set)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, STOP_S)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _main(self, listener: socket.socket, make: Callable[[Door], asyncio.Protocol], tell: _Tell) -> None:
        _stand_back(self.avoid(), self.nice)
        try:
            asyncio.run(self._serve(listener, make, tell))
        except BaseException as error:
            tell(error)
        finally:
            listener.close()

    async def _serve(self, listener: socket.socket, make: Callable[[Door], asyncio.Protocol], tell: _Tell) -> None:
        loop = asyncio.get_running_loop()
        door = Door(self.access, await self.open())
        server = await loop.create_server(lambda: make(door), sock=listener, backlog=BACKLOG)
        self._loop, self._done = loop, asyncio.Event()
        beside = [asyncio.create_task(work) for work in (door.sweep(), *self.beside())]
        tell(None)
        await self._done.wait()
        server.close()
        await self.say_goodbye()
        for work in beside:
            work.cancel()
        await asyncio.sleep(0.05)  # what was written is on its way
        door.close()
        await self.close()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _stand_back(avoid: Collection[int], nice: int) -> None:
    """Let this thread, and those that it starts, give way to everything else; and leave the tasks' processors alone."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
    left = os.sched_getaffinity(0) - set(avoid)
    if avoid and left:
        with suppress(OSError):
            os.sched_setaffinity(0, left)


def _tell(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None], kind: str, error: BaseException | None) -> None:
    def told() -> None:
        if ready.done():
            return
        if error is None:
            ready.set_result(None)
        else:
            ready.set_exception(error if isinstance(error, OSError) else OSError(f"the {kind} did not start: {error}"))

    with suppress(RuntimeError):  # nobody waits any more
        loop.call_soon_threadsafe(told)
