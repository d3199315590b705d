"""A server in a thread and a loop of its own, so that neither PLC clients nor control wait for it.

bind (in the servers' loop: an address that cannot be had is told at the start)
  -> thread, nicer than the others, away from the tasks' processors: `serve`, until `stop`
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access

STOP_S: Final = 1.5
BACKLOG: Final = 1024
"""Connections that wait to be let in, or turned away: a burst of them must not make those behind it wait for TCP to try again."""
_Tell = Callable[[BaseException | None], None]


class Apart(ABC):
    """See `plc_bindings.net.serving.Server`.

    Args:
        kind: how its thread is called, and it itself in messages.
        host, port: where it listens.
        access: who may come, and how much.
        nice: how far its thread stands back.
    """

    def __init__(self, kind: str, host: str, port: int, access: Access, nice: int) -> None:
        self.kind, self.access, self.nice = kind, access, nice
        self.address: tuple[str, int] = (host, port)
        self._asked = (host, port)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None
        self._ended = ""
        """Why it serves no more."""

    # --- what a kind of server says -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def requests(self) -> int:
        """So many came until now. Any thread."""

    @property
    @abstractmethod
    def said(self) -> str:
        """What stands before its address: `opcua opc.tcp://`."""

    @abstractmethod
    def avoid(self) -> Collection[int]:
        """Processors that belong to tasks."""

    def prepare(self) -> None:  # noqa: B027  most have nothing to prepare
        """Before anything is bound, in the servers' loop; raises `OSError` when it cannot serve."""

    @abstractmethod
    async def serve(self, listener: socket.socket, begun: Callable[[], None], done: asyncio.Event) -> None:
        """Serve until `done`, in its own thread. `begun`: it listens."""

    # --- what `Serving` calls -----------------------------------------------------------------------------------------

    def status(self) -> ServerStatus:
        """How it does. Any thread."""
        host, port = self.address
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        place, refused = f"{self.said}{where}/", self.access.refused
        return ServerStatus(place, self.access.clients, self.requests, refused, trouble=self._ended)

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""
        self._ended = ""
        self.prepare()
        listener = _listener(*self._asked)
        self.address = listener.getsockname()[:2]
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tell = functools.partial(_tell, asyncio.get_running_loop(), ready, self.kind)
        self._thread = threading.Thread(target=self._main, args=(listener, tell), name=self.kind, daemon=True)
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

    def _main(self, listener: socket.socket, tell: _Tell) -> None:
        stand_back(self.avoid(), self.nice)
        try:
            asyncio.run(self._serve(listener, tell))
        except BaseException as error:
            self._ended = f"it serves nobody any more: {type(error).__name__}: {error}"
            self.access.audit(self.kind, "serve", self._ended)
            tell(error)
        finally:
            listener.close()

    async def _serve(self, listener: socket.socket, tell: _Tell) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        await self.serve(listener, lambda: tell(None), self._done)


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


def stand_back(avoid: Collection[int], nice: int) -> None:
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
