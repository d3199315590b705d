"""Questions of a cycle as transactions: their bytes, what must come back, and what else may come, in words."""

import struct

import pytest

from fieldbus.ads import frames, questions, requests
from fieldbus.ads.conversation import Ends
from fieldbus.ads.protocol import RESPONSE, Command
from fieldbus.ads.questions import Question
from fieldbus.ads.requests import STATE, VERSION, Item
from fieldbus.codec import Field
from fieldbus.errors import BusyError, ConnectionLostError, DeviceError, GarbageError, RefusedError
from fieldbus.tags import Order, Tag

ENDS = Ends(bytes((5, 1, 2, 3, 1, 1)), 851, bytes((10, 0, 0, 9, 1, 1)), 30_001)
ITEMS = (Item("MAIN.fX", 0xF005, 7, 4), Item("MAIN.n", 0xF005, 8, 2))
FIELDS = (
    Field(Tag("x", "float32", "in"), 0, 0, 4, Order.DCBA),
    Field(Tag("n", "int16", "in"), 1, 4, 2, Order.DCBA),
)
READ_ALL = questions.read_all(ENDS, (VERSION, STATE), b"\x07", ITEMS, FIELDS)
WRITE_ALL = questions.write_all(ENDS, ITEMS, FIELDS)


def frame(command: int, data: bytes, error: int = 0) -> bytes:
    head = (ENDS.own_net_id, ENDS.own_port, ENDS.net_id, ENDS.port, command, RESPONSE, len(data), error, 77)
    return frames.HEAD.pack(0, 32 + len(data), *head) + data


def read_answer(codes: tuple[int, ...] = (0, 0, 0, 0), version: int = 7, state: int = 5) -> bytes:
    values = struct.pack("<BHfh", version, state, 1.5, -2)
    return frame(9, struct.pack("<II4I", 0, 16 + len(values), *codes) + values)


def is_expected(question: Question, came: bytes) -> bool:
    pattern = question.transaction.answer
    assert pattern is not None
    return len(came) == len(pattern.frame) and all(
        not (a ^ b) & m for a, b, m in zip(came, pattern.frame, pattern.fixed, strict=True)
    )


def is_refusal(question: Question, came: bytes) -> bool:
    refusal = question.transaction.refusal
    assert refusal is not None
    pattern = refusal.pattern
    return len(came) == len(pattern.frame) and all(
        not (a ^ b) & m for a, b, m in zip(came, pattern.frame, pattern.fixed, strict=True)
    )


def test_a_sum_read_asks_what_is_watched_first():
    """Version and state stand before the values, so they are in the beginning of any frame; the inputs begin behind them."""
    made = READ_ALL.transaction
    assert made.request[38:] == requests.sum_read((VERSION, STATE, *ITEMS))
    assert made.inputs_at == 38 + 8 + 16 + 3
    assert made.inputs == FIELDS
    came = read_answer()
    assert is_expected(READ_ALL, came)
    assert came[made.inputs_at :] == struct.pack("<fh", 1.5, -2)


@pytest.mark.parametrize(
    ("came", "kind", "words"),
    [
        (read_answer(state=6), RefusedError, "the PLC is in STOP, not in RUN"),
        (read_answer(version=8), ConnectionLostError, "the controller's symbols changed"),
        (read_answer((0x702, 0, 0, 0)), ConnectionLostError, "the controller's symbols changed"),
        (read_answer((0, 0, 0x711, 0)), ConnectionLostError, "MAIN.fX: ADS error 0x711"),
        (read_answer((0, 0, 0, 0x705)), RefusedError, "MAIN.n: ADS error 0x705, size not correct"),
    ],
)
def test_an_answer_of_the_right_length_that_says_something_else_is_a_refusal(
    came: bytes, kind: type[DeviceError], words: str
):
    """Native code goes on; the keeper has the words, and ends the connection where symbols have changed."""
    assert not is_expected(READ_ALL, came)
    assert is_refusal(READ_ALL, came)
    error = READ_ALL.named(came)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("came", "kind", "words"),
    [
        (frame(9, struct.pack("<II", 0x708, 0)), BusyError, "sum read: ADS error 0x708, device is busy"),
        (frame(9, struct.pack("<II", 0x701, 0)), RefusedError, "sum read: ADS error 0x701, service not supported"),
        (frame(9, b"", error=6), ConnectionLostError, "ADS error 0x6, Target port not found"),
        (frame(9, b"", error=0x1234), ConnectionLostError, "ADS error 0x1234, unknown"),
        (frame(2, struct.pack("<II", 0, 0)), GarbageError, "asked with command 9, answered with command 2"),
        (frame(9, b"\0\0"), GarbageError, "not the answer that was expected"),
        (frame(9, struct.pack("<II", 0, 0)), GarbageError, "not the answer that was expected"),
    ],
)
def test_an_answer_of_another_length_ends_the_exchange(came: bytes, kind: type[DeviceError], words: str):
    """It is neither expected nor a refusal; the keeper has the words."""
    assert not is_expected(READ_ALL, came)
    assert not is_refusal(READ_ALL, came)
    error = READ_ALL.named(came)
    assert type(error) is kind
    assert words in str(error)


