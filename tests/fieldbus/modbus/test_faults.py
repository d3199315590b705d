"""What a Modbus device can do wrong, and what everybody sees of it: BAD within the timeout, and recovery."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pymodbus.framer.rtu import FramerRTU

from fieldbus.errors import ConnectionLostError, GarbageError, NoAnswerError, RefusedError
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.client import TcpClient
from fieldbus.modbus.link import ModbusLink, Rtu, Tcp
from fieldbus.tags import Quality, Tag
from tests.devices import SerialLine
from tests.fieldbus.modbus.hostile import Hostile
from tests.waiting import PATIENCE_S, free_port, is_once, wait_for

TIMEOUT_S = 0.3
PLENTY_S = 10.0
"""Of tests that do not wait until it is over: a busy machine that answers late is no fault of theirs."""
BUSY_S = 0.25
"""So late a busy machine may be."""
TAGS = [
    Tag("x", "float32", "in", address=ModbusAddress("holding", 100)),
    Tag("i", "int16", "in", address=ModbusAddress("input", 3)),
    Tag("u", "int16", "out", safe=7.0, address=ModbusAddress("holding", 0)),
]


def link_to(port: int, timeout_s: float = TIMEOUT_S, **options: object) -> tuple[ModbusLink, Channel, Channel, Channel]:
    """A link, two subscribers and a driver."""
    link = ModbusLink("plc", TAGS, Tcp("127.0.0.1", port), 0.005, timeout_s, backoff_s=(0.01, 0.05), **options)  # type: ignore[arg-type]
    image = ProcessImage()
    readers = [link.subscribe(image, ["x", "i"], "one"), link.subscribe(image, ["i"], "two")]
    return link, *readers, link.drive(image, ["u"], "task")  # type: ignore[return-value]


def deadline(seconds: float = PLENTY_S) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("cut", "the device closed the connection"),
        ("garbage", "not a Modbus frame: 15 03 01 00 02 02 50"),
        ("half", "half an answer: "),
        ("silence", "no answer in time"),
        ("exception", "unit 1 FC 6, holding 0 (u): exception 2, illegal data address"),
        ("short", "unit 1 FC 6, holding 0 (u): expected the echo"),
        ("other_function", "unit 1 FC 6, holding 0 (u): asked with FC 6, answered with FC 4"),
        ("drip", ""),
    ],
)
def test_every_fault_is_bad_within_the_timeout_and_recovers(mode: str, error: str) -> None:
    """All subscribers BAD no later than `timeout_s` after the last good sample, the reason told, then GOOD again."""
    with Hostile() as device:
        link, one, two, _ = link_to(device.port)

        def is_in_time() -> bool:
            assert link.wait_up(PATIENCE_S)
            device.mode = mode
            begun_s = time.monotonic()
            took_s = wait_for(lambda: one.read().quality is Quality.BAD and two.read().quality is Quality.BAD)
            age_s = begun_s + took_s - one.read().timestamp_ns / 1e9
            wait_for(lambda: link.status().last_error and error in link.status().last_error, what=error)
            device.mode = "good"
            wait_for(lambda: one.read().quality is Quality.GOOD and two.read().quality is Quality.GOOD)
            return age_s <= TIMEOUT_S + BUSY_S

        with link:
            assert is_once(is_in_time)
            assert link.wait_up(PATIENCE_S)


def test_a_refused_write_leaves_the_inputs_as_good_as_they_are() -> None:
    """Each request is as good as its own answers; the link says which one is refused, and why."""
    with Hostile() as device:
        link, one, *_ = link_to(device.port, PLENTY_S)
        with link:
            assert link.wait_up(PATIENCE_S)
            device.mode = "write_exception"
            wait_for(lambda: link.status().state == "degraded")
            refused = "unit 1 FC 6, holding 0 (u): exception 2, illegal data address"
            wait_for(lambda: link.status().last_error == refused)
            before = one.read()
            wait_for(lambda: one.read().counter > before.counter + 3 and one.read().quality is Quality.GOOD)
            device.mode = "good"
            assert link.wait_up(PATIENCE_S)
            assert device.connections == 1


def test_a_refusal_does_not_cost_the_connection() -> None:
    """An exception code is an answer: no reconnect."""
    with Hostile() as device:
        link, one, *_ = link_to(device.port, PLENTY_S)
        with link:
            assert link.wait_up(PATIENCE_S)
            device.mode = "exception"
            wait_for(lambda: link.status().state == "degraded" and one.read().quality is Quality.BAD)
            device.mode = "good"
            wait_for(lambda: one.read().quality is Quality.GOOD)
        assert device.connections == 1


def test_after_the_cable_is_back_the_first_write_is_safe() -> None:
    """The task died while the cable was out: 0x0007, the safe value, is the first thing the device hears."""
    with Hostile() as device:
        link, one, _, u = link_to(device.port)
        with link:
            assert link.wait_up(PATIENCE_S)
            wait_for(lambda: u.write([55.0]) is None and (6, struct.pack(">HH", 0, 55)) in device.asked)
            device.mode = "cut"
            wait_for(lambda: one.read().quality is Quality.BAD)
            wait_for(lambda: time.monotonic_ns() - u.latest()[1] > TIMEOUT_S * 1e9)
            connections = device.connections
            wait_for(lambda: device.connections > connections + 3 and device.is_idle)  # those begun with 55 are over
            before = len(device.asked)
            device.mode = "good"
            wait_for(lambda: one.read().quality is Quality.GOOD)
        written = [body for function, body in device.asked[before:] if function == 6]
        assert set(written) == {struct.pack(">HH", 0, 7)}


def test_stop_ends_with_the_safe_values() -> None:
    """The last request of all writes them; `stop` tells that the device confirmed."""
    with Hostile() as device:
        link, _, _, u = link_to(device.port, PLENTY_S)
        link.start()
        assert link.wait_up(PATIENCE_S)
        u.write([55.0])
        wait_for(lambda: (6, struct.pack(">HH", 0, 55)) in device.asked)
        assert link.stop() is True
        assert device.asked[-1] == (6, struct.pack(">HH", 0, 7))


def test_a_refused_output_does_not_keep_the_others_from_their_safe_values() -> None:
    """The device refuses register 0: register 50 still gets its new values, the safe one of a dead task, and at stop."""
    tags = [*TAGS, Tag("v", "int16", "out", safe=9.0, address=ModbusAddress("holding", 50))]
    with Hostile() as device:
        link = ModbusLink("plc", tags, Tcp("127.0.0.1", device.port), 0.005, TIMEOUT_S, backoff_s=(0.01, 0.05))
        v = link.drive(ProcessImage(), ["v"], "task")
        link.start()
        assert link.wait_up(PATIENCE_S)
        device.mode = "refuse_register_0"
        wait_for(lambda: link.status().state == "degraded")
        wait_for(lambda: v.write([55.0]) is None and (6, struct.pack(">HH", 50, 55)) in device.asked)
        device.asked.clear()
        wait_for(lambda: (6, struct.pack(">HH", 50, 9)) in device.asked)  # the task wrote no more: too old
        device.asked.clear()
        wait_for(lambda: v.write([55.0]) is None and (6, struct.pack(">HH", 50, 55)) in device.asked)
        assert link.stop() is False, "register 0 was not confirmed"
        wait_for(lambda: [body for function, body in device.asked if function == 6][-1] == struct.pack(">HH", 50, 9))


def test_a_device_without_function_code_23_is_told_apart() -> None:
    """The error says which option to change."""
    with Hostile() as device:
        link, *_ = link_to(device.port, read_write=True)
        device.mode = "no_function"
        with link:
            wait_for(lambda: "lacks function code 23: set fc23 = false" in link.status().last_error)


def test_nobody_listens() -> None:
    """Connection refused: down, with host and port in the reason; it comes up when the device does."""
    link, one, *_ = link_to(free_port())
    with link:
        wait_for(lambda: link.status().state == "down")
        assert "cannot connect to 127.0.0.1:" in link.status().last_error
        assert one.read().quality is Quality.BAD


def test_an_answer_in_pieces_is_one_answer() -> None:
    """Byte by byte, with a late answer to an earlier question before it: the right one is found."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = TcpClient("127.0.0.1", server.getsockname()[1])
        client.dial(deadline(2.0))
        device, _ = server.accept()
        late = bytes.fromhex("0063 0000 0005 01 03 02 dead")
        answer = bytes.fromhex("0001 0000 0005 01 03 02 1234")
        device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in late + answer + late:
            device.sendall(bytes([byte]))
        assert client.ask(1, 3, b"\0\0\0\1", deadline(2.0)).hex() == "021234"
        device.sendall(bytes.fromhex("0002 0000 0005 01 03 02 5678"))
        assert client.ask(1, 3, b"\0\0\0\1", deadline(2.0)).hex() == "025678"
        device.close()
        client.close()


