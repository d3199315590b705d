"""What every request to a page has to pass, in this order; each refusal is audited, and tells no more than that it is one.

rate      no more than `requests_per_second`: 429, closed
name      `Host` is an address, localhost, or one of `names`: a foreign name that leads here is a trick (DNS rebinding): 403
origin    a page of somebody else asks (`Origin`, `Sec-Fetch-Site`): 403
who       a token or a session, where the page has tokens: 401; a browser that wants a page is sent to the log-in
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from plc_bindings.security.access import Access
from station.errors import RefusedError
from station.page.door import Caller, dress
from station.page.people import People, Viewer

COOKIE: Final = "rt_page"
OPEN: Final = ("/login",)
"""Who is nobody yet may ask for these."""
_VISITED: Final = ("/", "/login")
"""A link elsewhere may lead here."""
_OWN_SITES: Final = ("same-origin", "none")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
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
        self._access, self._people = access, people
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self._open = {*OPEN, *open_files}
        self.requests = 0

    def middleware(self) -> Any:
        """For `web.Application`."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests += 1
            _caller(request).answering()
            return await self._answer(request, handler)

        return guarded

    def refuse(self, request: web.Request, status: int, words: str, outcome: str, what: str = "") -> web.Response:
        """An answer that says `words`, and a line in the audit log: who, what, `outcome`."""
        client = _caller(request).client
        self._access.audit(client.name if client else "?", what or f"{request.method} {request.path}", outcome)
        return web.json_response({"error": words}, status=status)

    def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        client = _caller(request).client
        if client is None or not client.may_ask():
            response = self.refuse(request, 429, "too many requests", "refused: too many requests", what="request")
            response.force_close()
            return response
        if not self._is_own_name(request.host):
            return self.refuse(request, 403, "this page is not asked by that name", "refused: foreign Host", "request")
        if not self._is_own_origin(request):
            return self.refuse(request, 403, "asked from another site", "refused: another site asks", "request")
        return self._identify(request)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refusal = self._refusal(request)
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

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.rstrip(".") in self._names
        return True

    def _is_own_origin(self, request: web.Request) -> bool:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        mode = request.headers.get("Sec-Fetch-Mode")
        is_visit = request.method == "GET" and mode == "navigate" and request.path in _VISITED
        if site is not None and site not in _OWN_SITES and not is_visit:
            return False
        return origin is None or origin == f"{request.scheme}://{request.host}"

    def _identify(self, request: web.Request) -> web.StreamResponse | None:
        caller, who = _caller(request), ""
        if self._people.have_tokens:
            who = self._people.of_session(request.cookies.get(COOKIE, "")) or self._of_bearer(request)
            if not who and request.path not in self._open:
                return self._log_in_first(request)
        caller.viewer = self._people.viewer(who, caller.certificate)
        return None

    def _of_bearer(self, request: web.Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        address = address_of(request)
        if kind.lower() != "bearer" or self._people.is_tired_of(address):
            return ""
        return self._people.of_token(token.strip(), address)

    def _log_in_first(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/" and "Authorization" not in request.headers:
            return web.Response(status=303, headers={"Location": "/login"})
        what = "request" if "Authorization" not in request.headers else "token"
        response = self.refuse(request, 401, "log in first", "refused: no token, or a wrong one", what)
        response.headers["WWW-Authenticate"] = 'Bearer realm="rt-engine"'
        return response


def _caller(request: web.BaseRequest) -> Caller:
    caller = request.protocol
    assert isinstance(caller, Caller)
    return caller


def viewer_of(request: web.Request) -> Viewer:
    """Who asks, once the guard has let the request through."""
    return _caller(request).viewer


def address_of(request: web.Request) -> str:
    """Where a request comes from."""
    client = _caller(request).client
    return client.address if client else "?"


def name_of(request: web.Request) -> str:
    """Who asks, for the audit log: `anna (page, 192.168.10.9)`."""
    who, address = viewer_of(request).who, address_of(request)
    return f"{who} (page, {address})" if who else f"page, {address}"


async def dressed(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """A signal of aiohttp: before any answer begins."""
    dress(response)
