"""The server of the Open Inference Protocol: a thread of its own with a loop of its own (`plc_bindings.web.apart`, docs/adr/0052)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from aiohttp import web

from plc_bindings.data.models import Models
from plc_bindings.http.body import Bodies
from plc_bindings.http.described import Described
from plc_bindings.http.service import Service
from plc_bindings.security.access import Access
from plc_bindings.security.tokens import Tokens
from plc_bindings.web.apart import ApartServer, Place
from plc_bindings.web.guard import Guard

NICE: Final = 5
"""It gives way to calls of PLCs."""
WORKERS: Final = 4


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """One server.

    Attributes:
        place: where it listens.
        station: its name, for people.
        names: by which it may be asked, beside addresses and localhost.
        tokens: who may ask, and the hash of his token; empty: everybody who may connect.
        models: patterns of the models that may be called.
        body_bytes: of a request, as it came and unpacked.
        body_s: how soon a body has to be there.
    """

    place: Place = field(default_factory=Place)
    station: str = "station"
    names: tuple[str, ...] = ()
    tokens: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ("*",)
    body_bytes: int = 16 << 20
    body_s: float = 10.0


class HttpServer(ApartServer):
    """See `plc_bindings.net.serving.Server`."""

    def __init__(
        self, models: Models, options: HttpOptions, access: Access, avoid: Callable[[], Collection[int]] = frozenset
    ) -> None:
        super().__init__("http", options.place, access, NICE)
        self.options, self._avoid = options, avoid
        self.models = {
            served.name: Described(served, access.limits.batch)
            for served in models.all
            if any(fnmatchcase(served.name, pattern) for pattern in options.models)
        }
        self._guard: Guard | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def requests(self) -> int:
        """So many came until now. Any thread."""
        return self._guard.requests if self._guard is not None else 0

    def avoid(self) -> Collection[int]:
        """Processors that belong to tasks."""
        return self._avoid()

    async def open(self) -> web.Server:
        """The service, behind its guard."""
        options = self.options
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="http-model")
        self._guard = Guard(self.access, Tokens(options.tokens, {}), options.names)
        self.bodies = Bodies(options.body_bytes, options.body_s, self._pool)
        service = Service(options.station, self.models, self._guard, self.bodies, self._pool)
        # Who has gone is not computed for.
        return web.Server(service.handle, handler_cancellation=True, access_log=None)  # type: ignore[arg-type]  # see `Ready`

    async def close(self) -> None:
        """All connections are closed."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
