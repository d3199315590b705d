"""CANopen over EtherCAT: the SDO server of a simulated slave, and its emergencies (ETG.1000.6, 5.6).

A message, behind the mailbox's header:

    byte 0  number (9 bits), 0 (3 bits), service (4 bits)
         2  SDO: command; index 3, subindex 5, data or size 6, more data 10

    download  0x2_ initiate: 0x02 expedited, 0x10 complete access    -> 0x60
              0x0_ segment: toggle 0x10, unused bytes 0x0E, last 0x01 -> 0x20 | toggle
    upload    0x40 initiate                                          -> 0x43 expedited, 0x41 with size and data
              0x60 segment: toggle 0x10                              -> toggle, unused bytes, last 0x01
    abort     0x80, with a code, from either side
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.objects import Abort, AbortCode, Dictionary
from fieldbus.ethercat.simulated.sdo_info import Information

_COE, _SDO, _SIZE = struct.Struct("<H"), struct.Struct("<BHB"), struct.Struct("<I")
_HEAD, _WITH_SIZE, _SEGMENT_HEAD = 6, 10, 3
_MAILBOX_HEADER = 6
_EMERGENCY = struct.Struct("<HHB5s")
_COMPLETE, _EXPEDITED, _SIZED, _TOGGLE, _LAST = 0x10, 0x02, 0x01, 0x10, 0x01
_ABORT, _LEAST_SEGMENT = 0x80, 7
_MOST_BYTES = 1 << 20


class Service(IntEnum):
    """What a CoE message is (ETG.1000.6, table 29)."""

    EMERGENCY = 1
    SDO_REQUEST = 2
    SDO_RESPONSE = 3
    TX_PDO = 4
    RX_PDO = 5
    TX_PDO_REQUEST = 6
    RX_PDO_REQUEST = 7
    SDO_INFORMATION = 8


class Ask(IntEnum):
    """Client command specifiers: the highest 3 bits of an SDO request's command (ETG.1000.6, tables 30 to 39)."""

    DOWNLOAD_SEGMENT = 0
    DOWNLOAD = 1
    UPLOAD = 2
    UPLOAD_SEGMENT = 3
    ABORT = 4


@dataclass(slots=True)
class _Transfer:
    """A segmented transfer that is under way."""

    index: int
    subindex: int
    is_complete: bool
    is_upload: bool
    data: bytes
    size: int
    toggle: int = 0


