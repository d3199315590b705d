"""Requests of many nodes, cut by hand: an object for each field of each node is most of what reading a thousand values would cost.

    ReadValueId   NodeId | AttributeId (4) | IndexRange | DataEncoding: namespace (2), name      OPC 10000-4, 7.29
    WriteValue    NodeId | AttributeId (4) | IndexRange | DataValue                              OPC 10000-4, 5.10.4
    DataValue     mask (1) | Variant | StatusCode (4) | times (8, 2 each)                        OPC 10000-6, 5.2.2.17
    NodeId        03 | namespace (2) | text    or a shorter form of a number                     OPC 10000-6, 5.2.2.9
    text          length (4), -1: none | bytes

What is rare (other identifiers, values that no area has) is left to asyncua: the whole request then.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple, cast

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


_COUNT: Final = struct.Struct("<i")
_LEAST_WRITE_BYTES: Final = 11
_HAS_VALUE, _HAS_STATUS, _KNOWN = 0x01, 0x02, 0x3F
_BEHIND_STATUS: Final = ((0x04, 8), (0x08, 8), (0x10, 2), (0x20, 2))
"""Bits of a DataValue's mask, and bytes: of times, which nobody writes."""
_TYPES: Final = {
    number: (ua.VariantType(number), char, struct.calcsize(f"<{char}"))
    for number, char in zip(range(1, 12), "?bBhHiIqQfd", strict=True)
}
"""Types of a Variant, from Boolean to Double: as `struct` has them, with their bytes."""
_ARRAY: Final = 0x80


class _RareError(Exception):
    """asyncua knows this form."""


class Wanted(NamedTuple):
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
        namespace, name, number, attribute, range_, at = _target(data, at)
        _, length = _ENCODING.unpack_from(data, at)
        at += _ENCODING.size
        encoding = ""
        if length > 0:
            encoding, at = _text(data, at, length)
        found.append(Wanted(namespace, name, number, attribute, range_, encoding))
    return ua.TimestampsToReturn(stamps), found


def _target(data: bytes, at: int) -> tuple[int, str, int, int, str, int]:
    """(namespace, name, number, attribute, index range, where they end)"""
    namespace, name, number, at = _node_id(data, at)
    attribute, length = _ATTRIBUTE.unpack_from(data, at)
    at += _ATTRIBUTE.size
    range_ = ""
    if length > 0:
        range_, at = _text(data, at, length)
    return namespace, name, number, attribute, range_, at


class Given(NamedTuple):
    """A Variant, of the types that areas have."""

    VariantType: ua.VariantType
    Value: Any
    is_array: bool


class Written(NamedTuple):
    """One attribute that is to be written. `status`: that the value is said to have."""

    where: Wanted
    value: Given | ua.Variant | None
    status: int


def write_request(body: Buffer) -> list[Written]:
    """What a WriteRequest behind its header wants to write.

    Raises:
        UaError, NotEnoughData, ValueError: it is none.
    """
    data = body._data[body._cur_pos : body._cur_pos + len(body)]
    try:
        return _write_request(data)
    except (_RareError, struct.error, UnicodeDecodeError):
        params = struct_from_binary(ua.WriteParameters, body)
        return [_rare_written(one) for one in params.NodesToWrite or ()]


def _rare_written(one: ua.WriteValue) -> Written:
    where = Wanted(0, "", 0, one.AttributeId, one.IndexRange or "", "", one.NodeId)
    return Written(where, one.Value.Value, one.Value.StatusCode.value if one.Value.StatusCode is not None else 0)


def _write_request(data: bytes) -> list[Written]:
    (count,) = _COUNT.unpack_from(data)
    if count * _LEAST_WRITE_BYTES > len(data):
        raise NotEnoughData(f"{count} nodes are announced, in {len(data)} bytes")
    at, found = _COUNT.size, []
    for _ in range(max(count, 0)):
        namespace, name, number, attribute, range_, at = _target(data, at)
        value, status, at = _data_value(data, at)
        found.append(Written(Wanted(namespace, name, number, attribute, range_, ""), value, status))
    return found


def _data_value(data: bytes, at: int) -> tuple[Given | None, int, int]:
    """(value, status, where it ends)"""
    (mask,) = data[at : at + 1] or b"\xff"
    if mask & ~_KNOWN:
        raise _RareError
    at += 1
    value: Given | None = None
    status = 0
    if mask & _HAS_VALUE:
        value, at = _variant(data, at)
    if mask & _HAS_STATUS:
        (status,) = struct.unpack_from("<I", data, at)
        at += 4
    at += sum(size for bit, size in _BEHIND_STATUS if mask & bit)
    if at > len(data):
        raise NotEnoughData(f"a value ends {at - len(data)} bytes behind the request")
    return value, status, at


def _variant(data: bytes, at: int) -> tuple[Given, int]:
    (first,) = data[at : at + 1] or b"\0"
    is_array, kind, count = bool(first & _ARRAY), first & ~_ARRAY, 1
    at += 1
    if is_array:
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
    known = _TYPES.get(kind)
    if known is not None and count > 0:
        type_, char, size = known
        end = at + count * size
        if end > len(data):
            raise NotEnoughData(f"{count} elements are announced, and {len(data) - at} bytes are left")
        values = struct.unpack_from(f"<{count}{char}", data, at)
        return Given(type_, list(values) if is_array else values[0], is_array), end
    if kind == ua.VariantType.String.value and not is_array:
        (length,) = _COUNT.unpack_from(data, at)
        if length > 0:
            text, end = _text(data, at + _COUNT.size, length)
            return Given(ua.VariantType.String, text, False), end
    raise _RareError


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
