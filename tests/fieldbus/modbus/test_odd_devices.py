"""Devices that are no specification: what people report of the field."""

import re
import select
import socket
import struct
import time
from dataclasses import replace

import numpy as np
import pytest
from pymodbus.framer.rtu import FramerRTU

from fieldbus.errors import ConnectionLostError
from fieldbus.exchange.block import State
from fieldbus.exchange.link import Connection
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.state import State as LinkState
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.client import TcpClient
from fieldbus.modbus.habits import NONE, Habits
from fieldbus.modbus.link import ModbusLink, Rtu, Tcp
from fieldbus.modbus.plan import Options
from fieldbus.modbus.protocol import PASSING
from fieldbus.tags import Quality, Tag
from tests.devices import SerialLine
from tests.fieldbus.modbus.odd_device import Odd
from tests.waiting import PATIENCE_S, is_once, wait_for

BIT = Tag("warning", "bool", "out", address=ModbusAddress("holding", 4, bit=0))
X = Tag("x", "uint16", "in", address=ModbusAddress("holding", 10))
PLENTY_S = 10.0
"""So long a busy machine may be silent before a link gives its connection up, where that is no part of the test."""
MANY = Tag("many", "float32", "in", count=24, address=ModbusAddress("input", 0))


def linked(
    device: Odd, tags: list[Tag], options: Options | None = None, habits: Habits = NONE, timeout_s: float = PLENTY_S
) -> tuple[ModbusLink, Channel | None]:
    """A link to it, not started, and what it reads."""
    where, backoff_s = Tcp("127.0.0.1", device.port), (0.01, 0.05)
    link = ModbusLink("plc", tags, where, 0.005, timeout_s, options=options, habits=habits, backoff_s=backoff_s)
    names = [tag.name for tag in tags if tag.direction == "in"]
    return link, link.subscribe(ProcessImage(), names, "test") if names else None


@pytest.mark.parametrize("options", [Options(), Options(mask_writes=True), Options(read_write=True)])
def test_the_other_bits_of_a_control_word_are_left_alone(options: Options) -> None:
    """Bit 0 of register 4 is ours: what the device does to the others stays, while we run and after the safe value."""
    with Odd(registers={4: 0xA002}) as device:
        link, _ = linked(device, [X, BIT], options)
        warning = link.drive(ProcessImage(), ["warning"], "test")
        with link:
            wait_for(lambda: warning.write([1.0]) is None and device.registers[4] == 0xA003)

            def others_stay() -> bool:
                warning.write([0.0])
                if device.registers[4] & 0xFFFE != 0x5554:  # again where the link had read the word before
                    device.registers[4] = 0x5555
                return device.registers[4] == 0x5554

            wait_for(others_stay)
            wait_for(lambda: warning.write([1.0]) is None and device.registers[4] == 0x5555)
        assert device.registers[4] == 0x5554


def test_a_word_that_cannot_be_read_is_not_written() -> None:
    """Its other bits are not known: nothing is written, the other outputs are, and the message says which keys there are."""
    with Odd(registers={4: 0xA002}, hidden=(4,)) as device:
        link, _ = linked(device, [X, BIT, Tag("speed", "uint16", "out", safe=7, address=ModbusAddress("holding", 5))])
        with link:
            wait_for(lambda: device.registers.get(5) == 7)
            wait_for(lambda: "unit 1 FC 3, holding 4" in link.status().last_error)
            assert "mask_writes = true" in link.status().last_error
            assert 'other_bits = "zero"' in link.status().last_error
            safe = link.stop()
        assert device.registers[4] == 0xA002
        assert not safe


def test_bits_become_zero_where_that_is_wanted() -> None:
    """`keep_bits=False`: a register that cannot be read is written."""
    with Odd(registers={4: 0xA002}, hidden=(4,)) as device:
        link, _ = linked(device, [X, replace(BIT, safe=1.0)], Options(keep_bits=False))
        with link:
            wait_for(lambda: device.registers[4] == 1)


