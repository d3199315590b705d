"""Sum commands: many requests in one. Their index offset is how many; each item has an error code of its own.

SUM_READ             n x (group, offset, size)                  -> n codes, then values, each as long as asked for
SUM_READ_EX, _EX_2   the same                                   -> n x (code, length), then values as long as they are
SUM_WRITE            n x (group, offset, size), then values     -> n codes; all that is allowed takes effect at once
SUM_READ_WRITE       n x (group, offset, read, write), inputs   -> n x (code, length), then outputs
SUM_ADD_NOTIFICATION n x AddNotification                        -> n x (code, handle)
SUM_DELETE_...       n x handle                                 -> n codes
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Protocol

from fieldbus.ads import frames
from fieldbus.ads.protocol import Error, Group
from plc_bindings.ads.codes import AdsError, code_of

MOST_ITEMS: Final = 500
"""As TwinCAT allows."""


class Target(Protocol):
    """What the items ask: one client's session."""

    most_bytes: int
    """Of an answer."""

    def get(self, group: int, offset: int, size: int) -> bytes:
        """Read."""

    def put(self, group: int, offset: int, data: bytes) -> None:
        """Write."""

    def exchange_item(self, group: int, offset: int, size: int, data: bytes) -> bytes:
        """ReadWrite of what may be an item."""

    def subscribe(self, group: int, offset: int, size: int, mode: int, delay: int, cycle: int) -> int:
        """A new notification's handle."""

    def unsubscribe(self, handle: int) -> None:
        """Forget a notification."""


def _items(layout: struct.Struct, count: int, data: bytes) -> tuple[list[tuple[int, ...]], int]:
    """All items, and where they end."""
    end = count * layout.size
    if count > MOST_ITEMS or len(data) < end:
        raise AdsError(Error.BAD_SIZE)
    return list(layout.iter_unpack(data[:end])), end


def _read(target: Target, count: int, size: int, data: bytes) -> bytes:
    items, _ = _items(frames.READ, count, data)
    if sum(item[2] for item in items) + 4 * count > min(size, target.most_bytes):
        raise AdsError(Error.BAD_SIZE)
    codes, values = [], []
    for group, offset, length in items:
        try:
            code, got = 0, target.get(group, offset, length)
        except Exception as error:
            code, got = code_of(error), b""
        codes.append(code)
        values.append(got.ljust(length, b"\0"))
    return struct.pack(f"<{count}I", *codes) + b"".join(values)


def _read_ex(target: Target, count: int, size: int, data: bytes) -> bytes:
    items, _ = _items(frames.READ, count, data)
    left = min(size, target.most_bytes) - 8 * count
    heads, values = [], []
    for group, offset, length in items:
        try:
            code, got = 0, target.get(group, offset, length)
        except Exception as error:
            code, got = code_of(error), b""
        heads.append(frames.DATA.pack(code, len(got)))
        values.append(got)
        left -= len(got)
        _fits(left)
    return b"".join((*heads, *values))


def _write(target: Target, count: int, _: int, data: bytes) -> bytes:
    items, at = _items(frames.READ, count, data)
    if at + sum(item[2] for item in items) != len(data):
        raise AdsError(Error.BAD_SIZE)
    codes = []
    for group, offset, length in items:
        try:
            target.put(group, offset, data[at : at + length])
            codes.append(0)
        except Exception as error:
            codes.append(code_of(error))
        at += length
    return struct.pack(f"<{count}I", *codes)


def _read_write(target: Target, count: int, size: int, data: bytes) -> bytes:
    items, at = _items(frames.READ_WRITE, count, data)
    if at + sum(item[3] for item in items) != len(data):
        raise AdsError(Error.BAD_SIZE)
    left = min(size, target.most_bytes) - 8 * count
    heads, values = [], []
    for group, offset, wanted, given in items:
        try:
            code, got = 0, target.exchange_item(group, offset, wanted, data[at : at + given])
        except Exception as error:
            code, got = code_of(error), b""
        heads.append(frames.DATA.pack(code, len(got)))
        values.append(got)
        at += given
        left -= len(got)
        _fits(left)
    return b"".join((*heads, *values))


def _add_notification(target: Target, count: int, size: int, data: bytes) -> bytes:
    items, _ = _items(frames.ADD_NOTIFICATION, count, data)
    _fits(size - 8 * count)
    heads = []
    for item in items:
        try:
            heads.append(frames.DATA.pack(0, target.subscribe(*item)))
        except Exception as error:
            heads.append(frames.DATA.pack(code_of(error), 0))
    return b"".join(heads)


def _delete_notification(target: Target, count: int, size: int, data: bytes) -> bytes:
    items, _ = _items(frames.RESULT, count, data)
    _fits(size - 4 * count)
    codes = []
    for (handle,) in items:
        try:
            target.unsubscribe(handle)
            codes.append(0)
        except AdsError as error:
            codes.append(error.code)
    return struct.pack(f"<{count}I", *codes)


def _fits(left: int) -> None:
    if left < 0:
        raise AdsError(Error.BAD_SIZE)


SUMS: Final[dict[int, Callable[[Target, int, int, bytes], bytes]]] = {
    Group.SUM_READ: _read,
    Group.SUM_WRITE: _write,
    Group.SUM_READ_WRITE: _read_write,
    Group.SUM_READ_EX: _read_ex,
    Group.SUM_READ_EX_2: _read_ex,
    Group.SUM_ADD_NOTIFICATION: _add_notification,
    Group.SUM_DELETE_NOTIFICATION: _delete_notification,
}
