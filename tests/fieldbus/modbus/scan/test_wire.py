"""Answers as they come: in pieces, late, with foreign numbers, after an echo, broken. What is odd is noted."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fieldbus.errors import ConnectionLostError, GarbageError, NoAnswerError
from fieldbus.modbus.crc import with_crc
from fieldbus.modbus.scan.wire import FIRST_NUMBER, RtuWire, TcpWire, frame_bytes
from tests.devices import SerialLine, TcpDevice
from tests.waiting import is_once

PDU = bytes([3, 0, 0, 0, 1])
GOOD = bytes([3, 2, 0x12, 0x34])
SHORT_S, LONG_S = 0.05, 10.0
REQUEST_BYTES = 7 + len(PDU)


def frame(number: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, unit) + pdu


@contextmanager
def tcp(*answers: bytes, closes: bool = False) -> Iterator[TcpWire]:
    """A wire to a peer that sends these, one for each request."""

    def serve(sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        for answer in answers:
            stream.read(REQUEST_BYTES)
            for byte in answer:
                sock.sendall(bytes([byte]))
        if not closes:
            stream.read(1)

    device = TcpDevice(serve)
    wire = TcpWire("127.0.0.1", device.port)
    try:
        wire.open(LONG_S)
        yield wire
    finally:
        wire.close()
        device.close()


def test_an_answer_in_pieces():
    """Byte by byte it is whole in the end."""
    with tcp(frame(FIRST_NUMBER, 1, GOOD)) as wire:
        assert wire.exchange(1, PDU, LONG_S) == GOOD
        assert not wire.oddities.numbers | wire.oddities.units


@pytest.mark.parametrize("number", [0, 2, 0xFFFF])
def test_a_transaction_number_of_its_own_is_accepted_and_noted(number):
    """Since one question is under way at a time, it can be no other's answer."""
    with tcp(frame(number, 1, GOOD)) as wire:
        assert wire.exchange(1, PDU, LONG_S) == GOOD
        assert wire.oddities.numbers == {number}


def test_a_unit_number_of_its_own_is_accepted_and_noted():
    """A device that always says 0."""
    with tcp(frame(FIRST_NUMBER, 0, GOOD)) as wire:
        assert wire.exchange(5, PDU, LONG_S) == GOOD
        assert wire.oddities.units == {0}


def test_a_late_answer_belongs_to_its_own_question():
    """It is dropped, and whose it was is known."""
    late = frame(FIRST_NUMBER, 7, bytes([3, 2, 0xDE, 0xAD]))
    with tcp(b"", late + frame(FIRST_NUMBER + 1, 8, GOOD)) as wire:
        with pytest.raises(NoAnswerError):
            wire.exchange(7, PDU, SHORT_S)
        assert wire.exchange(8, PDU, LONG_S) == GOOD
        assert wire.oddities.late_units == {7}


@pytest.mark.parametrize("answer", [bytes.fromhex("0103021234b533"), b"HTTP/1.1 400 Bad Request\r\n"])
def test_another_protocol_is_told(answer):
    """RTU frames on TCP, a web server: the bytes are shown."""
    with tcp(answer) as wire, pytest.raises(GarbageError, match="not a Modbus TCP frame: "):
        wire.exchange(1, PDU, LONG_S)


def test_a_connection_that_is_closed_is_told():
    """Not as silence."""
    with tcp(b"", closes=True) as wire, pytest.raises(ConnectionLostError, match="closed the connection"):
        wire.exchange(1, PDU, LONG_S)


def test_an_answer_to_another_function_is_none():
    """Its code is shown."""
    with (
        tcp(frame(FIRST_NUMBER, 1, bytes([4, 2, 0, 0]))) as wire,
        pytest.raises(GarbageError, match="answered with FC 4"),
    ):
        wire.exchange(1, PDU, LONG_S)


@contextmanager
def line(*answers: bytes) -> Iterator[RtuWire]:
    """A wire to a serial line on which these come, one after each request."""
    other_end = SerialLine()

    def serve() -> None:
        for answer in answers:
            if other_end.read(256):
                other_end.write(answer)

    other_end.start(serve)
    wire = RtuWire(other_end.port, 19200, "N")
    try:
        wire.open(LONG_S)
        yield wire
    finally:
        wire.close()
        other_end.close()


REQUEST = with_crc(bytes([1]) + PDU)
ANSWER = with_crc(bytes([1]) + GOOD)


def test_a_serial_answer():
    """Between its unit and its CRC."""
    assert ANSWER.hex() == "0103021234b533"  # as mbpoll and libmodbus write it
    with line(ANSWER) as wire:
        assert wire.exchange(1, PDU, LONG_S) == GOOD
        assert not wire.oddities.has_echo


def test_an_echo_is_not_the_answer():
    """It is dropped, and noted; alone it is silence."""
    with line(REQUEST + ANSWER) as wire:
        assert wire.exchange(1, PDU, LONG_S) == GOOD
        assert wire.oddities.has_echo

    def is_noted() -> bool:
        with line(REQUEST) as wire:
            with pytest.raises(NoAnswerError):
                wire.exchange(1, PDU, SHORT_S)
            return wire.oddities.has_echo

    assert is_once(is_noted)


def test_a_late_answer_of_another_unit_is_noted():
    """What comes first is unit 7's; then ours."""
    with line(with_crc(bytes([7]) + GOOD) + ANSWER) as wire:
        assert wire.exchange(1, PDU, LONG_S) == GOOD
        assert wire.oddities.late_units == {7}


@pytest.mark.parametrize("answer", [ANSWER[:-1] + b"\0", ANSWER[:4], b"\xff\x00\xfe"])
def test_a_broken_frame_is_noise(answer):
    """A wrong CRC, half a frame, a wrong baud rate: told, and counted."""

    def is_noise() -> bool:
        with line(answer) as wire:
            with pytest.raises((GarbageError, NoAnswerError)) as caught:
                wire.exchange(1, PDU, SHORT_S)
            return caught.type is GarbageError and wire.oddities.noise == len(answer)

    assert is_once(is_noise)


@pytest.mark.parametrize(
    "pdu",
    [
        GOOD,
        bytes([0x83, 2]),
        bytes([17, 3, 65, 66, 255]),
        bytes([1, 1, 5]),
        bytes([43, 14, 1, 1, 0, 0, 2, 0, 2, 65, 66, 1, 1, 67]),
    ],
)
def test_an_answers_length_is_known_from_its_beginning(pdu):
    """As soon as it can be known, and right whatever follows."""
    whole = with_crc(bytes([1]) + pdu)
    sizes = [frame_bytes(whole[:n]) for n in range(len(whole) + 1)]
    assert set(sizes) == {0, len(whole)}
    assert sizes == sorted(sizes)
    assert frame_bytes(whole + b"\1\2\3") == len(whole)


def test_a_port_that_is_not_there_says_why():
    """The system's error is the cause, for who gives advice."""
    with pytest.raises(ConnectionLostError, match="/dev/ttyNONE") as lost:
        RtuWire("/dev/ttyNONE", 19200, "E").open(1.0)
    assert isinstance(lost.value.__cause__, OSError)
