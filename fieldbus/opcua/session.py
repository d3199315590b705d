"""A session with an OPC UA server, on asyncua: made, asked in bounded batches, kept, ended. In the event loop of who calls.

asyncua reconnects by itself too; we do not let it. A session that is lost is made anew from nothing (its issues 1660, 2020), so
that namespaces, nodes and types are looked up again in whatever server answers then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlparse

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties

from fieldbus.errors import (
    ConfigurationError,
    ConnectionLostError,
    DeviceError,
    GarbageError,
    NoAnswerError,
    RefusedError,
    UntrustedError,
    cause,
)
from fieldbus.opcua.bounds import MOST_MESSAGE  # and what answers are decoded within
from fieldbus.opcua.certificates import Certificates, leaf
from fieldbus.opcua.protocol import MOST_OF, NAMESPACE_ARRAY, VALUE
from fieldbus.opcua.values import node0, status_name

NO_SECURITY: Final = "none"
POLICIES: Final = {
    name: getattr(security_policies, f"SecurityPolicy{name}")
    for name in ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
}
MODES: Final = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign-and-encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
BATCH: Final = 500
"""Nodes of a request, unless the server takes fewer."""
SESSION_S: Final = 60.0
"""A server forgets a session that has said nothing for so long, and its subscriptions."""
CHANNEL_S: Final = 3600.0
"""Keys of a secure channel are renewed after three quarters of that, or of what the server makes of it."""
SHORTEST_CHANNEL_S: Final = 0.2
"""Keys are renewed no more often, whatever a server says."""
CLOSING_S: Final = 1.0
MOST_OFFERS: Final = 12
MOST_LETTERS: Final = 200
"""Of what a server says, in a message."""
_LOST: Final = frozenset(
    getattr(ua.StatusCodes, name)
    for name in (
        "BadSessionIdInvalid", "BadSessionClosed", "BadSessionNotActivated", "BadSecureChannelIdInvalid", "BadSecureChannelClosed",
        "BadConnectionClosed", "BadSubscriptionIdInvalid", "BadNoSubscription", "BadServerHalted", "BadShutdown",
    )
)  # fmt: skip
_TOO_MUCH: Final = frozenset(
    getattr(ua.StatusCodes, name)
    for name in ("BadTooManyOperations", "BadRequestTooLarge", "BadResponseTooLarge", "BadEncodingLimitsExceeded")
)
"""Refusals of a request of which a part may be taken."""
Question = tuple[ua.NodeId, int, str | None]
"""(node, attribute, elements of an array: "3:5", None: all)"""
_HELPS: Final = {
    "BadSecurityChecksFailed": "does it trust our certificate, own.der? Where it is a station: `rt-engine opcua trust`, there",
    "BadCertificateUntrusted": "does it trust our certificate, own.der? Where it is a station: `rt-engine opcua trust`, there",
    "BadIdentityTokenRejected": "it wants to know who asks, or did not know him: name a user and a password file",
    "BadTcpMessageTooLarge": f"what it sends is longer than {MOST_MESSAGE >> 20} MB: fewer elements in a tag",
    "BadRequestTooLarge": f"what it sends is longer than {MOST_MESSAGE >> 20} MB: fewer elements in a tag",
    "BadUserAccessDenied": "the user's name or password is not the one that it knows, or he may not do this",
}
"""Refusals at the door whose names do not say what to do."""
_Item = TypeVar("_Item")
_log = logging.getLogger("asyncua")
_log.setLevel(logging.CRITICAL + 1)  # what it warns of is raised, too, and told by the link in words of its own


@dataclass(frozen=True, slots=True)
class Where:
    """A server, and as whom, how secretly it is talked to. `password_file`: its first line, read at each connection."""

    url: str
    security: str = "Basic256Sha256"
    mode: Literal["sign", "sign-and-encrypt"] = "sign-and-encrypt"
    certificates: Path = Path("opcua")
    user: str = ""
    password_file: Path | None = None
    channel_s: float = CHANNEL_S


class Session:
    """One session. Every question waits `timeout_s` for its answer; all raise a `DeviceError` on failure."""

    def __init__(self, where: Where, timeout_s: float) -> None:
        self._where, self._timeout_s = where, timeout_s
        self._client: Client | None = None
        self._renew_at = float("inf")
        self.namespaces: list[str] = []
        self.most = dict.fromkeys(MOST_OF, BATCH)
        """Service -> nodes of one request of it."""

    async def open(self) -> None:
        """Connect, prove who we are and see who they are, and learn namespaces and limits."""
        async with _translated(self._where.url):
            endpoint = None if self._where.security == NO_SECURITY else await self._endpoint()
            client = self._client = self._new_client()
            if endpoint is not None:
                await self._secure(client, endpoint)
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            self._renewed()
            await client.create_session()
            await self._log_in(client)
        await self._learn()

    async def close(self) -> None:
        """Let the session go, politely where the server still answers. Never fails."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(Exception):
            await asyncio.wait_for(client.disconnect(), CLOSING_S)
        with suppress(Exception):
            client.disconnect_socket()

    async def keep(self) -> None:
        """Renew the channel's keys when it is time; raises `ConnectionLostError` once the connection is closed."""
        if self._up().state is UaClientState.DISCONNECTED:
            raise ConnectionLostError(f"{self._where.url} closed the connection")
        if time.monotonic() >= self._renew_at:
            async with _translated(self._where.url):
                await self._up().open_secure_channel(renew=True)
            self._renewed()

    async def read(self, questions: Sequence[Question]) -> list[ua.DataValue]:
        """Attributes of nodes, each with its own status."""

        def request(part: Sequence[Question]) -> Any:
            wanted = ua.ReadParameters()
            wanted.TimestampsToReturn = ua.TimestampsToReturn.Source
            for node, attribute, elements in part:
                one = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds(attribute))
                one.IndexRange = elements
                wanted.NodesToRead.append(one)
            return wanted

        return await self.batched(questions, request, "read")

    async def write(self, values: Sequence[tuple[ua.NodeId, str | None, ua.Variant]]) -> list[ua.StatusCode]:
        """Values of nodes; gives each one's status."""

        def request(part: Sequence[tuple[ua.NodeId, str | None, ua.Variant]]) -> Any:
            wanted = ua.WriteParameters()
            for node, elements, variant in part:
                one = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds(VALUE))
                one.IndexRange = elements
                one.Value = ua.DataValue(
                    variant, StatusCode=None
                )  # the value alone: few servers let clients write more
                wanted.NodesToWrite.append(one)
            return wanted

        return await self.batched(values, request, "write")

    async def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Any other service, of asyncua's `UaClient`."""
        async with _translated(self._where.url):
            return await question(self._up().uaclient)

    async def batched(
        self, items: Sequence[_Item], request: Callable[[Sequence[_Item]], Any], service: str
    ) -> list[Any]:
        """Any other service that answers item by item; in smaller parts, for good, when the server finds one too large."""
        found: list[Any] = []
        while len(found) < len(items):
            part = items[len(found) : len(found) + self.most[service]]
            question = request(part)  # a mistake in it is ours, not the server's
            try:
                answers = await self.ask(methodcaller(service, question)) or ()
            except RefusedError as error:
                if error.code not in _TOO_MUCH or len(part) == 1:
                    raise
                self.most[service] = len(part) // 2
                continue
            if len(answers) != len(part):
                raise GarbageError(f"{self._where.url} gave {len(answers)} answers to {len(part)} questions")
            found.extend(answers)
        return found

    def _up(self) -> Client:
        if self._client is None:
            raise ConnectionLostError(f"{self._where.url}: there is no session")
        return self._client

    def _new_client(self) -> Client:
        client = Client(self._where.url, timeout=self._timeout_s)
        client.name = client.description = "rt-engine"
        client.product_uri = "urn:rt-engine"
        client.max_messagesize = MOST_MESSAGE
        client.session_timeout = round(SESSION_S * 1000)
        client.secure_channel_timeout = round(self._where.channel_s * 1000)
        return client

    async def _endpoint(self) -> ua.EndpointDescription:
        """What the server offers for the wanted security; who it is has been checked."""
        found = await self._new_client().connect_and_get_server_endpoints()
        wanted = POLICIES[self._where.security].URI, MODES[self._where.mode]
        for endpoint in found:
            if (endpoint.SecurityPolicyUri, endpoint.SecurityMode) == wanted:
                der, uri = leaf(endpoint.ServerCertificate or b""), endpoint.Server.ApplicationUri
                host = urlparse(self._where.url).hostname or ""
                Certificates(self._where.certificates).check(der, uri, host)
                return endpoint
        offers = sorted({_offer(endpoint) for endpoint in found})[:MOST_OFFERS]
        raise UntrustedError(
            f"{self._where.url} does not offer {self._where.security} with {self._where.mode}; it offers {', '.join(offers)}",
            "BadSecurityPolicyRejected",
        )

    async def _secure(self, client: Client, endpoint: ua.EndpointDescription) -> None:
        own = Certificates(self._where.certificates).own()
        client.application_uri = own.uri
        await client.set_security(
            POLICIES[self._where.security],
            CertProperties(own.der, "der"),
            CertProperties(own.key_path.read_bytes(), "pem"),
            server_certificate=CertProperties(leaf(endpoint.ServerCertificate), "der"),
            mode=MODES[self._where.mode],
        )

    async def _log_in(self, client: Client) -> None:
        if not self._where.user:
            await client.activate_session()
            return
        uri = client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        is_clear = not uri or uri == security_policies.SecurityPolicyNone.URI
        if is_clear and client.security_policy.Mode != ua.MessageSecurityMode.SignAndEncrypt:
            message = f"{self._where.url} wants the password in the clear: it is not sent; set mode to sign-and-encrypt"
            raise UntrustedError(message, "BadIdentityTokenRejected")
        await client.activate_session(self._where.user, _password(self._where.password_file))

    async def _learn(self) -> None:
        spaces, *limits = await self.read(
            [(node0(number), VALUE, None) for number in (NAMESPACE_ARRAY, *MOST_OF.values())]
        )
        names = spaces.Value.Value if spaces.Value is not None else None
        if not isinstance(names, list):
            raise GarbageError(f"{self._where.url} has no list of namespaces")
        self.namespaces = [str(name) for name in names]
        self.most = {service: _limit(limit) for service, limit in zip(MOST_OF, limits, strict=True)}

    def _renewed(self) -> None:
        lifetime_s = self._up().secure_channel_timeout / 1000.0
        self._renew_at = time.monotonic() + max(0.75 * lifetime_s, SHORTEST_CHANNEL_S)