@pytest.mark.parametrize(("key", "function"), [("read_write", 23), ("mask_writes", 22)])
def test_a_function_code_that_the_device_lacks_is_told_with_its_key(key: str, function: int) -> None:
    """Exception 1: the message says what to write."""
    with Odd(lacks=(function,)) as device:
        link, _ = linked(device, [X, BIT], Options(**{key: True}))  # type: ignore[arg-type]
        with link:
            wait_for(lambda: f"the device lacks function code {function}: set " in link.status().last_error)


def test_the_words_that_are_kept_are_no_tags() -> None:
    """Who looks at the link's tags sees those of its file."""
    with Odd() as device:
        link, channel = linked(device, [X, BIT])
        assert link.tags == (X, BIT)
        with link:
            assert channel is not None
            wait_for(lambda: channel.read().quality is Quality.GOOD)


# --- numbers of gateways -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"transaction": 2}, r"an answer with transaction id 2 came where \d+ was asked; .* any_transaction_id = true"),
        ({"unit": 0}, "an answer of unit 0 came where unit 1 was asked; .* any_unit = true"),
    ],
)
def test_an_answer_with_other_numbers_is_told(odd: dict[str, int], words: str) -> None:
    """It is taken for no answer, and what came is said, with the key that accepts it."""
    with Odd(**odd) as device:  # type: ignore[arg-type]
        link, _ = linked(device, [X], timeout_s=1.0)
        with link:
            wait_for(lambda: re.search(words, link.status().last_error) is not None)
            assert link.status().reads <= 1, "transaction id 2 is right once"


def test_the_number_of_an_earlier_question_may_be_late() -> None:
    """Said before the advice for a gateway with numbers of its own; a number that was never asked has only that."""
    link = ModbusLink("l", [X], Tcp("127.0.0.1", 1), cycle_s=0.01, timeout_s=0.1)
    assert "was asked; it is a late one, or, if this device" in link._other_number(2328, 2329)
    assert "was asked; it is a late one, or, if this device" in link._other_number(0xFFFF, 1)
    assert "was asked; if this device" in link._other_number(2330, 2329)


