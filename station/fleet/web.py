"""Files of other computers, over HTTPS: redirects, bearer tokens of registries, limits. What is got is checked by who asked for it.

    https://models.plant.example/policy.onnx     a file
    oci://registry.plant.example/plant/policy    a repository of an OCI registry; a blob of it is asked for by its SHA-256

Encrypted, but on this computer: `http://127.0.0.1/...` is let pass, and a registry there is asked without TLS, as other tools do.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pydantic import Field

from station.fleet.documents import Document
from station.fleet.sealed import ForgedError

MOST_REDIRECTS: Final = 5
MOST_TOKEN_BYTES: Final = 64 << 10
CONNECT_S: Final = 10.0
READ_S: Final = 30.0
WHOLE_S: Final = 60.0
"""Until the answer to a question begins, with redirects and tokens; and for a small file."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_ODD: Final = re.compile(r"[\s\\@#\x00-\x20\x7f]|\.\.|%2e", re.IGNORECASE)
_BEARER: Final = re.compile(r'(\w+)="([^"]*)"')


class Token(Document):
    """What a place for tokens answers."""

    token: str = Field(default="", max_length=32 << 10)
    access_token: str = Field(default="", max_length=32 << 10)


class ArtifactError(Exception):
    """A file that is not to be had, or is another one; the message says which, and from where."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a server of files is shown: a user and a password, sent to itself, and to those of `token_hosts` for a token of it."""

    user: str = ""
    password: str = field(default="", repr=False)
    token_hosts: tuple[str, ...] = ()


def objection(source: str, allowed: Collection[str] | None = None) -> str:
    """Why nothing is got from there; empty: it may. `allowed`: beginnings of sources; None: any that is encrypted."""
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{source} is no address: {error}"
    if _ODD.search(source) or not host or parts.scheme not in ("https", "http", "oci"):
        return f'{source} is no source; write "https://HOST/PATH" or "oci://HOST/REPOSITORY"'
    if parts.scheme == "http" and host not in LOOPBACK:
        return f"{source} is not encrypted: https"
    if allowed is None or any(source == one or source.startswith(one.rstrip("/") + "/") for one in allowed):
        return ""
    return f"{source} is not among the sources that are allowed here"


def registry(source: str) -> tuple[str, str]:
    """`oci://registry.plant.example/plant/policy` -> (`https://registry.plant.example`, `plant/policy`)."""
    parts = urlsplit(source)
    scheme = "http" if parts.hostname in LOOPBACK else "https"
    return f"{scheme}://{parts.netloc}", parts.path.strip("/")


def place_of(source: str, sha256: str) -> str:
    """Where the bytes of a source are asked for."""
    if not source.startswith("oci:"):
        return source
    host, repository = registry(source)
    return f"{host}/v2/{repository}/blobs/sha256:{sha256}"


class Web:
    """Asks for files. An async context manager; one loop.

    Args:
        ca_file: certificates to trust beside the system's; empty: those alone.
        login: shown where a server asks for it.
    """

    def __init__(self, ca_file: str = "", login: Login | None = None) -> None:
        self._ca_file, self._login = ca_file, login or Login()
        self._tokens: dict[str, str] = {}
        self._session: Any = None

    async def __aenter__(self) -> Web:
        import aiohttp

        context = ssl.create_default_context()
        if self._ca_file:
            context.load_verify_locations(self._ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=4),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "rt-engine"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        """The answer, 2xx, not read yet. Raises ArtifactError, with what was answered instead."""
        import aiohttp

        try:
            async with asyncio.timeout(WHOLE_S):
                answer = await self._asked(url, headers or {})
            try:
                yield answer
            finally:
                answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise ArtifactError(f"{url}: {said[:300]}") from error

    async def text(self, url: str, most: int, headers: Mapping[str, str] | None = None) -> bytes:
        """A small file, whole. Raises ArtifactError."""
        async with self.get(url, headers) as answer:
            return await _whole(url, answer, most)

    async def _asked(self, url: str, headers: Mapping[str, str]) -> Any:
        """Follow redirects, and show a token where one is asked for."""
        begin, has_shown = urlsplit(url), False
        for _ in range(MOST_REDIRECTS):
            here = urlsplit(url)
            own = {"Authorization": token} if (token := self._tokens.get(_host(here))) else {}
            answer = await self._session.get(url, headers={**headers, **own}, allow_redirects=False)
            if answer.status in (301, 302, 303, 307, 308):
                answer.close()
                url = _redirected(url, answer.headers.get("Location", ""), begin.hostname in LOOPBACK)
            elif answer.status == 401 and not has_shown and _host(here) == _host(begin):
                answer.close()
                has_shown = True
                self._tokens[_host(here)] = await self._authorised(url, answer.headers.get("WWW-Authenticate", ""))
            elif answer.status in (200, 206):
                return answer
            else:
                answer.close()
                raise ArtifactError(f"{url} answers {answer.status} {answer.reason or ''}".rstrip())
        raise ArtifactError(f"{url}: more than {MOST_REDIRECTS} answers led to another place")

    async def _authorised(self, url: str, challenge: str) -> str:
        """What `Authorization` says from now on; a registry's token is got where it says."""
        word = base64.b64encode(f"{self._login.user}:{self._login.password}".encode()).decode()
        basic = f"Basic {word}" if self._login.user else ""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and basic:
            return basic
        if scheme.lower() != "bearer":
            raise ArtifactError(
                f"{url} wants to know who asks ({scheme or 'it does not say how'}): user, password_file"
            )
        asked = dict(_BEARER.findall(rest))
        realm = asked.get("realm", "")
        if (why := objection(realm)) or realm.startswith("oci:"):
            raise ArtifactError(f"{url} sends to a place for tokens that is none: {why or realm}")
        wishes = {key: asked[key] for key in ("service", "scope") if key in asked}
        host, named = urlsplit(realm).hostname or "", (urlsplit(url).hostname, *self._login.token_hosts)
        shown = {"Authorization": basic} if basic and host in named else {}
        async with self._session.get(realm, params=wishes, headers=shown, allow_redirects=False) as answer:
            if answer.status != 200:
                said = f"{answer.status} {answer.reason or ''}".rstrip()
                helps = (
                    f'; the password is not shown to it: source_token_hosts = ["{host}"]' if basic and not shown else ""
                )
                raise ArtifactError(f"{realm} gives no token for {url}: {said}{helps}")
            return f"Bearer {_token(realm, await _whole(realm, answer, MOST_TOKEN_BYTES))}"


async def _whole(url: str, answer: Any, most: int) -> bytes:
    """What an answer says, if it is no more than that, and does not take for ever."""
    found = bytearray()
    async with asyncio.timeout(WHOLE_S):
        async for chunk in answer.content.iter_chunked(1 << 14):
            found += chunk
            if len(found) > most:
                raise ArtifactError(f"{url} gives more than {most:,} bytes")
    return bytes(found)


def _token(realm: str, body: bytes) -> str:
    try:
        found = Token.read(body)
    except ForgedError as error:
        raise ArtifactError(f"{realm} gives no token: {error}") from error
    token = found.token or found.access_token
    if not token.isascii() or not token.isprintable() or not token:
        raise ArtifactError(f"{realm} gives no token that can be shown")
    return token


def _host(parts: Any) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _redirected(url: str, location: str, is_here: bool) -> str:
    to = urljoin(url, location)
    parts = urlsplit(to)
    if parts.scheme == "https" or (parts.scheme == "http" and is_here and parts.hostname in LOOPBACK):
        return to
    raise ArtifactError(f"{url} leads to {to[:300]}, which is not encrypted")
