"""Numbers of OPC UA that our client needs, written once: built-in types, attributes, well-known nodes, severities."""

from __future__ import annotations

from typing import Final

BUILTIN: Final = {
    1: "bool",
    2: "int8",
    3: "uint8",
    4: "int16",
    5: "uint16",
    6: "int32",
    7: "uint32",
    8: "int64",
    9: "uint64",
    10: "float32",
    11: "float64",
}
"""Built-in type (OPC 10000-6, table 1), which is also the number of its node in namespace 0 -> the type of a tag."""
NUMBER_OF: Final = {name: number for number, name in BUILTIN.items()}
BUILTIN_NAMES: Final = (
    "Null", "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double",
    "String", "DateTime", "Guid", "ByteString", "XmlElement", "NodeId", "ExpandedNodeId", "StatusCode",
    "QualifiedName", "LocalizedText", "ExtensionObject", "DataValue", "Variant", "DiagnosticInfo",
)  # fmt: skip
ENUMERATION: Final = 29
"""The data type of which all enumerations are; on the wire they are Int32."""
INT32: Final = 6
HAS_SUBTYPE: Final = 45
HIERARCHICAL: Final = 33
HAS_PROPERTY: Final = 46

VALUE: Final = 13
DATA_TYPE: Final = 14
VALUE_RANK: Final = 15
USER_ACCESS_LEVEL: Final = 18
"""Attributes (OPC 10000-6, annex A.1)."""
CAN_READ, CAN_WRITE = 1, 2
"""Bits of an access level."""

OBJECTS: Final = 85
SERVER: Final = 2253
NAMESPACE_ARRAY: Final = 2255
SERVER_STATE: Final = 2259
RUNNING: Final = 0
SERVER_STATES: Final = (
    "Running",
    "Failed",
    "NoConfiguration",
    "Suspended",
    "Shutdown",
    "Test",
    "CommunicationFault",
    "Unknown",
)
MOST_OF: Final = {
    "read": 11705,
    "write": 11707,
    "browse": 11710,
    "browse_next": 11710,
    "translate_browsepaths_to_nodeids": 11712,
    "create_monitored_items": 11714,
}
"""Service, as asyncua's client names it -> its node of Server.ServerCapabilities.OperationLimits; 0, or none: no limit."""

NO_SUBSCRIPTION_ID: Final = 0
SEVERITY_SHIFT: Final = 30
"""The upper two bits of a status: 0 good, 1 uncertain, 2 and 3 bad (OPC 10000-4, 7.39)."""