def test_a_sum_write_is_confirmed_item_by_item():
    """One code that is not 0 is no confirmation."""
    good, bad = (frame(9, struct.pack("<II2I", 0, 8, 0, code)) for code in (0, 0x704))
    assert is_expected(WRITE_ALL, good)
    assert not is_expected(WRITE_ALL, bad)
    assert is_refusal(WRITE_ALL, bad)
    assert str(WRITE_ALL.named(bad)) == "MAIN.n: ADS error 0x704, reading/writing not permitted"


def test_single_requests_know_which_refusals_pass():
    """Busy is asked again; their fields begin with their own value."""
    one = questions.read_one(ENDS, ITEMS[1], FIELDS[1:])
    assert is_expected(one, frame(2, struct.pack("<IIh", 0, 2, -2)))
    assert one.transaction.inputs[0].byte == 0
    refusal = one.transaction.refusal
    assert refusal is not None
    for code, passes in ((0x708, True), (0x704, False)):
        came = frame(2, struct.pack("<II", code, 0))
        assert is_refusal(one, came)
        assert (came[refusal.code_at] in refusal.passing) is passes
    write = questions.write_one(ENDS, ITEMS[0], FIELDS[:1])
    assert is_expected(write, frame(3, bytes(4)))
    assert is_refusal(write, frame(3, struct.pack("<I", 0x704)))


def test_the_state_by_command_concerns_all_inputs():
    """RUN is expected; another one is a refusal whose code is the state; a device that is not watched may have any."""
    watched, not_watched = questions.read_state(ENDS), questions.read_state(ENDS, is_watched=False)
    stop = frame(4, struct.pack("<IHH", 0, 6, 1))
    assert watched.transaction.concerns_all
    assert is_expected(watched, frame(4, struct.pack("<IHH", 0, 5, 1)))
    assert not is_expected(watched, stop)
    assert is_refusal(watched, stop)
    assert "the PLC is in STOP" in str(watched.named(stop))
    assert is_expected(not_watched, stop)


def test_another_version_is_seen_without_sums():
    """A Read of its own, which concerns all inputs."""
    asked = questions.read_version(ENDS, b"\x07")
    other = frame(2, struct.pack("<IIB", 0, 1, 8))
    assert asked.transaction.concerns_all
    assert is_refusal(asked, other)
    assert isinstance(asked.named(other), ConnectionLostError)


def test_notifications_are_those_to_us():
    """The header of one matches, an answer's does not, nor a notification for another port."""
    samples = questions.notified(ENDS, [(9, ITEMS[0], FIELDS[:1]), (4, ITEMS[1], FIELDS[1:])])
    note = questions.notification(ENDS, [(4, b"\1\2")])

    def begins(came: bytes) -> bool:
        header = samples.header
        return all(not (a ^ b) & m for a, b, m in zip(came, header.frame, header.fixed, strict=False))

    assert len(samples.header.frame) == 38
    assert begins(note)
    assert not begins(read_answer())
    assert not begins(note[:12] + b"\xff" + note[13:])
    assert note[22] == Command.NOTIFICATION
    assert [sample.inputs[0].byte for sample in samples.values] == [0, 0]
