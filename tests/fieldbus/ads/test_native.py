"""Packets as native code takes them, beside the conversation in Python: both get the same values, or both refuse them."""

import random
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fieldbus.ads import frames, questions
from fieldbus.ads.conversation import Conversation, Ends, Samples
from fieldbus.ads.protocol import RESPONSE, Command
from fieldbus.ads.requests import STATE, VERSION, Item
from fieldbus.codec import Field
from fieldbus.errors import GarbageError
from fieldbus.exchange.block import Event, Phase
from fieldbus.exchange.memory import Exchange
from fieldbus.exchange.plan import Plan
from fieldbus.link.ports import Cells
from fieldbus.tags import Order, Tag

NS = 1_000_000_000
ENDS = Ends(bytes((5, 1, 2, 3, 1, 1)), 851, bytes((10, 0, 0, 9, 1, 1)), 30_001)
TAGS = [Tag("a", "int16", "in", count=2), Tag("b", "float64", "in"), Tag("c", "uint8", "in")]
HANDLES = {9: "a", 4: "b", 70_000: "c"}
FORMATS = {"a": "<2h", "b": "<d", "c": "<B"}
CELLS = Cells("plc", TAGS)
FIELDS = {
    "a": Field(TAGS[0], 0, 0, 2, Order.DCBA, 2),
    "b": Field(TAGS[1], 2, 4, 8, Order.DCBA),
    "c": Field(TAGS[2], 3, 12, 1, Order.DCBA),
}
ITEMS = {name: Item(name, 0xF005, handle, struct.calcsize(FORMATS[name])) for handle, name in HANDLES.items()}


class Device:
    """An exchange in notify mode, and the other end of its connection."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        watched = questions.read_all(ENDS, (VERSION, STATE), b"\x07")
        values = [(handle, ITEMS[name], (FIELDS[name],)) for handle, name in HANDLES.items()]
        self.plan = Plan(
            frames=questions.ads_frames(ENDS, 1 << 16),
            transactions=(watched.transaction,),
            writes=0,
            answer_ns=NS,
            samples=questions.notified(ENDS, values),
        )
        self.exchange = Exchange(CELLS, Cells("plc", []), 10 * NS, NS, 10 * NS)
        self.exchange.lay(self.plan)
        self.arm()

    def arm(self) -> None:
        self.exchange.arm(self.ours.fileno(), True)

    def phase(self, came: bytes) -> Event:
        """One exchange: `came`, then the answer to its question; gives why it ended, if it did."""
        number = self.exchange.counter("number") + 1
        self.theirs.sendall(came + self.answer(number))
        self.exchange.phase(Phase.ALL, time.monotonic_ns() + 10 * NS)
        return self.exchange.fault

    def answer(self, number: int) -> bytes:
        data = struct.pack("<II2IBH", 0, 11, 0, 0, 7, 5)
        head = (ENDS.own_net_id, ENDS.own_port, ENDS.net_id, ENDS.port, Command.READ_WRITE, RESPONSE, len(data), 0)
        return frames.HEAD.pack(0, 32 + len(data), *head, number) + data

    def begin_anew(self) -> None:
        """After a fault: another connection."""
        self.close()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        assert self.exchange.take()
        self.arm()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.close()
    device.exchange.take()
    device.exchange.close()


def note(*moments: list[tuple[int, bytes]]) -> bytes:
    data = frames.notification([(5, values) for values in moments])
    head = (ENDS.own_net_id, ENDS.own_port, ENDS.net_id, ENDS.port, Command.NOTIFICATION, 4, len(data), 0, 0)
    return frames.HEAD.pack(0, 32 + len(data), *head) + data


A, B = struct.pack("<2h", -2, 300), struct.pack("<d", 1.25)


def test_notified_values_are_inputs(device: Device):
    """Those of several moments, the newest last; unknown handles are nobody's; values stay until the next."""
    assert device.phase(note([(9, A), (4, bytes(8)), (5, b"who")], [(4, B)])) is Event.NONE
    assert device.exchange.values_in.tolist() == [-2.0, 300.0, 1.25, 0.0]
    assert device.exchange.newest_sample(9) == A
    assert device.phase(note([(70_000, b"\xff")])) is Event.NONE
    assert device.exchange.values_in.tolist() == [-2.0, 300.0, 1.25, 255.0]
    assert device.exchange.counter("notified") == 2


def test_one_that_is_cut_waits_for_its_end(device: Device):
    """Half of it before, half of it behind the answer of a cycle."""
    whole = note([(9, A)])
    assert device.phase(b"") is Event.NONE
    device.theirs.sendall(whole[:50])
    number = device.exchange.counter("number") + 1
    device.theirs.sendall(whole[50:] + device.answer(number) + whole[:20])
    device.exchange.phase(Phase.ALL, time.monotonic_ns() + 10 * NS)
    assert device.exchange.values_in.tolist() == [-2.0, 300.0, 0.0, 0.0]
    assert device.exchange.take()
    assert device.exchange.rest() == whole[:20]


