"""Counters, repeated messages and refused ones (ETG.1000.4, 5.6)."""

import struct

import pytest

from fieldbus.ethercat.simulated.mailbox import Kind, Mailbox


@pytest.fixture
def heard():
    return []


@pytest.fixture
def box(heard):
    def take(body):
        heard.append(body)
        return [b"one", b"two"]

    return Mailbox({Kind.COE: take}, 64)


def message(body=b"body", counter=1, kind=3, channel=0, length=None):
    """A message of the master's, as long as the mailbox."""
    head = struct.pack("<HHBB", len(body) if length is None else length, 0, channel, kind | counter << 4)
    return (head + body).ljust(64, b"\0")


def test_answers_have_counters_of_the_slaves_own_from_1_to_7(box):
    found = [answer[5] for i in range(4) for answer in box.take(message(counter=1 + i))]
    assert found == [3 | c << 4 for c in (1, 2, 3, 4, 5, 6, 7, 1)]
    assert box.take(message(counter=5))[0][:2] == b"\3\0"


def test_the_same_counter_again_is_the_same_message_again(box, heard):
    assert box.take(message(b"first"))
    assert box.take(message(b"first")) == []
    assert box.take(message(b"next", 2)) and heard == [b"first", b"next"]


def test_without_counters_each_message_counts(box, heard):
    assert box.take(message(counter=0)) and box.take(message(counter=0))
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"kind": 4}, 2),
        ({"channel": 1}, 3),
        ({"kind": 0x83}, 5),
        ({"length": 1}, 6),
        ({"length": 59}, 8),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(box, heard, more, detail):
    answers = box.take(message(**more))
    assert [a[6:] for a in answers] == [struct.pack("<HH", 1, detail)] and answers[0][5] & 0xF == 0
    assert heard == []


def test_a_slave_may_be_silent_to_order_and_init_begins_counters_anew(box, heard):
    box.silent = 1
    assert box.take(message(counter=1)) == []
    assert box.take(message(counter=2))
    box.reset(64)
    assert box.take(message(counter=2))[0][5] >> 4 == 1
    assert box.take(b"abc") == [] and len(heard) == 2