def _offer(endpoint: ua.EndpointDescription) -> str:
    """As a station file has it."""
    mode = next((name for name, mode in MODES.items() if mode == endpoint.SecurityMode), "")
    return f"{endpoint.SecurityPolicyUri.rpartition('#')[2][:MOST_LETTERS]} with {mode}" if mode else NO_SECURITY


def _limit(value: ua.DataValue) -> int:
    most = value.Value.Value if value.Value is not None else None
    return min(most, BATCH) if isinstance(most, int) and most > 0 else BATCH


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error


@asynccontextmanager
async def _translated(url: str) -> AsyncIterator[None]:
    """What asyncua raises, in our words."""
    try:
        yield
    except DeviceError:
        raise
    except ConfigurationError as error:  # a file that may be mended while the link runs
        raise UntrustedError(str(error), "BadConfigurationError") from error
    except ua.uaerrors.UaStatusCodeError as error:
        name = status_name(error.code)
        if error.code in _LOST:
            raise ConnectionLostError(f"{url} ended the session: {name}") from error
        helps = _HELPS.get(name, "")
        raise RefusedError(f"{url} refuses: {name}{helps and f'; {helps}'}", error.code) from error
    except TimeoutError as error:
        raise NoAnswerError(f"{url} does not answer in time") from error
    except OSError as error:
        raise ConnectionLostError(f"no connection to {url}: {cause(error)}") from error
    except Exception as error:  # a library that parses what anybody may send
        raise GarbageError(f"{url} sent what is not understood: {repr(error)[:MOST_LETTERS]}") from error
