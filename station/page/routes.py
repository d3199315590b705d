"""The routes of a page (`static/js/api.js` says what each gives): a question to the source, an answer in JSON.

What is slow is done in a thread, one at a time of each kind; what all viewers ask is made once for all within `FRESH_S`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from plc_bindings.web.guard import address_of, viewer_of
from station.machine.beside import in_thread
from station.page.answers import answer, encoded
from station.page.assets import Assets, sent
from station.page.guard import COOKIE, Guard, name_of
from station.page.metrics import exposition
from station.page.people import People
from station.page.source import COMMANDS, Source
from station.page.stream import Stream

FRESH_S: Final = 0.25
MOST_TAGS: Final = 16
"""Trends of so many tags, in one question."""
MOST_STEP_MS: Final = 86_400_000
MOST_NUMBER: Final = 10**15
BODY_BYTES: Final = 4096
BODY_S: Final = 5.0
"""The body of a request has to be there so soon."""
MOST_KEPT: Final = 64
"""Answers that are kept for the next who asks the same."""
WORKER: Final = "page-work"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """Everything that a page answers. Its thread only."""

    def __init__(
        self, source: Source, people: People, guard: Guard, stream: Stream, assets: Assets, is_tls: bool
    ) -> None:
        self._source, self._people, self._guard, self._assets = source, people, guard, assets
        self._stream, self._is_tls = stream, is_tls
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._one_at_a_time: dict[str, asyncio.Lock] = {}

    def all(self) -> list[web.RouteDef]:
        """For `web.Application`."""
        source = self._source
        quick: dict[str, Callable[[], Any]] = {
            "/api/status": source.status,
            "/api/histograms": source.histograms,
            "/api/models": lambda: {"models": source.models()},
        }
        slow: dict[str, Callable[[Mapping[str, str]], Any]] = {
            "/api/recordings": lambda _: source.recordings(),
            "/api/audit": lambda _: source.audit(),
            "/api/models/{slot}/graph": lambda given: source.graph(given["slot"]),
            "/api/models/{slot}/tensor": lambda given: source.tensor(given["slot"], given.get("node", "")),
        }
        return [
            web.get("/", self._file("index.html")),
            web.get("/login", self._file("login.html")),
            web.post("/login", self._log_in),
            web.post("/logout", self._log_out),
            web.get("/static/{name:.+}", self._static),
            web.get("/api/session", self._session),
            *(web.get(path, self._quick(ask)) for path, ask in quick.items()),
            *(web.get(path, self._slow(path, ask)) for path, ask in slow.items()),
            web.get("/api/tags", self._tags),
            web.get("/api/trends", self._trends),
            web.get("/api/events", self._events),
            web.get("/api/stream", self._stream.answer),
            web.post("/api/command/{name}", self._command),
            web.get("/metrics", self._metrics),
        ]

    # --- files and people ---------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Handler:
        async def file(request: web.Request) -> web.StreamResponse:
            return await self._sent(request, name)

        return file

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return await self._sent(request, request.match_info["name"])

    async def _sent(self, request: web.Request, name: str) -> web.StreamResponse:
        if not self._assets.is_read(name):
            async with self._lock("file"):
                await in_thread(lambda: self._assets.find(name), WORKER)
        return sent(request, self._assets.find(name))

    async def _session(self, request: web.Request) -> web.Response:
        viewer = viewer_of(request)
        own = {"who": viewer.who, "commands": list(viewer.commands), "has_tokens": self._people.have_tokens}
        return answer({**own, **self._source.facts()})

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        given = await _body(request)
        token, address = given.get("token"), address_of(request)
        if self._people.is_tired_of(address):
            return self._guard.refuse(request, 429, "too many wrong tokens: wait a minute", "refused: too many tries")
        who = self._people.of_token(token.strip(), address) if isinstance(token, str) else ""
        if not who:
            return self._guard.refuse(request, 401, "no such token", "refused: wrong token", "log in")
        response = web.Response(status=204)
        secret = self._people.log_in(who)
        response.set_cookie(COOKIE, secret, httponly=True, samesite="Strict", secure=self._is_tls, path="/")
        return response

    async def _log_out(self, request: web.Request) -> web.Response:
        self._people.log_out(request.cookies.get(COOKIE, ""))
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=self._is_tls)
        return response

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _quick(self, ask: Callable[[], Any]) -> Handler:
        async def quick(request: web.Request) -> web.StreamResponse:
            return self._once(request.path, ask)

        return quick

    def _once(self, question: str, ask: Callable[[], Any]) -> web.Response:
        """The answer to a question that others ask at the same time too."""
        now = time.monotonic()
        kept = self._kept.get(question)
        if kept is None or now - kept[0] > FRESH_S:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[question] = (now, encoded(ask()))
        return web.Response(body=kept[1], content_type="application/json", charset="utf-8")

    def _slow(self, kind: str, ask: Callable[[Mapping[str, str]], Any]) -> Handler:
        async def slow(request: web.Request) -> web.StreamResponse:
            given = {**request.query, **request.match_info}
            async with self._lock(kind):
                return answer(await in_thread(lambda: ask(given), WORKER))

        return slow

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        patterns = request.query.getall("name", [])
        return self._once(request.path_qs, lambda: {"tags": self._source.tags(patterns)})

    async def _trends(self, request: web.Request) -> web.StreamResponse:
        tags = request.query.getall("tag", [])
        if not 1 <= len(tags) <= MOST_TAGS:
            raise ValueError(f"ask for 1 to {MOST_TAGS} tags: tag=NAME&tag=NAME")
        step_ms = _number(request, "step_ms", 500, MOST_STEP_MS)
        after = _number(request, "from", 0, MOST_NUMBER)
        return self._once(request.path_qs, lambda: self._source.trends(tags, step_ms, after))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = _number(request, "after", 0, MOST_NUMBER)
        return self._once(f"/api/events {after}", lambda: self._source.events(after))

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        accept = request.headers.get("Accept", "")
        body, kind = exposition(self._source.measures(), accept)
        return web.Response(body=body, headers={"Content-Type": kind})

    # --- what is done -------------------------------------------------------------------------------------------------

    async def _command(self, request: web.Request) -> web.StreamResponse:
        name, viewer = request.match_info["name"], viewer_of(request)
        if name not in COMMANDS:
            raise KeyError(f"no such command; there are: {', '.join(COMMANDS)}")
        if name not in viewer.commands:
            words = f"you may not {name}; the station file says who may, in `commands` of the page"
            return self._guard.refuse(request, 403, words, f"refused: {viewer.who or 'nobody'} may not {name}", name)
        given, who = await _body(request), name_of(request)
        async with self._lock("command"):
            return answer({"message": await in_thread(lambda: self._source.command(name, given, who), WORKER)})

    def _lock(self, kind: str) -> asyncio.Lock:
        return self._one_at_a_time.setdefault(kind, asyncio.Lock())


async def _body(request: web.Request) -> dict[str, Any]:
    """What a request says, in JSON, which no form of another site sends; raises `ValueError` in words."""
    if request.content_type != "application/json":
        raise ValueError("what is sent has to be JSON")
    try:
        async with asyncio.timeout(BODY_S):
            given = await request.json() if request.can_read_body else {}
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("the body is not understood") from None
    if not isinstance(given, dict):
        raise ValueError("the body is not understood")
    return given


def _number(request: web.Request, name: str, default: int, high: int) -> int:
    """A whole number of the query, from 0."""
    text = request.query.get(name, str(default))
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    if not 0 <= number <= high:
        raise ValueError(f"{name} is a whole number from 0 to {high}")
    return number
