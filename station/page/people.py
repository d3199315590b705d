"""Who looks at a page, and what they may do: tokens, sessions of a browser, certificates.

    Authorization: Bearer TOKEN   programs; a token is looked up by its SHA-256, which alone the station file has
    cookie rt_page=SESSION        browsers, after POST /login with a token; lost when the station ends
    a client's certificate        where the page has a `ca_file`: TLS has proven it
    nothing                       where there are neither tokens nor certificates: who may connect may look, and do nothing

A name may be called so by its token or by its certificate. Both are asked for where both are there; then the token's name counts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

SCHEME: Final = "sha256:"
PREFIX: Final = "rt_"
TOKEN_BYTES: Final = 32
SESSION_S: Final = 12 * 3600.0
"""A session ends so long after it was last used."""
MOST_SESSIONS: Final = 256
"""The oldest makes room for the next."""
TRIES: Final = 10
TRIES_S: Final = 60.0
"""So many wrong tokens in such a time, from one address; then none from there is looked at for a while: nobody can lock out others."""
MOST_WRONG: Final = 10_000
"""From all addresses, in that time; then none is looked at."""


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hashed(token: str) -> str:
    """What the station file has of a token: `sha256:` and 64 hexadecimal digits. The token cannot be found from it."""
    return SCHEME + hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def is_hash(text: str) -> bool:
    """Is it such a text?"""
    digits = text.removeprefix(SCHEME)
    return text.startswith(SCHEME) and len(digits) == 64 and not set(digits) - set("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may look. `commands`: what he may do; `who` is empty where nobody has a name."""

    who: str
    commands: tuple[str, ...] = ()


@dataclass(slots=True)
class _Session:
    who: str
    used_s: float


class People:
    """Everybody whom one page knows. Its thread only.

    Args:
        tokens: name -> `hashed` token.
        commands: name (of a token; without tokens, the common name or fingerprint of a certificate) -> what he may do.
    """

    def __init__(
        self,
        tokens: Mapping[str, str],
        commands: Mapping[str, Collection[str]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._now = dict(tokens), now
        self._commands = {name.lower(): tuple(allowed) for name, allowed in commands.items()}
        self._sessions: dict[str, _Session] = {}
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_WRONG)

    @property
    def have_tokens(self) -> bool:
        """Must a viewer have one?"""
        return bool(self._tokens)

    def is_tired_of(self, address: str) -> bool:
        """Came so many wrong tokens from there that none is looked at for a while?"""
        while self._wrong and self._now() - self._wrong[0][0] >= TRIES_S:
            self._wrong.popleft()
        return len(self._wrong) >= MOST_WRONG or sum(one == address for _, one in self._wrong) >= TRIES

    def of_token(self, token: str, address: str = "") -> str:
        """Whose token that is; empty: nobody's. Takes as long for any token, and is not asked while `is_tired_of` the address."""
        given, found = hashed(token), ""
        for name, known in self._tokens.items():  # all of them: which one fits is not to be seen from outside
            if hmac.compare_digest(given.encode(), known.encode()):
                found = name
        if not found:
            self._wrong.append((self._now(), address))
        return found

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

    def viewer(self, who: str, certificate: tuple[str, str] | None) -> Viewer:
        """Somebody who was let in: by a token that has this name, or by (fingerprint, common name) of his certificate."""
        if self.have_tokens or certificate is None:
            return Viewer(who, self._commands.get(who.lower(), ()) if who else ())
        fingerprint, name = certificate
        allowed = self._commands.get(fingerprint.lower()) or self._commands.get(name.lower(), ())
        return Viewer(name or fingerprint[:16], allowed)
