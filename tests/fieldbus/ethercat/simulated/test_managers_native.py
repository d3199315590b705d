"""Three buffers and mailboxes: who may read and write when (data sheet, section I, chapter 8)."""

import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.device import Device, Pdi
from fieldbus.ethercat.simulated.registers import checksum
from tests.fieldbus.ethercat.simulated.datagrams import line

WRITTEN, READ = 0x26, 0x22
"""Control of a mailbox that the master writes, and of one that it reads."""
OUTPUTS, INPUTS = 0x24, 0x20
FULL = 0x08


class Echo(Device):
    """A device that answers each message with two, and counts."""

    sii = bytes(14) + bytes([checksum(bytes(14)), 0])

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def mailbox(self, esc: Pdi, message: bytes) -> list[bytes]:
        """Two answers."""
        self.messages.append(message)
        return [message[:2], message[2:4]]


@pytest.fixture
def echo():
    """A slave with mailboxes of 4 bytes at 0x1000 (written) and 0x1080 (read), outputs at 0x1100, inputs at 0x1180."""
    with line([Echo()]) as one:
        one.manager(0, 0, 0x1000, 4, WRITTEN)
        one.manager(0, 1, 0x1080, 4, READ)
        one.manager(0, 2, 0x1100, 4, OUTPUTS)
        one.manager(0, 3, 0x1180, 4, INPUTS)
        yield one


def status(echo, number):
    """A sync manager's status register."""
    return echo.read(0, 0x0805 + 8 * number, 1)[0]


def fetch(echo, register, nbytes):
    """Read, or None where that is refused."""
    back = echo.ask(Command.APRD, 0, register, bytes(nbytes))
    return back.data if back.counter else None


def test_a_message_goes_in_whole_and_answers_come_one_by_one(echo):
    assert fetch(echo, 0x1080, 4) is None
    assert echo.write(0, 0x1000, b"abcd") == 1
    assert echo.bus.escs[0].device.messages == [b"abcd"]
    assert status(echo, 0) & FULL == 0
    assert status(echo, 1) & FULL
    assert fetch(echo, 0x1080, 4) == b"ab\0\0"
    assert fetch(echo, 0x1080, 4) == b"cd\0\0"
    assert fetch(echo, 0x1080, 4) is None


def test_a_message_may_come_in_pieces_that_begin_with_the_first(echo):
    assert echo.write(0, 0x1002, b"cd") == 0
    assert echo.write(0, 0x1000, b"ab") == 1
    assert echo.bus.escs[0].device.messages == []
    assert echo.write(0, 0x1002, b"cd") == 1
    assert echo.bus.escs[0].device.messages == [b"abcd"]
    assert fetch(echo, 0x1082, 2) is None
    assert fetch(echo, 0x1080, 2) == b"ab"
    assert status(echo, 1) & FULL
    assert fetch(echo, 0x1082, 2) == b"\0\0"


def test_a_full_mailbox_takes_nothing(echo):
    """Until the device has taken the message."""
    esc = echo.bus.escs[0]
    take, esc.take_message = esc.take_message, lambda number: None
    assert echo.write(0, 0x1000, b"abcd") == 1
    assert status(echo, 0) & FULL
    assert echo.write(0, 0x1000, b"efgh") == 0
    assert take(0) == b"abcd"
    assert echo.write(0, 0x1000, b"efgh") == 1


@pytest.mark.parametrize(
    ("register", "command"), [(0x1000, Command.APRD), (0x1080, Command.APWR), (0x1100, Command.APRD)]
)
def test_nobody_goes_against_the_direction(echo, register, command):
    assert echo.ask(command, 0, register, bytes(4)).counter == 0


def test_the_newest_whole_outputs_count(echo):
    """A part of a buffer is nothing until its last byte comes, and reading never sees half of it."""
    esc = echo.bus.escs[0]
    assert esc.outputs() is None
    echo.write(0, 0x1100, b"abcd")
    echo.write(0, 0x1100, b"xy")
    assert esc.outputs() == b"abcd"
    echo.write(0, 0x1102, b"zz")
    assert esc.outputs() == b"xyzz"
    for i in range(5):
        echo.write(0, 0x1100, bytes([i] * 4))
    assert esc.outputs() == b"\4\4\4\4"


