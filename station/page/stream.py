"""`GET /api/stream`: what is new, sent to everybody who looks, made once for all of them.

    event: status    about once a second, as /api/status; who is slow is sent the newest one, never all that he missed
    event: events    what happened since, as /api/events; none is left out
    event: end       the station was stopped

Nothing is made while nobody looks.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from station.page.answers import encoded
from station.page.source import Source

EVERY_S: Final = 1.0
PATIENCE_S: Final = 10.0
"""A viewer who takes no more for so long is let go; his browser comes again."""
RETRY_MS: Final = 2000


class Stream:
    """All who look. The page's thread only."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._viewers = 0
        self._frame, self._number, self._last = b"", 0, 0
        self._events: dict[int, tuple[bytes, int]] = {}
        """Event after which -> (frame, the newest in it), of this moment."""
        self._news = asyncio.Condition()
        self._ended = False
        self._somebody = asyncio.Event()

    @property
    def viewers(self) -> int:
        """How many look."""
        return self._viewers

    async def run(self) -> None:
        """Make what is new, as long as somebody looks; until cancelled."""
        while True:
            await self._somebody.wait()
            await self._make()
            await asyncio.sleep(EVERY_S)

    async def end(self) -> None:
        """Tell all that the station ends."""
        self._ended = True
        async with self._news:
            self._news.notify_all()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve one viewer until he goes."""
        after = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        seen = int(after[:18]) if after.isascii() and after.isdecimal() else int(self._source.events(0)["last"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        response.force_close()
        await response.prepare(request)
        self._viewers += 1
        self._somebody.set()
        try:
            await self._serve(response, seen)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._somebody.clear()
        return response

    async def _serve(self, response: web.StreamResponse, seen: int) -> None:
        await response.write(b"retry: %d\n\n" % RETRY_MS)
        number = -1 if self._frame and self._viewers > 1 else self._number
        while not self._ended:
            async with self._news:
                await self._news.wait_for(lambda: self._ended or self._number != number)  # noqa: B023 (asked now)
            number = self._number
            news, seen = self._news_after(seen)
            async with asyncio.timeout(PATIENCE_S):
                await response.write(self._frame + news)
        async with asyncio.timeout(PATIENCE_S):
            await response.write(b"event: end\ndata: {}\n\n")

    async def _make(self) -> None:
        frame = _frame("status", self._source.status())
        async with self._news:
            self._frame, self._number = frame, self._number + 1
            self._events.clear()
            self._news.notify_all()

    def _news_after(self, seen: int) -> tuple[bytes, int]:
        found = self._events.get(seen)
        if found is None:
            news: dict[str, Any] = self._source.events(seen)
            last = int(news["last"])
            frame = b"id: %d\n" % last + _frame("events", news) if news["events"] else b""
            found = self._events[seen] = (frame, last)
        return found


def _frame(event: str, data: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + encoded(data) + b"\n\n"
