"""One client's view of symbols: by index group and offset, by handle, by name; and the tables that it uploads."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from fieldbus.ads import frames
from fieldbus.ads.protocol import Error, Group
from plc_bindings.ads.codes import STATE, AdsError
from plc_bindings.ads.device import Device
from plc_bindings.ads.groups import AREA
from plc_bindings.ads.tables import symbol_entry
from plc_bindings.data.database import Session, Symbol, Writable
from plc_bindings.security.access import Client

Place = tuple[int, int, int]
"""(area, offset, size); area < 0: minus an index group of the server's own."""
_MOST_NAME: Final = 512
"""Bytes."""


class ClientSymbols:
    """Everything of one client but calls of models. Servers' thread only.

    begin(), then any of `get`, `put`, `exchange`, then commit(): one request.
    """

    def __init__(self, device: Device, client: Client, writable: Writable) -> None:
        self._device, self._client = device, client
        self._session = Session(device.database, writable, self._refused, client.name)
        self.begin, self.commit = self._session.begin, self._session.commit
        self._handles: dict[int, Place] = {}
        self._next_handle = 1

    def get(self, group: int, offset: int, size: int) -> bytes:
        """Read; at most what there is."""
        if group == Group.VALUE_BY_HANDLE or group >= AREA:
            area, first, most = self._place(group, offset)
            return self._session.read(area, first, size if size < most else most)
        return self._own(group, offset, size)

    def put(self, group: int, offset: int, data: bytes) -> None:
        """Write; takes effect with `commit`."""
        if group == Group.RELEASE_HANDLE:
            handle = frames.RESULT.unpack(data)[0] if len(data) == 4 else offset
            if self._handles.pop(handle, None) is None:
                raise AdsError(Error.BAD_OFFSET)
            return
        area, first, most = self._place(group, offset)
        if len(data) > most:
            raise AdsError(Error.BAD_SIZE)
        self._session.write(area, first, data)

    def exchange(self, group: int, size: int, data: bytes) -> bytes:
        """ReadWrite of the groups that take a name."""
        work = _BY_NAME.get(group)
        if work is None:
            raise AdsError(Error.NO_GROUP)
        return work(self, size, data)

    def watched(self, group: int, offset: int, size: int) -> Place:
        """What a notification on these bytes looks at."""
        if group in (Group.VERSION, Group.DEVICE_DATA):
            return -group, offset, len(self._own(group, offset, size))
        area, first, most = self._place(group, offset)
        return area, first, min(size, most)

    def sample(self, place: Place) -> bytes:
        """The bytes that are watched, as they are now."""
        area, offset, size = place
        return self._own(-area, offset, size) if area < 0 else self._session.read(area, offset, size)

    def _place(self, group: int, offset: int) -> Place:
        """Where a handle or an offset in an area leads."""
        if group == Group.VALUE_BY_HANDLE:
            place = self._handles.get(offset)
            if place is None:
                raise AdsError(Error.BAD_OFFSET)
            return place
        areas = self._device.database.areas
        if not 0 <= group - AREA < len(areas):
            raise AdsError(Error.NO_GROUP)
        most = areas[group - AREA].size - offset
        if most <= 0:
            raise AdsError(Error.BAD_OFFSET)
        return group - AREA, offset, most

    def _own(self, group: int, offset: int, size: int) -> bytes:
        tables = self._device.tables
        match group:
            case Group.VERSION:
                return bytes([self._device.database.version])[:size]
            case Group.DEVICE_DATA if offset == 0:
                return STATE[:size]
            case Group.UPLOAD_INFO:
                return tables.upload_info()[: min(size, 8)]
            case Group.UPLOAD_INFO_2:
                return tables.upload_info()[:size]
            case Group.UPLOAD:
                return whole(tables.symbol_upload, size)
            case Group.TYPE_UPLOAD:
                return whole(tables.type_upload, size)
            case _:
                raise AdsError(Error.NO_GROUP)

    # --- names --------------------------------------------------------------------------------------------------------

    def _symbol(self, data: bytes) -> Symbol:
        symbol = self._device.database.find(text(data))
        if symbol is None:
            raise AdsError(Error.NO_SYMBOL)
        return symbol

    def _handle_by_name(self, size: int, data: bytes) -> bytes:
        """A handle; clients that ask for more than 4 bytes get the size and the type too."""
        symbol = self._symbol(data)
        if size < 4:
            raise AdsError(Error.BAD_SIZE)
        if len(self._handles) >= self._device.access.limits.handles:
            self._device.access.audit(self._client.name, "a handle", "refused: too many")
            raise AdsError(Error.NO_MORE_HANDLES)
        handle, self._next_handle = self._next_handle, self._next_handle % 0xFFFF_FFFE + 1
        self._handles[handle] = (symbol.area, symbol.offset, symbol.size)
        name = symbol.type.name.encode()
        extended = struct.pack("<IIIH", handle, symbol.size, 0, len(name)) + name + b"\0"
        return extended[:4] if size < len(extended) else extended

    def _value_by_name(self, size: int, data: bytes) -> bytes:
        symbol = self._symbol(data)
        return self._session.read(symbol.area, symbol.offset, min(size, symbol.size))

    def _info_by_name(self, size: int, data: bytes) -> bytes:
        symbol = self._symbol(data)
        return struct.pack("<III", AREA + symbol.area, symbol.offset, symbol.size)[:size]

    def _info_by_name_ex(self, size: int, data: bytes) -> bytes:
        return whole(symbol_entry(self._symbol(data)), size)

    def _type_by_name(self, size: int, data: bytes) -> bytes:
        entry = self._device.tables.types.get(text(data).lower())
        if entry is None:
            raise AdsError(Error.NO_SYMBOL)
        return whole(entry, size)

    def _refused(self, what: str) -> None:
        self._device.access.audit(self._client.name, what, "refused: not writable")


def text(data: bytes) -> str:
    """A name as clients send it: with a NUL or without; nothing for what is longer than any name."""
    name = data[: _MOST_NAME + 1].split(b"\0", 1)[0]
    return name.decode(errors="replace") if len(name) <= _MOST_NAME else ""


def whole(data: bytes, size: int) -> bytes:
    """All of it, or the error that says that the client asked for less."""
    if len(data) > size:
        raise AdsError(Error.BAD_SIZE)
    return data


_BY_NAME: Final[dict[int, Callable[[ClientSymbols, int, bytes], bytes]]] = {
    Group.HANDLE_BY_NAME: ClientSymbols._handle_by_name,
    Group.VALUE_BY_NAME: ClientSymbols._value_by_name,
    Group.INFO_BY_NAME: ClientSymbols._info_by_name,
    Group.INFO_BY_NAME_EX: ClientSymbols._info_by_name_ex,
    Group.TYPE_BY_NAME_EX: ClientSymbols._type_by_name,
}
