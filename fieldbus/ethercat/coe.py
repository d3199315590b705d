"""Objects of a slave through its mailbox: CANopen over EtherCAT (ETG.1000.6, 5.6), for one master.

    mailbox   length 2 | address 2 | 0 | protocol, counter | message
    message   service 2 | command | index 2 | subindex | data or size 4 | more data
    long data  the rest in segments: service 2 | command with toggle, unused bytes, "last" | data

Nothing that a slave answers is trusted: neither its lengths nor that it ends. pysoem's own (SOEM's C code) copies as many bytes as the
answer says, over whatever lies there, so it is not asked.
"""

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fieldbus.ethercat.protocol import SYNC_MANAGER_BYTES, Register
from fieldbus.ethercat.wire.frames import MOST_DATA
from fieldbus.ethercat.wire.wire import Datagram, Node, Wire

MOST_BYTES: Final = 1 << 18
"""So long an object may be."""
_HEADER, _COE, _SDO, _SIZE = struct.Struct("<HHBB"), struct.Struct("<H"), struct.Struct("<BHB"), struct.Struct("<I")
_INFO: Final = struct.Struct("<BBH")
_PROTOCOL, _ERROR_PROTOCOL = 3, 0
_EMERGENCY, _REQUEST, _RESPONSE, _INFORMATION = 1, 2, 3, 8
"""Services."""
_UPLOAD, _DOWNLOAD, _SEGMENT, _COMPLETE, _ABORT = 0x40, 0x21, 0x60, 0x10, 0x80
_TOGGLE, _LAST, _LEAST_SEGMENT = 0x10, 0x01, 7
_LIST, _OBJECT, _ENTRY, _ERROR = 1, 3, 5, 7
"""Opcodes of the information service; an answer has the next number."""
_MOST_FRAGMENTS: Final = 4096
_LEAST_MAILBOX: Final = 24
_MOST_OLD: Final = 8
"""So many messages of before are dropped."""
_STATUS_AT, _REPEAT_AT = 5, 6
_FULL, _REPEAT = 0x08, 0x02
_ANSWER_S, _TAKEN_S, _PAUSE_S = 0.7, 0.1, 0.0002
_WHOLE_S: Final = 5.0
"""So long an object of many segments may take."""


class SdoError(Exception):
    """An object was not read or written; `abort_code`: why the slave refused it, None: it did not say."""

    def __init__(self, desc: str, abort_code: int | None = None) -> None:
        super().__init__(desc)
        self.desc, self.abort_code = desc, abort_code


@dataclass(frozen=True, slots=True)
class Described:
    """An entry of an object as its dictionary describes it."""

    name: str
    data_type: int


class Listed:
    """An object of a dictionary; what is wanted of it is asked for then, once."""

    def __init__(self, coe: "Coe", index: int) -> None:
        self.index, self._coe = index, coe
        self._told: tuple[str, int, int] | None = None

    @property
    def _object(self) -> tuple[str, int, int]:
        if self._told is None:
            self._told = self._coe.described(self.index)
        return self._told

    @property
    def name(self) -> str:
        """For people."""
        return self._object[0]

    @property
    def data_type(self) -> int:
        """Its number."""
        return self._object[1]

    @property
    def entries(self) -> list[Described]:
        """By subindex; empty where there is no other than 0. One that the slave does not tell of has neither name nor type."""
        most = self._object[2]
        return [self._entry(subindex) for subindex in range(most + 1)] if most else []

    def _entry(self, subindex: int) -> Described:
        try:
            return self._coe.entry(self.index, subindex)
        except SdoError as error:
            if error.abort_code is None:
                raise
            return Described("", 0)


