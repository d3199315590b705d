"""The Sparkplug B payload, written down for `google.protobuf` as the Eclipse Sparkplug 3.0 specification publishes it (chapter 6).

    Payload   timestamp | metrics ... | seq | uuid | body
    Metric    name | alias | timestamp | datatype | is_historical | is_transient | is_null | properties | one value

What a station neither sends nor takes (data sets, templates, files) is not described: such fields are skipped, as protobuf does with
what it does not know. Made once, at import: no compiler of .proto files is there at run time.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "org.eclipse.tahu.protobuf"


class DataType(IntEnum):
    """Types of metrics and of properties, table 6.4.16."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14


_F = descriptor_pb2.FieldDescriptorProto
_VALUES: Final = (
    ("int_value", _F.TYPE_UINT32),
    ("long_value", _F.TYPE_UINT64),
    ("float_value", _F.TYPE_FLOAT),
    ("double_value", _F.TYPE_DOUBLE),
    ("boolean_value", _F.TYPE_BOOL),
    ("string_value", _F.TYPE_STRING),
)
_MESSAGES: Final[dict[str, tuple[tuple[int, str, Any, bool], ...]]] = {
    "PropertyValue": ((1, "type", _F.TYPE_UINT32, False), (2, "is_null", _F.TYPE_BOOL, False)),
    "PropertySet": ((1, "keys", _F.TYPE_STRING, True), (2, "values", "PropertyValue", True)),
    "Metric": (
        (1, "name", _F.TYPE_STRING, False),
        (2, "alias", _F.TYPE_UINT64, False),
        (3, "timestamp", _F.TYPE_UINT64, False),
        (4, "datatype", _F.TYPE_UINT32, False),
        (5, "is_historical", _F.TYPE_BOOL, False),
        (6, "is_transient", _F.TYPE_BOOL, False),
        (7, "is_null", _F.TYPE_BOOL, False),
        (9, "properties", "PropertySet", False),
    ),
}
"""Message -> (number, name, type, is it repeated)."""
_FIRST_VALUE: Final = {"PropertyValue": 3, "Metric": 10}
"""Number of the first of `_VALUES`, of which a message has one."""


def _field(message: Any, number: int, name: str, type_: Any, is_repeated: bool) -> Any:
    field = message.field.add(name=name, number=number)
    field.label = _F.LABEL_REPEATED if is_repeated else _F.LABEL_OPTIONAL
    if isinstance(type_, str):
        field.type, field.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.Payload.{type_}"
    else:
        field.type = type_
    return field


def _payload() -> Any:
    """The class of the message `Payload`."""
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    payload = file.message_type.add(name="Payload")
    for name, fields in _MESSAGES.items():
        message = payload.nested_type.add(name=name)
        for field in fields:
            _field(message, *field)
        if name in _FIRST_VALUE:
            message.oneof_decl.add(name="value")
            for number, (value, type_) in enumerate(_VALUES, _FIRST_VALUE[name]):
                _field(message, number, value, type_, False).oneof_index = 0
    _field(payload, 1, "timestamp", _F.TYPE_UINT64, False)
    _field(payload, 2, "metrics", "Metric", True)
    _field(payload, 3, "seq", _F.TYPE_UINT64, False)
    _field(payload, 4, "uuid", _F.TYPE_STRING, False)
    _field(payload, 5, "body", _F.TYPE_BYTES, False)
    pool = descriptor_pool.DescriptorPool()  # our own: another package may bring the published file
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload: Final = _payload()
