"""Questions and answers as bytes, with whatever answers: a device is judged here, so that its oddities are kept, not refused.

TCP   number 00 00 length unit | function body              MODBUS Messaging on TCP/IP V1.0b, 3.1.3
RTU                       unit | function body | crc        MODBUS over Serial Line V1.02, 2.5.1
"""

from __future__ import annotations

import select
import socket
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import serial

from fieldbus.errors import ConnectionLostError, GarbageError, NoAnswerError, cause
from fieldbus.modbus import protocol as p
from fieldbus.modbus.crc import with_crc

FIRST_NUMBER: Final = 0x5A01
"""Of transactions: a device that always answers with 0, 1 or 2 is noticed."""
_HEAD: Final = struct.Struct(">HHHB")
_LENGTHS: Final = range(3, p.MOST_PDU + 2)
_REMEMBERED: Final = 64
_QUIET_S: Final = 0.02
"""After so much silence nothing more of a broken frame comes, also through a USB adapter."""


@dataclass(slots=True)
class Oddities:
    """What answers had that a specification does not foresee."""

    numbers: set[int] = field(default_factory=set)
    """Transaction numbers of answers that nobody asked with."""
    units: set[int] = field(default_factory=set)
    """Unit numbers in answers that were not asked."""
    late_units: set[int] = field(default_factory=set)
    """Units whose answers came after they were given up."""
    has_echo: bool = False
    """What was sent was heard, too."""
    noise: int = 0
    """Bytes that were part of no frame."""


class Wire(Protocol):
    """One way to a device, and one question at a time on it."""

    oddities: Oddities

    def open(self, within_s: float) -> None:
        """Connect; raises `ConnectionLostError`, whose cause is the system's error."""

    def close(self) -> None:
        """Let go, if connected."""

    def exchange(self, unit: int, pdu: bytes, within_s: float) -> bytes:
        """Send a function code with its body, and give the answer's, which may be an exception; raises `DeviceError`."""


class TcpWire:
    """Modbus TCP."""

    def __init__(self, host: str, port: int) -> None:
        self.oddities = Oddities()
        self._where = (host, port)
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._number = FIRST_NUMBER - 1
        self._asked: dict[int, int] = {}

    def open(self, within_s: float) -> None:
        """Connect; raises `ConnectionLostError`, whose cause is the system's error."""
        self.close()
        try:
            self._socket = socket.create_connection(self._where, timeout=within_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            raise ConnectionLostError(f"cannot connect to {self._where[0]}:{self._where[1]}: {cause(error)}") from error

    def close(self) -> None:
        """Let go, if connected."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._received.clear()
        self._asked.clear()

    def exchange(self, unit: int, pdu: bytes, within_s: float) -> bytes:
        """Send a function code with its body, and give the answer's, which may be an exception; raises `DeviceError`."""
        until = time.monotonic() + within_s
        if self._socket is None:
            self.open(within_s)
        self._drain()
        self._number = (self._number + 1) & 0xFFFF
        self._send(_HEAD.pack(self._number, 0, len(pdu) + 1, unit) + pdu, within_s)
        self._asked[self._number] = unit
        while len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]
        while True:
            while frame := self._frame():
                answer = self._accept(frame, unit, pdu[0])
                if answer:
                    return answer
            self._receive(until)

    def _accept(self, frame: bytes, unit: int, function: int) -> bytes:
        """The answer, or nothing: it belongs to another question."""
        number, _, _, answered = _HEAD.unpack_from(frame)
        if number != self._number and number in self._asked:
            self.oddities.late_units.add(self._asked[number])
            return b""
        answer = frame[_HEAD.size :]
        if answer[0] not in (function, function | p.REFUSED, p.REFUSED):
            if number != self._number:
                return b""
            raise GarbageError(f"unit {unit}: asked with FC {function}, answered with FC {answer[0]}")
        if number != self._number:
            self.oddities.numbers.add(number)
        if answered != unit:
            self.oddities.units.add(answered)
        return answer

    def _send(self, frame: bytes, within_s: float) -> None:
        assert self._socket
        try:
            self._socket.settimeout(within_s)
            self._socket.sendall(frame)
        except OSError as error:
            self.close()
            raise ConnectionLostError(f"sending failed: {cause(error)}") from error

    def _frame(self) -> bytes:
        data = self._received
        if len(data) < _HEAD.size:
            return b""
        _, protocol, length, _ = _HEAD.unpack_from(data)
        if protocol or length not in _LENGTHS:
            got = bytes(data[: _HEAD.size + 1]).hex(" ")
            self.oddities.noise += len(data)
            self.close()
            raise GarbageError(f"not a Modbus TCP frame: {got}")
        end = _HEAD.size - 1 + length
        if len(data) < end:
            return b""
        frame = bytes(data[:end])
        del data[:end]
        return frame

    def _drain(self) -> None:
        """What came since the last question: answers that were late."""
        assert self._socket
        while select.select([self._socket], [], [], 0)[0]:
            self._receive(time.monotonic() + 1.0)
        with suppress(GarbageError):
            while frame := self._frame():
                number = _HEAD.unpack_from(frame)[0]
                if number in self._asked:
                    self.oddities.late_units.add(self._asked[number])
        if self._socket is None:
            raise ConnectionLostError("what came was no Modbus TCP")
        self._received.clear()

    def _receive(self, until: float) -> None:
        if self._socket is None:
            raise ConnectionLostError("the connection is closed")
        try:
            self._socket.settimeout(max(until - time.monotonic(), 1e-4))
            more = self._socket.recv(4096)
        except TimeoutError:
            half = bytes(self._received).hex(" ")
            raise NoAnswerError(f"half an answer: {half}" if half else "no answer in time") from None
        except OSError as error:
            self.close()
            raise ConnectionLostError(f"receiving failed: {cause(error)}") from error
        if not more:
            self.close()
            raise ConnectionLostError("the device closed the connection")
        self._received += more


