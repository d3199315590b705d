"""The conversation: transcripts of what is sent and received, then whatever bytes may come."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldbus.ads import frames
from fieldbus.ads.conversation import FIRST_INVOKE, MOST_BYTES, Answer, Conversation, Ends, Event, Samples, samples
from fieldbus.ads.protocol import Command
from fieldbus.errors import GarbageError

ENDS = Ends(bytes((5, 1, 2, 3, 1, 1)), 851, bytes((10, 0, 0, 9, 1, 1)), 30_001)
HERE, THERE = "0a0000090101 3175", "050102030101 5303"
"""(NetId, port) of ours and of the controller's, low byte of a port first."""
ONE = FIRST_INVOKE
"""The first question's number."""
READ = bytes.fromhex("05f00000 07000000 04000000")


def answer(invoke: int, data: bytes, command: int = 2, error: int = 0, **other: bytes | int) -> bytes:
    """A packet from the controller. `other`: target, source, flags, size."""
    head = (
        other.get("target", ENDS.own_net_id),
        ENDS.own_port,
        other.get("source", ENDS.net_id),
        ENDS.port,
        command,
        other.get("flags", 5),
        other.get("size", len(data)),
        error,
        invoke and FIRST_INVOKE - 1 + invoke,
    )
    return frames.HEAD.pack(0, 32 + len(data), *head) + data


def note(*values: tuple[int, bytes]) -> bytes:
    return answer(0, frames.notification([(5, list(values))]), Command.NOTIFICATION, flags=4)


def asked(count: int = 1) -> Conversation:
    conversation = Conversation(ENDS)
    for _ in range(count):
        conversation.ask(Command.READ, READ)
    return conversation


def test_a_question_is_these_bytes():
    """AMS/TCP head, the controller's address, ours, command, "ADS command", length, no error, invoke id; then the data."""
    invoke, frame = Conversation(ENDS).ask(Command.READ, READ)
    words = f"0000 2c000000 {THERE} {HERE} 0200 0400 0c000000 00000000 00000080"
    assert (invoke, frame.hex()) == (FIRST_INVOKE, words.replace(" ", "") + READ.hex())


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_events_are_the_same_however_the_bytes_are_cut(step: int):
    """An answer, notifications before and behind it, and the beginning of one more, which waits for its end."""
    stream = note((7, b"\1\2")) + answer(1, b"\0\0\0\0") + note((7, b"\3\4"), (8, b"\5")) + answer(2, b"late")[:-1]
    conversation = asked(2)
    events: list[Event] = []
    for at in range(0, len(stream), step):
        events += conversation.feed(stream[at : at + step])
    first, second = Samples(((7, b"\1\2"),)), Samples(((7, b"\3\4"), (8, b"\5")))
    assert events == [first, Answer(ONE, 2, 0, b"\0\0\0\0"), second]
    assert conversation.feed(b"e") == [Answer(ONE + 1, 2, 0, b"late")]
    assert conversation.dropped == 0


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (answer(2, b""), "an answer to another question (command 2, invoke id 2147483649, from 5.1.2.3.1.1:851)"),
        (answer(1, b"", command=3), "an answer to another question (command 3"),
        (answer(1, b"", source=bytes(6)), "from 0.0.0.0.0.0:851"),
        (answer(1, b"", target=bytes((9, 9, 9, 9, 1, 1))), "for 9.9.9.9.1.1:30001"),
        (answer(1, READ, flags=4), "a request (command 2"),
        (frames.TCP.pack(0x1001, 4) + bytes(4), "a router notification"),
    ],
)
def test_what_is_not_for_us_is_dropped_and_told(packet: bytes, words: str):
    """Counted, kept in words; the right answer behind it is the answer."""
    conversation = asked()
    assert conversation.feed(packet + answer(1, b"yes")) == [Answer(ONE, 2, 0, b"yes")]
    assert conversation.dropped == 1
    assert words in conversation.last_dropped


def test_an_answer_is_taken_once_and_not_when_it_was_given_up():
    """The same packet again, or too late: nobody's."""
    conversation = asked(2)
    conversation.give_up(ONE + 1)
    assert conversation.feed(answer(1, b"") * 2 + answer(2, b"")) == [Answer(ONE, 2, 0, b"")]
    assert conversation.dropped == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "not AMS over TCP: 48 54 54 50 2f 31 2e 31 20 34 30 30 20 42 61 64 ... (HTTP/1.1 400 Bad)",
        ),
        (frames.TCP.pack(0, MOST_BYTES + 1), "not AMS over TCP: 00 00 01 00 40 00"),
        (frames.TCP.pack(0, 31) + bytes(31), "an AMS packet of 31 bytes, its header alone has 32"),
        (answer(1, b"abc", size=4), "says 4 bytes of data and has 3"),
        (answer(0, b"abc", Command.NOTIFICATION, flags=4), "a notification of 3 bytes that says it has more"),
        (
            answer(0, b"\xff\xff\0\0\1\0\0\0", Command.NOTIFICATION, flags=4),
            "a notification that says 65535 bytes and has 4",
        ),
    ],
)
def test_a_stream_that_cannot_be_followed_is_garbage(data: bytes, words: str):
    """The message names what came."""
    with pytest.raises(GarbageError) as caught:
        asked().feed(data)
    assert words in str(caught.value)


GOOD = frames.notification([(5, [(1, b"ab"), (2, b"")]), (6, [(1, b"cd")])])


def test_a_notification_is_taken_apart():
    """Two moments, three values."""
    assert samples(GOOD) == ((1, b"ab"), (2, b""), (1, b"cd"))


@pytest.mark.parametrize("at", range(0, len(GOOD), 4))
def test_a_notification_whose_lengths_are_wrong_is_garbage_or_keeps_its_sizes(at: int):
    """Each of its words made huge: what ended the process in AdsLib. Never a value that is not in its bytes."""
    wrong = GOOD[:at] + b"\xff\xff\xff\x7f" + GOOD[at + 4 :]
    try:
        found = samples(wrong[: len(GOOD)])
    except GarbageError:
        return
    assert all(value in wrong for _, value in found)
    assert sum(len(value) for _, value in found) == 4


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from((answer(1, b"yes"), note((7, b"\1")), answer(9, b"no"))))
    )
)
def test_whatever_comes_is_an_event_or_garbage(parts: list[bytes]):
    """Never another exception; an answer is the one that the controller gave to this question."""
    conversation = asked()
    with contextlib.suppress(GarbageError):
        for part in parts:
            for event in conversation.feed(part):
                if isinstance(event, Answer):
                    assert answer(1, event.data, error=event.error) in b"".join(parts)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_byte_that_is_wrong_gives_no_value_of_another_question(data: st.DataObject):
    """Mutated anywhere: the right answer with other data bytes, no answer, or garbage; never an answer with another number."""
    frame = bytearray(answer(1, struct.pack("<IIf", 0, 4, 1.5)))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] = data.draw(st.integers(0, 255))
    try:
        events = asked(3).feed(bytes(frame))
    except GarbageError:
        return
    for event in events:
        if isinstance(event, Answer):
            assert event.invoke in (ONE, ONE + 1, ONE + 2)
            assert event.command == Command.READ
            assert len(event.data) == 12
