"""Requests of one connection: what is answered in which channel, and whose session it is. The services themselves are asyncua's, and
`session.py`.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from plc_bindings.opcua import entering
from plc_bindings.opcua.channel import Channel
from plc_bindings.opcua.session import Session, stamps_of
from plc_bindings.opcua.tree import Place
from plc_bindings.opcua.words import status

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


class Processor(Channel):
    """Requests of one connection."""

    session: Session | None  # ours

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
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
    _IDS.BrowseNextRequest_Encoding_DefaultBinary: Processor._browse_next,
    _IDS.HistoryReadRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.AddReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteNodesRequest_Encoding_DefaultBinary: Processor._unsupported,
    _IDS.DeleteReferencesRequest_Encoding_DefaultBinary: Processor._unsupported,
}
