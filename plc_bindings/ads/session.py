"""One connection of an ADS client, without sockets: bytes in, bytes out.

    feed(bytes) -> answers          half a packet is kept until the rest comes
    job                             work that takes long, for a thread; nothing more is answered until
    resume(result) -> answers       it is done
    tick(now) -> packets            notifications that are due; `next_due` says when to come again

A packet that no AMS packet can be ends the connection: what follows it cannot be found.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Final

from plc_bindings.access import Client
from plc_bindings.ads import frames
from plc_bindings.ads.codes import REQUEST, RESPONSE, RUN, SYSTEM_PORT, AdsError, Command, Error, Group
from plc_bindings.ads.device import Device
from plc_bindings.ads.notifications import Notifications
from plc_bindings.ads.tables import symbol_entry
from plc_bindings.database import NotAllowedError, Session, Symbol, Writable
from plc_bindings.numbers import (
    AREA,
    ATTRIBUTE,
    LOOKUP,
    NAME_BYTES,
    PREDICT,
    PREDICT_REF,
    SIGNATURE_BYTES,
    UPLOAD_ABORT,
    UPLOAD_ACTIVATE,
    UPLOAD_BEGIN,
    UPLOAD_DATA,
)
from plc_bindings.predict import Predictor
from plc_bindings.status import CallStatus

_GOOD: Final = frames.RESULT.pack(0)
_STATE: Final = struct.pack("<HH", RUN, 0)
_SYSTEM_STATE: Final = struct.pack("<HHHBBHBBH2x", RUN, 0, 0, 3, 1, 4024, 0, 0, 0)
_FIRST_PORT: Final = 32768
_MOST_SUM: Final = 500
"""Items of a sum command, as TwinCAT allows."""

Place = tuple[int, int, int]
"""(area, offset, size)."""
Job = Callable[[], bytes]
_Ends = tuple[bytes, int, bytes, int]
"""(NetId, port) of the client and of the server: several programs of one computer may share a connection."""


class AdsSession:
    """One client. Servers' thread only, but for `job`, which the caller runs where it likes."""

    def __init__(self, device: Device, client: Client, writable: Writable) -> None:
        self._device, self._client = device, client
        self._values = Session(device.database, writable, self._refused)
        self._predictor = Predictor(device.models, device.access.limits.batch)
        self._uploads = device.uploads(client.name) if device.uploads is not None else None
        self._rest = b""
        self._handles: dict[int, Place] = {}
        self._next_handle = 1
        self._known: set[bytes] = set()
        self._pending: bytes = b""
        self._notifications: dict[_Ends, Notifications] = {}
        self._ends: _Ends = (b"", 0, b"", 0)
        self.job: Job | None = None
        self.is_closed = False

    def feed(self, data: bytes) -> bytes:
        """Take what came; gives what is to be sent. Never raises."""
        buffer = self._rest + data if self._rest else data
        at, end, most = 0, len(buffer), self._device.access.limits.frame_bytes
        answers: list[bytes] = []
        while end - at >= frames.TCP.size and self.job is None and not self.is_closed:
            command, length = frames.TCP.unpack_from(buffer, at)
            if length > most or command not in _LEAST or length < _LEAST[command]:
                self._broken(f"a packet of {length} bytes, AMS/TCP command 0x{command:X}")
                break
            if end - at < frames.TCP.size + length:
                break
            at += frames.TCP.size
            if command == frames.AMS_COMMAND:
                answers.append(self._ams(buffer, at, length))
            else:
                answers.append(self._router(command))
            at += length
        self._rest = b"" if self.is_closed else buffer[at:]
        return answers[0] if len(answers) == 1 else b"".join(answers)

    def resume(self, result: bytes) -> bytes:
        """The job is done: answer it, and what came meanwhile."""
        self.job = None
        head, self._pending = self._pending, b""
        return self._answer(head, result) + self.feed(b"")

    @property
    def next_due(self) -> float:
        """When `tick` is to be called (monotonic seconds); infinity without notifications."""
        return min((notes.next_due for notes in self._notifications.values()), default=float("inf"))

    def tick(self, now: float) -> bytes:
        """Packets with the notifications that are due at `now`."""
        self._values.begin()
        packets = []
        for (peer, peer_port, target, port), notes in self._notifications.items():
            samples = notes.due(now, self._sample)
            if samples:
                data = frames.notification(samples)
                size = len(data)
                head = (peer, peer_port, target, port, Command.NOTIFICATION, REQUEST, size, 0, 0)
                packets.append(frames.HEAD.pack(0, frames.AMS.size + size, *head) + data)
        return b"".join(packets)

    def close(self) -> None:
        """The connection has ended."""
        if self._uploads is not None:
            self._uploads.abort()

    # --- packets ------------------------------------------------------------------------------------------------------

    def _broken(self, what: str) -> None:
        self._device.access.audit(self._client.name, what, "disconnected")
        self.is_closed = True

    def _router(self, command: int) -> bytes:
        """AMS/TCP commands that clients without a router of their own send."""
        if command == frames.PORT_CLOSE:
            self.is_closed = True
            return b""
        data = self._device.net_id
        if command == frames.PORT_CONNECT:
            data += struct.pack("<H", _FIRST_PORT + (id(self) >> 4) % 0x4000)
        return frames.TCP.pack(command, len(data)) + data

    def _ams(self, buffer: bytes, at: int, length: int) -> bytes:
        target, port, source, source_port, command, flags, size, _, invoke = frames.AMS.unpack_from(buffer, at)
        if flags & 1:
            return b""  # an answer: we never ask
        head = struct.pack(
            "<6sH6sHHHI", source, source_port, target, port, command, RESPONSE, invoke
        )  # what `_answer` needs, kept for jobs
        try:
            self._admit(target, source)
            if size != length - frames.AMS.size or not flags & REQUEST:
                raise AdsError(Error.BAD_LENGTH if flags & REQUEST else Error.NO_COMMAND)
            data = buffer[at + frames.AMS.size : at + length]
            if port == self._device.options.ams_port:
                handler = _HANDLERS.get(command)
            elif port == SYSTEM_PORT:
                handler = _SYSTEM_HANDLERS.get(command)
            else:
                raise AdsError(Error.NO_PORT)
            if handler is None:
                raise AdsError(Error.NO_COMMAND)
        except AdsError as error:
            return self._answer(head, b"", error.code)
        self._ends = (source, source_port, target, port)
        self._values.begin()
        body = self._handled(handler, command, data)
        if self.job is not None:
            self._pending = head
            return b""
        return self._answer(head, body)

    def _handled(self, handler: Handler, command: int, data: bytes) -> bytes:
        try:
            if not self._client.may_ask():
                raise AdsError(Error.BUSY)
            return handler(self, data)
        except AdsError as error:
            code = error.code
        except NotAllowedError:
            code = Error.NOT_PERMITTED
        except IndexError:
            code = Error.BAD_OFFSET
        except struct.error:
            code = Error.BAD_SIZE
        return frames.RESULT.pack(code) + (b"\0\0\0\0" if command in (Command.READ, Command.READ_WRITE) else b"")

    def _admit(self, target: bytes, source: bytes) -> None:
        if target != self._device.net_id:
            raise AdsError(Error.NO_MACHINE)
        if source not in self._known:
            if not self._device.access.allows_net_id(self._client, frames.net_id_text(source)):
                raise AdsError(Error.NO_ACCESS)
            if len(self._known) < 256:
                self._known.add(source)

    def _answer(self, head: bytes, body: bytes, error: int = 0) -> bytes:
        size = len(body)
        return b"".join(
            (
                frames.TCP.pack(0, frames.AMS.size + size),
                head[:20],
                struct.pack("<II", size, error),
                head[20:],
                body,
            )
        )

    def _refused(self, what: str) -> None:
        self._device.access.audit(self._client.name, what, "refused: not writable")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _device_info(self, data: bytes) -> bytes:
        return _GOOD + self._device.name

    def _read_state(self, data: bytes) -> bytes:
        return _GOOD + _STATE

    def _write_control(self, data: bytes) -> bytes:
        state, _, size = struct.unpack_from("<HHI", data)
        if size != len(data) - 8:
            raise AdsError(Error.BAD_SIZE)
        if state != RUN:
            self._device.access.audit(self._client.name, f"WriteControl to state {state}", "refused: it only runs")
            raise AdsError(Error.NOT_PERMITTED)
        return _GOOD

    def _read(self, data: bytes) -> bytes:
        got = self._get(*frames.READ.unpack(data))
        return frames.DATA.pack(0, len(got)) + got

    def _system_read(self, data: bytes) -> bytes:
        group, offset, size = frames.READ.unpack(data)
        if (group, offset) != (Group.SYSTEM_STATE, 0):
            raise AdsError(Error.NO_GROUP)
        got = _SYSTEM_STATE[:size]
        return frames.DATA.pack(0, len(got)) + got

    def _write(self, data: bytes) -> bytes:
        group, offset, size = frames.READ.unpack_from(data)
        if size != len(data) - frames.READ.size:
            raise AdsError(Error.BAD_SIZE)
        self._put(group, offset, data[frames.READ.size :])
        self._values.commit()
        return _GOOD

    def _read_write(self, data: bytes) -> bytes:
        group, offset, size, given = frames.READ_WRITE.unpack_from(data)
        if given != len(data) - frames.READ_WRITE.size:
            raise AdsError(Error.BAD_SIZE)
        got = self._exchange(group, offset, size, data[frames.READ_WRITE.size :])
        self._values.commit()
        return frames.DATA.pack(0, len(got)) + got

    def _add_notification(self, data: bytes) -> bytes:
        handle = self._subscribe(*frames.ADD_NOTIFICATION.unpack(data))
        return frames.DATA.pack(0, handle)

    def _delete_notification(self, data: bytes) -> bytes:
        if not self._unsubscribe(*frames.RESULT.unpack(data)):
            raise AdsError(Error.NO_NOTIFICATION)
        return _GOOD

    def _subscribe(self, group: int, offset: int, size: int, mode: int, delay: int, cycle: int) -> int:
        if mode not in (3, 4, 5, 6):  # cyclic, on change, and both "in context"
            raise AdsError(Error.NO_MODE)
        if group in (Group.VERSION, Group.DEVICE_DATA):
            place = (-group, offset, len(self._special(group, offset, size)))
        else:
            area, first, most = self._place(group, offset)
            place = (area, first, min(size, most))
        if sum(map(len, self._notifications.values())) >= self._device.access.limits.notifications:
            self._device.access.audit(self._client.name, "AddNotification", "refused: too many")
            raise AdsError(Error.NO_MORE_HANDLES)
        notes = self._notifications.setdefault(self._ends, Notifications())
        return notes.add(place, mode in (4, 6), delay * 1e-7, cycle * 1e-7, time.monotonic())

    def _unsubscribe(self, handle: int) -> bool:
        notes = self._notifications.get(self._ends)
        return notes is not None and notes.remove(handle)

    def _sample(self, place: Place) -> bytes:
        area, offset, size = place
        return self._special(-area, offset, size) if area < 0 else self._values.read(area, offset, size)

    # --- index groups -------------------------------------------------------------------------------------------------

    def _get(self, group: int, offset: int, size: int) -> bytes:
        """Read; at most what there is."""
        if group == Group.VALUE_BY_HANDLE or group >= AREA:
            area, first, most = self._place(group, offset)
            return self._values.read(area, first, min(size, most))
        return self._special(group, offset, size)

    def _special(self, group: int, offset: int, size: int) -> bytes:
        tables = self._device.tables
        match group:
            case Group.VERSION:
                return bytes([self._device.database.version])[:size]
            case Group.DEVICE_DATA if offset == 0:
                return _STATE[:size]
            case Group.UPLOAD_INFO:
                return tables.upload_info()[: min(size, 8)]
            case Group.UPLOAD_INFO_2:
                return tables.upload_info()[:size]
            case Group.UPLOAD:
                return _whole(tables.symbol_upload, size)
            case Group.TYPE_UPLOAD:
                return _whole(tables.type_upload, size)
            case _:
                raise AdsError(Error.NO_GROUP)

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

    def _put(self, group: int, offset: int, data: bytes) -> None:
        if group == Group.RELEASE_HANDLE:
            if len(data) == 4:
                offset = frames.RESULT.unpack(data)[0]
            if self._handles.pop(offset, None) is None:
                raise AdsError(Error.BAD_OFFSET)
        elif group in (UPLOAD_BEGIN, UPLOAD_DATA, UPLOAD_ABORT):
            self._upload(group, offset, data)
        else:
            area, first, most = self._place(group, offset)
            if len(data) > most:
                raise AdsError(Error.BAD_SIZE)
            self._values.write(area, first, data)

    def _exchange(self, group: int, offset: int, size: int, data: bytes) -> bytes:
        if group == PREDICT:
            return self._predict(offset, data, size)
        work = _EXCHANGES.get(group)
        if work is None:
            raise AdsError(Error.NO_GROUP)
        return work(self, offset, size, data)

    # --- names --------------------------------------------------------------------------------------------------------

    def _symbol(self, data: bytes) -> Symbol:
        symbol = self._device.database.find(data.split(b"\0", 1)[0].decode(errors="replace"))
        if symbol is None:
            raise AdsError(Error.NO_SYMBOL)
        return symbol

    def _handle_by_name(self, _: int, size: int, data: bytes) -> bytes:
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

    def _value_by_name(self, _: int, size: int, data: bytes) -> bytes:
        symbol = self._symbol(data)
        return self._values.read(symbol.area, symbol.offset, min(size, symbol.size))

    def _info_by_name(self, _: int, size: int, data: bytes) -> bytes:
        symbol = self._symbol(data)
        return struct.pack("<III", AREA + symbol.area, symbol.offset, symbol.size)[:size]

    def _info_by_name_ex(self, _: int, size: int, data: bytes) -> bytes:
        return _whole(symbol_entry(self._symbol(data)), size)

    def _type_by_name(self, _: int, size: int, data: bytes) -> bytes:
        name = data.split(b"\0", 1)[0].decode(errors="replace").lower()
        entry = self._device.tables.types.get(name)
        if entry is None:
            raise AdsError(Error.NO_SYMBOL)
        return _whole(entry, size)

    # --- sum commands -------------------------------------------------------------------------------------------------

    def _sum_items(self, count: int, each: int, data: bytes) -> int:
        if count > _MOST_SUM or len(data) < count * each:
            raise AdsError(Error.BAD_SIZE)
        return count * each

    def _sum_read(self, count: int, size: int, data: bytes) -> bytes:
        """Error codes, then the values, each as long as asked for."""
        end = self._sum_items(count, 12, data)
        asked = list(struct.iter_unpack("<III", data[:end]))
        if sum(item[2] for item in asked) + 4 * count > min(size, self._device.access.limits.frame_bytes):
            raise AdsError(Error.BAD_SIZE)
        codes, values = [], []
        for group, offset, length in asked:
            code, got = self._attempt(self._get, group, offset, length)
            codes.append(frames.RESULT.pack(code))
            values.append(got.ljust(length, b"\0"))
        return b"".join((*codes, *values))

    def _sum_read_ex(self, count: int, size: int, data: bytes) -> bytes:
        """(error code, length) of each, then the values as long as they are."""
        end = self._sum_items(count, 12, data)
        heads, values = [], []
        for item in struct.iter_unpack("<III", data[:end]):
            code, got = self._attempt(self._get, *item)
            heads.append(frames.DATA.pack(code, len(got)))
            values.append(got)
        return _whole(b"".join((*heads, *values)), size)

    def _sum_write(self, count: int, _: int, data: bytes) -> bytes:
        """All that is allowed takes effect at once."""
        at = self._sum_items(count, 12, data)
        asked = list(struct.iter_unpack("<III", data[:at]))
        if at + sum(item[2] for item in asked) != len(data):
            raise AdsError(Error.BAD_SIZE)
        codes = []
        for group, offset, length in asked:
            code, _got = self._attempt(self._put, group, offset, data[at : at + length])
            codes.append(frames.RESULT.pack(code))
            at += length
        return b"".join(codes)

    def _sum_read_write(self, count: int, size: int, data: bytes) -> bytes:
        at = self._sum_items(count, 16, data)
        asked = list(struct.iter_unpack("<IIII", data[:at]))
        if at + sum(item[3] for item in asked) != len(data):
            raise AdsError(Error.BAD_SIZE)
        heads, values = [], []
        for group, offset, wanted, given in asked:
            if group in _NOT_IN_SUMS:
                code, got = int(Error.NO_SERVICE), b""
            else:
                code, got = self._attempt(self._exchange, group, offset, wanted, data[at : at + given])
            heads.append(frames.DATA.pack(code, len(got)))
            values.append(got)
            at += given
        return _whole(b"".join((*heads, *values)), size)

    def _sum_add_notification(self, count: int, size: int, data: bytes) -> bytes:
        end = self._sum_items(count, frames.ADD_NOTIFICATION.size, data)
        heads = []
        for item in frames.ADD_NOTIFICATION.iter_unpack(data[:end]):
            try:
                heads.append(frames.DATA.pack(0, self._subscribe(*item)))
            except (AdsError, IndexError) as error:
                heads.append(frames.DATA.pack(getattr(error, "code", Error.BAD_OFFSET), 0))
        return _whole(b"".join(heads), size)

    def _sum_delete_notification(self, count: int, size: int, data: bytes) -> bytes:
        end = self._sum_items(count, 4, data)
        codes = [
            frames.RESULT.pack(0 if self._unsubscribe(handle) else Error.NO_NOTIFICATION)
            for (handle,) in struct.iter_unpack("<I", data[:end])
        ]
        return _whole(b"".join(codes), size)

    def _attempt(self, work: Callable[..., bytes | None], *args: object) -> tuple[int, bytes]:
        """(error code, result) of one item of a sum command."""
        try:
            return 0, work(*args) or b""
        except AdsError as error:
            return error.code, b""
        except NotAllowedError:
            return Error.NOT_PERMITTED, b""
        except IndexError:
            return Error.BAD_OFFSET, b""

    # --- models -------------------------------------------------------------------------------------------------------

    def _predict(self, number: int, data: bytes, size: int) -> bytes:
        served = self._device.models.find(number)
        if served is None:
            return self._predictor.call(number, data)[:size]
        count = len(data) // max(served.signature.inputs.size, 1)
        if not self._device.is_slow(number, count):
            return self._predictor.call(number, data)[:size]
        version = served.slot.version

        def work() -> bytes:
            begin = time.perf_counter()
            got = self._predictor.call(number, data)
            self._device.note_run(number, version, (time.perf_counter() - begin) / max(count, 1))
            return _read_answer(got[:size])

        self.job = work
        return b""

    def _predict_ref(self, _: int, size: int, data: bytes) -> bytes:
        served = self._device.models.find(data[:NAME_BYTES].split(b"\0", 1)[0].decode(errors="replace"))
        return self._predict(served.number if served else 0, data[NAME_BYTES:], size)

    def _lookup(self, _: int, size: int, data: bytes) -> bytes:
        served = self._device.models.find(data.split(b"\0", 1)[0].decode(errors="replace"))
        if served is None:
            return struct.pack("<6I", CallStatus.UNKNOWN_MODEL, 0, 0, 0, 0, 0)[:size]
        ends = served.signature
        numbers = (0, served.number, ends.hash, served.slot.version, ends.inputs.size, ends.outputs.size)
        return struct.pack("<6I", *numbers)[:size]

    def _attribute(self, number: int, size: int, data: bytes) -> bytes:
        served = self._device.models.find(number)
        if served is None:
            return struct.pack("<I", CallStatus.UNKNOWN_MODEL)[:size]
        name = data.split(b"\0", 1)[0].decode(errors="replace")
        value = self._device.attributes(served.name).get(name)
        if value is None:
            return struct.pack("<I", CallStatus.UNKNOWN_ATTRIBUTE)[:size]
        return (struct.pack("<I", 0) + value.encode())[: max(size - 1, 0)] + b"\0"

    def _upload(self, group: int, offset: int, data: bytes) -> None:
        if self._uploads is None:
            self._device.access.audit(self._client.name, "model upload", "refused: not enabled")
            raise AdsError(Error.NO_SERVICE)
        status = 0
        if group == UPLOAD_BEGIN:
            served = self._device.models.find(offset)
            if served is None or len(data) != 4 + SIGNATURE_BYTES:
                raise AdsError(Error.BAD_DATA)
            status = self._uploads.begin(served.name, frames.RESULT.unpack_from(data)[0], data[4:])
        elif group == UPLOAD_DATA:
            status = self._uploads.data(offset, data)
        else:
            self._uploads.abort()
        if status:
            raise AdsError(_UPLOAD_ERRORS.get(status, Error.BAD_DATA))

    def _activate(self, number: int, size: int, data: bytes) -> bytes:
        served, uploads = self._device.models.find(number), self._uploads
        if served is None or uploads is None:
            raise AdsError(Error.NO_SERVICE)
        name = served.name

        def work() -> bytes:
            status, version, message = uploads.activate(name)
            return _read_answer((struct.pack("<II", status, version) + message.encode())[: max(size - 1, 0)] + b"\0")

        self.job = work
        return b""


