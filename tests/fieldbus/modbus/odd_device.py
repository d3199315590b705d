"""A Modbus TCP device with registers, and with the oddities that devices in the field have."""

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.devices import TcpDevice

Asked = tuple[int, int, bytes]
"""Unit, function code, body."""


@dataclass
class Odd:
    """Serves 127.0.0.1:`port`. Every register holds what was written to it, or 0; units share them.

    Attributes:
        lacks: function codes that are refused with exception 1.
        hidden: holding registers that cannot be read: exception 2.
        most: registers of a request above which it is refused with exception 3; `most_code`: with another.
        transaction, unit: numbers that every answer has, whatever was asked.
        twice: every answer is sent two times.
        deaf_s: nothing is heard so long after connecting; gap_s: nor sooner than this after an answer is ready.
        every, code: each `every`-th request is refused with this exception.
    """

    lacks: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()
    most: int = 125
    most_code: int = 3
    transaction: int | None = None
    unit: int | None = None
    twice: bool = False
    deaf_s: float = 0.0
    gap_s: float = 0.0
    every: int = 0
    code: int = 6
    registers: dict[int, int] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> "Odd":
        self._device = TcpDevice(self._serve)
        self.port, self.hang_up = self._device.port, self._device.hang_up
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._device.close()

    @property
    def connections(self) -> int:
        """How many there were."""
        return self._device.connections

    def _serve(self, sock: socket.socket) -> None:
        hears_from = time.monotonic() + self.deaf_s
        stream = sock.makefile("rb")
        with suppress(ValueError):  # an answer that cannot be
            while head := stream.read(7):
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                pdu = stream.read(length - 1)
                if time.monotonic() < hears_from:
                    continue
                self.asked.append((unit, pdu[0], pdu[1:]))
                answer = self._answer(pdu[0], pdu[1:])
                transaction = transaction if self.transaction is None else self.transaction
                unit = unit if self.unit is None else self.unit
                frame = struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer
                hears_from = time.monotonic() + self.gap_s
                sock.sendall(frame * (2 if self.twice else 1))

    def _answer(self, function: int, body: bytes) -> bytes:
        code = self._refusal(function, body)
        if code:
            return bytes([function | 0x80, code])
        address, number = struct.unpack(">HH", body[:4])
        if function == 23:
            start = struct.unpack(">H", body[4:6])[0]
            self._write(start, body[9:])
        elif function == 22:
            (bits,) = struct.unpack(">H", body[4:6])
            self.registers[address] = self.registers.get(address, 0) & number | bits & ~number
            return bytes([function]) + body
        elif function in (5, 6, 15, 16):
            self._write(address, body[2:4] if function == 6 else body[5:] if function == 16 else b"")
            return bytes([function]) + body[:4]
        nbytes = (number + 7) // 8 if function in (1, 2) else 2 * number
        words = b"".join(struct.pack(">H", self.registers.get(address + n, 0)) for n in range(number))
        return bytes([function, nbytes]) + words[:nbytes]

    def _refusal(self, function: int, body: bytes) -> int:
        address, number = struct.unpack(">HH", body[:4])
        if function in self.lacks:
            return 1
        if function in (3, 23) and any(address <= register < address + number for register in self.hidden):
            return 2
        if self.every and len(self.asked) % self.every == 0:
            return self.code
        return self.most_code if function in (3, 4, 16, 23) and number > self.most else 0

    def _write(self, address: int, words: bytes) -> None:
        for n, (word,) in enumerate(struct.iter_unpack(">H", words)):
            self.registers[address + n] = word
