"""Frames on their way: power, cables, rings, faults to order, and what no slave may be harmed by."""

import random

import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.generic import Mirror
from fieldbus.ethercat.simulated.layout import Fault
from tests.fieldbus.ethercat.simulated.datagrams import COUNT, Datagram, at, line, pack, unpack
from tests.processes import open_files


@pytest.fixture
def three():
    """Three slaves."""
    with line([Mirror(), Mirror(), Mirror()]) as one:
        yield one


@pytest.fixture
def ring():
    """Three slaves in a ring; what the second port is connected to does not matter without a wire."""
    with line([Mirror(), Mirror(), Mirror()]) as one:
        one.bus._words["b"] = 0
        one.bus.cut(0, False)
        yield one


def ports(one, slave):
    """DL status: (link, open) of port 0 and port 1."""
    status = int.from_bytes(one.read(slave, 0x0110, 2), "little")
    return [(bool(status & 0x10 << port), bool(status & 0x200 << 2 * port)) for port in range(2)]


def test_a_frame_turns_round_where_power_ends(three):
    assert ports(three, 1) == [(True, True), (True, True)]
    three.bus.power(2, False)
    assert three.send(COUNT)[0].counter == 2
    assert ports(three, 1) == [(True, True), (False, False)]
    assert three.read(1, 0x0310, 2) == b"\0\1"
    three.bus.power(0, False)
    assert three.send(COUNT) is None


def test_power_that_returns_begins_anew(three):
    three.write(1, 0x0010, b"\x07\x00")
    three.bus.power(1, False)
    three.bus.power(1, True)
    assert three.send(COUNT)[0].counter == 3
    assert three.read(1, 0x0010, 2) == b"\0\0"


def test_a_cut_cable_and_a_closed_port_turn_frames(three):
    three.bus.cut(1)
    assert three.send(COUNT)[0].counter == 1
    three.bus.cut(1, False)
    three.write(1, 0x0101, b"\x0c")
    assert three.send(COUNT)[0].counter == 2


def test_a_whole_ring_is_passed_once(ring):
    """A frame from A leaves at B; one from B goes the other way and nobody looks at it."""
    leaves, frame = ring.bus.carry(pack([COUNT]), 0)
    assert (leaves, unpack(frame)[0].counter) == (1, 3)
    leaves, frame = ring.bus.carry(pack([COUNT]), 1)
    assert (leaves, unpack(frame)[0].counter) == (0, 0)
    assert ports(ring, 2) == [(True, True), (True, True)]


def test_a_broken_ring_is_two_lines(ring):
    """Each returns where it came from; those behind the break are passed in the same order, and the frame is marked."""
    ring.bus.cut(1)
    leaves, frame = ring.bus.carry(pack([COUNT]), 0)
    assert (leaves, unpack(frame)[0].counter) == (0, 1)
    leaves, frame = ring.bus.carry(pack([COUNT]), 1)
    back = unpack(frame)[0]
    assert (leaves, back.counter, back.marks) == (1, 2, 0x4000)
    assert ring.bus.carry(frame, 1) is None


def test_the_first_slave_marks_the_sender(three):
    """Bit 1 of the source address: this frame has been seen."""
    _, frame = three.bus.carry(pack([COUNT]).replace(b"\x02\0\0\0\0\1", b"\x10\0\0\0\0\1"), 0)
    assert frame[6:12] == b"\x12\0\0\0\0\1"


def test_faults_come_as_often_as_ordered(three):
    """Every third, twice; then no more. Others with another index are left alone."""
    three.bus.fault({"kind": Fault.LOSE, "left": 2, "every": 3, "low": 128})
    assert three.send(COUNT) is not None
    mine = Datagram(Command.BRD, at(0, 0), b"\0", index=200)
    assert [three.send(mine) is None for _ in range(9)] == [False, False, True, False, False, True, False, False, False]
    assert three.bus.counters()["lost"] == 2