class Mailbox:
    """Messages to a slave and its answers; `mailboxes`: what its sync managers 0 and 1 are programmed with.

    Raises, in all methods: `SdoError`; `ConnectionLostError`: the interface is gone.
    """

    def __init__(self, wire: Wire, node: Node, mailboxes: bytes) -> None:
        self._wire, self._node, self._counter = wire, node, 0
        self.hear: Callable[[int, int], None] = lambda code, register: None
        """Gets the error code and error register of emergencies."""
        out, back = (struct.unpack_from("<HH", mailboxes.ljust(16, b"\0"), at) for at in (0, SYNC_MANAGER_BYTES))
        (self._to, self.nbytes), (self._from, self._back_bytes) = out, back

    def _check(self) -> None:
        for start, nbytes in ((self._to, self.nbytes), (self._from, self._back_bytes)):
            if start < 0x1000 or not _LEAST_MAILBOX <= nbytes <= MOST_DATA or start + nbytes > 1 << 16:
                raise SdoError(f"a mailbox of {nbytes} bytes at 0x{start:04X} cannot be")

    def _once(self, register: int, data: bytes, writes: bool = False) -> bytes | None:
        """One datagram, once; None: nobody took it, or it was lost."""
        command = self._node.writes if writes else self._node.reads
        (answer,) = self._wire.ask([Datagram(command, self._node.address, register, data)], 1)
        return answer.data if answer is not None and answer.counter else None

    def ask(self, message: bytes) -> Iterator[bytes]:
        """Send a message; gives what comes back, message by message, as long as it is asked for."""
        self._check()
        for _ in range(_MOST_OLD):
            if self._came() is None:
                break  # what lay there was of before
        self._counter = self._counter % 7 + 1
        whole = _HEADER.pack(len(message), 0, 0, _PROTOCOL | self._counter << 4) + message
        until_s = time.monotonic() + _TAKEN_S
        while self._once(self._to, whole.ljust(self.nbytes, b"\0"), writes=True) is None:
            if time.monotonic() > until_s:
                raise SdoError("its mailbox takes nothing")
            time.sleep(_PAUSE_S)
        whole_s = time.monotonic() + _WHOLE_S
        while True:
            until_s = min(time.monotonic() + _ANSWER_S, whole_s)
            while (came := self._came()) is None and time.monotonic() < until_s:
                time.sleep(_PAUSE_S)
            if came is None or time.monotonic() > whole_s:
                raise SdoError("its mailbox does not answer")
            yield came

    def _came(self) -> bytes | None:
        """The CoE message that lies in its mailbox; None: none does. Emergencies are told, others dropped."""
        at = Register.SYNC_MANAGER + SYNC_MANAGER_BYTES
        status = self._once(at + _STATUS_AT, b"\0")
        if status is None or not status[0] & _FULL:
            return None
        data = self._once(self._from, bytes(self._back_bytes))
        if data is None:
            self._repeat(at)
            return None
        length, _, _, kind = _HEADER.unpack_from(data)
        body = data[_HEADER.size : _HEADER.size + length]
        if kind & 0x0F == _ERROR_PROTOCOL and len(body) >= 4:
            raise SdoError(f"its mailbox refuses the message: error 0x{int.from_bytes(body[2:4], 'little'):04X}")
        if kind & 0x0F != _PROTOCOL or len(body) < _COE.size or len(body) < length:
            return None
        if body[1] >> 4 == _EMERGENCY:
            if len(body) >= 5:
                self.hear(int.from_bytes(body[2:4], "little"), body[4])
            return None
        return body

    def _repeat(self, at: int) -> None:
        """The message was taken out and lost on its way: it is asked for once more (ETG.1000.4, 5.6: repeat request)."""
        bits = self._once(at + _REPEAT_AT, b"\0")
        if bits is not None:
            self._once(at + _REPEAT_AT, bytes([bits[0] ^ _REPEAT]), writes=True)


