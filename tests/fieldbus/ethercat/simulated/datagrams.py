"""Frames made and read by hand, and a bus without a wire whose time is the test's."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fieldbus.ethercat.protocol import ETHERTYPE, Command
from fieldbus.ethercat.simulated.bus import Bus
from fieldbus.ethercat.simulated.device import Device

MS = 1_000_000


@dataclass(frozen=True)
class Datagram:
    """One datagram: as it is sent, or as it came back."""

    command: int
    address: int
    data: bytes
    counter: int = 0
    index: int = 0
    events: int = 0
    marks: int = 0


def at(position: int, register: int) -> int:
    """The address of a datagram that goes by position (APxx) or to a station."""
    return (position & 0xFFFF) | register << 16


COUNT = Datagram(Command.BRD, at(0, 0), b"\0")
"""How many are there?"""


def pack(datagrams: Sequence[Datagram]) -> bytes:
    """A frame."""
    body = b""
    for number, one in enumerate(datagrams):
        field_ = len(one.data) | one.marks | (0x8000 if number < len(datagrams) - 1 else 0)
        body += struct.pack("<BBIHH", one.command, one.index, one.address, field_, one.events) + one.data
        body += struct.pack("<H", one.counter)
    return (
        b"\xff" * 6
        + b"\x02\x00\x00\x00\x00\x01"
        + struct.pack(">H", ETHERTYPE)
        + struct.pack("<H", len(body) | 0x1000)
        + body
    )


def unpack(frame: bytes) -> list[Datagram]:
    """What is in a frame."""
    found, place, more = [], 16, True
    while more:
        command, index, address, field_, events = struct.unpack_from("<BBIHH", frame, place)
        nbytes = field_ & 0x7FF
        data, counter = frame[place + 10 : place + 10 + nbytes], struct.unpack_from("<H", frame, place + 10 + nbytes)[0]
        found.append(Datagram(command, address, data, counter, index, events, field_ & 0x4000))
        place += 12 + nbytes
        more = bool(field_ & 0x8000)
    return found


@dataclass
class Line:
    """A bus without a wire."""

    bus: Bus
    now: int = field(default=1_000 * MS)

    def send(self, *datagrams: Datagram, port: int = 0) -> list[Datagram] | None:
        """What comes back; None: nothing does."""
        carried = self.bus.carry(pack(datagrams), port, self.now)
        return None if carried is None else unpack(carried[1])

    def ask(self, command: Command, position: int, register: int, data: bytes) -> Datagram:
        """One datagram by position, station or to all."""
        back = self.send(Datagram(command, at(position, register), data))
        assert back is not None
        return back[0]

    def logical(self, command: Command, address: int, data: bytes) -> Datagram:
        """One datagram with a logical address."""
        back = self.send(Datagram(command, address, data))
        assert back is not None
        return back[0]

    def read(self, slave: int, register: int, nbytes: int) -> bytes:
        """Of one slave, by position; it must be there."""
        back = self.ask(Command.APRD, -slave, register, bytes(nbytes))
        assert back.counter == 1
        return back.data

    def write(self, slave: int, register: int, data: bytes) -> int:
        """To one slave, by position; gives the working counter."""
        return self.ask(Command.APWR, -slave, register, data).counter

    def manager(self, slave: int, number: int, start: int, nbytes: int, control: int) -> None:
        """Activate a sync manager."""
        assert self.write(slave, 0x800 + 8 * number, struct.pack("<HHBBBB", start, nbytes, control, 0, 1, 0)) == 1

    def map(
        self, slave: int, number: int, logical: int, nbytes: int, physical: int, kind: int, bits: tuple[int, int, int]
    ) -> None:
        """Activate a FMMU; `bits`: first and last logical bit, first physical bit."""
        row = struct.pack("<IHBBHBBB3x", logical, nbytes, bits[0], bits[1], physical, bits[2], kind, 1)
        assert self.write(slave, 0x600 + 16 * number, row) == 1


@contextmanager
def line(devices: Sequence[Device], **settings: int) -> Iterator[Line]:
    """Such a bus; its slaves have power since a second."""
    bus = Bus(devices, **settings)  # type: ignore[arg-type]
    try:
        yield Line(bus)
    finally:
        bus.close()