def test_packets_for_others_are_dropped_and_counted(device: Device):
    """Another AMS port of ours, another device, a router's own: none ends the exchange, none gives a value."""
    good = note([(9, A)])
    others = [good[:12] + b"\xff" + good[13:], good[:14] + b"\xff" + good[15:], frames.TCP.pack(0x1001, 4) + bytes(4)]
    assert device.phase(b"".join(others)) is Event.NONE
    assert device.exchange.counter("late") == 3
    assert device.exchange.values_in.tolist() == [0.0] * 4


def test_what_came_before_is_taken_first(device: Device):
    """`already`: values of now that were read in Python, and half a packet."""
    assert device.exchange.take()
    whole = note([(4, B)])
    device.exchange.arm(device.ours.fileno(), True, already=note([(9, A)]) + whole[:60])
    assert device.phase(whole[60:]) is Event.NONE
    assert device.exchange.values_in.tolist() == [-2.0, 300.0, 1.25, 0.0]


def test_mutated_notifications_give_what_python_gives(device: Device):
    """Any byte changed, cut or put in: the values of the conversation in Python, or both refuse it; never others."""
    dice = random.Random(20_261_128)
    refused = 0
    for _ in range(3000):
        moments = [[(dice.choice((9, 4, 70_000, 5)), b"") for _ in range(dice.randrange(4))] for _ in range(3)]
        filled = [[(h, dice.randbytes(_size(h, dice))) for h, _ in values] for values in moments]
        packet = _mutated(note(*filled), dice)
        expected = device.exchange.values_in.copy()
        good = _apply(packet, expected)
        fault = device.phase(packet)
        assert (fault is Event.NONE) == good, packet.hex()
        assert np.array_equal(device.exchange.values_in, expected, equal_nan=True), packet.hex()
        refused += not good
        if not good:
            device.begin_anew()
    assert 500 < refused < 2500


def test_mutated_answers_give_no_value_that_is_not_in_them():
    """A byte of a sum read's answer changed, anywhere: taken only where it was a byte of a value, and then as it came."""
    dice, taken = random.Random(11), 0
    asked = questions.read_all(
        ENDS, (VERSION, STATE), b"\x07", (ITEMS["a"], ITEMS["b"]), (FIELDS["a"], _at(FIELDS["b"], 4))
    )
    transaction = asked.transaction
    assert transaction.answer is not None
    plan = Plan(frames=questions.ads_frames(ENDS, 1 << 16), transactions=(transaction,), writes=0, answer_ns=NS)
    for _ in range(1500):
        exchange = Exchange(CELLS, Cells("plc", []), 10 * NS, NS, 10 * NS)
        exchange.lay(plan)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            exchange.arm(ours.fileno(), True)
            number = (exchange.counter("number") + 1).to_bytes(4, "little")
            right = transaction.answer.frame[:34] + number + transaction.answer.frame[38:-12]
            came = bytearray(right + A + B)
            came[dice.randrange(len(came))] ^= dice.choice((0, 1, 0x80, 0xFF))
            is_right = all(a == b or i in (24, 25) for i, (a, b) in enumerate(zip(came, right, strict=False)))
            is_right = is_right and came[24] & 5 == 5  # of the flags: a response, to an ADS command
            theirs.sendall(came)
            exchange.phase(Phase.ALL, time.monotonic_ns() + (10 * NS if is_right else NS // 1000))
            is_taken = int(exchange.transactions[0]["confirmed"]) == 1
            assert is_taken == is_right, came.hex()
            values = [
                *struct.unpack_from("<2h", came, len(came) - 12),
                *struct.unpack_from("<d", came, len(came) - 8),
                0.0,
            ]
            expected = values if is_taken else [0.0] * 4
            assert np.array_equal(exchange.values_in, expected, equal_nan=True)
            taken += is_taken
        exchange.take()
        exchange.close()
    assert 300 < taken < 1000


def _at(field: Field, byte: int) -> Field:
    return replace(field, byte=byte)


def _size(handle: int, dice: random.Random) -> int:
    right = ITEMS[HANDLES[handle]].nbytes if handle in HANDLES else 3
    return dice.choice((right, right, right, right, right, 2))


def _mutated(packet: bytes, dice: random.Random) -> bytes:
    """A byte of the data changed, or nothing; the frame itself stays one, else nothing could be compared behind it."""
    data = bytearray(packet)
    if dice.random() < 0.6:
        at = dice.randrange(38, len(data))
        data[at] = dice.choice((0, 1, 2, 9, 0x7F, 0xFF, dice.randrange(256)))
    return bytes(data)


def _apply(packet: bytes, values: np.ndarray) -> bool:
    """What the conversation in Python makes of it."""
    try:
        (event,) = Conversation(ENDS).feed(packet)
    except GarbageError:
        return False
    assert isinstance(event, Samples)
    found = [(HANDLES.get(handle), value) for handle, value in event.values]
    if any(name and len(value) != ITEMS[name].nbytes for name, value in found):
        return False
    for name, value in found:
        if name:
            cell = FIELDS[name].cell
            numbers = struct.unpack(FORMATS[name], value)
            values[cell : cell + len(numbers)] = numbers
    return True
