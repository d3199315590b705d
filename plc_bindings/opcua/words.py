"""Words of the standard, of plain numbers."""

from __future__ import annotations

from typing import cast

from asyncua import ua


def status(code: int) -> ua.StatusCode:
    """A status, of one of `ua.StatusCodes`."""
    return ua.StatusCode(cast(ua.UInt32, code))


def standard(number: int) -> ua.NodeId:
    """A node of the standard, of one of `ua.ObjectIds`."""
    return ua.NodeId(cast(ua.Int32, number))


def named(name: str | bytes, namespace: int = 0) -> ua.NodeId:
    """A node that a text, or bytes, name."""
    kind = ua.NodeIdType.String if isinstance(name, str) else ua.NodeIdType.ByteString
    return ua.NodeId(cast(ua.String, name), cast(ua.Int16, namespace), kind)
