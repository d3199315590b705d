"""Frames of Modbus RTU (MODBUS over Serial Line V1.02, 2.5.1).

    unit: 1 | PDU: 1 to 253 | CRC: 2, low byte first                then silence of at least 3.5 characters

Computers do not see silences of two milliseconds: USB adapters pass bytes on in lumps. So a frame ends where its function
code says that it does, if the CRC agrees. Silence ends what has no such end (unknown functions), and what is broken is
forgotten then: nothing answers a wrong CRC. Frames of other units, requests and answers, are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fieldbus.modbus import protocol as p
from fieldbus.modbus.crc import crc, with_crc

MOST: Final = 1 + p.MOST_PDU + 2
BROADCAST: Final = 0
"""Written by all units, answered by none."""
_LEAST: Final = 4
_READS: Final = (p.READ_COILS, p.READ_DISCRETE_INPUTS, p.READ_HOLDING_REGISTERS, p.READ_INPUT_REGISTERS)
_WRITES: Final = (p.WRITE_COILS, p.WRITE_REGISTERS)


def frame(unit: int, pdu: bytes) -> bytes:
    """A frame to send."""
    return with_crc(bytes((unit,)) + pdu)


class Reader:
    """Cuts what comes from the line into frames for `unit`, and broadcasts."""

    def __init__(self, unit: int) -> None:
        self._unit = unit
        self._received = bytearray()
        self.broken = 0
        """Frames with a wrong CRC or length."""

    @property
    def is_waiting(self) -> bool:
        """Is there the beginning of a frame?"""
        return bool(self._received)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(unit, request PDU) of each frame that is whole now."""
        self._received += data
        found = []
        while size := self._whole():
            found += self._frame(size)
            del self._received[:size]
        del self._received[MOST + 1 :]
        return found

    def silence(self) -> list[tuple[int, bytes]]:
        """Nothing has come for a while: what is there is a frame, or broken."""
        size = len(self._received)
        found = []
        if _LEAST <= size <= MOST and not crc(self._received):
            found = self._frame(size)
        elif size:
            self.broken += 1
        self._received.clear()
        return found

    def _whole(self) -> int:
        """Bytes of the frame at the beginning, if it is whole and sound; else 0."""
        data = self._received
        for size in _sizes(data, data[0] != self._unit) if len(data) >= 2 else ():
            if _LEAST <= size <= min(len(data), MOST) and not crc(data[:size]):
                return size
        return 0

    def _frame(self, size: int) -> list[tuple[int, bytes]]:
        unit = self._received[0]
        return [(unit, bytes(self._received[1 : size - 2]))] if unit in (self._unit, BROADCAST) else []


def _sizes(data: bytearray, is_foreign: bool) -> Iterator[int]:
    """Where the frame may end: as a request, and as an answer of another unit."""
    function = data[1]
    if function in (*_READS, p.WRITE_COIL, p.WRITE_REGISTER):
        yield 8
    elif function in _WRITES and len(data) > 6:
        yield 9 + data[6]
    elif function == p.MASK_REGISTER:
        yield 10
    elif function == p.READ_WRITE_REGISTERS and len(data) > 10:
        yield 13 + data[10]
    elif function == p.ENCAPSULATED:
        yield 7
    if is_foreign:
        if function & p.REFUSED:
            yield 5
        elif function in (*_READS, p.READ_WRITE_REGISTERS) and len(data) > 2:
            yield 5 + data[2]
        elif function in _WRITES:
            yield 8
