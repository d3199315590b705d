"""Questions to slaves as frames."""

import random

from fieldbus.ethercat.protocol import Command, Register
from fieldbus.ethercat.wire.frames import HEAD_BYTES, MOST_DATAGRAMS, datagrams_of
from fieldbus.ethercat.wire.wire import Answer, Datagram, Node, frames_of, packed, unpacked

ASKED = [
    Datagram(Command.APRD, Node.at(2).address, Register.AL_STATUS, bytes(6)),
    Datagram(Command.FPWR, 0x1001, Register.AL_CONTROL, b"\x08\0"),
]


def answered(frame, position=0, counters=(1, 1), data=b"\x14\0\0\0\x1b\0"):
    """As slaves send it back: the position counted up, what was read in its place, working counters."""
    came = bytearray(frame)
    came[HEAD_BYTES + 2] = position
    came[HEAD_BYTES + 10 : HEAD_BYTES + 16] = data
    came[HEAD_BYTES + 16] = counters[0]
    came[HEAD_BYTES + 30] = counters[1]
    return bytes(came)


def test_an_answer_is_known_by_its_datagrams():
    """A position is counted up on the way; each has its own working counter."""
    frame = packed(ASKED, 0x41)
    assert len(frame) == 60
    assert Node.at(2).address == 0xFFFE
    answers = unpacked(answered(frame, counters=(1, 0)), ASKED, 0x41)
    assert answers == [Answer(b"\x14\0\0\0\x1b\0", 1), Answer(b"\x08\0", 0)]


def test_the_answer_to_another_question_is_none():
    """Of another index, of fewer or other datagrams, cut off."""
    frame = answered(packed(ASKED, 0x41))
    assert unpacked(frame, ASKED, 0x42) is None
    assert unpacked(frame, ASKED[:1], 0x41) is None
    assert unpacked(frame, ASKED[::-1], 0x41) is None
    assert [unpacked(frame[:n], ASKED, 0x41) for n in range(48)] == [None] * 48


def test_whatever_comes_raises_nothing():
    """Twenty thousand damaged answers, and noise: an answer, or none."""
    chance, frame = random.Random(15), packed(ASKED, 0x41)
    for i in range(20_000):
        damaged = bytearray(answered(frame) if i % 2 else chance.randbytes(chance.randrange(80)))
        for _ in range(chance.randrange(4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        answers = unpacked(bytes(damaged[: chance.randrange(len(damaged) + 1)]), ASKED, 0x41)
        assert answers is None or [len(a.data) for a in answers] == [6, 2]


def test_frames_are_as_full_as_they_may_be():
    """And a slave more begins another; short ones hold the line for less long."""
    asked = [Datagram(Command.FPRD, 0x1001 + i, Register.AL_STATUS, bytes(6)) for i in range(200)]
    frames = list(frames_of(asked))
    assert [len(some) for some in frames] == [83, 83, 34]
    assert [one for some in frames for one in some] == asked
    assert all(len(packed(some, 0)) <= HEAD_BYTES + MOST_DATAGRAMS for some in frames)
    assert {len(some) for some in frames_of(asked, 180)} == {10}
    assert len(datagrams_of(packed(frames[0], 3))) == 83
