"""pyads' calls, made to keep a deadline and to tell failures apart.

AdsLib (inside pyads) frames, routes and dispatches notifications. What it does not do, and what is done about it:
- it connects without a time limit: the port is probed first;
- a cut connection shows only in a request that times out: a link asks every cycle;
- deleting a route while notifications are alive crashes the process, and `pyads.Connection.close` does just that: here
  the port, and with it the notifications, is closed first;
- a notification whose lengths contradict each other ends the process (an assertion in its RingBuffer.h): nothing can be
  done about that here, so reading is the default mode of a link;
- there is one route per AMS NetId in a process: a second link to the same NetId is refused.
"""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyads import constants, pyads_ex
from pyads.errorcodes import ERROR_CODES
from pyads.structs import AmsAddr, NotificationAttrib, SAdsNotificationHeader, SAdsSumRequest

from fieldbus.ads.protocol import CLIENT_TIMED_OUT, DEVICE_ERRORS, SYMBOL_VERSION_INVALID, TCP_PORT, Error, Group
from fieldbus.errors import ConnectionLostError, DeviceError, GarbageError, NoAnswerError, RefusedError, cause
from fieldbus.link.ports import NEVER, check_age

SYMBOLS_CHANGED = (Error.BAD_OFFSET, SYMBOL_VERSION_INVALID)  # the first: an unknown handle
_NS = 1_000_000_000
_DATA_AT = SAdsNotificationHeader.data.offset

_open_routes: dict[str, "AdsClient"] = {}
_routes_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Item:
    """Where one value lies in the device now, and whose it is."""

    label: str
    group: int
    offset: int
    nbytes: int


VERSION = Item("symbol version", Group.VERSION, 0, 1)


