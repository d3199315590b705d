"""Values of OPC UA -> numbers of tags, and back. What is not what was agreed on is no value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from fieldbus.opcua.protocol import BUILTIN, BUILTIN_NAMES, SEVERITY_SHIFT
from fieldbus.tags import Quality

QUALITY_OF_SEVERITY = (Quality.GOOD, Quality.STALE, Quality.BAD, Quality.BAD)


def quality_of(status: ua.StatusCode | None) -> Quality:
    """Good, uncertain, bad; no status is a good one (OPC 10000-6, 5.2.2.17)."""
    return Quality.GOOD if status is None else QUALITY_OF_SEVERITY[status.value >> SEVERITY_SHIFT & 3]


def status_name(code: int) -> str:
    """What OPC UA calls a status: BadNodeIdUnknown."""
    return str(ua.StatusCode(ua.UInt32(code)).name)


def status_of(value: ua.DataValue) -> str:
    """The name of a value's status."""
    return status_name(value.StatusCode.value if value.StatusCode is not None else 0)


def builtin_of(variant: ua.Variant | None) -> int:
    """The number of the built-in type of a value; 0: there is no value."""
    kind = variant.VariantType if variant is not None else None
    return 0 if kind is None else int(kind.value)


def type_name(builtin: int) -> str:
    """What OPC UA calls a built-in type: Float."""
    return BUILTIN_NAMES[builtin] if 0 <= builtin < len(BUILTIN_NAMES) else f"type {builtin}"


def node0(number: int) -> ua.NodeId:
    """A node of namespace 0."""
    return ua.NodeId(ua.Int32(number))


def numbers(variant: ua.Variant | None, builtin: int, is_array: bool) -> list[float] | None:
    """The numbers of a value, of all dimensions in a row; None: it is not of this built-in type, or shape."""
    if (
        variant is None
        or variant.Value is None
        or builtin_of(variant) != builtin
        or isinstance(variant.Value, list) != is_array
    ):
        return None
    values = flat(variant.Value)
    return None if any(value is None for value in values) else [float(value) for value in values]


def flat(value: Any) -> list[Any]:
    """A scalar or an array, however nested, as a list."""
    if not isinstance(value, list):
        return [value]
    return [one for part in value for one in flat(part)]


def variant_of(raw: Sequence[float], builtin: int, is_array: bool) -> ua.Variant:
    """A value to be written: numbers of the device, rounded where its type has no fractions."""
    is_float = BUILTIN[builtin].startswith("float")
    made: list[Any] = [value if is_float else bool(value) if builtin == 1 else round(value) for value in raw]
    return ua.Variant(made if is_array else made[0], ua.VariantType(builtin), is_array=is_array)
