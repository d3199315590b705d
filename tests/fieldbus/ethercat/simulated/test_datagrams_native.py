"""Who takes part in a datagram, and what the working counter gains: ETG.1000.4, clause 5.4."""

import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.device import EscKind
from fieldbus.ethercat.simulated.generic import Mirror
from tests.fieldbus.ethercat.simulated.datagrams import Datagram, at, line

BYTES = (0, 7, 0)
"""Logical bits 0 to 7, physical bit 0: whole bytes."""


@pytest.fixture
def three():
    """Three slaves with station addresses 1001, 1002, 1003."""
    with line([Mirror(), Mirror(), Mirror(kind=EscKind(has_lrw=False))]) as one:
        for i in range(3):
            one.write(i, 0x0010, (1001 + i).to_bytes(2, "little"))
        yield one


RAM = 0x1100


@pytest.mark.parametrize(
    ("command", "position", "counter", "moved"),
    [
        (Command.NOP, 0, 0, 0),
        (Command.APRD, -1, 1, 3),
        (Command.APRD, -3, 0, 3),
        (Command.APWR, -1, 1, 3),
        (Command.APRW, -1, 3, 3),
        (Command.FPRD, 1002, 1, 0),
        (Command.FPRD, 1004, 0, 0),
        (Command.FPWR, 1002, 1, 0),
        (Command.FPRW, 1002, 3, 0),
        (Command.BRD, 0, 3, 3),
        (Command.BWR, 0, 3, 3),
        (Command.BRW, 0, 9, 3),
        (Command.ARMW, -1, 3, 3),
        (Command.FRMW, 1002, 3, 0),
        (15, 0, 0, 0),
        (255, 0, 0, 0),
    ],
)
def test_each_command_counts_and_moves_the_position(three, command, position, counter, moved):
    """A read and a write count 1, both in one 1 and 2; positions count up at every slave, station addresses do not."""
    back = three.ask(command, position, RAM, b"ab")
    assert back.counter == counter
    assert back.address & 0xFFFF == (position + moved) & 0xFFFF


def test_a_broadcast_read_adds_bits(three):
    for i, byte in enumerate((0x01, 0x10, 0x80)):
        three.write(i, RAM, bytes([byte]))
    assert three.ask(Command.BRD, 0, RAM, b"\x02").data == b"\x93"


def test_who_reads_and_writes_gives_the_old_value(three):
    three.write(1, RAM, b"old")
    assert three.ask(Command.FPRW, 1002, RAM, b"new").data == b"old"
    assert three.read(1, RAM, 3) == b"new"


def test_one_reads_and_all_others_write(three):
    """ARMW and FRMW carry what one slave has to those behind it."""
    three.write(1, RAM, b"two")
    for command, position in ((Command.ARMW, -1), (Command.FRMW, 1002)):
        three.write(0, RAM, b"one")
        three.write(2, RAM, b"six")
        assert three.ask(command, position, RAM, b"sent"[:3]).data == b"two"
        assert [three.read(i, RAM, 3) for i in range(3)] == [b"sen", b"two", b"two"]


def test_a_counter_goes_on_from_what_was_sent(three):
    back = three.send(Datagram(Command.BRD, at(0, 0), bytes(1), counter=0xFFFE))
    assert back[0].counter == 1


def test_an_alias_counts_where_it_is_switched_on():
    with line([Mirror(alias=77)]) as one:
        assert one.read(0, 0x0012, 2) == b"\x4d\x00"
        assert one.ask(Command.FPRD, 77, 0, b"\0").counter == 0
        one.write(0, 0x0103, b"\x01")
        assert one.ask(Command.FPRD, 77, 0, b"\0").counter == 1


def test_an_offset_lies_between_what_is_read_and_written(three):
    three.write(0, 0x0108, b"\x10\x00")
    three.write(0, RAM, b"x")
    assert three.ask(Command.APRW, 0, RAM, b"y").data == b"x"
    assert (three.read(0, RAM, 1), three.read(0, RAM + 16, 1)) == (b"x", b"y")


def test_logical_bytes_reach_those_who_map_them(three):
    """Two slaves that write and read: 3 each for LRW, and one without LRW takes no part; it has LRD and LWR."""
    for i in range(3):
        three.map(i, 0, 0x10000 + 2 * i, 2, RAM, 2, BYTES)
        three.map(i, 1, 0x10000 + 2 * i, 2, RAM + 16, 1, BYTES)
        three.write(i, RAM + 16, bytes([i, i]))
    back = three.logical(Command.LRW, 0x10000, b"abcdef")
    assert (back.counter, back.data) == (6, b"\0\0\x01\x01ef")
    assert [three.read(i, RAM, 2) for i in range(3)] == [b"ab", b"cd", b"\0\0"]
    assert three.logical(Command.LWR, 0x10000, b"ghijkl").counter == 3
    back = three.logical(Command.LRD, 0x10000, b"......")
    assert (back.counter, back.data) == (3, b"\0\0\x01\x01\x02\x02")
    assert three.read(2, RAM, 2) == b"kl"


def test_a_part_of_a_range_is_mapped_in_its_place(three):
    three.map(0, 0, 0x10002, 4, RAM, 2, BYTES)
    assert three.logical(Command.LWR, 0x10000, b"..ab").counter == 1
    assert three.logical(Command.LWR, 0x10005, b"d..").counter == 1
    assert three.logical(Command.LWR, 0x10006, b"...").counter == 0
    assert three.read(0, RAM, 4) == b"ab\0d"


@pytest.mark.parametrize(("bits", "physical", "written"), [((4, 7, 0), 0x30, b"\x0a"), ((2, 5, 4), 0x0F, b"\x9f")])
def test_bits_go_where_they_are_mapped(three, bits, physical, written):
    """Four bits of a logical byte are four bits of a physical one; the others stay."""
    three.write(0, RAM, bytes([physical]))
    three.map(0, 0, 0x10000, 1, RAM, 2, bits)
    three.map(1, 0, 0x10000, 1, RAM, 1, bits)
    sent = b"\xa6"
    assert three.logical(Command.LWR, 0x10000, sent).counter == 1
    kept = ~(0x0F << bits[2]) & 0xFF
    expected = (physical & kept) | (((0xA6 >> bits[0]) & 0x0F) << bits[2])
    assert three.read(0, RAM, 1) == bytes([expected])
    three.write(1, RAM, b"\xff")
    mask = 0x0F << bits[0]
    assert three.logical(Command.LRD, 0x10000, b"\0").data == bytes([mask])


def test_bits_may_cross_bytes(three):
    """Twelve bits from bit 6 on are twelve from physical bit 1 on."""
    three.map(0, 0, 0x10000, 3, RAM, 2, (6, 1, 1))
    three.logical(Command.LWR, 0x10000, (0xABC << 6).to_bytes(3, "little"))
    assert int.from_bytes(three.read(0, RAM, 2), "little") == 0xABC << 1


def test_event_requests_ride_along(three):
    """A changed AL status asks for the master, where its mask lets it, until the status is read."""
    three.write(1, 0x0200, b"\x08\x00")
    three.bus.escs[1].al_status(2)
    assert three.ask(Command.BRD, 0, 0, b"\0").events == 0x08
    three.read(1, 0x0130, 2)
    assert three.ask(Command.BRD, 0, 0, b"\0").events == 0
