"""The information service: lists, objects, entries, in fragments that fit the mailbox (ETG.1000.6, 5.6.3.3)."""

import struct

import numpy as np
import pytest

from fieldbus.ethercat.simulated.objects import Access, Dictionary, Entry, Type, record, variable
from fieldbus.ethercat.simulated.sdo_info import Information


@pytest.fixture
def service():
    objects = Dictionary(np.zeros(100, np.int64))
    for i in range(20):
        objects.add(variable(0x2000 + i, f"Number {i}", Type.UINT8, Access.RO | (Access.TX if i < 3 else Access(0))))
    objects.add(
        record(0x3000, "Record", {1: Entry("Offset", Type.INT16, Access.RW | Access.RX, low=-5, high=7, default=1)})
    )
    return Information(objects)


def ask(service, opcode, data, room=200):
    """Opcode and data of the answers, put together; each says how many follow."""
    answers = service.take(bytes([opcode, 0, 0, 0]) + data, room)
    assert [struct.unpack_from("<H", a, 2)[0] for a in answers] == list(range(len(answers)))[::-1]
    assert [bool(a[0] & 0x80) for a in answers] == [True] * (len(answers) - 1) + [False]
    assert all(len(a) <= room for a in answers)
    return answers[0][0] & 0x7F, b"".join(a[4:] for a in answers)


def test_lists_come_in_fragments(service):
    for room in (200, 20, 7):
        opcode, data = ask(service, 1, b"\1\0", room)
        assert opcode == 2
        assert struct.unpack("<22H", data) == (1, *range(0x2000, 0x2014), 0x3000)


def test_lists_tell_apart_what_may_be_mapped_and_how_many_there_are(service):
    assert struct.unpack("<2H", ask(service, 1, b"\2\0")[1]) == (2, 0x3000)
    assert struct.unpack("<4H", ask(service, 1, b"\3\0")[1]) == (3, 0x2000, 0x2001, 0x2002)
    assert struct.unpack("<6H", ask(service, 1, b"\0\0")[1]) == (0, 21, 1, 3, 0, 0)


def test_an_object_tells_type_highest_subindex_and_name(service):
    assert ask(service, 3, b"\0\x30") == (4, struct.pack("<HHBB", 0x3000, 5, 1, 9) + b"Record")


def test_an_entry_tells_type_bits_rights_and_name_and_values_that_it_has(service):
    head = struct.pack("<HBBHHH", 0x3000, 1, 0x07, 3, 16, 0x7F)
    assert ask(service, 5, b"\0\x30\1\7") == (6, head + b"Offset")
    opcode, data = ask(service, 5, b"\0\x30\1\x77")
    assert opcode == 6 and data[3] == 0x77 and data[10:] == struct.pack("<hhh", 1, -5, 7) + b"Offset"


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [
        (3, b"\0\x50", 0x06020000),
        (5, b"\0\x30\2\7", 0x06090011),
        (1, b"\x09\0", 0x06010000),
        (9, b"\0\0", 0x05040001),
        (1, b"", 0x05040001),
        (5, b"\0\x30", 0x05040001),
    ],
)
def test_questions_that_cannot_be_answered_are_errors(service, opcode, data, code):
    assert ask(service, opcode, data) == (7, struct.pack("<I", code))