@pytest.mark.parametrize(
    ("mode", "error", "within_s"),
    [("silence", NoAnswerError, 0.1), ("half", NoAnswerError, 0.1), ("drip", NoAnswerError, 0.1),
     ("cut", ConnectionLostError, PLENTY_S), ("garbage", GarbageError, PLENTY_S), ("exception", RefusedError, PLENTY_S)],
)  # fmt: skip
def test_the_client_keeps_its_deadline(mode: str, error: type[Exception], within_s: float) -> None:
    """Whatever the device does, `ask` is back by the deadline, with the right kind of error."""
    with Hostile() as device:
        device.mode = mode
        client = TcpClient("127.0.0.1", device.port)
        client.dial(deadline())
        start = time.monotonic()
        with pytest.raises((error, GarbageError) if mode == "drip" else error):
            client.ask(1, 3, b"\0\0\0\1", deadline(within_s))
        assert time.monotonic() - start < 5.0, "without a deadline it would be there for ever"
        client.close()


def test_a_refusal_carries_the_code() -> None:
    """`RefusedError.code` is the Modbus exception code."""
    with Hostile() as device:
        device.mode = "exception"
        client = TcpClient("127.0.0.1", device.port)
        client.dial(deadline())
        with pytest.raises(RefusedError, match="exception 2, illegal data address") as refused:
            client.ask(1, 3, b"\0\0\0\1", deadline())
        assert refused.value.code == 2
        client.close()


