"""The server of a page: a thread of its own with a loop of its own, so that neither PLC clients nor control wait for a browser.

bind (in the servers' loop: an address that cannot be had is told at the start)
  -> thread "page", nice 10, away from the tasks' processors
       Door -> Gate (TLS) -> Caller -> Guard -> Routes -> Source
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from plc_bindings.net.gate import Gate, tls_context
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access
from station.page.assets import Assets
from station.page.door import Door
from station.page.guard import Guard, dressed
from station.page.people import People
from station.page.routes import BODY_BYTES, Routes
from station.page.source import SAMPLES_PER_S, Source
from station.page.stream import Stream

HANDSHAKE_S: Final = 5.0
STOP_S: Final = 1.5
NICE: Final = 10
BACKLOG: Final = 1024
"""Connections that wait to be let in, or turned away: a burst of them must not make those behind it wait for TCP to try again."""
LOG_IN_FILES: Final = tuple(
    f"/static/{name}" for name in ("page.css", "icon.svg", "js/theme.js", "js/login.js", "js/api.js", "js/dom.js")
)
"""What the log-in needs; nobody is kept from these."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """One page. Port 0: a free one. `certificate`, `key`: PEM files, with them it speaks TLS; `ca`: clients need a certificate too."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    tokens: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificate: str = ""
    key: str = ""
    ca: str = ""


class PageServer:
    """See `plc_bindings.net.serving.Server`. Without a `source`, as of a station that does not run, it cannot be started."""

    def __init__(self, options: PageOptions, source: Source | None, access: Access) -> None:
        self.options, self.access, self._given = options, access, source
        self.address: tuple[str, int] = (options.host, options.port)
        self._guard: Guard | None = None
        self._stream: Stream | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None

    def status(self) -> ServerStatus:
        """How it does. Any thread."""
        kind = "https" if self.options.certificate else "http"
        host, port = self.address
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        requests = self._guard.requests if self._guard is not None else 0
        return ServerStatus(f"web {kind}://{place}/", self.access.clients, requests, self.access.refused)

    @property
    def _source(self) -> Source:
        assert self._given is not None, "only of a station that runs there is something to see"
        return self._given

    @property
    def viewers(self) -> int:
        """How many follow the page now. Any thread."""
        return self._stream.viewers if self._stream is not None else 0

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""
        options = self.options
        context = tls_context(options.certificate, options.key, options.ca) if options.certificate else None
        listener = _listener(options.host, options.port)
        self.address = listener.getsockname()[:2]
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tell = functools.partial(_tell, asyncio.get_running_loop(), ready)

        def make(door: Door) -> asyncio.Protocol:
            return door.caller() if context is None else Gate(self.access, context, HANDSHAKE_S, door.caller)

        self._thread = threading.Thread(target=self._main, args=(listener, make, tell), name="page", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            listener.close()
            raise OSError(f"the system gave no thread for the page: {error}; see 'ulimit -u'") from error
        await ready

    async def stop(self) -> None:
        """Tell those who look, close every connection, end the thread."""
        thread, loop, done = self._thread, self._loop, self._done
        self._thread = None
        if thread is None or loop is None or done is None:
            return
        with suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(done.set)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, STOP_S)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _main(
        self,
        listener: socket.socket,
        make: Callable[[Door], asyncio.Protocol],
        tell: Callable[[BaseException | None], None],
    ) -> None:
        _stand_back(self._source.avoid)
        try:
            asyncio.run(self._serve(listener, make, tell))
        except BaseException as error:
            tell(error)
        finally:
            listener.close()

    async def _serve(
        self,
        listener: socket.socket,
        make: Callable[[Door], asyncio.Protocol],
        tell: Callable[[BaseException | None], None],
    ) -> None:
        loop, options = asyncio.get_running_loop(), self.options
        people = People(options.tokens, options.commands)
        guard = self._guard = Guard(self.access, people, options.names, LOG_IN_FILES)
        stream = self._stream = Stream(self._source)
        routes = Routes(self._source, people, guard, stream, Assets(), is_tls=bool(options.certificate))
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[guard.middleware()])
        app.add_routes(routes.all())
        app.on_response_prepare.append(dressed)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S / 2)
        await runner.setup()
        assert runner.server is not None
        door = Door(self.access, runner.server)
        server = await loop.create_server(lambda: make(door), sock=listener, backlog=BACKLOG)
        self._loop, self._done = loop, asyncio.Event()
        beside = [asyncio.create_task(work) for work in (door.sweep(), stream.run(), _sample(self._source))]
        tell(None)
        await self._done.wait()
        server.close()
        await stream.end()
        for work in beside:
            work.cancel()
        await asyncio.sleep(0.05)  # what was written is on its way
        door.close()
        await runner.cleanup()


async def _sample(source: Source) -> None:
    while True:
        source.sample()
        await asyncio.sleep(1.0 / SAMPLES_PER_S)


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


def _stand_back(avoid: frozenset[int]) -> None:
    """Let this thread, and those that it starts, give way to everything else; and leave the tasks' processors alone."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    left = os.sched_getaffinity(0) - avoid
    if avoid and left:
        with suppress(OSError):
            os.sched_setaffinity(0, left)


def _tell(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None], error: BaseException | None) -> None:
    def told() -> None:
        if ready.done():
            return
        if error is None:
            ready.set_result(None)
        else:
            ready.set_exception(error if isinstance(error, OSError) else OSError(f"the page did not start: {error}"))

    with suppress(RuntimeError):  # nobody waits any more
        loop.call_soon_threadsafe(told)
