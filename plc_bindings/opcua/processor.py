"""Requests of one connection: what is answered in which channel, and whose session it is. The services themselves are asyncua's, and
`session.py`.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final, cast

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from plc_bindings.opcua import entering
from plc_bindings.opcua.channel import Channel
from plc_bindings.opcua.codec import status_value
from plc_bindings.opcua.ranges import RangeError, part
from plc_bindings.opcua.requests import Wanted, read_request, write_request
from plc_bindings.opcua.session import Session, stamps_of
from plc_bindings.opcua.tree import Place

AT_ONCE: Final = 250
"""Values that are packed without a turn for others."""
_COUNT: Final = struct.Struct("<i")
_STATUS: Final = struct.Struct("<I")
_S, _IDS = ua.StatusCodes, ua.ObjectIds
_DISCOVERY: Final = frozenset(
    {
        _IDS.GetEndpointsRequest_Encoding_DefaultBinary,
        _IDS.FindServersRequest_Encoding_DefaultBinary,
        _IDS.CloseSecureChannelRequest_Encoding_DefaultBinary,
    }
)
"""What is answered in a channel without security."""


_OF_SECURITY: Final = frozenset(
    {
        _S.BadSecurityPolicyRejected, _S.BadSecurityChecksFailed, _S.BadIdentityTokenRejected, _S.BadIdentityTokenInvalid,
        _S.BadUserAccessDenied, _S.BadUserSignatureInvalid, _S.BadApplicationSignatureInvalid, _S.BadSessionIdInvalid,
        _S.BadCertificateInvalid, _S.BadCertificateUntrusted, _S.BadCertificateUriInvalid, _S.BadCertificateTimeInvalid,
    }
)  # fmt: skip
"""Refusals that the standard counts apart."""


class Processor(Channel):
    """Requests of one connection."""

    session: Session | None  # ours

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        try:
            return await self._answer(typeid, requesthdr, seqhdr, body)
        except ServiceError as error:
            counts = self.engine.diagnostics.counts
            counts.RejectedRequestsCount += 1
            counts.SecurityRejectedRequestsCount += error.code in _OF_SECURITY
            counts.SecurityRejectedSessionCount += (
                typeid.Identifier in _SESSIONLESS and error.code != _S.BadTooManySessions
            )
            raise

    async def _answer(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        kind = typeid.Identifier
        if not self._connection.is_open():
            raise ServiceError(_S.BadSecureChannelClosed)
        if kind not in _DISCOVERY and not self.is_secure:
            raise ServiceError(_S.BadSecurityPolicyRejected)
        if kind in _SESSIONLESS:
            await _SESSIONLESS[kind](self, requesthdr, seqhdr, body)
            return True
        session = self.session
        if kind not in _DISCOVERY and kind not in _OF_SESSIONS:
            if session is None or session.state != SessionState.Activated:
                raise ServiceError(_S.BadSessionIdInvalid if session is None else _S.BadSessionNotActivated)
            if requesthdr.AuthenticationToken != session.auth_token:
                raise ServiceError(_S.BadSessionIdInvalid)
            if kind in _OWN:
                session.touch()
                await _OWN[kind](self, requesthdr, seqhdr, body)
                return True
        result = await super()._process_message(typeid, requesthdr, seqhdr, body)
        return result is not False

    async def _read(self, requesthdr: Any, seqhdr: Any, body: Any) -> None:
        """Values in binary as they are in their areas; all of an area, in one request, of one moment."""
        wanted_stamps, wanted = read_request(body)
        assert self.session is not None
        self.session.limit(len(wanted))
        places = [self._place(one) for one in wanted]
        reading = self.engine.reading
        seen = await reading.seen({place.area for place in places if isinstance(place, Place)})
        stamps, parts = stamps_of(wanted_stamps), []
        for number, place in enumerate(places, start=1):
            parts.append(place if isinstance(place, bytes) else reading.value(place, seen[place.area], stamps))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._send_list(requesthdr, seqhdr, ua.ReadResponse(), parts)

    async def _write(self, requesthdr: Any, seqhdr: Any, body: Any) -> None:
        assert self.session is not None
        codes = await self.session.write(write_request(body))
        self._send_list(requesthdr, seqhdr, ua.WriteResponse(), [_STATUS.pack(one.value) for one in codes])

    def _place(self, one: Wanted) -> Place | bytes:
        """Where a value lies; or, of what is no value of an area, a DataValue in binary."""
        space = self.engine.space
        node = space.wanted(one)
        if one.encoding:
            code = (
                _S.BadDataEncodingUnsupported if one.attribute == ua.AttributeIds.Value else _S.BadDataEncodingInvalid
            )
            return status_value(code)
        if node is not None and one.attribute == ua.AttributeIds.Value and isinstance(node.content, Place):
            try:
                return part(node.content, one.range)
            except RangeError as error:
                return status_value(error.code)
        if one.range:
            return status_value(_S.BadIndexRangeNoData)
        value: bytes = struct_to_binary(space.read_attribute_value(one.node_id, cast(ua.AttributeIds, one.attribute)))
        return value

    def _send_list(self, requesthdr: Any, seqhdr: Any, response: Any, parts: list[bytes]) -> None:
        """A response whose results are in binary already: they stand where its empty list and the diagnostics are."""
        response.ResponseHeader.RequestHandle = requesthdr.RequestHandle
        head = struct_to_binary(response)[: -2 * _COUNT.size]
        body = b"".join((head, _COUNT.pack(len(parts)), *parts, _COUNT.pack(-1)))
        self.check_size(len(body))
        self.send(body, seqhdr.RequestId)

    async def _browse_next(self, requesthdr: Any, seqhdr: Any, body: Any) -> None:
        assert self.session is not None
        response = ua.BrowseNextResponse()
        response.Parameters.Results = await self.session.browse_next(struct_from_binary(ua.BrowseNextParameters, body))
        self.send_response(requesthdr.RequestHandle, seqhdr, response)

    async def _unsupported(self, *_: Any) -> None:
        raise ServiceError(_S.BadServiceUnsupported)


_SESSIONLESS: Final[Any] = {
    _IDS.CreateSessionRequest_Encoding_DefaultBinary: entering.create,
    _IDS.ActivateSessionRequest_Encoding_DefaultBinary: entering.activate,
}
_OF_SESSIONS: Final = frozenset({_IDS.CloseSessionRequest_Encoding_DefaultBinary})
_OWN: Final[Any] = {
    _IDS.ReadRequest_Encoding_DefaultBinary: Processor._read,
    _IDS.WriteRequest_Encoding_DefaultBinary: Processor._write,
    _IDS.BrowseNextRequest_Encoding_DefaultBinary: Processor._browse_next,
    _IDS.HistoryReadRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
}
