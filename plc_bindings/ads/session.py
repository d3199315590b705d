"""One connection of an ADS client, without sockets: AMS packets in, AMS packets out; `tick` gives notifications.

A request that cannot be done is answered with an ADS error code, and changes nothing.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Final

from fieldbus.ads import frames
from fieldbus.ads.protocol import REQUEST, RESPONSE, RUN, SYSTEM_PORT, Command, Error, Group
from plc_bindings.ads.calls import CALLS, NOT_IN_SUMS, UPLOADS, Answer, ClientCalls
from plc_bindings.ads.codes import STATE, AdsError, code_of
from plc_bindings.ads.device import Device
from plc_bindings.ads.notifications import LEAST_CYCLE_S, MOST_SAMPLES_PER_S, Notifications, Samples
from plc_bindings.ads.sums import MOST_ITEMS, SUMS
from plc_bindings.ads.symbols import ClientSymbols
from plc_bindings.data.database import Writable
from plc_bindings.data.models import Served
from plc_bindings.net.conversation import Conversation
from plc_bindings.security.access import Client
from rt_engine import Context

_GOOD: Final = frames.RESULT.pack(0)
_SYSTEM_STATE: Final = struct.pack("<HHHBBHBBH2x", RUN, 0, 0, 3, 1, 4024, 0, 0, 0)
_FIRST_PORT: Final = 32768
_TURN_PACKETS: Final = 32
_TURN_BYTES: Final = 128 * 1024
_TURN_S: Final = 0.001
"""After so many packets, or bytes of answers, or so long, others get their turn."""
_ITEMS_PER_REQUEST: Final = 5
"""So many items of a sum command count as one request more; of read-write, each does."""
_MOST_NET_IDS: Final = 256
_ON_CHANGE: Final = (4, 6)
_MODES: Final = (3, *_ON_CHANGE, 5)
"""Cyclic, on change, and both "in context": ADSTRANSMODE."""

_Ends = tuple[bytes, int, bytes, int]
"""(NetId, port) of the client and of the server: several programs of one computer may share a connection."""
_Asked = tuple[bytes, int, bytes, int, int, int]
"""Ends, command and invoke id of a request, for its answer."""


class AdsSession(Conversation):
    """One client.

    Args:
        device: what all clients see.
        client: who it is, and how much it may ask.
        writable: what it may write.
        net_id: the AMS NetId that it must ask for.
        now: monotonic seconds.
    """

    def __init__(
        self,
        device: Device,
        client: Client,
        writable: Writable,
        net_id: bytes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device, self._client, self._net_id, self._now = device, client, net_id, now
        self._symbols = ClientSymbols(device, client, writable)
        self._calls = ClientCalls(device, client)
        self.most_bytes = device.access.limits.frame_bytes
        self._rest = bytearray()
        self._need = 0
        self._known: set[bytes] = set()
        self._notifications: dict[_Ends, Notifications] = {}
        self._next_note = 1
        self._ends: _Ends = (b"", 0, b"", 0)
        self._asked: _Asked = (b"", 0, b"", 0, 0, 0)

    def feed(self, data: bytes) -> bytes:
        """Take what came; gives what is to be sent. Never raises."""
        rest = self._rest
        self.has_more = self.is_over_rate = False
        if rest or self.job is not None:
            rest += data
            if len(rest) < self._need or self.job is not None:
                return b""
            data = bytes(rest)
            rest.clear()
        answers: list[bytes] = []
        at, end, size, until = 0, len(data), 0, 0.0
        self._need = frames.TCP.size
        while end - at >= frames.TCP.size and self.job is None and not self.is_closed:
            command, length = frames.TCP.unpack_from(data, at)
            if length > self.most_bytes or length < _LEAST.get(command, length + 1):
                self._broken(f"a packet of {length} bytes, AMS/TCP command 0x{command:X}")
                break
            following = at + frames.TCP.size + length
            if following > end:
                self._need = frames.TCP.size + length
                break
            if answers:
                until = until or self._now() + _TURN_S
                if len(answers) == _TURN_PACKETS or size > _TURN_BYTES or self._now() > until:
                    self.has_more = True
                    break
            answer = self._ams(data, at, length) if command == frames.AMS_COMMAND else self._router(command)
            answers.append(answer)
            size += len(answer)
            at = following
        if at < end and not self.is_closed:
            rest += data[at:] if at else data
        return answers[0] if len(answers) == 1 else b"".join(answers)

    def resume(self, result: bytes | Exception) -> bytes:
        """The job is done, or has failed: answer it, and what came meanwhile."""
        self.job = None
        if isinstance(result, Exception):
            body = frames.DATA.pack(code_of(result), 0)
        else:
            body = frames.DATA.pack(0, len(result)) + result
        return _packet(self._asked, body) + self.feed(b"")

    def close(self) -> None:
        """The client is gone."""
        self._calls.close()

    def called(self) -> tuple[Served, Context, int] | None:
        """(model, this client's context, its version) of the newest call, unless it took long; None once it was told."""
        return self._calls.called()

    @property
    def is_whole(self) -> bool:
        """Was all that came a number of whole packets, and is all of it answered?"""
        return not self._rest and self.job is None

    @property
    def next_due(self) -> float:
        """When `tick` is to be called (monotonic seconds); infinity without notifications."""
        if not self._notifications:
            return float("inf")
        return min(notes.next_due for notes in self._notifications.values())

    def tick(self, now: float) -> bytes:
        """Packets with the notifications that are due at `now`."""
        self._symbols.begin()
        packets = []
        for (peer, peer_port, target, port), notes in self._notifications.items():
            try:
                samples: Samples = notes.due(now, self._symbols.sample)
            except Exception as error:
                self._broken(f"a notification fails with 0x{code_of(error):X}")
                break
            if samples:
                data = frames.notification(samples)
                head = (peer, peer_port, target, port, Command.NOTIFICATION, REQUEST, len(data), 0, 0)
                packets.append(frames.HEAD.pack(0, frames.AMS.size + len(data), *head) + data)
        return b"".join(packets)

    # --- packets ------------------------------------------------------------------------------------------------------

    def _broken(self, what: str) -> None:
        self._device.access.audit(self._client.name, what, "disconnected")
        self.is_closed = True

    def _router(self, command: int) -> bytes:
        """AMS/TCP commands that clients without a router of their own send."""
        if command == frames.PORT_CLOSE:
            self.is_closed = True
            return b""
        data = self._net_id
        if command == frames.PORT_CONNECT:
            data += struct.pack("<H", _FIRST_PORT + (id(self) >> 4) % 0x4000)
        return frames.TCP.pack(command, len(data)) + data

    def _ams(self, buffer: bytes, at: int, length: int) -> bytes:
        """One packet -> its answer; none while a job runs."""
        self.requests += 1
        (_, _, target, port, source, source_port, command, flags, size, _, invoke) = frames.HEAD.unpack_from(buffer, at)
        if flags & 1:
            return b""  # an answer: we never ask
        asked = (source, source_port, target, port, command, invoke)
        try:
            handler = self._handler(source, target, port, command)
            if size != length - frames.AMS.size or not flags & REQUEST:
                raise AdsError(Error.BAD_LENGTH if flags & REQUEST else Error.NO_COMMAND)
        except AdsError as error:
            return _packet(asked, b"", error.code)
        self._ends = asked[:4]
        body = self._handled(handler, command, buffer[at + frames.HEAD.size : at + frames.TCP.size + length])
        if isinstance(body, bytes):
            return _packet(asked, body)
        self._asked, self.job = asked, body
        return b""

    def _handler(self, source: bytes, target: bytes, port: int, command: int) -> Handler:
        """What does a command, if this client may ask for it."""
        if target != self._net_id:
            raise AdsError(Error.NO_MACHINE)
        if source not in self._known:
            if not self._device.access.allows_net_id(self._client, frames.net_id_text(source)):
                raise AdsError(Error.NO_ACCESS)
            if len(self._known) < _MOST_NET_IDS:
                self._known.add(source)
        if port == self._device.options.ams_port:
            handler = _HANDLERS.get(command)
        elif port == SYSTEM_PORT:
            handler = _SYSTEM_HANDLERS.get(command)
        else:
            raise AdsError(Error.NO_PORT)
        if handler is None:
            raise AdsError(Error.NO_COMMAND)
        return handler

    def _handled(self, handler: Handler, command: int, data: bytes) -> Answer:
        try:
            if not self._client.may_ask():
                self.is_over_rate = True
                raise AdsError(Error.BUSY)
            self._symbols.begin()
            return handler(self, data)
        except Exception as error:
            code = frames.RESULT.pack(code_of(error))
            return code + (b"\0\0\0\0" if command in (Command.READ, Command.READ_WRITE) else b"")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _device_info(self, data: bytes) -> Answer:
        return _GOOD + self._device.name

    def _read_state(self, data: bytes) -> Answer:
        return _GOOD + STATE

    def _write_control(self, data: bytes) -> Answer:
        state, _, size = struct.unpack_from("<HHI", data)
        if size != len(data) - 8:
            raise AdsError(Error.BAD_SIZE)
        if state != RUN:
            self._device.access.audit(self._client.name, f"WriteControl to state {state}", "refused: it only runs")
            raise AdsError(Error.NOT_PERMITTED)
        return _GOOD

    def _read(self, data: bytes) -> Answer:
        got = self._symbols.get(*frames.READ.unpack(data))
        return frames.DATA.pack(0, len(got)) + got

    def _system_read(self, data: bytes) -> Answer:
        group, offset, size = frames.READ.unpack(data)
        if (group, offset) != (Group.SYSTEM_STATE, 0):
            raise AdsError(Error.NO_GROUP)
        got = _SYSTEM_STATE[:size]
        return frames.DATA.pack(0, len(got)) + got

    def _write(self, data: bytes) -> Answer:
        group, offset, size = frames.READ.unpack_from(data)
        if size != len(data) - frames.READ.size:
            raise AdsError(Error.BAD_SIZE)
        self.put(group, offset, data[frames.READ.size :])
        self._symbols.commit()
        return _GOOD

    def _read_write(self, data: bytes) -> Answer:
        group, offset, size, given = frames.READ_WRITE.unpack_from(data)
        data = data[frames.READ_WRITE.size :]
        if given != len(data):
            raise AdsError(Error.BAD_SIZE)
        if group in CALLS:
            got = CALLS[group](self._calls, offset, size, data)
            if not isinstance(got, bytes):
                return got
        elif group in SUMS:
            each = 1 if group == Group.SUM_READ_WRITE else _ITEMS_PER_REQUEST
            self._client.take(min(offset, MOST_ITEMS) // each)
            got = SUMS[group](self, offset, size, data)
            self._symbols.commit()
        else:
            got = self._symbols.exchange(group, size, data)
        return frames.DATA.pack(0, len(got)) + got

    def _add_notification(self, data: bytes) -> Answer:
        return frames.DATA.pack(0, self.subscribe(*frames.ADD_NOTIFICATION.unpack(data)))

    def _delete_notification(self, data: bytes) -> Answer:
        self.unsubscribe(*frames.RESULT.unpack(data))
        return _GOOD

    # --- what sum commands ask; see `plc_bindings.ads.sums.Target` ----------------------------------------------------

    def get(self, group: int, offset: int, size: int) -> bytes:
        """Read."""
        return self._symbols.get(group, offset, size)

    def put(self, group: int, offset: int, data: bytes) -> None:
        """Write."""
        if group in UPLOADS:
            self._calls.upload(group, offset, data)
        else:
            self._symbols.put(group, offset, data)

    def exchange_item(self, group: int, offset: int, size: int, data: bytes) -> bytes:
        """ReadWrite of what takes no long time."""
        if group in NOT_IN_SUMS or group in SUMS:
            raise AdsError(Error.NO_SERVICE)
        if group in CALLS:
            got = CALLS[group](self._calls, offset, size, data)
            assert isinstance(got, bytes)
            return got
        return self._symbols.exchange(group, size, data)

    def subscribe(self, group: int, offset: int, size: int, mode: int, delay: int, cycle: int) -> int:
        """A new notification's handle; `delay` and `cycle` in 100 ns."""
        if mode not in _MODES:
            raise AdsError(Error.NO_MODE)
        place = self._symbols.watched(group, offset, size)
        cycle_s = max(cycle * 1e-7, LEAST_CYCLE_S)
        known = self._notifications.values()
        is_many = sum(map(len, known)) >= self._device.access.limits.notifications
        if is_many or sum(notes.samples_per_s for notes in known) + 1 / cycle_s > MOST_SAMPLES_PER_S:
            self._device.access.audit(self._client.name, "AddNotification", "refused: too many")
            raise AdsError(Error.NO_MORE_HANDLES)
        handle, self._next_note = self._next_note, self._next_note % 0xFFFF_FFFE + 1
        notes = self._notifications.setdefault(self._ends, Notifications())
        notes.add(handle, place, mode in _ON_CHANGE, delay * 1e-7, cycle_s, self._now())
        return handle

    def unsubscribe(self, handle: int) -> None:
        """Forget a notification."""
        notes = self._notifications.get(self._ends)
        if notes is None or not notes.remove(handle):
            raise AdsError(Error.NO_NOTIFICATION)
        if not notes:
            del self._notifications[self._ends]


def _packet(asked: _Asked, body: bytes, error: int = 0) -> bytes:
    """The answer to a request."""
    source, source_port, target, port, command, invoke = asked
    size = len(body)
    head = (source, source_port, target, port, command, RESPONSE, size, error, invoke)
    return frames.HEAD.pack(0, frames.AMS.size + size, *head) + body


Handler = Callable[[AdsSession, bytes], Answer]

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
