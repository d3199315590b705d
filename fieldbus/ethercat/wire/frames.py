"""EtherCAT frames as bytes (ETG.1000.4, clause 5). Pure.

    Ethernet   destination 6 | source 6 | type 0x88A4, high byte first
    EtherCAT   length of the datagrams, 11 bits | 0 | type 1, 4 bits
    datagram   command 1 | index 1 | address 4 | length, 11 bits, 0, C, M | event request 2 | data | working counter 2

All numbers but the type have the low byte first. M: another datagram follows; C: the frame has gone round a broken ring.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.errors import GarbageError
from fieldbus.ethercat.protocol import ETHERTYPE, Command

ETHERNET: Final = struct.Struct(">6s6sH")
HEADER: Final = struct.Struct("<H")
DATAGRAM: Final = struct.Struct("<BBIHH")
COUNTER: Final = struct.Struct("<H")
HEAD_BYTES: Final = ETHERNET.size + HEADER.size
AROUND_BYTES: Final = DATAGRAM.size + COUNTER.size
"""A datagram's bytes besides its data."""
MOST_DATA: Final = 1486
"""Data in one datagram that is alone in its frame."""
MOST_DATAGRAMS: Final = MOST_DATA + AROUND_BYTES
"""Bytes of all datagrams in one frame: 1,500 that Ethernet carries, less the header."""
LEAST_FRAME: Final = 60
"""Shorter ones are filled with zeros."""
BROADCAST: Final = b"\xff" * 6
SOURCE: Final = b"\x02\x52\x54\x45\x00\x01"
"""A locally administered address; the first slave sets the second bit of its first byte, which is set."""
LENGTH: Final = 0x07FF
CIRCULATED: Final = 0x4000
MORE: Final = 0x8000
_KIND: Final = 0x1000


@dataclass(frozen=True, slots=True)
class Datagram:
    """One of the datagrams of a frame. `address` is a logical one, or of station and register (`at`)."""

    command: Command
    address: int
    data: bytes
    index: int = 0
    counter: int = 0
    event: int = 0

    @property
    def nbytes(self) -> int:
        """In a frame."""
        return len(self.data) + AROUND_BYTES

    def packed(self, is_last: bool) -> bytes:
        """Its bytes."""
        length = len(self.data) | (0 if is_last else MORE)
        head = DATAGRAM.pack(self.command, self.index, self.address, length, self.event)
        return head + self.data + COUNTER.pack(self.counter)


def at(station: int, register: int) -> int:
    """The address of a register of a station, or, broadcast or by position, of the position."""
    return (station & 0xFFFF) | register << 16


def head(nbytes: int, source: bytes = SOURCE) -> bytes:
    """What is before datagrams of so many bytes together."""
    return ETHERNET.pack(BROADCAST, source, ETHERTYPE) + HEADER.pack(nbytes | _KIND)


def frame_of(datagrams: Sequence[Datagram], source: bytes = SOURCE) -> bytes:
    """A whole frame, filled with zeros to its least length."""
    body = b"".join(one.packed(one is datagrams[-1]) for one in datagrams)
    return (head(len(body), source) + body).ljust(LEAST_FRAME, b"\0")


def datagrams_of(frame: bytes) -> list[Datagram]:
    """The datagrams of a frame; raises `GarbageError`."""
    if len(frame) < HEAD_BYTES or ETHERNET.unpack_from(frame)[2] != ETHERTYPE:
        raise GarbageError("no EtherCAT frame")
    (word,) = HEADER.unpack_from(frame, ETHERNET.size)
    nbytes = word & LENGTH
    if word & 0xF000 != _KIND or len(frame) < HEAD_BYTES + nbytes:
        raise GarbageError(f"an EtherCAT frame of {len(frame)} bytes says 0x{word:04X} of itself")
    return list(_cut(frame[HEAD_BYTES : HEAD_BYTES + nbytes]))


def _cut(body: bytes) -> Iterator[Datagram]:
    first, has_more = 0, True
    while has_more:
        if first + AROUND_BYTES > len(body):
            raise GarbageError(f"a datagram at byte {first} of {len(body)} is not whole")
        command, index, address, length, event = DATAGRAM.unpack_from(body, first)
        end = first + DATAGRAM.size + (length & LENGTH)
        if end + COUNTER.size > len(body) or command > max(Command):
            raise GarbageError(
                f"a datagram at byte {first} of {len(body)} says command {command}, {length & LENGTH} bytes"
            )
        (counter,) = COUNTER.unpack_from(body, end)
        yield Datagram(Command(command), address, body[first + DATAGRAM.size : end], index, counter, event)
        first, has_more = end + COUNTER.size, bool(length & MORE)