def test_inputs_can_be_read_at_any_time(echo):
    """Before the device has given some, and again and again."""
    assert fetch(echo, 0x1180, 4) == bytes(4)
    esc = echo.bus.escs[0]
    for data in (b"abcd", b"efgh"):
        esc.inputs(data)
        assert fetch(echo, 0x1180, 4) == data
    assert fetch(echo, 0x1180, 4) == b"efgh"


def test_a_single_byte_has_no_buffers(echo):
    """Everybody may read and write it; who writes outputs is heard by the device."""
    echo.manager(0, 4, 0x1200, 1, OUTPUTS)
    esc = echo.bus.escs[0]
    assert esc.outputs(4) is None
    assert fetch(echo, 0x1200, 1) == b"\0"
    for byte in (b"x", b"y", b"z"):
        assert echo.write(0, 0x1200, byte) == 1
        assert (fetch(echo, 0x1200, 1), esc.outputs(4)) == (byte, byte)


def test_the_status_tells_who_has_begun(echo):
    """Bit 7: a buffer is being written; bit 0: it was; bit 6: one is being read."""
    echo.write(0, 0x1100, b"ab")
    assert status(echo, 2) & 0x81 == 0x80
    echo.write(0, 0x1102, b"cd")
    assert status(echo, 2) & 0x81 == 0x01
    fetch(echo, 0x1180, 2)
    assert status(echo, 3) & 0x40
    fetch(echo, 0x1182, 2)
    assert status(echo, 3) & 0x42 == 0x02


def test_what_is_being_read_is_not_overwritten(echo):
    """A master that reads in two pieces gets one state of the inputs."""
    esc = echo.bus.escs[0]
    esc.inputs(b"abcd")
    assert fetch(echo, 0x1180, 2) == b"ab"
    for data in (b"efgh", b"ijkl"):
        esc.inputs(data)
    assert fetch(echo, 0x1182, 2) == b"cd"
    assert fetch(echo, 0x1180, 4) == b"ijkl"


def test_switching_a_sync_manager_off_empties_it(echo):
    echo.bus.escs[0].send(b"hi")
    assert status(echo, 1) & FULL
    echo.write(0, 0x080E, b"\0")
    echo.manager(0, 1, 0x1080, 4, READ)
    assert status(echo, 1) & FULL == 0
    assert fetch(echo, 0x1080, 4) is None


def test_the_master_learns_of_a_message_by_an_event_request(echo):
    echo.write(0, 0x0200, b"\xff\xff")
    echo.bus.escs[0].send(b"hi")
    assert echo.ask(Command.BRD, 0, 0, b"\0").events & 0x20
    fetch(echo, 0x1080, 4)
    assert echo.ask(Command.BRD, 0, 0, b"\0").events & 0x20 == 0


def test_a_message_whose_frame_was_lost_comes_again(echo):
    """The master turns the repeat request: what it read last lies there again, before the next, and is acknowledged."""
    echo.write(0, 0x1000, b"abcd")
    assert fetch(echo, 0x1080, 4) == b"ab\0\0"
    assert echo.write(0, 0x080E, b"\x03") == 1
    assert echo.read(0, 0x080F, 1) == b"\x02"
    assert [fetch(echo, 0x1080, 4) for _ in range(3)] == [b"ab\0\0", b"cd\0\0", None]
    echo.write(0, 0x080E, b"\x01")
    assert [fetch(echo, 0x1080, 4) for _ in range(2)] == [b"cd\0\0", None]
    assert echo.read(0, 0x080F, 1) == b"\0"


def test_a_device_that_hangs_does_nothing(echo):
    """Its mailbox stays full; when it works again it answers."""
    echo.bus.order({"do": "hang", "slave": 0})
    echo.write(0, 0x1000, b"abcd")
    echo.write(0, 0x0120, b"\x02\x00")
    assert status(echo, 0) & FULL
    assert echo.read(0, 0x0130, 1) == b"\x01"
    echo.bus.order({"do": "hang", "slave": 0, "on": False})
    assert echo.read(0, 0x0130, 1) == b"\x02"
    assert fetch(echo, 0x1080, 4) == b"ab\0\0"