class Coe:
    """The server of one slave. `state` tells the slave's state: rights depend on it."""

    def __init__(self, dictionary: Dictionary, state: Callable[[], AlState], nbytes: int = 128) -> None:
        self.dictionary, self.state = dictionary, state
        self.nbytes = nbytes
        """Of the mailbox to the master, its header counted."""
        self.aborts: dict[tuple[int, int], int] = {}
        """(index, subindex) -> the code with which every access is refused: faults to order."""
        self._information = Information(dictionary)
        self._transfer: _Transfer | None = None

    def reset(self) -> None:
        """Forget a transfer that is under way."""
        self._transfer = None

    def take(self, body: bytes) -> list[bytes]:
        """Answers to a message without its mailbox header."""
        service = Service.SDO_REQUEST if len(body) < 2 else _COE.unpack_from(body)[0] >> 12
        if service == Service.SDO_INFORMATION:
            head = _COE.pack(Service.SDO_INFORMATION << 12)
            room = self.nbytes - _MAILBOX_HEADER - _COE.size
            return [head + answer for answer in self._information.take(body[2:], room)]
        if service != Service.SDO_REQUEST:
            return []  # PDOs by mailbox, and what only a slave says
        return self._sdo(body)

    def emergency(self, code: int, register: int, data: bytes = b"") -> bytes:
        """The message that tells an error (ETG.1000.6, 5.6.3): error code and error register as of 0x603F and 0x1001."""
        return _EMERGENCY.pack(Service.EMERGENCY << 12, code, register, data[:5].ljust(5, b"\0"))

    # --- SDO ----------------------------------------------------------------------------------------------------------

    def _sdo(self, body: bytes) -> list[bytes]:
        if len(body) < _HEAD:
            return [self._abort(0, 0, AbortCode.COMMAND)]
        command, index, subindex = _SDO.unpack_from(body, 2)
        ask, transfer = command >> 5, self._transfer
        if ask == Ask.ABORT:
            self._transfer = None
            return []
        is_segment = ask in (Ask.DOWNLOAD_SEGMENT, Ask.UPLOAD_SEGMENT)
        if is_segment and transfer is not None:
            index, subindex = transfer.index, transfer.subindex
        try:
            if is_segment:
                return [self._segment(ask, command, body)]
            self._transfer = None
            if (code := self.aborts.get((index, subindex))) is not None:
                return [self._abort(index, subindex, code)]
            if ask == Ask.UPLOAD:
                return [self._upload(command, index, subindex)]
            if ask == Ask.DOWNLOAD:
                return [self._download(command, index, subindex, body)]
            raise Abort(AbortCode.COMMAND)
        except Abort as abort:
            self._transfer = None
            return [self._abort(index, subindex, abort.code)]

    def _answer(self, command: int, index: int, subindex: int, data: bytes = b"") -> bytes:
        head = _COE.pack(Service.SDO_RESPONSE << 12) + _SDO.pack(command, index, subindex)
        return (head + data).ljust(_WITH_SIZE, b"\0")

    def _abort(self, index: int, subindex: int, code: int) -> bytes:
        head = _COE.pack(Service.SDO_REQUEST << 12)  # ETG.1000.6, table 40: an abort is a request from either side
        return head + _SDO.pack(_ABORT, index, subindex) + _SIZE.pack(code)

    def _upload(self, command: int, index: int, subindex: int) -> bytes:
        complete = command & _COMPLETE
        data = self._read(index, subindex, bool(complete))
        if 0 < len(data) <= 4:
            unused = 4 - len(data)
            return self._answer(0x40 | complete | unused << 2 | _EXPEDITED | _SIZED, index, subindex, data)
        room = self.nbytes - _MAILBOX_HEADER - _WITH_SIZE
        if len(data) > room:
            self._transfer = _Transfer(index, subindex, bool(complete), True, data[room:], len(data))
        return self._answer(0x40 | complete | _SIZED, index, subindex, _SIZE.pack(len(data)) + data[:room])

    def _read(self, index: int, subindex: int, is_complete: bool) -> bytes:
        if is_complete:
            return self.dictionary.read_all(index, subindex, self.state())
        return self.dictionary.read(index, subindex, self.state())

    def _download(self, command: int, index: int, subindex: int, body: bytes) -> bytes:
        complete = command & _COMPLETE
        if len(body) < _WITH_SIZE:
            raise Abort(AbortCode.COMMAND)
        if command & _EXPEDITED:
            unused = (command >> 2) & 3 if command & _SIZED else 0
            self._write(index, subindex, bool(complete), body[_HEAD : _WITH_SIZE - unused])
            return self._answer(0x60 | complete, index, subindex)
        size, data = _SIZE.unpack_from(body, _HEAD)[0], body[_WITH_SIZE:]
        if size > _MOST_BYTES:
            raise Abort(AbortCode.NO_MEMORY)
        if len(data) < size:
            self.dictionary.find(index, subindex)
            self._transfer = _Transfer(index, subindex, bool(complete), False, data, size)
        else:
            self._write(index, subindex, bool(complete), data[:size])
        return self._answer(0x60 | complete, index, subindex)

    def _write(self, index: int, subindex: int, is_complete: bool, data: bytes) -> None:
        if is_complete:
            self.dictionary.write_all(index, subindex, data, self.state())
        else:
            self.dictionary.write(index, subindex, data, self.state())

    # --- segments -----------------------------------------------------------------------------------------------------

    def _segment(self, ask: int, command: int, body: bytes) -> bytes:
        transfer = self._transfer
        if transfer is None or transfer.is_upload != (ask == Ask.UPLOAD_SEGMENT):
            raise Abort(AbortCode.COMMAND)
        if command & _TOGGLE != transfer.toggle:
            raise Abort(AbortCode.TOGGLE)
        transfer.toggle ^= _TOGGLE
        if transfer.is_upload:
            return self._next_segment(transfer)
        self._take_segment(transfer, command, body[_SEGMENT_HEAD:])
        answer = _COE.pack(Service.SDO_RESPONSE << 12) + bytes([0x20 | command & _TOGGLE])
        return answer.ljust(_WITH_SIZE, b"\0")

    def _next_segment(self, transfer: _Transfer) -> bytes:
        room = self.nbytes - _MAILBOX_HEADER - _SEGMENT_HEAD
        data, transfer.data = transfer.data[:room], transfer.data[room:]
        command, unused = transfer.toggle ^ _TOGGLE, max(_LEAST_SEGMENT - len(data), 0)
        if not transfer.data:
            command |= _LAST
            self._transfer = None
        head = _COE.pack(Service.SDO_RESPONSE << 12) + bytes([command | unused << 1])
        return head + data.ljust(_LEAST_SEGMENT, b"\0")

    def _take_segment(self, transfer: _Transfer, command: int, data: bytes) -> None:
        unused = (command >> 1) & 7 if len(data) == _LEAST_SEGMENT else 0
        transfer.data += data[: len(data) - unused]
        if len(transfer.data) > transfer.size:
            raise Abort(AbortCode.TOO_LONG)
        if command & _LAST:
            self._transfer = None
            if len(transfer.data) < transfer.size:
                raise Abort(AbortCode.TOO_SHORT)
            self._write(transfer.index, transfer.subindex, transfer.is_complete, transfer.data)
