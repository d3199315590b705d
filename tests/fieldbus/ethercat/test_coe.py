"""Objects through a mailbox: against the server of the simulated slaves, and against slaves that lie."""

import random
import struct

import pytest

import fieldbus.ethercat.coe as coe_client
from fieldbus.ethercat.coe import Coe, Mailbox, SdoError
from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.presets import make
from fieldbus.ethercat.slaves.entries import read_or_none
from fieldbus.ethercat.wire.wire import Answer, Node

TO, FROM, STATUS, REPEAT, NBYTES = 0x1000, 0x1100, 0x80D, 0x80E, 128
MAILBOXES = struct.pack("<HHBBHHHBBH", TO, NBYTES, 0x26, 0, 1, FROM, NBYTES, 0x22, 0, 1)


class FakeWire:
    """The sync managers of one slave, behind which `take` gives answers; `lost`: the datagrams that do not come back, by number."""

    def __init__(self, take, lost=()):
        self.take, self.lost, self.number = take, lost, 0
        self.waiting, self.last, self.repeat = [], b"", 0

    def ask(self, datagrams, tries):
        (one,) = datagrams
        answer = self._done(one)
        self.number += 1
        return [None if self.number in self.lost else answer]

    def _done(self, one):
        if one.register == TO:
            self.waiting += self.take(one.data)
            return Answer(one.data, 1)
        if one.register == STATUS:
            return Answer(bytes([0x08 if self.waiting else 0]), 1)
        if one.register == REPEAT:
            if any(one.data):
                self.repeat = one.data[0]
                self.waiting.insert(0, self.last)
            return Answer(bytes([self.repeat]), 1)
        if not self.waiting:
            return Answer(one.data, 0)
        self.last = self.waiting.pop(0)
        return Answer(self.last[:NBYTES].ljust(NBYTES, b"\0"), 1)


@pytest.fixture
def device():
    """A simulated drive in PRE-OP, of which only the mailbox is used."""
    (drive,) = make(["drive"])
    drive.al.state = AlState.PREOP
    return drive


def client(take, lost=()):
    return Coe(Mailbox(FakeWire(take, lost), Node.called(1001), MAILBOXES))