def test_a_lost_answer_was_seen_by_all(three):
    three.bus.order({"do": "lose_answer"})
    assert three.send(Datagram(Command.BWR, at(0, 0x1100), b"x")) is None
    assert [three.read(i, 0x1100, 1) for i in range(3)] == [b"x"] * 3


def test_a_damaged_frame_is_counted_from_there_on(three):
    """The slaves before it act, it counts an invalid frame, the next a forwarded error."""
    three.bus.order({"do": "damage", "slave": 1})
    assert three.send(Datagram(Command.BWR, at(0, 0x1100), b"x")) is None
    assert [three.read(i, 0x1100, 1) for i in range(3)] == [b"x", b"\0", b"\0"]
    assert [three.read(i, 0x0300, 1)[0] for i in range(3)] == [0, 1, 0]
    assert [three.read(i, 0x0308, 1)[0] for i in range(3)] == [0, 0, 1]


def test_a_wrong_counter_is_that_slaves(three):
    three.bus.order({"do": "miscount", "slave": 1, "by": -1})
    assert three.send(COUNT)[0].counter == 2
    assert three.send(COUNT)[0].counter == 3


def test_a_garbled_frame_has_other_bytes(three):
    sent = pack([Datagram(Command.NOP, 0, bytes(40))])
    three.bus.order({"do": "garble", "frames": -1})
    assert three.bus.carry(sent)[1][:14] == sent[:6] + sent[6:14]
    assert all(three.bus.carry(sent)[1] != sent for _ in range(20))
    three.bus.order({"do": "calm"})
    assert three.bus.carry(sent)[1] == sent


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (b"", "ignored"),
        (bytes(60), "ignored"),
        (pack([COUNT]).replace(b"\x88\xa4", b"\x08\x00"), "ignored"),
        (pack([COUNT])[:14] + b"\x0d\x20" + pack([COUNT])[16:], "ignored"),
        (pack([COUNT])[:28], "malformed"),
        (pack([COUNT])[:14] + b"\xff\x17" + pack([COUNT])[16:], "malformed"),
    ],
    ids=["nothing", "zeros", "another type", "another kind", "cut short", "longer than it is"],
)
def test_what_is_no_frame_goes_no_further(three, frame, what):
    assert three.bus.carry(frame) is None
    assert three.bus.counters()[what] == 1


def test_a_datagram_that_does_not_fit_is_counted_by_all(three):
    """The one before it is carried out."""
    frame = bytearray(pack([COUNT, COUNT]))
    frame[16 + 13 + 6] = 200
    back = three.bus.carry(bytes(frame))[1]
    assert (back[16 + 11], back[16 + 13 + 11]) == (3, 0)
    assert [three.read(i, 0x030C, 1)[0] for i in range(3)] == [1, 1, 1]


def test_hostile_frames_harm_nobody(three):
    """Random bytes, random datagrams, frames with random changes: the bus lives, and a slave that was reset answers as a new one."""
    chance = random.Random(15)
    for _ in range(3000):
        datagrams = [
            Datagram(
                chance.randrange(17),
                chance.choice((chance.getrandbits(32), at(chance.randrange(-3, 2), chance.randrange(0x1000)))),
                chance.randbytes(chance.choice((0, 1, 2, 4, 8, 16, 200, 600))),
                marks=chance.choice((0, 0, 0, 0x4000, 0x3800)),
            )
            for _ in range(chance.randint(1, 3))
        ]
        frame = bytearray(pack(datagrams))
        for _ in range(chance.choice((0, 0, 1, 5))):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        three.now += chance.choice((0, 1000, 10**6, 10**9))
        three.bus.carry(bytes(frame[:1514]), chance.randrange(2), three.now)
    for slave in range(3):
        three.bus.order({"do": "reset", "slave": slave})
    assert three.send(COUNT)[0].counter == 3
    assert three.read(1, 0x0130, 2) == b"\x01\0"


def test_a_bus_leaves_nothing_open():
    before = open_files()
    with line([Mirror()]) as one:
        one.send(COUNT)
    assert open_files() <= before
