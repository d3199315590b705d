"""Frames as bytes."""

import pytest

from fieldbus.errors import GarbageError
from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.wire.frames import (
    BROADCAST,
    HEAD_BYTES,
    LEAST_FRAME,
    MORE,
    SOURCE,
    Datagram,
    at,
    datagrams_of,
    frame_of,
)

STATE = Datagram(Command.BRD, at(0, 0x130), bytes(2), index=0x81)
IMAGE = Datagram(Command.LRW, 0x10000, b"\1\2\3", index=0x81, counter=3, event=0x0400)


def test_a_frame_is_that_of_the_standard() -> None:
    """ETG.1000.4, clause 5: a BRD of the AL status, byte by byte, and zeros up to the least that Ethernet carries."""
    frame = frame_of([STATE])
    assert frame[:12] == BROADCAST + SOURCE
    assert frame[12:16].hex(" ") == "88 a4 0e 10"
    assert frame[16:30].hex(" ") == "07 81 00 00 30 01 02 00 00 00 00 00 00 00"
    assert frame[30:] == bytes(LEAST_FRAME - 30)


def test_all_but_the_last_datagram_say_that_another_follows() -> None:
    """Bit 15 of the length."""
    frame = frame_of([STATE, IMAGE])
    assert int.from_bytes(frame[22:24], "little") == MORE | 2
    assert int.from_bytes(frame[36:38], "little") == 3


def test_what_was_packed_is_read() -> None:
    """Every field comes back."""
    assert datagrams_of(frame_of([STATE, IMAGE])) == [STATE, IMAGE]


@pytest.mark.parametrize("end", range(0, HEAD_BYTES + 14 + 15 - 1, 3))
def test_half_a_frame_is_garbage(end: int) -> None:
    """Wherever it is cut."""
    with pytest.raises(GarbageError):
        datagrams_of(frame_of([STATE, IMAGE])[:end])


@pytest.mark.parametrize(("place", "byte"), [(12, 8), (15, 0x20), (16, 99), (22, 99), (37, 0x80)])
def test_a_frame_that_contradicts_itself_is_garbage(place: int, byte: int) -> None:
    """Another type, a command or length that cannot be, a datagram that is not there."""
    frame = bytearray(frame_of([STATE, IMAGE]))
    frame[place] = byte
    with pytest.raises(GarbageError):
        datagrams_of(bytes(frame))
