"""A server of HTTP in a thread and a loop of its own.

Door -> Gate (TLS) -> Caller -> what the kind of server answers
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from plc_bindings.net.apart import BACKLOG, STOP_S, Apart
from plc_bindings.net.gate import Gate, tls_context
from plc_bindings.security.access import Access
from plc_bindings.web.door import Door

HANDSHAKE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens. Port 0: a free one. `certificate`, `key`: PEM files, with them it speaks TLS; `ca`: clients need a
    certificate too."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: str = ""
    key: str = ""
    ca: str = ""


class ApartServer(Apart):
    """See `plc_bindings.net.serving.Server`.

    Args:
        kind: how its thread is called, and it itself in messages.
        place: where it listens.
        access: who may come, and how much.
        nice: how far its thread stands back.
        said: what stands before its address, where that is not `kind`.
    """

    def __init__(self, kind: str, place: Place, access: Access, nice: int, said: str = "") -> None:
        super().__init__(kind, place.host, place.port, access, nice)
        self.place, self._said = place, said or kind
        self._context: ssl.SSLContext | None = None

    # --- what a kind of server says; `open`, `say_goodbye` and `close` are called in its own thread --------------------

    @abstractmethod
    async def open(self) -> web.Server:
        """What answers requests."""

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """What is done all the while."""
        return []

    async def say_goodbye(self) -> None:
        """The last words to those who are connected."""

    async def close(self) -> None:
        """All connections are closed."""

    # --- what `Apart` asks --------------------------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """`web https://`."""
        return f"{self._said} {'https' if self.place.certificate else 'http'}://"

    def prepare(self) -> None:
        """Its certificates must be there."""
        place = self.place
        self._context = tls_context(place.certificate, place.key, place.ca) if place.certificate else None

    async def serve(self, listener: socket.socket, begun: Callable[[], None], done: asyncio.Event) -> None:
        """Serve until `done`."""
        door, context = Door(self.access, await self.open()), self._context

        def make() -> asyncio.Protocol:
            return door.caller() if context is None else Gate(self.access, context, HANDSHAKE_S, door.caller)

        server = await asyncio.get_running_loop().create_server(make, sock=listener, backlog=BACKLOG)
        beside = [asyncio.create_task(work) for work in (door.sweep(), *self.beside())]
        begun()
        await done.wait()
        server.close()
        await self.say_goodbye()
        for work in beside:
            work.cancel()
        await asyncio.sleep(0.05)  # what was written is on its way
        door.close()
        await self.close()


__all__ = ["STOP_S", "ApartServer", "Place"]
