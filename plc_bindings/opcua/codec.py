"""Bytes as a PLC sees them <-> values of OPC UA. Both are little-endian, so most of it is a byte in front.

    DataValue   mask (1) | Variant | StatusCode (4, unless good) | source time (8) | server time (8)
    Variant     type, 0x80 of arrays (1) | length, of arrays and texts (4) | the bytes of the area

OPC 10000-6, 5.2.2.16 and 5.2.2.17. No object is made for a value.
"""

from __future__ import annotations

import math
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from fieldbus.tags import Quality
from plc_bindings.data.types import Array, Leaf, Scalar, String
from plc_bindings.opcua.requests import Given

_V = ua.VariantType
VARIANTS: Final = {
    "BOOL": _V.Boolean,
    "SINT": _V.SByte,
    "INT": _V.Int16,
    "DINT": _V.Int32,
    "LINT": _V.Int64,
    "USINT": _V.Byte,
    "UINT": _V.UInt16,
    "UDINT": _V.UInt32,
    "ULINT": _V.UInt64,
    "REAL": _V.Float,
    "LREAL": _V.Double,
}
"""IEC 61131-3 -> OPC UA."""
STATUS: Final = {
    Quality.GOOD: ua.StatusCodes.Good,
    Quality.STALE: ua.StatusCodes.UncertainLastUsableValue,
    Quality.BAD: ua.StatusCodes.BadNoCommunication,
}
NEVER: Final = ua.StatusCodes.BadWaitingForInitialData
"""A value that nobody has written yet."""
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE, _HAS_SERVER = 0x01, 0x02, 0x04, 0x08
_ARRAY: Final = 0x80
_I32, _U32, _I64 = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<q")
_EPOCH_100NS: Final = 116_444_736_000_000_000
"""From 1601, where OPC UA counts from, to 1970, in 100 ns."""


class NotAValueError(Exception):
    """A client sent what this variable cannot take; `code` says why."""

    def __init__(self, code: int) -> None:
        self.code = code


@dataclass(frozen=True, slots=True)
class Codec:
    """One variable's type. `count`: elements of an array; 0: it is none. `is_enum`: its numbers have names, so it is an Int32.
    `low`, `high`: no client writes beyond."""

    type: ua.VariantType
    char: str
    size: int
    count: int = 0
    is_enum: bool = False
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def of(cls, leaf: Leaf) -> Codec:
        """Of a value of the database."""
        type_ = leaf.type
        if isinstance(type_, String):
            return cls(_V.String, "s", type_.size)
        if isinstance(type_, Array):
            assert isinstance(type_.element, Scalar)
            return cls(VARIANTS[type_.element.name], type_.element.char, type_.size, type_.count)
        is_enum = bool(leaf.names)
        return cls(_V.Int32 if is_enum else VARIANTS[type_.name], type_.char, type_.size, is_enum=is_enum)

    def encode(self, raw: bytes) -> bytes:
        """A Variant, in binary, of the bytes of an area."""
        if self.count:
            return bytes((self.type.value | _ARRAY,)) + _I32.pack(self.count) + raw
        if self.char == "s":
            text = raw.partition(b"\0")[0]
            return bytes((self.type.value,)) + _I32.pack(len(text)) + text
        if self.is_enum:
            return bytes((self.type.value,)) + _I32.pack(int.from_bytes(raw, "little"))
        return bytes((self.type.value,)) + raw

    def decode(self, variant: Given | ua.Variant | None) -> bytes:
        """The bytes of an area, of what a client sent.

        Raises:
            NotAValueError: of another type, of another length.
        """
        if variant is None or variant.VariantType != self.type or variant.is_array != bool(self.count):
            raise NotAValueError(ua.StatusCodes.BadTypeMismatch)
        value = variant.Value
        if self.char == "s":
            text = (value or "").encode(errors="surrogatepass")
            if len(text) >= self.size or b"\0" in text:
                raise NotAValueError(ua.StatusCodes.BadOutOfRange)
            return bytes(text.ljust(self.size, b"\0"))
        values = value if self.count else [value]
        if self.count and (not isinstance(values, list) or len(values) != self.count):
            raise NotAValueError(ua.StatusCodes.BadOutOfRange)
        try:
            raw = struct.pack(f"<{len(values)}{self.char}", *values)
        except (struct.error, OverflowError, TypeError) as error:
            raise NotAValueError(ua.StatusCodes.BadOutOfRange) from error
        is_limited = math.isfinite(self.low) or math.isfinite(self.high)
        if is_limited and not all(self.low <= one <= self.high for one in values):
            raise NotAValueError(ua.StatusCodes.BadOutOfRange)
        return raw

    def value(self, raw: bytes) -> Any:
        """What Python has for the bytes of an area."""
        if self.char == "s":
            return raw.partition(b"\0")[0].decode(errors="replace")
        values = struct.unpack(f"<{self.count or 1}{self.char}", raw)
        return list(values) if self.count else values[0]


class Clock:
    """CLOCK_MONOTONIC -> OPC UA's time, 100 ns since 1601 in UTC, as this computer tells it now."""

    def __init__(self) -> None:
        self._ahead = time.time_ns() - time.monotonic_ns()

    def source(self, monotonic_ns: int) -> int:
        """When that was; 0: never."""
        return (monotonic_ns + self._ahead) // 100 + _EPOCH_100NS if monotonic_ns else 0

    def now(self) -> int:
        """Now."""
        return self.source(time.monotonic_ns())


def data_value(variant: bytes, status: int, source: int, server: int) -> bytes:
    """A DataValue in binary. Times of 0 are left out."""
    mask, parts = _HAS_VALUE, [b"", variant]
    if status:
        mask |= _HAS_STATUS
        parts.append(_U32.pack(status))
    if source:
        mask |= _HAS_SOURCE
        parts.append(_I64.pack(source))
    if server:
        mask |= _HAS_SERVER
        parts.append(_I64.pack(server))
    parts[0] = bytes((mask,))
    return b"".join(parts)


def status_value(status: int) -> bytes:
    """A DataValue that is a status and nothing else."""
    return bytes((_HAS_STATUS,)) + _U32.pack(status)
