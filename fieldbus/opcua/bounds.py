"""Bounds of asyncua's decoder, for peers that lie: a message never becomes more than it holds. Imported by all who decode.

Of a few bytes asyncua makes, before anybody has said who he is:

    an array of 2^31 nothings       elements of the type Null take no bytes
    texts without end               a length below 0 moves the reader back, so that it reads the same again
    a million empty lists           dimensions say more elements than there are
    200 bytes of one                a value without anything in it takes a byte, and is an object

and its client keeps what a server sends, a frame of 4 GB or one part of a message after the other, until memory ends; it believes
a server's clock when it asks whether keys are still good.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from asyncua import ua
from asyncua.client import ua_client
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import BadTcpMessageTooLarge, UaError

MOST_DIMENSIONS: Final = 16
MOST_OBJECTS: Final = 100_000
"""In one list."""
MOST_MESSAGE: Final = 1 << 22
"""Bytes of an answer, in one frame or in many."""
MOST_CHUNKS: Final = MOST_MESSAGE >> 13
"""Frames of an answer: none has to be smaller than 8 KB (OPC 10000-6, 7.1.2.3)."""
MOST_SENT: Final = (1 << 16) - 1
"""Bytes of a frame of ours."""
_LENGTH: Final = struct.Struct("<i")
_NESTED: Final = (ua.VariantType.DataValue, ua.VariantType.DiagnosticInfo)
_array_from_binary = ua_binary.unpack_uatype_array
_reshape = ua_binary._reshape
_header_from_binary = ua_binary.header_from_binary
_set_channel = SecureConnection.set_channel


def _read(self: Any, size: int) -> bytes:
    """As asyncua's, forward alone."""
    if not 0 <= size <= self._size:
        raise NotEnoughData(f"{size} bytes were asked for, and there are {self._size}")
    self._size -= size
    begin = self._cur_pos
    self._cur_pos += size
    data: bytes = self._data[begin : self._cur_pos]
    return data


def _array(vtype: ua.VariantType, data: Any) -> Any:
    """Elements that take bytes."""
    if vtype is ua.VariantType.Null:
        raise UaError("an array of nothings is none")
    if vtype in _NESTED:
        raise UaError(f"an array of {vtype.name} is no value of a variable")
    return _array_from_binary(vtype, data)


def _shaped(flat: list[Any], dims: list[int]) -> list[Any]:
    """The elements that came, and no others (OPC 10000-6, 5.2.2.16)."""
    if len(dims) > MOST_DIMENSIONS:
        raise UaError(f"{len(dims)} dimensions are more than {MOST_DIMENSIONS}")
    count = 1
    for dim in dims:
        count *= dim
    if count != len(flat) or min(dims, default=0) < 0:
        raise UaError(f"dimensions {dims} do not hold {len(flat)} elements")
    shaped: list[Any] = _reshape(flat, dims) if flat else flat
    return shaped


def _countable(create: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Callable[[Any], Any]]:
    """What makes readers of lists, made to make such as read no endless ones."""

    def created(kind: Any) -> Callable[[Any], Any]:
        read = create(kind)
        if isinstance(kind, ua.VariantType) and hasattr(ua_binary.Primitives1, kind.name):  # packed, as they come
            return read

        def read_some(data: Any) -> Any:
            (length,) = _LENGTH.unpack(data.copy(_LENGTH.size).read(_LENGTH.size))
            if length > MOST_OBJECTS:
                raise UaError(f"{length} objects in a list are more than {MOST_OBJECTS}")
            return read(data)

        return read_some

    return cache(created)


class _Limits(TransportLimits):
    """What our client takes; the server says only what it takes itself."""

    def __init__(self, *_: int) -> None:
        super().__init__(MOST_MESSAGE, MOST_SENT, MOST_CHUNKS, MOST_MESSAGE)

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        self.max_send_buffer = min(msg.ReceiveBufferSize, MOST_SENT)


def _header(data: Any) -> ua.Header:
    """Of a frame that fits."""
    header = _header_from_binary(data)
    if not 0 <= header.body_size <= MOST_MESSAGE:
        raise BadTcpMessageTooLarge
    return header


def _channel_set(self: SecureConnection, params: Any, *more: Any) -> None:
    """Keys were made now, whatever the server's clock says: with one that is behind they would be too old at once."""
    params.SecurityToken.CreatedAt = datetime.now(UTC)
    _set_channel(self, params, *more)


ua_client.TransportLimits = _Limits  # type: ignore[misc, assignment]
ua_client.header_from_binary = _header
SecureConnection.set_channel = _channel_set  # type: ignore[method-assign, assignment]
ua_binary._create_list_deserializer = _countable(ua_binary._create_list_deserializer)  # type: ignore[assignment]
ua_binary._create_uatype_array_deserializer = _countable(ua_binary._create_uatype_array_deserializer)  # type: ignore[assignment]
Buffer.read = _read  # type: ignore[method-assign]
ua_binary.unpack_uatype_array = _array
ua_binary._reshape = _shaped
