"""Connections of a server of HTTP: who is let in, and who is shown out. In front of aiohttp, which speaks HTTP.

connection -> `Access.admit` -> aiohttp's own protocol -> `plc_bindings.web.guard` -> a route
              no: closed        a request that does not come to its end, answers that nobody fetches: closed, audited
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from plc_bindings.net.connection import certificate
from plc_bindings.net.fetching import Fetching, send_small
from plc_bindings.security.access import Access, Client
from plc_bindings.security.tokens import Viewer

HEAD_S: Final = 10.0
"""A request's head has to be there so long after its first byte, or after the connection was made."""
STUCK_S: Final = 10.0
"""A client may leave answers unfetched for so long."""
REST_S: Final = 30.0
"""A connection without a request for so long is closed."""
SWEEP_S: Final = 1.0
LINE_BYTES: Final = 4096
"""Of the first line, and of one header."""
_SILENT: Final = logging.getLogger("rt_engine.web")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False  # what went wrong is in the audit log; nobody else's log is filled by strangers


class Caller(RequestHandler):
    """One connection, from the moment when it is let in."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            door.server,
            loop=loop,
            keepalive_timeout=REST_S,
            logger=_SILENT,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's way of saying: none
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            lingering_time=1.0,
            auto_decompress=False,
        )
        self._door, self._now = door, loop.time
        self.client: Client | None = None
        self.certificate: tuple[str, str] | None = None
        self.viewer = Viewer("")
        """Who asks: of one connection requests come one after the other."""
        self.is_known = False
        """Has somebody been asked for already? Without tokens it stays the same."""
        self._asking_since: float | None = None
        self._fetching: Fetching | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, or not."""
        peer = transport.get_extra_info("peername")
        self.certificate = certificate(transport)
        self.client = self._door.access.admit(str(peer[0]) if peer else "?", self.certificate)
        if self.client is None:
            transport.abort()  # type: ignore[attr-defined]
            return
        self._asking_since = self._now()
        send_small(transport.get_extra_info("socket"))
        self._fetching = Fetching(transport, self._asking_since)
        self._door.callers.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; from the first byte of a request on, its head has to come to its end."""
        if self.client is None:
            return
        if self._asking_since is None and self._current_request is None:
            self._asking_since = self._now()
        super().data_received(data)

    def answering(self) -> None:
        """A whole request is there."""
        self._asking_since = None

    def pause_writing(self) -> None:
        """The client does not fetch its answers."""
        assert self._fetching is not None, "who was not let in is sent nothing"
        self._fetching.pause(self._now())
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        assert self._fetching is not None, "it was paused"
        self._fetching.resume()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self._door.callers.discard(self)
        if self.client is not None:
            self._door.access.release(self.client)
            super().connection_lost(exc)

    def check(self, now: float) -> None:
        """Disconnect who keeps a connection busy with nothing."""
        if self._asking_since is not None and now - self._asking_since > HEAD_S:
            self._drop("closed: its request does not come to an end")
        elif self._fetching is not None and self._fetching.stuck_s(now) > STUCK_S:
            self._drop("closed: fetches no answers")

    def _drop(self, outcome: str) -> None:
        transport = self.transport
        if self.client is not None:
            self._door.access.audit(self.client.name, "connection", outcome)
        self.force_close()
        if transport is not None:
            transport.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP, or too long: said in a word, audited, closed. Nothing of ours, and nothing of what came, is told."""
        self.answering()
        if self.client is not None and not isinstance(exc, ConnectionError):  # that he went is no fault
            words = "is no HTTP, or too long" if status < 500 else f"error of ours: {type(exc).__name__}"
            self._door.access.audit(self.client.name, "request", f"refused: {words}")
        response = web.json_response({"error": "the request is not understood"}, status=status)
        response.force_close()
        dress(response)
        return response


class Door:
    """All connections of one server. Its thread only."""

    def __init__(self, access: Access, server: web.Server) -> None:
        self.access, self.server = access, server
        self.callers: set[Caller] = set()

    def caller(self) -> Caller:
        """A new one, for asyncio."""
        return Caller(self, asyncio.get_running_loop())

    async def sweep(self) -> None:
        """Look around until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            for caller in tuple(self.callers):
                caller.check(loop.time())

    def close(self) -> None:
        """Close every connection at once."""
        for caller in tuple(self.callers):
            transport: Any = caller.transport
            if transport is not None:
                transport.abort()


HEADERS_OF_ALL: Final = {
    "Server": "rt-engine",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Scripts and styles come from the station alone, none stands in a page, and no text becomes one."""


def dress(response: web.StreamResponse) -> None:
    """Put on what every answer has; nothing is kept by a browser or a proxy unless the answer says so itself."""
    response.headers.update(HEADERS_OF_ALL)
    response.headers.setdefault("Cache-Control", "no-store")
