"""Who looks at a page, and what they may do: tokens, sessions of a browser, certificates.

Authorization: Bearer TOKEN   programs; a token is looked up by its SHA-256, which alone the station file has
cookie rt_page=SESSION        browsers, after POST /login with a token; lost when the station ends
a client's certificate        where the page has a `ca_file`: TLS has proven it
nothing                       where there are neither tokens nor certificates: who may connect may look, and do nothing
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from plc_bindings.security.tokens import TOKEN_BYTES, Tokens, hashed

SESSION_S: Final = 12 * 3600.0
"""A session ends so long after it was last used."""
MOST_SESSIONS: Final = 256
"""The oldest makes room for the next."""


@dataclass(slots=True)
class _Session:
    who: str
    used_s: float


class People(Tokens):
    """Everybody whom one page knows, and the sessions of their browsers. Its thread only."""

    def __init__(
        self,
        tokens: Mapping[str, str],
        commands: Mapping[str, Collection[str]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tokens, commands, now)
        self._sessions: dict[str, _Session] = {}

    def log_in(self, who: str) -> str:
        """Begin a session; gives the secret that its browser keeps."""
        secret, now = secrets.token_urlsafe(TOKEN_BYTES), self._now()
        self._sessions = {key: one for key, one in self._sessions.items() if now - one.used_s < SESSION_S}
        if len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used_s)]
        self._sessions[hashed(secret)] = _Session(who, now)
        return secret

    def of_session(self, secret: str) -> str:
        """Whose session that is; empty: nobody's, or it has ended."""
        session, now = self._sessions.get(hashed(secret)), self._now()
        if session is None or now - session.used_s >= SESSION_S:
            return ""
        session.used_s = now
        return session.who

    def log_out(self, secret: str) -> None:
        """End a session."""
        self._sessions.pop(hashed(secret), None)
