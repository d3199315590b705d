"""Requests of one connection: what is answered in which channel, and whose session it is. The services themselves are asyncua's, and
`session.py`.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from cryptography.exceptions import InvalidSignature

from fieldbus.opcua import bounds as _bounds  # noqa: F401  # what requests are decoded within
from fieldbus.opcua.certificates import leaf
from plc_bindings.opcua.session import Session, stamps_of
from plc_bindings.opcua.tree import Place
from plc_bindings.opcua.words import status

if TYPE_CHECKING:
    from plc_bindings.opcua.engine import Engine

LEAST_CHUNK_BYTES: Final = 8192
"""That a client must be able to take (OPC 10000-6, 7.1.2.3): smaller ones cost us a signature for every few bytes."""
LIFETIME_MS: Final = (60_000, 3_600_000)
"""Of a channel's keys: bounds of what a client asks for."""
_COUNT: Final = struct.Struct("<i")
_S, _IDS = ua.StatusCodes, ua.ObjectIds
_DISCOVERY: Final = frozenset(
    {
        _IDS.GetEndpointsRequest_Encoding_DefaultBinary,
        _IDS.FindServersRequest_Encoding_DefaultBinary,
        _IDS.CloseSecureChannelRequest_Encoding_DefaultBinary,
    }
)
"""What is answered in a channel without security."""


