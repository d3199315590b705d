"""EEPROMs through registers: many at once, and those that do not answer."""

import itertools
import struct
from types import SimpleNamespace

import pytest

from fieldbus.errors import NoAnswerError
from fieldbus.ethercat.protocol import Register
from fieldbus.ethercat.slaves.eeprom import read_identity, read_images
from fieldbus.ethercat.wire.wire import Answer, Node


class Bus:
    """Wires to ESCs whose EEPROMs have these contents; `late`: so many questions long a read takes."""

    def __init__(self, *images, eight=(), late=1, errors=0):
        self.images, self.eight, self.late, self.errors = images, eight, late, errors
        self.word, self.left, self.owners = {}, {}, {}

    def ask(self, datagrams, tries=3):
        return [Answer(self.one(d.address - 0x1001, d), 1) for d in datagrams]

    def one(self, slave, datagram):
        if datagram.register == Register.EEPROM_CONFIG:
            self.owners[slave] = datagram.data[0]
        elif any(datagram.data) and len(datagram.data) == 6:
            self.word[slave], self.left[slave] = struct.unpack("<2xI", datagram.data)[0], self.late
        elif len(datagram.data) == 14:
            return self.status(slave)
        return datagram.data

    def status(self, slave):
        assert self.owners[slave] == 0, "it is the master's while it is read"
        self.left[slave] -= 1
        if self.left[slave] > 0:
            return struct.pack("<H12x", 0x8000)
        nbytes, at = 8 if slave in self.eight else 4, 2 * self.word[slave]
        data = self.images[slave][at : at + nbytes].ljust(nbytes, b"\xff")
        return struct.pack("<HI", (0x40 if slave in self.eight else 0) | self.errors, self.word[slave]) + data.ljust(
            8, b"?"
        )

    def read_each(self, nodes, register, nbytes, tries=3):
        return [self.one(n.address - 0x1001, _Read(register, bytes(nbytes))) for n in nodes]

    def write_each(self, nodes, register, data):
        return [self.one(n.address - 0x1001, _Read(register, data)) is not None for n in nodes]


class _Read:
    def __init__(self, register, data):
        self.register, self.data = register, data


def image(words, vendor=2):
    """With a category of so many words behind the fixed part."""
    head = bytes(16) + struct.pack("<4I", vendor, 3, 4, 5) + bytes(96)
    return head + struct.pack("<HH", 10, words) + bytes(2 * words) + b"\xff\xff"


def nodes(count):
    return [Node.called(0x1001 + i) for i in range(count)]


def test_all_are_read_to_their_end_marks_whatever_they_give_at_once():
    """Short and long, 4 and 8 bytes at once, slow; and given back to the slaves."""
    images = [image(2), image(300), image(50)]
    bus = Bus(*images, eight=(1,), late=3)
    found = read_images(bus, nodes(3))
    assert [one[: len(whole)] for one, whole in zip(found, images, strict=True)] == images
    assert [len(one) - len(whole) < 8 for one, whole in zip(found, images, strict=True)] == [True] * 3
    assert bus.owners == {0: 1, 1: 1, 2: 1}


def test_one_without_an_end_is_read_so_far_and_no_further(monkeypatch):
    """Empty flash reads as zeros here: categories of no length, for ever."""
    monkeypatch.setattr("fieldbus.ethercat.slaves.eeprom._LEAST_BYTES", 512)
    assert len(read_images(Bus(bytes(1 << 17)), nodes(1))[0]) == 512


def test_who_does_not_answer_is_told():
    for bus, words in (
        (Bus(image(2), image(2), late=10**9), "the EEPROM of the slave with station address 0x1001 does not answer"),
        (Bus(image(2), errors=0x2000), r"cannot be read \(status 0x2000\)"),
    ):
        with pytest.raises(NoAnswerError, match=words):
            read_images(bus, nodes(len(bus.images)))
        assert set(bus.owners.values()) == {1}


def test_one_that_is_busy_is_looked_at_again_however_long_the_machine_stood_still(monkeypatch):
    """An hour goes by between two looks: that says nothing of the EEPROM."""
    hours = itertools.count(step=3600.0)
    clock = SimpleNamespace(monotonic=lambda: next(hours), sleep=lambda _: None)
    monkeypatch.setattr("fieldbus.ethercat.slaves.eeprom.time", clock)
    assert read_identity(Bus(image(2), late=3), nodes(1)[0]) == (2, 3, 4, 5)


def test_the_identity_alone():
    assert read_identity(Bus(image(2, vendor=0x66F)), nodes(1)[0]) == (0x66F, 3, 4, 5)
