"""Requests of many nodes, cut by hand: an object for each field of each node is most of what reading a thousand values would cost.

    ReadValueId   NodeId | AttributeId (4) | IndexRange | DataEncoding: namespace (2), name      OPC 10000-4, 7.29
    NodeId        03 | namespace (2) | text    or a shorter form of a number                     OPC 10000-6, 5.2.2.9
    text          length (4), -1: none | bytes

What is rare (other identifiers) is left to asyncua: the whole request then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, cast

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import struct_from_binary

from plc_bindings.opcua.words import named, standard

_HEAD: Final = struct.Struct("<dii")
_TEXT_ID: Final = struct.Struct("<BHi")
_SMALL_ID, _NUMBER_ID = struct.Struct("<xB"), struct.Struct("<xBH")
_ATTRIBUTE: Final = struct.Struct("<Ii")
_ENCODING: Final = struct.Struct("<Hi")
_TWO_BYTE, _FOUR_BYTE, _TEXT = 0, 1, 3
_READ_ID_BYTES: Final = 16
"""The least that a ReadValueId takes."""


class _RareError(Exception):
    """asyncua knows this form."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One attribute that is to be read. `name`: of a node that a text names in `namespace`; else there is a `number`."""

    namespace: int
    name: str
    number: int
    attribute: int
    range: str
    encoding: str
    rare: ua.NodeId | None = None
    """A node that neither names."""

    @property
    def node_id(self) -> ua.NodeId:
        """As asyncua has it."""
        if self.rare is not None:
            return self.rare
        if self.name:
            return named(self.name, self.namespace)
        return (
            ua.NodeId(cast(ua.Int32, self.number), cast(ua.Int16, self.namespace))
            if self.namespace
            else standard(self.number)
        )


def read_request(body: Buffer) -> tuple[ua.TimestampsToReturn, list[Wanted]]:
    """(stamps, what is wanted) of a ReadRequest behind its header.

    Raises:
        UaError, NotEnoughData, ValueError: it is none.
    """
    data = body._data[body._cur_pos : body._cur_pos + len(body)]
    try:
        return _read_request(data)
    except (_RareError, struct.error, UnicodeDecodeError):
        params = struct_from_binary(ua.ReadParameters, body)
        return params.TimestampsToReturn, [_rare(one) for one in params.NodesToRead or ()]


def _rare(one: ua.ReadValueId) -> Wanted:
    return Wanted(0, "", 0, one.AttributeId, one.IndexRange or "", one.DataEncoding.Name or "", one.NodeId)


def _read_request(data: bytes) -> tuple[ua.TimestampsToReturn, list[Wanted]]:
    _, stamps, count = _HEAD.unpack_from(data)
    if count * _READ_ID_BYTES > len(data):
        raise NotEnoughData(f"{count} nodes are announced, in {len(data)} bytes")
    at, found = _HEAD.size, []
    for _ in range(max(count, 0)):
        namespace, name, number, at = _node_id(data, at)
        attribute, length = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        range_ = ""
        if length > 0:
            range_, at = _text(data, at, length)
        _, length = _ENCODING.unpack_from(data, at)
        at += _ENCODING.size
        encoding = ""
        if length > 0:
            encoding, at = _text(data, at, length)
        found.append(Wanted(namespace, name, number, attribute, range_, encoding))
    return ua.TimestampsToReturn(stamps), found


def _node_id(data: bytes, at: int) -> tuple[int, str, int, int]:
    """(namespace, name, number, where it ends)"""
    kind = data[at] if at < len(data) else -1
    if kind == _TEXT:
        _, namespace, length = _TEXT_ID.unpack_from(data, at)
        if length <= 0:
            raise _RareError
        name, at = _text(data, at + _TEXT_ID.size, length)
        return namespace, name, 0, at
    if kind == _TWO_BYTE:
        return 0, "", _SMALL_ID.unpack_from(data, at)[0], at + _SMALL_ID.size
    if kind == _FOUR_BYTE:
        namespace, number = _NUMBER_ID.unpack_from(data, at)
        return namespace, "", number, at + _NUMBER_ID.size
    raise _RareError


def _text(data: bytes, at: int, length: int) -> tuple[str, int]:
    end = at + length
    if end > len(data):
        raise NotEnoughData(f"a text of {length} bytes where {len(data) - at} are left")
    return data[at:end].decode(), end
