"""SDO services as transcripts of what is sent and what is answered (ETG.1000.6, 5.6.2)."""

import struct

import numpy as np
import pytest

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.coe import Coe
from fieldbus.ethercat.simulated.objects import (
    Access,
    Code,
    Dictionary,
    Entry,
    Object,
    Type,
    changeable,
    text,
    variable,
)

REQUEST, RESPONSE = b"\0\x20", b"\0\x30"
LONG = bytes(range(256))


@pytest.fixture
def coe():
    objects = Dictionary(np.zeros(100, np.int64))
    objects.add(variable(0x2000, "Number", Type.INT16, Access.RW))
    objects.add(variable(0x2001, "Wide", Type.UINT64, Access.RW))
    objects.add(text(0x1008, "Name", "x" * 40))
    objects.add(changeable(0x1C12, "List", Type.UINT16, 4, Access.RW_PREOP), {0: 2, 1: 0x1600, 2: 0x1601})
    notes = Entry("Notes", Type.OCTETS, Access.RW, most_bytes=300)
    objects.add(Object(0x2020, "Notes", Code.VARIABLE, Type.OCTETS, {0: notes}))
    return Coe(objects, lambda: AlState.PREOP, nbytes=64)


def ask(coe, command, index=0, subindex=0, data=b"\0\0\0\0"):
    """The one answer to an SDO request."""
    answers = coe.take(REQUEST + struct.pack("<BHB", command, index, subindex) + data)
    assert len(answers) == 1
    return answers[0]


def abort_of(answer):
    """The code in an abort."""
    assert answer[:3] == REQUEST + b"\x80" and len(answer) == 10
    return struct.unpack_from("<I", answer, 6)[0]


def segment(coe, command, data=b"\0" * 7):
    """The answer to a segment request."""
    return coe.take(REQUEST + bytes([command]) + data)[0]


def test_few_bytes_are_expedited_both_ways(coe):
    assert ask(coe, 0x2B, 0x2000, 0, b"\x34\x12\0\0") == RESPONSE + b"\x60\x00\x20\x00" + bytes(4)
    assert ask(coe, 0x40, 0x2000) == RESPONSE + b"\x4b\x00\x20\x00\x34\x12\0\0"


def test_more_bytes_go_with_their_size(coe):
    data = bytes(range(8))
    assert ask(coe, 0x21, 0x2001, 0, b"\x08\0\0\0" + data)[2] == 0x60
    assert ask(coe, 0x40, 0x2001) == RESPONSE + b"\x41\x01\x20\x00\x08\0\0\0" + data


def test_what_is_longer_than_the_mailbox_comes_in_segments_with_a_toggle(coe):
    coe.dictionary.objects[0x2020].entries[0].text = LONG
    first = ask(coe, 0x40, 0x2020)
    assert first[2] == 0x41 and struct.unpack_from("<I", first, 6)[0] == 256 and len(first) == 64 - 6
    got, toggle = first[10:], 0
    while True:
        answer = segment(coe, 0x60 | toggle)
        assert answer[2] & 0xF0 == toggle
        unused = (answer[2] >> 1) & 7
        got += answer[3 : len(answer) - unused]
        if answer[2] & 1:
            break
        assert unused == 0 and len(answer) == 64 - 6
        toggle ^= 0x10
    assert got == LONG
    assert abort_of(segment(coe, 0x60)) == 0x05040001


def test_a_last_segment_of_few_bytes_is_filled_up(coe):
    coe.dictionary.objects[0x2020].entries[0].text = LONG[:50]
    assert ask(coe, 0x40, 0x2020)[10:] == LONG[:48]
    assert segment(coe, 0x60) == RESPONSE + bytes([0x01 | 5 << 1]) + LONG[48:50] + bytes(5)


def test_a_download_in_segments_is_taken_when_it_is_whole(coe):
    assert ask(coe, 0x21, 0x2020, 0, struct.pack("<I", 103) + LONG[:48])[2] == 0x60
    assert segment(coe, 0x00, LONG[48:100]) == RESPONSE + b"\x20" + bytes(7)
    assert coe.dictionary.objects[0x2020].entries[0].text == b""
    assert segment(coe, 0x10 | 0x01 | 4 << 1, LONG[100:103] + bytes(4))[2] == 0x30
    assert coe.dictionary.objects[0x2020].entries[0].text == LONG[:103]


@pytest.mark.parametrize(
    ("size", "segments", "code"),
    [
        (100, [(0x10, LONG[:50])], 0x05030000),
        (60, [(0x00, LONG[:50])], 0x06070012),
        (100, [(0x01, LONG[:20])], 0x06070013),
        (100, [(0x60, bytes(7))], 0x05040001),
        (400, [(0x00, LONG[:200]), (0x11, LONG[:152])], 0x06070012),
    ],
)
def test_a_download_that_goes_wrong_is_aborted_and_over(coe, size, segments, code):
    assert ask(coe, 0x21, 0x2020, 0, struct.pack("<I", size) + LONG[:48])[2] == 0x60
    for command, data in segments[:-1]:
        assert segment(coe, command, data)[2] & 0xE0 == 0x20
    answer = segment(coe, *segments[-1])
    assert abort_of(answer) == code and answer[3:6] == b"\x20\x20\x00"
    assert abort_of(segment(coe, 0x00, bytes(7))) == 0x05040001
    assert coe.dictionary.objects[0x2020].entries[0].text == b""


def test_the_master_may_abort(coe):
    ask(coe, 0x21, 0x2020, 0, struct.pack("<I", 100) + LONG[:48])
    assert coe.take(REQUEST + b"\x80\x20\x20\x00" + bytes(4)) == []
    assert abort_of(segment(coe, 0x00, bytes(7))) == 0x05040001


def test_complete_access_reads_and_writes_an_object(coe):
    answer = ask(coe, 0x50, 0x1C12)
    assert answer == RESPONSE + b"\x51\x12\x1c\x00\x06\0\0\0" + bytes([2, 0, 0, 0x16, 1, 0x16])
    assert ask(coe, 0x31, 0x1C12, 0, b"\x04\0\0\0" + bytes([1, 0, 5, 0x16]))[2] == 0x70
    assert ask(coe, 0x50, 0x1C12)[:10] == RESPONSE + b"\x53\x12\x1c\x00" + bytes([1, 0, 5, 0x16])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x40\x00\x50\x00" + bytes(4), 0x06020000),
        (b"\xa0\x00\x20\x00" + bytes(4), 0x05040001),
        (b"\x40\x00", 0x05040001),
        (b"\x2b\x00\x20\x00", 0x05040001),
        (b"\x21\x20\x20\x00\xff\xff\xff\x7f", 0x05040005),
        (b"\x31\x00\x20\x00\x02\0\0\0\0\0", 0x06010000),
    ],
)
def test_requests_that_cannot_be_are_aborted(coe, body, code):
    assert abort_of(coe.take(REQUEST + body)[0]) == code


def test_aborts_to_order_and_their_end(coe):
    coe.aborts[(0x2000, 0)] = 0x08000021
    assert abort_of(ask(coe, 0x40, 0x2000)) == 0x08000021
    coe.aborts.clear()
    assert ask(coe, 0x40, 0x2000)[2] == 0x4B


def test_what_only_a_slave_says_is_not_answered(coe):
    assert coe.take(b"\0\x30" + bytes(8)) == [] == coe.take(b"\0\x10" + bytes(8))


def test_an_emergency_has_code_register_and_data(coe):
    assert coe.emergency(0x8611, 0x21, b"ab") == b"\0\x10\x11\x86\x21ab\0\0\0"
