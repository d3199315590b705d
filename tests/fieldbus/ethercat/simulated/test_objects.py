"""Rights, lengths and lists of an object dictionary, and complete access."""

import numpy as np
import pytest

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.objects import (
    Abort,
    AbortCode,
    Access,
    Dictionary,
    Entry,
    Object,
    Type,
    changeable,
    record,
    text,
    variable,
)

PREOP, SAFEOP, OP = AlState.PREOP, AlState.SAFEOP, AlState.OP


@pytest.fixture
def objects():
    found = Dictionary(np.zeros(100, np.int64))
    found.add(variable(0x2000, "Number", Type.INT16, Access.RW, low=-10, high=300, default=-2))
    found.add(variable(0x2001, "Secret", Type.UINT8, Access.WO))
    found.add(variable(0x2002, "Setting", Type.UINT32, Access.RW_PREOP))
    found.add(text(0x1008, "Name", "slave"))
    found.add(variable(0x2003, "Bits", Type.BIT3, Access.RW))
    found.add(record(0x2010, "Record", {
        1: Entry("A", Type.BOOL, Access.RW), 2: Entry("B", Type.BIT2, Access.RW), 3: Entry("C", Type.UINT16, Access.RW),
        5: Entry("D", Type.UINT8, Access.RO, default=9), 6: Entry("E", Type.UINT8, Access.WO),
    }))  # fmt: skip
    found.add(changeable(0x1C12, "List", Type.UINT16, 4, Access.RW_PREOP), {0: 2, 1: 0x1600, 2: 0x1601})
    return found


def code_of(function, *arguments):
    """With which code this is refused."""
    with pytest.raises(Abort) as refused:
        function(*arguments)
    return refused.value.code


def test_numbers_are_little_endian_and_signed_by_their_type(objects):
    assert objects.read(0x2000, 0, PREOP) == b"\xfe\xff"
    objects.write(0x2000, 0, b"\xff\xff", OP)
    assert objects.number(0x2000) == -1
    assert objects.read(0x1008, 0, SAFEOP) == b"slave"


@pytest.mark.parametrize(
    ("index", "subindex", "data", "state", "code"),
    [
        (0x5000, 0, b"\0", PREOP, AbortCode.NO_OBJECT),
        (0x2000, 1, b"\0", PREOP, AbortCode.NO_SUBINDEX),
        (0x2000, 0, b"\0", PREOP, AbortCode.TOO_SHORT),
        (0x2000, 0, b"\0\0\0", PREOP, AbortCode.TOO_LONG),
        (0x2000, 0, b"\x2d\x01", PREOP, AbortCode.TOO_HIGH),
        (0x2000, 0, b"\xf5\xff", PREOP, AbortCode.TOO_LOW),
        (0x2003, 0, b"\x08", PREOP, AbortCode.VALUE),
        (0x1008, 0, b"x", PREOP, AbortCode.READ_ONLY),
        (0x2002, 0, b"\0\0\0\0", OP, AbortCode.WRONG_STATE),
        (0x1C12, 1, b"\0\x16", PREOP, AbortCode.SUBINDEX_0_MUST_BE_0),
        (0x1C12, 0, b"\5", PREOP, AbortCode.TOO_HIGH),
    ],
)
def test_a_write_that_is_not_allowed_is_refused_with_its_code(objects, index, subindex, data, state, code):
    before = objects.words.copy()
    assert code_of(objects.write, index, subindex, data, state) == code
    assert (objects.words == before).all()


def test_reads_that_are_not_allowed_are_refused_with_their_code(objects):
    assert code_of(objects.read, 0x2001, 0, PREOP) == AbortCode.WRITE_ONLY
    assert code_of(objects.read, 0x2000, 0, AlState.INIT) == AbortCode.WRONG_STATE


def test_what_an_rxpdo_brings_cannot_be_written_in_op(objects):
    objects.objects[0x2000].entries[0].mapped_in = 0x1C12
    assert code_of(objects.write, 0x2000, 0, b"\0\0", OP) == AbortCode.MAPPED
    objects.write(0x2000, 0, b"\0\0", SAFEOP)


def test_complete_access_packs_bit_behind_bit_and_leaves_out_what_cannot_be_read(objects):
    """Subindex 0 is a word; entry E cannot be read: zeros."""
    objects.write(0x2010, 1, b"\1", PREOP)
    objects.write(0x2010, 2, b"\2", PREOP)
    objects.write(0x2010, 3, b"\xff\xff", PREOP)
    objects.write(0x2010, 6, b"\xff", PREOP)
    packed = 1 | 2 << 1 | 0xFFFF << 3 | 9 << 19
    assert objects.read_all(0x2010, 0, PREOP) == b"\6\0" + packed.to_bytes(5, "little")
    assert objects.read_all(0x2010, 1, PREOP) == packed.to_bytes(5, "little")


def test_complete_access_writes_what_may_be_written_or_nothing(objects):
    packed = 1 | 1 << 1 | 0x1234 << 3 | 7 << 19 | 5 << 27
    objects.write_all(0x2010, 1, packed.to_bytes(5, "little"), OP)
    assert [objects.number(0x2010, s) for s in (1, 2, 3, 5, 6)] == [1, 1, 0x1234, 9, 5]
    assert code_of(objects.write_all, 0x2010, 1, b"\0" * 4, OP) == AbortCode.TOO_SHORT
    assert code_of(objects.write_all, 0x2010, 1, b"\0" * 6, OP) == AbortCode.TOO_LONG
    assert code_of(objects.write_all, 0x2010, 2, b"\0" * 5, OP) == AbortCode.NO_ACCESS
    assert code_of(objects.read_all, 0x2000, 0, OP) == AbortCode.NO_ACCESS


def test_a_list_is_as_long_as_its_subindex_0_and_is_written_whole_in_one_go(objects):
    assert objects.read_all(0x1C12, 0, OP) == bytes([2, 0, 0x00, 0x16, 0x01, 0x16])
    objects.write_all(0x1C12, 0, bytes([1, 0, 0x05, 0x16]), PREOP)
    assert objects.read_all(0x1C12, 0, OP) == bytes([1, 0, 0x05, 0x16])
    assert code_of(objects.write_all, 0x1C12, 0, bytes([1, 0, 0x05, 0x16]), SAFEOP) == AbortCode.WRONG_STATE


def test_a_refused_list_stays_as_it_was(objects):
    def check(subindex, value):
        if value == 0x1777:
            raise Abort(AbortCode.NOT_MAPPABLE)

    objects.objects[0x1C12].check = check
    wrong = bytes([2, 0, 0x05, 0x16, 0x77, 0x17])
    assert code_of(objects.write_all, 0x1C12, 0, wrong, PREOP) == AbortCode.NOT_MAPPABLE
    assert objects.read_all(0x1C12, 0, OP) == bytes([2, 0, 0x00, 0x16, 0x01, 0x16])


def test_long_text_has_an_end(objects):
    item = Object(0x2020, "Notes", 7, Type.OCTETS, {0: Entry("Notes", Type.OCTETS, Access.RW, most_bytes=4)})
    objects.add(item)
    objects.write(0x2020, 0, b"abcd", OP)
    assert code_of(objects.write, 0x2020, 0, b"abcde", OP) == AbortCode.TOO_LONG
    assert objects.read(0x2020, 0, OP) == b"abcd"