class RtuWire:
    """Modbus RTU on a serial port."""

    def __init__(self, device: str, baudrate: int, parity: str, stopbits: int = 1) -> None:
        self.oddities = Oddities()
        self.settings = (baudrate, parity, stopbits)
        self._device = device
        self._port: serial.Serial | None = None
        self._silence_s = max(0.00175, 3.5 * 11 / baudrate)  # 2.5.1.1: 3.5 characters, at least 1.75 ms

    def open(self, within_s: float) -> None:
        """Open the port; raises `ConnectionLostError`, whose cause is the system's error."""
        self.close()
        baudrate, parity, stopbits = self.settings
        try:
            self._port = serial.Serial(
                self._device, baudrate, 8, parity, stopbits, timeout=0, write_timeout=within_s, exclusive=True
            )
        except (OSError, ValueError, termios.error) as error:
            raise ConnectionLostError(f"cannot open the serial port {self._device}: {cause(error)}") from error

    def close(self) -> None:
        """Let go, if it is open."""
        if self._port is not None:
            self._port.close()
        self._port = None

    def listen(self, for_s: float) -> bytes:
        """What is said on the line while nobody is asked by us."""
        until, heard = time.monotonic() + for_s, b""
        while (left := until - time.monotonic()) > 0:
            heard += self._read(left)
        return heard

    def exchange(self, unit: int, pdu: bytes, within_s: float) -> bytes:
        """Send a function code with its body, and give the answer's, which may be an exception; raises `DeviceError`."""
        if self._port is None:
            self.open(within_s)
        self._drain()
        request = with_crc(bytes([unit]) + pdu)
        self._write(request)
        until, data = time.monotonic() + within_s + len(request) * 11 / self.settings[0], b""
        while (left := until - time.monotonic()) > 0:
            data += self._read(left)
            if data.startswith(request) and (len(data) > len(request) or frame_bytes(data) != len(request)):
                self.oddities.has_echo = True
                data = data[len(request) :]
            answer, data = self._answer(data, unit, pdu[0])
            if answer:
                return answer
        if data:
            self.oddities.noise += len(data)
            raise GarbageError(f"no whole frame with a right CRC: {data[:16].hex(' ')}")
        raise NoAnswerError("no answer in time")

    def _answer(self, data: bytes, unit: int, function: int) -> tuple[bytes, bytes]:
        """(the answer, or nothing yet; what is left)."""
        while (size := frame_bytes(data)) and len(data) >= size:
            frame, rest = data[:size], data[size:]
            if with_crc(frame[:-2]) != frame:
                self.oddities.noise += len(data) + len(self.listen(_QUIET_S))
                raise GarbageError(f"wrong CRC: {frame[:16].hex(' ')}")
            if frame[1] in (function, function | p.REFUSED) and frame[0] == unit:
                return frame[1:-2], rest
            self.oddities.late_units.add(frame[0])
            data = rest
        return b"", data

    def _drain(self) -> None:
        """Wait until nobody talks; a frame that came meanwhile was a late answer."""
        heard = b""
        while more := self._read(self._silence_s):
            heard += more
            if len(heard) > 4 * p.MOST_PDU:
                raise GarbageError("the line is never quiet: somebody else talks on it")
        if frame_bytes(heard) and with_crc(heard[:-2]) == heard:
            self.oddities.late_units.add(heard[0])
        elif heard:
            self.oddities.noise += len(heard)

    def _write(self, frame: bytes) -> None:
        assert self._port
        try:
            self._port.write(frame)
        except (OSError, serial.SerialException, termios.error) as error:
            raise ConnectionLostError(f"serial port {self._device}: {cause(error)}") from error

    def _read(self, within_s: float) -> bytes:
        """What comes first, or nothing."""
        assert self._port
        try:
            if not select.select([self._port.fileno()], [], [], within_s)[0]:
                return b""
            data: bytes = self._port.read(max(1, self._port.in_waiting))
        except (OSError, serial.SerialException) as error:
            self.close()
            raise ConnectionLostError(f"serial port {self._device}: {cause(error)}") from error
        return data


def frame_bytes(data: bytes) -> int:
    """The length of the answer that begins `data`, with unit and CRC; 0: too little has come to know."""
    if len(data) < 3:
        return 0
    if data[1] & p.REFUSED:
        return 5
    if data[1] != p.ENCAPSULATED:
        return 3 + data[2] + 2
    at = 8  # unit, function, type, code, conformity, more, next, count of objects
    if len(data) < at:
        return 0
    for _ in range(data[7]):
        if len(data) < at + 2:
            return 0
        at += 2 + data[at + 1]
    return at + 2
