"""What a master may read and write of one ESC, and what writing does."""

import time

import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.device import EscKind
from fieldbus.ethercat.simulated.generic import Mirror
from tests.fieldbus.ethercat.simulated.datagrams import Datagram, at, line


@pytest.fixture
def one():
    """A slave with little memory."""
    with line([Mirror(kind=EscKind(ram_bytes=4096, fmmus=3, sync_managers=4))]) as bus:
        yield bus


def test_features_are_as_ordered(one):
    """Type, FMMUs, sync managers, KB of memory; the clock has 64 bits."""
    assert one.read(0, 0x0000, 1) == b"\x11"
    assert one.read(0, 0x0004, 3) == b"\x03\x04\x04"
    assert one.read(0, 0x0008, 2) == b"\x0c\x01"


@pytest.mark.parametrize(
    "register", [0x0000, 0x0012, 0x0110, 0x0130, 0x0134, 0x0440, 0x0630, 0x0805, 0x0820, 0x092C, 0x2000]
)
def test_what_is_read_only_or_absent_is_not_written(one, register):
    """It counts nothing, and stays."""
    before = one.ask(Command.APRD, 0, register, bytes(1)).data
    assert one.write(0, register, b"\x55") == 0
    assert one.ask(Command.APRD, 0, register, bytes(1)).data == before


def test_behind_its_memory_there_is_nothing(one):
    assert one.ask(Command.APRD, 0, 0x2000, b"..").counter == 0
    assert one.ask(Command.APRD, 0, 0x1FFE, b"....") == Datagram(Command.APRD, at(1, 0x1FFE), b"\0\0..", 1)
    assert one.ask(Command.APWR, 0, 0xFFFE, b"....").counter == 0


def test_an_active_sync_manager_keeps_its_settings(one):
    one.manager(0, 0, 0x1000, 8, 0x26)
    assert one.write(0, 0x0800, b"\x00\x11\x04\x00\x22") == 0
    assert one.read(0, 0x0800, 5) == b"\x00\x10\x08\x00\x26"
    assert one.write(0, 0x0806, b"\x00") == 1
    assert one.write(0, 0x0800, b"\x00\x11\x04\x00\x22") == 1


def test_writing_can_be_switched_off(one):
    """With protection a frame has to enable writing first; memory is not protected by it."""
    one.write(0, 0x0021, b"\x01")
    assert one.write(0, 0x0010, b"\x01\x02") == 0
    assert one.write(0, 0x1000, b"x") == 1
    sent = [Datagram(Command.APWR, at(0, 0x0020), b"\0"), Datagram(Command.APWR, at(0, 0x0010), b"\x01\x02")]
    assert [d.counter for d in one.send(*sent)] == [1, 1]
    assert one.write(0, 0x0010, b"\x03\x04") == 0
    assert one.read(0, 0x0010, 2) == b"\x01\x02"


def test_all_writing_can_be_switched_off(one):
    one.write(0, 0x0031, b"\x01")
    assert one.write(0, 0x1000, b"x") == 0
    sent = [Datagram(Command.APWR, at(0, 0x0030), b"\0"), Datagram(Command.APWR, at(0, 0x1000), b"x")]
    assert [d.counter for d in one.send(*sent)] == [1, 1]


def test_three_letters_in_three_frames_reset_it(one):
    """Letters with a frame between them do not."""
    one.write(0, 0x0010, b"\x07\x00")
    for letters in (b"RE", b"R", b"ES", b"RE"):
        for letter in letters:
            one.write(0, 0x0040, bytes([letter]))
        one.read(0, 0, 1)
    assert one.read(0, 0x0010, 2) == b"\x07\x00"
    for letter in b"RES":
        one.write(0, 0x0040, bytes([letter]))
    assert one.read(0, 0x0010, 2) == b"\0\0"


def test_error_counters_are_cleared_by_writing(one):
    """A group at once; lost links are another."""
    one.bus.fault({"kind": 5, "left": 2})
    for _ in range(2):
        assert one.send(Datagram(Command.BRD, at(0, 0), b"\0")) is None
    one.bus.escs[0].write(0x0310, b"\x05")
    assert one.read(0, 0x0300, 1) == b"\x02"
    assert one.write(0, 0x0302, b"\0") == 1
    assert one.read(0, 0x0300, 12) == bytes(12)
    assert one.read(0, 0x0310, 1) == b"\x05"