def _whole(data: bytes, size: int) -> bytes:
    """All of it, or the error that says that the client asked for less."""
    if len(data) > size:
        raise AdsError(Error.BAD_SIZE)
    return data


def _read_answer(got: bytes) -> bytes:
    return frames.DATA.pack(0, len(got)) + got


Handler = Callable[[AdsSession, bytes], bytes]

_UPLOAD_ERRORS: Final[dict[int, Error]] = {CallStatus.NOT_ALLOWED: Error.NOT_PERMITTED, CallStatus.BUSY: Error.BUSY}
"""Status of an upload's request -> ADS error; all others: bad data."""
_LEAST: Final = {
    frames.AMS_COMMAND: frames.AMS.size,
    frames.PORT_CLOSE: 0,
    frames.PORT_CONNECT: 0,
    frames.LOCAL_NET_ID: 0,
}
"""AMS/TCP command -> least length."""

_HANDLERS: Final[dict[int, Handler]] = {
    Command.DEVICE_INFO: AdsSession._device_info,
    Command.READ: AdsSession._read,
    Command.WRITE: AdsSession._write,
    Command.READ_STATE: AdsSession._read_state,
    Command.WRITE_CONTROL: AdsSession._write_control,
    Command.ADD_NOTIFICATION: AdsSession._add_notification,
    Command.DELETE_NOTIFICATION: AdsSession._delete_notification,
    Command.READ_WRITE: AdsSession._read_write,
}
_SYSTEM_HANDLERS: Final[dict[int, Handler]] = {
    Command.DEVICE_INFO: AdsSession._device_info,
    Command.READ: AdsSession._system_read,
    Command.READ_STATE: AdsSession._read_state,
}
_EXCHANGES: Final[dict[int, Callable[[AdsSession, int, int, bytes], bytes]]] = {
    Group.HANDLE_BY_NAME: AdsSession._handle_by_name,
    Group.VALUE_BY_NAME: AdsSession._value_by_name,
    Group.INFO_BY_NAME: AdsSession._info_by_name,
    Group.INFO_BY_NAME_EX: AdsSession._info_by_name_ex,
    Group.TYPE_BY_NAME_EX: AdsSession._type_by_name,
    Group.SUM_READ: AdsSession._sum_read,
    Group.SUM_WRITE: AdsSession._sum_write,
    Group.SUM_READ_WRITE: AdsSession._sum_read_write,
    Group.SUM_READ_EX: AdsSession._sum_read_ex,
    Group.SUM_READ_EX_2: AdsSession._sum_read_ex,
    Group.SUM_ADD_NOTIFICATION: AdsSession._sum_add_notification,
    Group.SUM_DELETE_NOTIFICATION: AdsSession._sum_delete_notification,
    PREDICT_REF: AdsSession._predict_ref,
    LOOKUP: AdsSession._lookup,
    ATTRIBUTE: AdsSession._attribute,
    UPLOAD_ACTIVATE: AdsSession._activate,
}
_NOT_IN_SUMS: Final = {
    PREDICT,
    PREDICT_REF,
    UPLOAD_ACTIVATE,
    Group.SUM_READ,
    Group.SUM_WRITE,
    Group.SUM_READ_WRITE,
    Group.SUM_READ_EX,
    Group.SUM_READ_EX_2,
    Group.SUM_ADD_NOTIFICATION,
    Group.SUM_DELETE_NOTIFICATION,
}