# --- a serial line: frames get lost ----------------------------------------------------------------------------------


class Line:
    """A device with 7 in every input register behind a pseudoterminal; `mode` as in `Hostile`. Units 1 and 2 answer."""

    def __init__(self) -> None:
        self.mode = "good"
        self._line = SerialLine()
        self.port, self.close = self._line.port, self._line.close
        self._line.start(self._serve)

    def _serve(self) -> None:
        while request := self._line.read(64):
            if request[0] in (1, 2) and self.mode != "silence":
                count = request[5]
                body = bytes([request[0], 4, 2 * count]) + b"\0\7" * count
                frame = body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
                frame = {"crc": frame[:-1] + b"\xaa", "half": frame[:4]}.get(self.mode, frame)
                self._line.write(frame)


@contextmanager
def serial_link(*tags: Tag) -> Iterator[tuple[Line, ModbusLink, Channel]]:
    """A running link to a `Line`, and a subscriber of all tags."""
    line = Line()
    transport = Rtu(line.port, parity="N", answer_s=0.03)
    link = ModbusLink("line", tags, transport, 0.005, TIMEOUT_S, backoff_s=(0.01, 0.05))
    channel = link.subscribe(ProcessImage(), [t.name for t in tags], "task")
    try:
        with link:
            assert link.wait_up(PATIENCE_S)
            yield line, link, channel
    finally:
        line.close()


@pytest.mark.parametrize("mode", ["crc", "half", "silence"])
def test_a_bad_line_is_stale_then_bad_then_good(mode: str) -> None:
    """A wrong CRC, half a frame or silence: STALE while younger than the timeout, BAD by then, and recovery."""
    with serial_link(Tag("n", "uint16", "in", count=3, address=ModbusAddress("input", 0))) as (line, _, channel):
        assert channel.read().values.tolist() == [7.0, 7.0, 7.0]

        def seen() -> Quality:
            sample = channel.read()
            assert sample.quality is Quality.BAD or sample.values.tolist() == [7.0, 7.0, 7.0]
            qualities.add(sample.quality)
            return sample.quality

        def is_in_time() -> bool:
            qualities.clear()
            line.mode = mode
            begun_s = time.monotonic()
            took_s = wait_for(lambda: seen() is Quality.BAD)
            age_s = begun_s + took_s - channel.read().timestamp_ns / 1e9
            line.mode = "good"
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            return Quality.STALE in qualities and age_s <= TIMEOUT_S + BUSY_S

        qualities: set[Quality] = set()
        assert is_once(is_in_time)


def test_several_units_share_a_line() -> None:
    """One link, two units: each is asked for its own registers."""
    tags = [Tag(f"n{u}", "uint16", "in", address=ModbusAddress("input", 0, unit=u)) for u in (1, 2)]
    with serial_link(*tags) as (_, link, channel):
        assert channel.read().values.tolist() == [7.0, 7.0]
        assert [r.unit for r in link.requests] == [1, 2]


def test_what_has_not_left_when_the_connection_is_given_up_never_arrives() -> None:
    """The device takes nothing for a while (a cable): what it gets later must not be outputs of long ago."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = TcpClient("127.0.0.1", listener.getsockname()[1])
        client.dial(deadline())
        device, _ = listener.accept()
        with device:
            sent = got = 0
            with suppress(ConnectionLostError):  # until nothing more can leave
                while True:
                    client.deadline_ns, client.until_ns = deadline(0.1), deadline(10)
                    with suppress(NoAnswerError):  # this thread stood still for so long: nothing was sent
                        sent += client.send(bytes(4096))
            client.close()
            with suppress(ConnectionResetError):
                while data := device.recv(65536):
                    got += len(data)
            assert 0 < got < sent
