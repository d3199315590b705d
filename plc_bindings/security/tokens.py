"""Who asks, where a protocol carries tokens: names, and the hashes of their tokens, as the station file has them.

A token is 256 random bits; the station file has its SHA-256 alone (`rt-engine token NAME`). Without tokens, a client's certificate
says who it is; without either, nobody has a name. Both are asked for where both are there; then the token's name counts.
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
    """Somebody who was let in. `commands`: what he may do; `who` is empty where nobody has a name."""

    who: str
    commands: tuple[str, ...] = ()


class Tokens:
    """Everybody whom one server knows. Its thread only.

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
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_WRONG)

    @property
    def have_tokens(self) -> bool:
        """Must a client have one?"""
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

    def viewer(self, who: str, certificate: tuple[str, str] | None) -> Viewer:
        """Somebody who was let in: by a token that has this name, or by (fingerprint, common name) of his certificate."""
        if self.have_tokens or certificate is None:
            return Viewer(who, self._commands.get(who.lower(), ()) if who else ())
        fingerprint, name = certificate
        allowed = self._commands.get(fingerprint.lower()) or self._commands.get(name.lower(), ())
        return Viewer(name or fingerprint[:16], allowed)