class Time:
    """It passes where somebody looks at it, or sleeps; not where a busy machine has no time."""

    def __init__(self):
        self._now_s = 0.0

    def monotonic(self):
        self._now_s += 1e-5
        return self._now_s

    def sleep(self, seconds):
        self._now_s += seconds


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nobody waits long for an answer."""
    monkeypatch.setattr(coe_client, "time", Time())
    for name in ("_ANSWER_S", "_TAKEN_S"):
        monkeypatch.setattr(coe_client, name, 0.002)
    monkeypatch.setattr(coe_client, "_WHOLE_S", 0.2)


def bodied(message, body):
    """An answer with the counter of the message."""
    return struct.pack("<HHBB", len(body), 0, 0, 3 | (message[5] & 0x70)) + body


def test_short_long_and_very_long_objects(device):
    """Expedited; whole in one message; in segments, there and back, to the byte."""
    objects = client(device.mails.take)
    assert objects.sdo_read(0x1018, 1) == device.about.identity.vendor.to_bytes(4, "little")
    assert objects.sdo_read(0x1008, 0) == device.about.name.encode()
    objects.sdo_write(0x605A, 0, (6).to_bytes(2, "little"))
    assert objects.sdo_read(0x605A, 0) == b"\6\0"
    text = bytes(range(256)) * 5
    held = {}
    coe = device.coe
    coe._read = lambda index, subindex, is_complete: held[index, subindex]
    coe._write = lambda index, subindex, is_complete, data: held.__setitem__((index, subindex), data)
    for size in (1, 3, 4, 5, 111, 112, 113, 118, 119, 120, 231, 232, len(text)):
        objects.sdo_write(0x2000, 0, text[:size])
        assert held[0x2000, 0] == text[:size]
        assert objects.sdo_read(0x2000, 0) == text[:size]
    objects.sdo_write(0x2000, 0, b"abc", True)
    assert held[0x2000, 0] == b"abc"


def test_a_refusal_has_its_code(device):
    """And whoever reads it finds it at `abort_code`."""
    with pytest.raises(SdoError) as caught:
        client(device.mails.take).sdo_read(0x5FFF, 0)
    assert caught.value.abort_code == 0x06020000


def test_the_dictionary_tells_names_and_types(device):
    """Of the objects that are asked for, and of their entries."""
    listed = {thing.index: thing for thing in client(device.mails.take).od}
    assert set(listed) == {item.index for item in device.objects}
    assert (listed[0x6064].name, listed[0x6064].data_type, listed[0x6064].entries) == (
        device.objects.find(0x6064, 0)[0].name,
        4,
        [],
    )
    assert [entry.data_type for entry in listed[0x1018].entries] == [5, 7, 7, 7, 7]


def test_a_message_that_was_lost_on_its_way_is_asked_for_again(device):
    """Whichever datagram is lost, the value is right."""
    for number in range(1, 12):
        device.mails.reset(NBYTES)
        objects = client(device.mails.take, lost=(number,))
        assert objects.sdo_read(0x1018, 1) == device.about.identity.vendor.to_bytes(4, "little"), number


def test_emergencies_are_told_and_answer_nothing(device):
    """They lie before the answer."""
    heard = []

    def take(message):
        return [bodied(message, device.coe.emergency(0x4310, 1)), *device.mails.take(message)]

    mailbox = Mailbox(FakeWire(take), Node.called(1001), MAILBOXES)
    mailbox.hear = lambda code, register: heard.append((code, register))
    assert Coe(mailbox).sdo_read(0x1018, 1) == device.about.identity.vendor.to_bytes(4, "little")
    assert (0x4310, 1) in heard


def test_a_slave_that_lies_about_lengths_is_refused():
    """A long answer whose segments have no, or too many, bytes: pysoem's own reading ended the process here."""

    def segments(body):
        def take(message):
            first = b"\0\x30\x41" + message[9:12] + struct.pack("<I", 0x100)
            return [bodied(message, first)] if message[8] == 0x40 else [body(message)]

        return client(take)

    def cut(message):
        return struct.pack("<HHBB", 0, 0, 0, 3) + b"\0\x30\0" + b"B" * 60

    def longer(message):
        return struct.pack("<HHBB", 0xFFFF, 0, 0, 3) + b"\0\x30\0" + b"B" * 60

    def empty(message):
        return bodied(message, b"\0\x30" + bytes([message[8] & 0x10]))

    def too_many(message):
        return bodied(message, b"\0\x30" + bytes([message[8] & 0x10]) + b"B" * 100)

    for body in (cut, longer, empty, too_many):
        with pytest.raises(SdoError):
            read_or_none(segments(body), 0x1C12, 0)


def test_whatever_comes_is_a_value_or_an_error(device, monkeypatch):
    """Answers of the server with other bytes, cut, longer, twice, or not at all."""
    monkeypatch.setattr(coe_client, "_WHOLE_S", 0.02)
    chance = random.Random(7)

    def hostile(message):
        answers = [bytearray(answer) for answer in device.mails.take(message)]
        for answer in answers:
            for _ in range(chance.choice((0, 1, 1, 2, 30))):
                answer[chance.randrange(min(16, len(answer)))] = chance.choice((0, 255, 0x41, chance.randrange(256)))
        return [bytes(a) for a in answers] * chance.choice((0, 1, 1, 1, 2))

    outcomes = set()
    for _ in range(150):
        objects = client(hostile)
        try:
            outcomes.add(type(objects.sdo_read(0x1008, 0) if chance.random() < 0.5 else objects.od))
        except SdoError:
            outcomes.add(SdoError)
    assert {bytes, SdoError} <= outcomes


def test_a_slave_that_never_stops_talking_is_left():
    """Its mailbox is always full, of what nobody asked for."""
    with pytest.raises(SdoError, match="does not answer"):
        client(lambda message: [bodied(message, b"\0\x30\x43\1\2\3" + bytes(4))] * 100_000).sdo_read(0x1018, 1)


def test_a_mailbox_among_the_registers_is_not_written_to():
    """What a slave says of its mailbox is no reason to write into its registers."""
    for mailboxes in (
        b"",
        struct.pack("<HH", 0x120, 128) + MAILBOXES[4:],
        struct.pack("<HH", 0x1000, 9000) + MAILBOXES[4:],
    ):
        with pytest.raises(SdoError, match="cannot be"):
            Coe(Mailbox(FakeWire(lambda message: []), Node.called(1001), mailboxes)).sdo_read(0x1018, 1)