def test_al_status_follows_where_there_is_no_firmware():
    with line([Mirror(kind=EscKind(emulates_device=True))]) as one:
        one.write(0, 0x0120, b"\x08\x00")
        assert one.read(0, 0x0130, 2) == b"\x08\x00"


def test_an_eeprom_is_read_and_written_word_by_word():
    """A command takes its time; writing needs to be enabled; given to the device it does nothing."""
    with line([Mirror(vendor=0x12345678, kind=EscKind(eeprom_at_once=4))], eeprom_ns=1000) as one:
        one.write(0, 0x0502, b"\x00\x01\x08\x00\x00\x00")
        assert one.read(0, 0x0502, 2)[1] & 0x80
        one.now += 1000
        assert one.read(0, 0x0502, 2)[1] & 0xE7 == 0
        assert one.read(0, 0x0508, 4) == b"\x78\x56\x34\x12"
        one.write(0, 0x0502, b"\x00\x02\x08\x00\x00\x00\xaa\xbb")
        assert one.read(0, 0x0502, 2)[1] & 0x40
        one.write(0, 0x0502, b"\x01\x02\x08\x00\x00\x00\xaa\xbb")
        one.now += 1000
        assert one.read(0, 0x0502, 2)[1] & 0xE7 == 0
        assert bytes(one.bus.escs[0].eeprom[16:20]) == b"\xaa\xbb\x34\x12"
        one.write(0, 0x0500, b"\x01")
        one.write(0, 0x0502, b"\x01\x02\x08\x00\x00\x00\xcc\xdd")
        assert bytes(one.bus.escs[0].eeprom[16:18]) == b"\xaa\xbb"


def test_a_damaged_eeprom_is_seen():
    """DL status says that nothing was loaded, and the interface that the checksum is wrong; the alias is not taken."""
    device = Mirror(alias=9)
    device.sii = device.sii[:4] + b"\xff" + device.sii[5:]
    with line([device]) as one:
        assert one.read(0, 0x0110, 1)[0] & 1 == 0
        assert one.read(0, 0x0502, 2)[1] & 0x08
        assert one.read(0, 0x0012, 2) == b"\0\0"


def test_a_watchdog_expires_once():
    """100 ms without outputs, by default: the status says so, it is counted, and the device falls back."""
    with line([Mirror()]) as one:
        one.manager(0, 0, 0x1000, 2, 0x44)
        for state in (2, 4, 8):
            one.write(0, 0x0120, bytes([state, 0]))
        assert one.read(0, 0x0440, 1) == b"\0"
        one.write(0, 0x1000, b"ab")
        for _ in range(3):
            one.now += 99_000_000
            one.write(0, 0x1000, b"ab")
        assert one.read(0, 0x0440, 3) == b"\x01\0\0"
        one.now += 101_000_000
        one.read(0, 0, 1)
        one.now += 200_000_000
        assert one.read(0, 0x0440, 3) == b"\0\0\x01"
        assert one.read(0, 0x0130, 6) == b"\x14\0\0\0\x1b\0"
        one.write(0, 0x0420, b"\0\0")
        assert one.read(0, 0x0440, 1) == b"\x01"


def test_a_device_that_hangs_is_seen_in_dl_status():
    """100 ms after it did something last, by default; it is counted, and back when the device works again."""
    with line([Mirror()]) as one:
        one.now = time.monotonic_ns()
        one.bus.order({"do": "hang", "slave": 0})
        assert one.read(0, 0x0110, 1)[0] & 2
        one.now += 10_000_000_000
        one.read(0, 0, 1)
        assert one.read(0, 0x0110, 1)[0] & 2 == 0
        assert one.read(0, 0x0443, 1) == b"\x01"
        one.bus.order({"do": "hang", "slave": 0, "on": False})
        one.now += 1_000_000_000
        one.read(0, 0, 1)
        assert one.read(0, 0x0110, 1)[0] & 2
