"""What every request to a page has to pass (`plc_bindings.web.guard`), and what a page has of its own.

who       a token or a session, where the page has tokens: 401; a browser that wants a page is sent to the log-in
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from aiohttp import web

from plc_bindings.security.access import Access
from plc_bindings.web.door import dress
from plc_bindings.web.guard import Guard as CommonGuard
from plc_bindings.web.guard import address_of, caller_of, viewer_of
from station.errors import RefusedError
from station.page.people import People

COOKIE: Final = "rt_page"
OPEN: Final = ("/login",)
"""Who is nobody yet may ask for these."""
_VISITED: Final = ("/", "/login")
"""A link elsewhere may lead here."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard(CommonGuard):
    """Lets requests through to routes. A middleware of aiohttp; the page's thread only.

    Args:
        access: audit log and limits.
        people: who may look.
        names: by which the page may be asked, beside addresses and localhost.
        open_files: files that the log-in needs.
    """

    def __init__(
        self, access: Access, people: People, names: Collection[str] = (), open_files: Collection[str] = ()
    ) -> None:
        super().__init__(access, people, names)
        self._sessions, self._open = people, {*OPEN, *open_files}

    def middleware(self) -> Any:
        """For `web.Application`."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests += 1
            caller_of(request).answering()
            return await self._answer(request, handler)

        return guarded

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refusal = self.refusal(request)
            return refusal if refusal is not None else await handler(request)
        except web.HTTPException as error:
            if error.status < 400:  # a way to another page
                raise
            return web.json_response({"error": error.reason.lower()}, status=error.status)
        except KeyError as error:
            return web.json_response({"error": str(error.args[0])}, status=404)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=422)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            outcome = f"error of ours, please report: {type(error).__name__}"
            return self.refuse(request, 500, "an error of ours; the station goes on", outcome)

    def is_visit(self, request: web.BaseRequest) -> bool:
        """A browser goes to the page itself."""
        mode = request.headers.get("Sec-Fetch-Mode")
        return request.method == "GET" and mode == "navigate" and request.path in _VISITED

    def is_open(self, request: web.BaseRequest) -> bool:
        """The log-in, and what it needs."""
        return request.path in self._open

    def known(self, request: web.BaseRequest) -> str:
        """By his session, or by a token."""
        return self._sessions.of_session(request.cookies.get(COOKIE, "")) or self.of_bearer(request)

    def unknown(self, request: web.BaseRequest) -> web.StreamResponse:
        """A browser is sent to the log-in."""
        if request.path == "/" and "Authorization" not in request.headers:
            return web.Response(status=303, headers={"Location": "/login"})
        return super().unknown(request)


def name_of(request: web.Request) -> str:
    """Who asks, for the audit log: `anna (page, 192.168.10.9)`."""
    who, address = viewer_of(request).who, address_of(request)
    return f"{who} (page, {address})" if who else f"page, {address}"


async def dressed(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """A signal of aiohttp: before any answer begins."""
    dress(response)
