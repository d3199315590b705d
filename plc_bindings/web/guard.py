"""What every request has to pass, in this order; each refusal is audited, and tells no more than that it is one.

rate      no more than `requests_per_second`: 429, closed
name      `Host` is an address, localhost, or one of `names`: a foreign name that leads here is a trick (DNS rebinding): 403
origin    a page of somebody else asks (`Origin`, `Sec-Fetch-Site`): 403
who       a token, where the server has tokens: 401
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from plc_bindings.security.access import Access
from plc_bindings.security.tokens import Tokens, Viewer
from plc_bindings.web.door import Caller

_OWN_SITES: Final = ("same-origin", "none")


class Guard:
    """Lets requests through. The server's thread only.

    Args:
        access: audit log and limits.
        people: whom it knows.
        names: by which it may be asked, beside addresses and localhost.
    """

    def __init__(self, access: Access, people: Tokens, names: Collection[str] = ()) -> None:
        self._access, self._people = access, people
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self._good_host: str | None = None
        """The newest that was looked at and is ours."""
        self.requests = 0

    def refuse(self, request: web.BaseRequest, status: int, words: str, outcome: str, what: str = "") -> web.Response:
        """An answer that says `words`, and a line in the audit log: who, what, `outcome`."""
        client = caller_of(request).client
        self._access.audit(client.name if client else "?", what or f"{request.method} {request.path}", outcome)
        return web.json_response({"error": words}, status=status)

    def refusal(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """What a request gets that does not pass; None: it passes, and `viewer_of` says who asks."""
        client = caller_of(request).client
        if client is None or not client.may_ask():
            response = self.refuse(request, 429, "too many requests", "refused: too many requests", what="request")
            response.force_close()
            return response
        if not self._is_own_name(request.headers.get("Host")):
            return self.refuse(request, 403, "this page is not asked by that name", "refused: foreign Host", "request")
        if not self._is_own_origin(request):
            return self.refuse(request, 403, "asked from another site", "refused: another site asks", "request")
        return self._identify(request)

    # --- what a kind of server may have otherwise ---------------------------------------------------------------------

    def is_visit(self, request: web.BaseRequest) -> bool:
        """May a link on somebody else's page lead there?"""
        return False

    def is_open(self, request: web.BaseRequest) -> bool:
        """May ask for this who is nobody yet?"""
        return False

    def known(self, request: web.BaseRequest) -> str:
        """Who asks, by what a request shows; empty: nobody."""
        return self.of_bearer(request)

    def unknown(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to who has to say who he is."""
        what = "request" if "Authorization" not in request.headers else "token"
        response = self.refuse(request, 401, "log in first", "refused: no token, or a wrong one", what)
        response.headers["WWW-Authenticate"] = 'Bearer realm="rt-engine"'
        return response

    def of_bearer(self, request: web.BaseRequest) -> str:
        """Whose token the request has."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        address = address_of(request)
        if kind.lower() != "bearer" or self._people.is_tired_of(address):
            return ""
        return self._people.of_token(token.strip(), address)

    # --- how each is looked at ----------------------------------------------------------------------------------------

    def _is_own_name(self, host: str | None) -> bool:
        """None: he named nobody, which no browser does. (aiohttp's `host` would then ask the system, which may ask the network.)"""
        if host is None or host == self._good_host:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            if name.rstrip(".") not in self._names:
                return False
        self._good_host = host
        return True

    def _is_own_origin(self, request: web.BaseRequest) -> bool:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None and site not in _OWN_SITES and not self.is_visit(request):
            return False
        return origin is None or origin == f"{request.scheme}://{request.headers.get('Host')}"

    def _identify(self, request: web.BaseRequest) -> web.StreamResponse | None:
        caller, who = caller_of(request), ""
        if self._people.have_tokens:
            who = self.known(request)
            if not who and not self.is_open(request):
                return self.unknown(request)
        elif caller.is_known:
            return None
        caller.is_known = True
        caller.viewer = self._people.viewer(who, caller.certificate)
        return None


def caller_of(request: web.BaseRequest) -> Caller:
    """The connection that a request came over."""
    caller = request.protocol
    assert isinstance(caller, Caller)
    return caller


def viewer_of(request: web.BaseRequest) -> Viewer:
    """Who asks, once the guard has let the request through."""
    return caller_of(request).viewer


def address_of(request: web.BaseRequest) -> str:
    """Where a request comes from."""
    client = caller_of(request).client
    return client.address if client else "?"


def asker_of(request: web.BaseRequest) -> str:
    """Whose a request is: his name, where he has one, else where it comes from."""
    return viewer_of(request).who or address_of(request)
