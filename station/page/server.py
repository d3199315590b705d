"""The server of a page: a thread of its own with a loop of its own (`plc_bindings.web.apart`).

Door -> Gate (TLS) -> Caller -> Guard -> Routes -> Source
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from plc_bindings.security.access import Access
from plc_bindings.web.apart import STOP_S, ApartServer, Place
from station.page.assets import Assets
from station.page.guard import Guard, dressed
from station.page.people import People
from station.page.routes import BODY_BYTES, Routes
from station.page.source import SAMPLES_PER_S, Source
from station.page.stream import Stream

NICE: Final = 10
LOG_IN_FILES: Final = tuple(
    f"/static/{name}" for name in ("page.css", "icon.svg", "js/theme.js", "js/login.js", "js/api.js", "js/dom.js")
)
"""What the log-in needs; nobody is kept from these."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """One page: where it is, by which names it may be asked, who may look, and who may do what."""

    place: Place = field(default_factory=Place)
    names: tuple[str, ...] = ()
    tokens: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class PageServer(ApartServer):
    """See `plc_bindings.net.serving.Server`. Without a `source`, as of a station that does not run, it cannot be started."""

    def __init__(self, options: PageOptions, source: Source | None, access: Access) -> None:
        super().__init__("page", options.place, access, NICE, said="web")
        self.options, self._given = options, source
        self._guard: Guard | None = None
        self._stream: Stream | None = None
        self._runner: web.AppRunner | None = None

    @property
    def requests(self) -> int:
        """So many came until now. Any thread."""
        return self._guard.requests if self._guard is not None else 0

    @property
    def _source(self) -> Source:
        assert self._given is not None, "only of a station that runs there is something to see"
        return self._given

    @property
    def viewers(self) -> int:
        """How many follow the page now. Any thread."""
        return self._stream.viewers if self._stream is not None else 0

    def avoid(self) -> Collection[int]:
        """Processors that belong to tasks."""
        return self._source.avoid

    async def open(self) -> web.Server:
        """The page's routes, behind its guard."""
        options = self.options
        people = People(options.tokens, options.commands)
        guard = self._guard = Guard(self.access, people, options.names, LOG_IN_FILES)
        self._stream = Stream(self._source)
        is_tls = bool(options.place.certificate)
        routes = Routes(self._source, people, guard, self._stream, Assets(), is_tls)
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[guard.middleware()])
        app.add_routes(routes.all())
        app.on_response_prepare.append(dressed)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S / 2)
        await self._runner.setup()
        assert self._runner.server is not None
        return self._runner.server

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """Viewers are told what is new; tags are noted."""
        assert self._stream is not None
        return [self._stream.run(), _sample(self._source)]

    async def say_goodbye(self) -> None:
        """Tell those who look."""
        assert self._stream is not None
        await self._stream.end()

    async def close(self) -> None:
        """All connections are closed."""
        assert self._runner is not None
        await self._runner.cleanup()


async def _sample(source: Source) -> None:
    while True:
        source.sample()
        await asyncio.sleep(1.0 / SAMPLES_PER_S)