class Processor(UaProcessor):
    """Requests of one connection."""

    def __init__(self, engine: Engine, transport: Any, limits: TransportLimits, address: str) -> None:
        super().__init__(engine, transport, limits)
        self.engine, self.name = engine, address
        self.session: Session | None = None  # ours

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
    def has_expired(self) -> bool:
        """Are the channel's keys too old? A quarter of their time is left for who renews them late (OPC 10000-4, 5.6.2.1)."""
        token = self._connection.security_token
        if not self._connection.is_open() or token.CreatedAt is None:
            return False
        age_s = time.time() - token.CreatedAt.timestamp()
        return bool(age_s > token.RevisedLifetime / 1e3 * 1.25)

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """With a lifetime within bounds, and the mode that the client has chosen."""
        request = struct_from_binary(ua.OpenSecureChannelRequest, body)
        asked = request.Parameters
        asked.RequestedLifetime = min(max(asked.RequestedLifetime, LIFETIME_MS[0]), LIFETIME_MS[1])
        if not self._connection.is_open():
            self._connection.select_policy(algohdr.SecurityPolicyURI, algohdr.SenderCertificate, asked.SecurityMode)
        elif asked.RequestType != ua.SecurityTokenRequestType.Renew:
            raise ServiceError(_S.BadRequestTypeInvalid)
        response = ua.OpenSecureChannelResponse()
        response.Parameters = self._connection.open(asked, self.iserver)
        self.send_response(request.RequestHeader.RequestHandle, seqhdr, response, ua.MessageType.SecureOpen)

    async def process(self, header: Any, body: Any) -> bool:
        """A frame. Who has no secure channel needs no message of several, and nobody needs answers in crumbs."""
        if header.ChunkType == ua.ChunkType.Intermediate and not self.is_secure:
            raise ServiceError(_S.BadTcpMessageTooLarge)
        result = await super().process(header, body)
        if header.MessageType == ua.MessageType.Hello and self._limits.max_send_buffer < LEAST_CHUNK_BYTES:
            raise ServiceError(_S.BadConnectionRejected)
        return bool(result)

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        kind = typeid.Identifier
        if not self._connection.is_open():
            raise ServiceError(_S.BadSecureChannelClosed)
        if kind not in _DISCOVERY and not self.is_secure:
            raise ServiceError(_S.BadSecurityPolicyRejected)
        if kind in _SESSIONLESS:
            return bool(await _SESSIONLESS[kind](self, typeid, requesthdr, seqhdr, body))
        session = self.session
        if kind not in _DISCOVERY and kind not in _OF_SESSIONS:
            if session is None or session.state != SessionState.Activated:
                raise ServiceError(_S.BadSessionIdInvalid if session is None else _S.BadSessionNotActivated)
            if requesthdr.AuthenticationToken != session.auth_token:
                raise ServiceError(_S.BadSessionIdInvalid)
            if kind in _OWN:
                session.touch()
                self.session_last_activity = time.monotonic()
                await _OWN[kind](self, requesthdr, seqhdr, body)
                return True
        result = await super()._process_message(typeid, requesthdr, seqhdr, body)
        return result is not False

    async def _create(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        """One session for a connection: the one before ends. Its application is the one that the channel's certificate is for."""
        self._check_application(struct_from_binary(ua.CreateSessionParameters, body.copy()))
        if self.session is not None:
            await self.session.close_session()
        if self._session_watchdog_task is not None:
            self._session_watchdog_task.cancel()
        done = await super()._process_message(typeid, requesthdr, seqhdr, body)
        if self.session is not None:
            self.session.channel, self.session.certificate = self, self._shown
        return done is not False

    @property
    def _shown(self) -> bytes:
        """The certificate of who speaks in this channel; empty: none."""
        return leaf(bytes(self._connection.security_policy.peer_certificate or b""))

    def _refuse_activation(self, why: str, code: int) -> NoReturn:
        self.engine.audit(self.name, "activate session", f"refused: {why}")
        raise ServiceError(code)

    def _check_application(self, params: ua.CreateSessionParameters) -> None:
        shown = self._shown
        if not shown:
            return
        if leaf(bytes(params.ClientCertificate or b"")) != shown:
            raise ServiceError(_S.BadCertificateInvalid)
        why = self.engine.believes(shown, str(params.ClientDescription.ApplicationUri or ""), self.name)
        if why:
            raise ServiceError(getattr(_S, why, _S.BadSecurityChecksFailed))

    async def _activate(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        """Also one that lost its connection. Its name alone, which others may have read, is no right to it: until the certificate
        and the user are proven it stays whose it was."""
        mine = self.session
        session = mine or self.engine.known(requesthdr.AuthenticationToken)
        if session is None or session.auth_token != requesthdr.AuthenticationToken:
            raise ServiceError(_S.BadSessionIdInvalid)
        if session.certificate != self._shown:
            self._refuse_activation("the session is of another certificate", _S.BadSecurityChecksFailed)
        before, self.session, session.channel = session.channel, session, self
        try:
            done = await super()._process_message(typeid, requesthdr, seqhdr, body)
        except Exception as error:
            self.session, session.channel = mine, before
            if isinstance(error, InvalidSignature | TypeError):  # TypeError: there is none
                self._refuse_activation("its key is not proven", _S.BadApplicationSignatureInvalid)
            raise
        if before is not None and before is not self:
            before.session = None
        session.address = self.name
        for one in self.engine.subscriptions.of(session.session_id).values():
            one.pub_result_callback = self.forward_publish_response
            one.pub_request_callback = self.get_publish_request  # type: ignore[assignment]  # it takes any number
        return done is not False

    async def _read(self, requesthdr: Any, seqhdr: Any, body: Any) -> None:
        """Values in binary as they are in their areas; all of an area, in one request, of one moment."""
        params = struct_from_binary(ua.ReadParameters, body)
        wanted = params.NodesToRead or []
        assert self.session is not None
        self.session.limit(len(wanted))
        space, reading = self.engine.space, self.engine.reading
        places: list[Place | None] = []
        for one in wanted:
            node = space.ours(one.NodeId)
            is_value = node is not None and one.AttributeId == ua.AttributeIds.Value and isinstance(node.content, Place)
            places.append(node.content if node is not None and is_value and not one.IndexRange else None)
        seen = await reading.seen({place.area for place in places if place is not None})
        stamps = stamps_of(params.TimestampsToReturn)
        parts = [
            reading.value(place, seen[place.area], stamps) if place is not None else self._attribute(one)
            for one, place in zip(wanted, places, strict=True)
        ]
        self._send_list(requesthdr, seqhdr, ua.ReadResponse(), parts)

    def _attribute(self, one: ua.ReadValueId) -> bytes:
        space = self.engine.space
        if one.IndexRange:
            return struct_to_binary(ua.DataValue(StatusCode=status(_S.BadIndexRangeInvalid)))
        return struct_to_binary(space.read_attribute_value(one.NodeId, one.AttributeId))

    def _send_list(self, requesthdr: Any, seqhdr: Any, response: Any, parts: list[bytes]) -> None:
        """A response whose results are in binary already: they stand where its empty list and the diagnostics are."""
        response.ResponseHeader.RequestHandle = requesthdr.RequestHandle
        head = struct_to_binary(response)[: -2 * _COUNT.size]
        body = b"".join((head, _COUNT.pack(len(parts)), *parts, _COUNT.pack(-1)))
        data = self._connection.message_to_binary(body, request_id=seqhdr.RequestId)
        self._transport.write(data)

    async def _browse_next(self, requesthdr: Any, seqhdr: Any, body: Any) -> None:
        assert self.session is not None
        response = ua.BrowseNextResponse()
        response.Parameters.Results = await self.session.browse_next(struct_from_binary(ua.BrowseNextParameters, body))
        self.send_response(requesthdr.RequestHandle, seqhdr, response)

    async def _unsupported(self, *_: Any) -> None:
        raise ServiceError(_S.BadServiceUnsupported)


_SESSIONLESS: Final[Any] = {
    _IDS.CreateSessionRequest_Encoding_DefaultBinary: Processor._create,
    _IDS.ActivateSessionRequest_Encoding_DefaultBinary: Processor._activate,
}
_OF_SESSIONS: Final = frozenset({_IDS.CloseSessionRequest_Encoding_DefaultBinary})
_OWN: Final[Any] = {
    _IDS.ReadRequest_Encoding_DefaultBinary: Processor._read,
    _IDS.BrowseNextRequest_Encoding_DefaultBinary: Processor._browse_next,
    _IDS.HistoryReadRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
}
