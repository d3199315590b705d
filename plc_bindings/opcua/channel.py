"""A connection's secure channel: opened, renewed, and what is sent through it. The frames are asyncua's.

    Hello, OPN  ->  Channel  ->  answers, in the order of their sequence numbers, none longer than its client takes

RSA runs in the server's own thread for it (`Engine.apart`): milliseconds for a key of 4096 bits, in which others are answered.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from fieldbus.opcua import bounds as _bounds  # noqa: F401  # what requests are decoded within
from fieldbus.opcua.certificates import leaf
from plc_bindings.opcua.sizes import Sizes
from plc_bindings.opcua.words import status

if TYPE_CHECKING:
    from plc_bindings.opcua.engine import Engine

LEAST_CHUNK_BYTES: Final = 8192
"""That a client must be able to take (OPC 10000-6, 7.1.2.3): smaller ones cost us a signature for every few bytes."""
MOST_WAITING_BYTES: Final = 1 << 18
"""Of answers that a client has not fetched; then no request is looked at, and nothing is published."""
LIFETIME_MS: Final = (60_000, 3_600_000)
"""Of a channel's keys: bounds of what a client asks for."""
_S: Final = ua.StatusCodes


class Channel(UaProcessor):
    """Of one connection. `session`: ours, of who speaks in it."""

    session: Any

    def __init__(self, engine: Engine, transport: Any, limits: Sizes, address: str) -> None:
        super().__init__(engine, transport, limits)
        self.engine, self.name = engine, address
        self._sizes: Any = self._limits
        self._held: list[tuple[bytes, int]] | None = None
        """Answers that wait until the channel is renewed: its numbers count up in the order of the wire."""

    @property
    def is_secure(self) -> bool:
        """Is the channel open, and one that the server offers?"""
        policy = self._connection.security_policy
        offered = any(one.cls.URI == policy.URI and one.mode == policy.Mode for one in self.engine.policies)
        return offered and self._connection.is_open()

    @property
    def keeps_secrets(self) -> bool:
        """Can nobody else read what comes?"""
        return bool(self._connection.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt)

    @property
    def shown(self) -> bytes:
        """The certificate of who speaks in this channel; empty: none."""
        return leaf(bytes(self._connection.security_policy.peer_certificate or b""))

    @property
    def policy(self) -> Any:
        """Its security policy, with the keys."""
        return self._connection.security_policy

    @property
    def has_expired(self) -> bool:
        """Are the channel's keys too old? A quarter of their time is left for who renews them late (OPC 10000-4, 5.6.2.1)."""
        token = self._connection.security_token
        if not self._connection.is_open() or token.CreatedAt is None:
            return False
        age_s = time.time() - token.CreatedAt.timestamp()
        return bool(age_s > token.RevisedLifetime / 1e3 * 1.25)

    async def process(self, header: Any, body: Any) -> bool:
        """A frame. Who has no secure channel needs no message of several, and nobody needs answers in crumbs."""
        if header.ChunkType == ua.ChunkType.Intermediate and not self.is_secure:
            raise ServiceError(_S.BadTcpMessageTooLarge)
        if header.MessageType == ua.MessageType.SecureOpen:
            await self._open(header, body)
            return True
        result = await super().process(header, body)
        if header.MessageType == ua.MessageType.Hello and self._limits.max_send_buffer < LEAST_CHUNK_BYTES:
            raise ServiceError(_S.BadConnectionRejected)
        return bool(result)

    async def _open(self, header: Any, body: Any) -> None:
        """Open it, or renew its keys: with a lifetime within bounds, and the mode that the client has chosen."""
        message = await self.engine.apart(self._connection.receive_from_header_and_body, header, body)
        if message is None:  # taken back
            return
        request = struct_from_binary(ua.OpenSecureChannelRequest, message.body())
        asked, algorithm = request.Parameters, message.SecurityHeader()
        asked.RequestedLifetime = min(max(asked.RequestedLifetime, LIFETIME_MS[0]), LIFETIME_MS[1])
        if not self._connection.is_open():
            await self.engine.apart(
                self._connection.select_policy,
                algorithm.SecurityPolicyURI,
                algorithm.SenderCertificate,
                asked.SecurityMode,
            )
        elif asked.RequestType != ua.SecurityTokenRequestType.Renew:
            raise ServiceError(_S.BadRequestTypeInvalid)
        response = ua.OpenSecureChannelResponse()
        response.Parameters = self._connection.open(asked, self.iserver)
        response.ResponseHeader.RequestHandle = request.RequestHeader.RequestHandle
        self._held = []
        try:
            data = await self.engine.apart(
                self._connection.message_to_binary,
                struct_to_binary(response),
                ua.MessageType.SecureOpen,
                message.SequenceHeader().RequestId,
            )
            self._transport.write(data)
        finally:
            held, self._held = self._held, None
        for answer, number in held:
            self.send(answer, number)

    def get_publish_request(self, subscription_id: ua.IntegerId) -> Any:
        """What a notification may answer; None where the client does not fetch what was sent: it is told later."""
        subscription: Any = self.engine.subscriptions.subscriptions.get(subscription_id)
        if subscription is not None:
            subscription.sizes = self._sizes
        if self._transport.get_write_buffer_size() > MOST_WAITING_BYTES:
            self._publish_results_subs[subscription_id] = True
            return None
        return super().get_publish_request(subscription_id)

    def send_response(self, requesthandle: int, seqhdr: Any, response: Any, msgtype: Any = None) -> None:
        """An answer."""
        response.ResponseHeader.RequestHandle = requesthandle
        data = struct_to_binary(response)
        if len(data) > self._sizes.answer_bytes:
            fault = ua.ServiceFault()
            fault.ResponseHeader.RequestHandle = requesthandle
            fault.ResponseHeader.ServiceResult = status(_S.BadResponseTooLarge)
            data = struct_to_binary(fault)
        self.send(data, seqhdr.RequestId)

    def check_size(self, size: int) -> None:
        """Of an answer; raises `ServiceError` where it is more than a client takes."""
        if size > self._sizes.answer_bytes:
            raise ServiceError(_S.BadResponseTooLarge)

    def send(self, answer: bytes, request_id: int) -> None:
        """An answer in binary."""
        if self._held is not None:
            self._held.append((answer, request_id))
        else:
            self._transport.write(self._connection.message_to_binary(answer, request_id=request_id))