def test_a_device_that_never_answers_is_not_degraded() -> None:
    """A port that takes connections, and no more: each attempt ends down. The report of a pulled cable does not flicker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = ModbusLink("l", [X], Tcp("127.0.0.1", server.getsockname()[1]), cycle_s=0.005, timeout_s=0.05)
        states: list[LinkState] = []
        enter = link._enter

        def recorded(state: LinkState) -> None:
            states.append(state)
            enter(state)

        link._enter = recorded  # type: ignore[method-assign]
        with link:
            wait_for(lambda: states.count("down") >= 3)
        assert set(states) == {"connecting", "down", "stopped"}


@pytest.mark.parametrize(
    ("odd", "habits"),
    [
        ({"transaction": 2}, Habits(any_transaction_id=True)),
        ({"transaction": 0, "unit": 255}, Habits(any_transaction_id=True, any_unit=True)),
        ({"unit": 0}, Habits(any_unit=True)),
    ],
)
def test_a_gateway_with_numbers_of_its_own_can_be_read(odd: dict[str, int], habits: Habits) -> None:
    """With the keys its answers count, and the right values come."""
    with Odd(registers={10: 77}, **odd) as device:  # type: ignore[arg-type]
        link, channel = linked(device, [X], habits=habits)
        with link:
            assert channel is not None
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            assert channel.read().values.tolist() == [77.0]
            assert link.status().errors == 0


def test_what_came_before_the_question_is_no_answer_to_it() -> None:
    """With `any_transaction_id` a second answer to one question must not be taken for the answer to the next."""
    with Odd(registers={1: 11, 2: 22}, transaction=9, twice=True) as device:
        client = TcpClient("127.0.0.1", device.port, Habits(any_transaction_id=True))
        client.dial(soon())
        for register in (1, 2, 1, 2):
            assert client.ask(1, 3, struct.pack(">HH", register, 1), soon()) == bytes([2, 0, 11 * register])
            wait_for(lambda: is_readable(client))
        client.close()


def soon() -> int:
    return time.monotonic_ns() + 2_000_000_000


def is_readable(client: TcpClient) -> bool:
    """Whether something has come that was not asked for."""
    return bool(client._received or select.select([client.socket], [], [], 0)[0])


# --- pauses ------------------------------------------------------------------------------------------------------------


def test_a_device_that_hears_nothing_after_connecting() -> None:
    """With `connect_pause_s` the first request is answered: one connection, no error."""

    def is_heard() -> bool:
        with Odd(deaf_s=0.2) as device:
            link, _ = linked(device, [X], habits=Habits(connect_pause_s=0.3), timeout_s=1.0)
            with link:
                assert link.wait_up(PATIENCE_S)
                return (device.connections, link.status().errors) == (1, 0)

    assert is_once(is_heard)


def test_a_device_that_needs_quiet_between_requests() -> None:
    """With `request_pause_s` every request is heard; without it those of one exchange follow each other too fast."""
    far = Tag("far", "uint16", "in", address=ModbusAddress("input", 90))
    for pause_s, good in ((0.03, True), (0.0, False)):
        with Odd(gap_s=0.02) as device:
            timeout_s = PLENTY_S if good else 1.0
            link, _ = linked(device, [X, far], habits=Habits(request_pause_s=pause_s), timeout_s=timeout_s)
            with link:
                wait_for(lambda: link.status().reads > 3 if good else link.status().errors > 0)  # noqa: B023
                assert (link.status().errors == 0) is good


def test_a_device_slower_than_its_cycle_is_stopped_and_read_otherwise() -> None:
    """Where an exchange takes longer than the cycle there is no gap: other requests are laid, and the end comes, all the same."""
    slow = Habits(request_pause_s=0.03)
    with Odd(most=20) as device:
        link, _ = linked(device, [MANY, X], habits=slow)
        with link:
            wait_for(lambda: link.lengths.options.max_read == 12 and link.status().reads > 2)
            assert link.stop() is False, "it has no outputs"
        assert (device.connections, link.status().reconnects) == (1, 0)
        assert "come to an end" not in link.status().last_error


def test_what_a_runner_works_on_is_not_laid_anew() -> None:
    """An exchange that does not come to an end keeps its memory: the connection is lost, and nothing is freed under the runner."""
    with Odd() as device:
        link, _ = linked(device, [X])
        link.exchange._longest_ns = 10_000_000
        link.exchange._x["state"] = State.BUSY
        with pytest.raises(ConnectionLostError, match="does not come to an end"):
            link._arm(Connection(0, link._laid[1]))
        assert link.exchange.plan is None


# --- lengths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [2, 3])
def test_a_device_of_short_requests_is_learned(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """20 registers a request: 48 are asked for in halves until they are taken; which key to write is told once."""
    caplog.set_level("WARNING")
    with Odd(most=20, most_code=code, registers={0: 0x4148}) as device:
        link, channel = linked(device, [MANY])
        with link:
            assert channel is not None
            wait_for(lambda: link.status().reads > 3)
            assert channel.read().values[0] == 12.5
        told = [record.getMessage() for record in caplog.records if "max_read" in record.getMessage()]
        assert told[-1] == (
            "link plc: the device refuses longer requests: write max_read = 12, or what its manual says"
        )
        assert sum("refuses longer requests" in line for line in told) == 1
        assert not any(hasattr(r, "link") for r in caplog.records if "refuses" in r.getMessage()), "a station logs it"
        assert "write max_read = 12" in link.status().note
        assert {body[3] for _, _, body in device.asked} == {48, 24, 12}


def test_a_device_that_takes_no_length_is_asked_as_declared() -> None:
    """An address that it does not have is refused at every length: then requests are again as they were."""
    with Odd(hidden=tuple(range(60, 80))) as device:
        link, _ = linked(device, [Tag("gone", "uint16", "in", count=8, address=ModbusAddress("holding", 64))])
        with link:
            wait_for(lambda: "exception 2" in link.status().last_error and device.asked[-1][2][3] == 8)
            wait_for(lambda: link.lengths.options == Options() and len(device.asked) > 30)
            asked = len(device.asked)
            wait_for(lambda: len(device.asked) > asked + 5 and {b[3] for _, _, b in device.asked[-5:]} == {8})


def test_an_address_that_was_always_wrong_does_not_keep_from_learning() -> None:
    """A lone register is refused for its address, the long request for its length: the length is learned."""
    gone = Tag("gone", "uint16", "in", address=ModbusAddress("holding", 70))
    with Odd(most=20, hidden=(70,)) as device:
        link, _ = linked(device, [gone, MANY])
        with link:
            wait_for(lambda: link.lengths.options.max_read == 12)
            asked = len(device.asked)
            wait_for(lambda: len(device.asked) > asked + 20)
            assert link.lengths.options.max_read == 12


# --- refusals that pass ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_refusal_that_passes_leaves_the_values(code: int) -> None:
    """Every fifth answer is "busy": STALE in between, never BAD, and no new connection."""
    with Odd(every=5, code=code) as device:
        link, channel = linked(device, [X])
        assert channel is not None
        seen: set[Quality] = set()
        with link:
            assert link.wait_up(PATIENCE_S)
            wait_for(lambda: seen.add(channel.read().quality) is None and len(seen) > 1 and link.status().errors > 20)
        assert (seen, device.connections) == ({Quality.GOOD, Quality.STALE}, 1)


def test_a_device_that_is_busy_for_long_is_bad() -> None:
    """At the timeout, on the same connection; GOOD again afterwards."""
    with Odd() as device:
        link, channel = linked(device, [X], timeout_s=2.0)
        assert channel is not None
        with link:
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            device.every = 1
            wait_for(lambda: channel.read().quality is Quality.STALE)
            wait_for(lambda: channel.read().quality is Quality.BAD)
            wait_for(lambda: "exception 6, server device busy" in link.status().last_error)
            device.every = 0
            wait_for(lambda: channel.read().quality is Quality.GOOD)
        assert device.connections == 1


def test_a_lasting_refusal_is_not_hidden_by_a_passing_one() -> None:
    """One request is refused for good, the one before it for now: BAD."""
    with Odd(hidden=(10,), every=1) as device:
        link, channel = linked(device, [Tag("other", "uint16", "in", address=ModbusAddress("input", 90)), X])
        assert channel is not None
        with link:
            wait_for(lambda: "exception 2" in link.status().last_error)
            assert channel.read().quality is Quality.BAD


# --- serial lines ------------------------------------------------------------------------------------------------------


class Hearing:
    """A pseudoterminal whose adapter sends everything back; behind it a device, if it is alive, with 77 in its registers."""

    def __init__(self, is_alive: bool) -> None:
        self.asked: list[bytes] = []
        self._is_alive = is_alive
        self._line = SerialLine()
        self.port, self.close = self._line.port, self._line.close
        self._line.start(self._serve)

    def _serve(self) -> None:
        while request := self._line.read(64):
            self.asked.append(request)
            self._line.write(request)
            if self._is_alive:
                count = request[5]
                body = request[:6] if request[1] == 6 else request[:2] + bytes([2 * count]) + b"\0\x4d" * count
                self._line.write(body + FramerRTU.compute_CRC(body).to_bytes(2, "big"))


@pytest.mark.parametrize("is_alive", [True, False])
def test_an_adapter_that_hears_itself(is_alive: bool) -> None:
    """With `echo` what we send is no answer: a living device is up, a dead one never confirms its safe values."""
    line = Hearing(is_alive)
    tags = [X, Tag("valve", "uint16", "out", safe=5, address=ModbusAddress("holding", 30))]
    answer_s, timeout_s = (PLENTY_S / 2, PLENTY_S) if is_alive else (0.05, 0.2)
    transport = Rtu(line.port, parity="N", answer_s=answer_s)
    link = ModbusLink("line", tags, transport, 0.02, timeout_s, habits=Habits(echo=True))
    channel = link.subscribe(ProcessImage(), ["x"], "test")
    link.start()
    if is_alive:
        wait_for(lambda: channel.read().quality is Quality.GOOD)
        assert channel.read().values.tolist() == [77.0]
    else:
        wait_for(lambda: len(line.asked) > 5)
        assert link.status().reads == 0
    assert link.stop() is is_alive
    line.close()


def test_a_broadcast_is_sent_and_never_confirmed() -> None:
    """Unit 0 of a serial line: no answer is awaited, no error counted; nobody says that the safe values arrived."""
    line = SerialLine()
    tag = Tag("setpoint", "uint16", "out", safe=5, address=ModbusAddress("holding", 10, unit=0))
    transport = Rtu(line.port, parity="N", answer_s=0.05)
    link = ModbusLink("line", [tag], transport, 0.005, 1.0, habits=Habits(broadcast_pause_s=0.02))
    link.start()
    got = b""
    while len(got) < 40:
        got += line.read(256)
    assert got[:6].hex() == "0006000a0005"
    wait_for(lambda: link.status().writes > 5 and link.status().state == "up")
    assert link.status().errors == 0
    assert not link.stop()
    line.close()


# --- numbers that mean nothing -----------------------------------------------------------------------------------------


def test_a_number_that_means_nothing_is_bad_in_native_code_too() -> None:
    """0x8000 of an int16 and a value beyond its limits: NaN and BAD where they are carried, counted, and told as they came."""
    temp = Tag("temp", "int16", "in", "degC", 0.1, high=120, address=X.address, not_available=(0x8000,))
    free = Tag("free", "uint16", "in", address=ModbusAddress("holding", 11))
    with Odd(registers={10: 200, 11: 7}) as device:
        link, both = linked(device, [temp, free])
        alone = link.subscribe(ProcessImage(), ["free"], "other")
        assert both is not None
        with link:
            for register, words in (
                (0x8000, "temp: not available (raw -32768)"),
                (1201, "temp: 120.1 degC is not within -inf to 120"),
            ):
                device.registers[10] = 1200
                wait_for(lambda: both.read().quality is Quality.GOOD and alone.read().quality is Quality.GOOD)
                assert (both.read().values.tolist(), link.status().note) == ([120.0, 7.0], "")
                count = link.status().implausible
                device.registers[10] = register
                wait_for(lambda: both.read().quality is Quality.BAD)
                wait_for(lambda: link.status().implausible > count)  # noqa: B023
                assert np.isnan(both.read().values[0])
                wait_for(lambda: (alone.read().quality, link.status().note) == (Quality.GOOD, words))  # noqa: B023


def test_a_device_that_answers_and_does_not_work() -> None:
    """Its life sign stands still: all inputs BAD, the reason told, outputs written; GOOD when it changes again."""
    force = Tag("force", "uint16", "out", address=ModbusAddress("holding", 30))
    with Odd(registers={10: 0}) as device:
        link, channel = linked(device, [X, Tag("y", "uint16", "in", address=ModbusAddress("input", 50)), force])
        assert channel is not None
        link.watch_life("x", 0.1)
        with link:
            wait_for(lambda: "its life sign x has not changed yet" in link.status().last_error)
            assert channel.read().quality is Quality.BAD

            def beats() -> bool:
                device.registers[10] = (device.registers[10] + 1) & 0xFFFF
                return True

            wait_for(lambda: beats() and channel.read().quality is Quality.GOOD and link.status().state == "up")
            wait_for(lambda: channel.read().quality is Quality.BAD and link.status().state == "degraded")
            assert link.status().last_error == "the device answers, but its life sign x has not changed for 0.1 s"
            writes = link.status().writes
            wait_for(lambda: link.status().writes > writes + 5)
            wait_for(lambda: beats() and channel.read().quality is Quality.GOOD and link.status().state == "up")