class AdsClient:
    """A connection to one AMS port of one controller. One thread at a time."""

    def __init__(self, net_id: str, ams_port: int, host: str) -> None:
        self.net_id, self.host = net_id, host
        self._address = AmsAddr(net_id, ams_port)
        self._port = 0

    def dial(self, deadline_ns: int) -> None:
        """Connect; raises `ConnectionLostError`."""
        with _routes_lock:
            if _open_routes.setdefault(self.net_id, self) is not self:
                message = f"another link of this process holds the route to {self.net_id}: use one link per controller"
                raise ConnectionLostError(message)
        try:
            socket.create_connection((self.host, TCP_PORT), timeout=_remaining_s(deadline_ns)).close()
            self._port = pyads_ex.adsPortOpenEx()
            pyads_ex.adsAddRoute(self._address.netIdStruct(), self.host)
        except (OSError, UnicodeError, pyads_ex.ADSError) as error:
            self.close()
            raise ConnectionLostError(f"cannot connect to {self.host}:{TCP_PORT}: {cause(error)}") from error

    def close(self) -> None:
        """Drop the connection, if any, with its notifications."""
        if self._port:
            pyads_ex.adsSyncSetTimeoutEx(self._port, 1)  # each notification is deleted with a request
            pyads_ex.adsPortCloseEx(self._port)
            pyads_ex.adsDelRoute(self._address.netIdStruct())
            self._port = 0
        with _routes_lock:
            if _open_routes.get(self.net_id) is self:
                del _open_routes[self.net_id]

    def locate(self, symbol: str, nbytes: int, deadline_ns: int) -> Item:
        """A handle for a symbol; raises `RefusedError` if there is none of that name and size."""
        info = self._call(deadline_ns, symbol, pyads_ex.adsGetSymbolInfo, symbol)
        if info.size != nbytes:
            message = f"symbol {symbol!r} is {info.symbol_type} of {info.size} bytes, but its tag needs {nbytes}"
            raise RefusedError(message, Error.BAD_SIZE)
        handle = self._call(deadline_ns, symbol, pyads_ex.adsGetHandle, symbol)
        return Item(symbol, Group.VALUE_BY_HANDLE, handle, nbytes)

    def read(self, item: Item, deadline_ns: int) -> bytes:
        """The bytes of one item."""
        buffer = ctypes.c_ubyte * item.nbytes
        got = self._call(deadline_ns, item.label, pyads_ex.adsSyncReadReqEx2, item.group, item.offset, buffer, True)
        return bytes(got)

    def sum_read(self, request: "SumRead", deadline_ns: int) -> tuple[list[int], bytes]:
        """(error code of each item, all values one after the other)."""
        read = pyads_ex.adsSyncReadWriteReqEx2
        count = len(request.items)
        got = self._call(deadline_ns, "sum read", read, Group.SUM_READ, count, None, request.array, None, True)
        data = bytes(got)
        return list(struct.unpack_from(f"<{count}I", data)), data[4 * count :]

    def sum_write(self, items: Sequence[Item], head: bytes, values: bytes, deadline_ns: int, until_ns: int) -> None:
        """Write all items; raises `RefusedError` naming the first that was refused, after `until_ns` `OutdatedError`."""
        write = pyads_ex.adsSyncReadWriteReqEx2
        body, group = bytearray(head + values), Group.SUM_WRITE
        got = self._call(deadline_ns, "sum write", write, group, len(items), None, body, None, True, until_ns=until_ns)
        check_items(items, struct.unpack(f"<{len(items)}I", bytes(got)))

    def notify(self, item: Item, cycle_s: float, on_value: Callable[[bytes], None], deadline_ns: int) -> None:
        """Call `on_value`, from AdsLib's thread, with the item's bytes whenever they change."""
        milliseconds = cycle_s * 1e3
        how = NotificationAttrib(item.nbytes, constants.ADSTRANS_SERVERONCHA, milliseconds, milliseconds)

        def received(note: Any, _: object) -> None:
            if note.contents.cbSampleSize == item.nbytes:
                on_value(ctypes.string_at(ctypes.addressof(note.contents) + _DATA_AT, item.nbytes))

        add = pyads_ex.adsSyncAddDeviceNotificationReqEx
        self._call(deadline_ns, item.label, add, (item.group, item.offset), how, received)

    def _call(
        self, deadline_ns: int, label: str, function: Callable[..., Any], *args: object, until_ns: int = NEVER
    ) -> Any:
        pyads_ex.adsSyncSetTimeoutEx(self._port, max(1, int(_remaining_s(deadline_ns) * 1000)))
        check_age(until_ns)
        try:
            return function(self._port, self._address, *args)
        except pyads_ex.ADSError as error:
            raise failure(label, error.err_code) from error
        except RuntimeError as error:  # pyads: the answer is shorter than what was asked for
            raise GarbageError(f"{label}: {error}") from error


class SumRead:
    """A sum read, ready to be sent again and again."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = tuple(items)
        self.array = (SAdsSumRequest * len(items))(*[SAdsSumRequest(i.group, i.offset, i.nbytes) for i in items])


def sum_write_head(items: Sequence[Item]) -> bytes:
    """What precedes the values in a sum write."""
    return b"".join(struct.pack("<III", i.group, i.offset, i.nbytes) for i in items)


def check_items(items: Sequence[Item], codes: Sequence[int]) -> None:
    """Raises what the first error code means; `ConnectionLostError` when handles must be got anew."""
    for item, code in zip(items, codes, strict=True):
        if code in SYMBOLS_CHANGED:
            raise ConnectionLostError(f"{failure(item.label, code)}; symbols changed, connecting anew")
        if code:
            raise failure(item.label, code)


def failure(label: str, code: int) -> DeviceError:
    """The error that an ADS error code means."""
    message = f"{label}: ADS error {code:#x}, {ERROR_CODES.get(code, 'unknown')}"
    if code == CLIENT_TIMED_OUT:
        return NoAnswerError(f"{label}: no answer in time")
    if code in DEVICE_ERRORS:
        return RefusedError(message, code)
    return ConnectionLostError(message)


def _remaining_s(deadline_ns: int) -> float:
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns <= 0:
        raise NoAnswerError("no answer in time")
    return left_ns / _NS