class Coe:
    """The objects of a slave: `entries.SdoReader`, writing, and its dictionary. Errors: those of `Mailbox`."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def sdo_read(self, index: int, subindex: int, complete: bool = False, /) -> bytes:
        """The value of an object."""
        came = self._sdo(_UPLOAD | (_COMPLETE if complete else 0), index, subindex, bytes(4), _UPLOAD)
        command, data = came[2], came[6:]
        if command & 0x02:
            return data[: 4 - (command >> 2 & 3) if command & 0x01 else 4]
        if len(data) < _SIZE.size:
            raise SdoError("its answer is too short")
        (size,) = _SIZE.unpack_from(data)
        if size > MOST_BYTES:
            raise SdoError(f"its answer is said to have {size} bytes, where {MOST_BYTES} are the most")
        data = data[_SIZE.size : _SIZE.size + size]
        if len(data) < size:
            data += b"".join(self._segments(size - len(data)))
        if len(data) != size:
            raise SdoError(f"its answer has {len(data)} bytes, and is said to have {size}")
        return data

    def _segments(self, left: int) -> Iterator[bytes]:
        toggle, is_last, until_s = 0, False, time.monotonic() + _WHOLE_S
        while not is_last and left > 0:
            if time.monotonic() > until_s:
                raise SdoError("its answer has no end")
            came = self._sdo(_SEGMENT | toggle, 0, 0, bytes(4), 0x00)
            command, data = came[2], came[3:]
            if command & _TOGGLE != toggle:
                raise SdoError("a segment of its answer came twice, or is missing")
            if len(data) == _LEAST_SEGMENT:
                data = data[: _LEAST_SEGMENT - (command >> 1 & 7)]
            is_last, toggle, left = bool(command & _LAST), toggle ^ _TOGGLE, left - len(data)
            yield data

    def sdo_write(self, index: int, subindex: int, data: bytes, complete: bool = False, /) -> None:
        """Write an object."""
        if 0 < len(data) <= 4 and not complete:
            command = _DOWNLOAD | 0x02 | (4 - len(data)) << 2
            self._sdo(command, index, subindex, data.ljust(4, b"\0"), 0x60)
            return
        room = self._mailbox.nbytes - 16
        command = _DOWNLOAD | (_COMPLETE if complete else 0)
        self._sdo(command, index, subindex, _SIZE.pack(len(data)) + data[:room], 0x60)
        toggle, at = 0, room
        while at < len(data):
            part = data[at : at + room + _LEAST_SEGMENT]
            at += len(part)
            command = toggle | max(_LEAST_SEGMENT - len(part), 0) << 1 | (_LAST if at >= len(data) else 0)
            body = _COE.pack(_REQUEST << 12) + bytes([command]) + part.ljust(_LEAST_SEGMENT, b"\0")
            self._answered(body, 0x20)
            toggle ^= _TOGGLE

    def _sdo(self, command: int, index: int, subindex: int, data: bytes, wanted: int) -> bytes:
        body = _COE.pack(_REQUEST << 12) + _SDO.pack(command, index, subindex) + data
        return self._answered(body, wanted, index)

    def _answered(self, body: bytes, wanted: int, index: int = 0) -> bytes:
        """The answer that has these three highest bits in its command, and, if any, this index."""
        for came in self._mailbox.ask(body):
            service, command = came[1] >> 4, came[2] if len(came) > 2 else 0
            its = int.from_bytes(came[3:5], "little")
            if service not in (_REQUEST, _RESPONSE) or len(came) < 3:
                continue
            if command == _ABORT:
                code = int.from_bytes(came[6:10].ljust(4, b"\0"), "little")
                raise SdoError(f"abort 0x{code:08X}", code)
            if service == _RESPONSE and command & 0xE0 == wanted and (not index or its == index):
                return came
        raise AssertionError

    # --- the dictionary -------------------------------------------------------------------------------------------------

    @property
    def od(self) -> list[Listed]:
        """All objects; each is asked for the rest when that is wanted."""
        data = self._told(_LIST, struct.pack("<H", 1))
        return [Listed(self, index) for (index,) in struct.iter_unpack("<H", data[2 : len(data) // 2 * 2])]

    def _told(self, opcode: int, question: bytes) -> bytes:
        """What the information service tells, all fragments."""
        data = b""
        for number, came in enumerate(
            self._mailbox.ask(_COE.pack(_INFORMATION << 12) + _INFO.pack(opcode, 0, 0) + question)
        ):
            if len(came) < 6 or came[1] >> 4 != _INFORMATION:
                continue
            got, _, left = _INFO.unpack_from(came, 2)
            if got & 0x7F == _ERROR:
                code = int.from_bytes(came[6:10].ljust(4, b"\0"), "little")
                raise SdoError(f"abort 0x{code:08X}", code)
            if got & 0x7F != opcode + 1:
                continue
            data += came[6:]
            if not left:
                return data
            if len(data) > MOST_BYTES or number > _MOST_FRAGMENTS:
                raise SdoError("its answer has no end")
        raise AssertionError

    def described(self, index: int) -> tuple[str, int, int]:
        """Name, data type, highest subindex of an object."""
        data = self._told(_OBJECT, struct.pack("<H", index))
        if len(data) < 6:
            raise SdoError("its answer is too short")
        return data[6:].decode("utf-8", "replace"), int.from_bytes(data[2:4], "little"), data[4]

    def entry(self, index: int, subindex: int) -> Described:
        """The same of an entry."""
        data = self._told(_ENTRY, struct.pack("<HBB", index, subindex, 7))
        if len(data) < 10:
            raise SdoError("its answer is too short")
        return Described(data[10:].decode("utf-8", "replace"), int.from_bytes(data[4:6], "little"))
