"""A serial line has no numbers: whatever comes late, twice or disturbed, a value is never another register's."""

import itertools
import random
import threading
import time
from collections import Counter

import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.habits import Habits
from fieldbus.modbus.link import ModbusLink, Rtu
from fieldbus.modbus.serial_line import heard
from fieldbus.tags import Quality, Tag
from tests.fieldbus.modbus.serial_device import Serial, framed
from tests.waiting import PATIENCE_S, wait_for

ANSWER_S = 0.01
PLENTY_S = 10.0
"""So long a busy machine may be silent before a link gives its connection up, where that is no part of the test."""
BAUD = 115200
EXCHANGES = 400


def tag(unit: int, register: int, count: int = 1) -> Tag:
    """Input registers of a unit."""
    return Tag(f"u{unit}r{register}", "uint16", "in", count=count, address=ModbusAddress("input", register, unit=unit))


ALIKE = [tag(1, 0), tag(1, 50), tag(1, 90)]
LONGER = [tag(1, 0, 6), tag(1, 50, 6)]
TWO_UNITS = [tag(1, 0), tag(1, 50), tag(2, 0), tag(2, 50)]


def outliers(chance: random.Random) -> float:
    """Mostly fast, now and then up to eight times what is waited for."""
    return chance.uniform(0.0, 8.0 * ANSWER_S) if chance.random() < 0.03 else chance.uniform(0.0, 0.2 * ANSWER_S)


def watch(device: Serial, tags: list[Tag], exchanges: int, **line: object) -> Counter[Quality]:
    """Exchange so often, and until enough of it was seen; gives how many samples of each quality. All that are not BAD are right."""
    link = ModbusLink(
        "line", tags, Rtu(device.port, BAUD, "N", answer_s=ANSWER_S), 0.001, 0.5, backoff_s=(0.01, 0.05), **line
    )  # type: ignore[arg-type]
    image, seen = ProcessImage(), Counter[Quality]()
    channels = [(t, link.subscribe(image, [t.name], t.name)) for t in tags]
    newest = {t.name: 0 for t in tags}
    with link:
        end = time.monotonic() + 60.0
        while not is_enough(link.exchange.counter("cycles"), exchanges, seen) and time.monotonic() < end:
            for t, channel in channels:
                sample = channel.read()
                if sample.counter == newest[t.name]:
                    continue
                newest[t.name] = sample.counter
                seen[sample.quality] += 1
                assert isinstance(t.address, ModbusAddress)
                right = [1000.0 * t.address.unit + t.address.address + i for i in range(t.count)]
                assert sample.quality is Quality.BAD or sample.values.tolist() == right, (t.name, sample, seen)
            time.sleep(0.0005)
        assert is_enough(link.exchange.counter("cycles"), exchanges, seen), seen
    return seen


def is_enough(cycles: int, exchanges: int, seen: Counter[Quality]) -> bool:
    """Were there so many, good ones and old ones among them?"""
    return cycles >= exchanges and seen[Quality.GOOD] > exchanges / 5 and seen[Quality.STALE] > 0


@pytest.mark.parametrize(
    ("tags", "most"), [(ALIKE, 2), (LONGER, 126), (TWO_UNITS, 126)], ids=["refuses longer reads", "long", "two units"]
)
def test_no_value_is_ever_another_registers(tags: list[Tag], most: int) -> None:
    """Late answers, lost ones, wrong bytes, noise and second answers, all at random. (Seen to fail without fences.)"""
    troubles = {"lose": 0.02, "garble": 0.02, "noise": 0.05, "twice": 0.02}
    with Serial(units=(1, 2), delay=outliers, most=most, **troubles) as device:
        watch(device, tags, EXCHANGES)


def test_a_device_that_answers_nothing_unusual_is_waited_for() -> None:
    """No fence is ever answered: right values all the same, after the line was quiet for longer than anything took before."""
    slow = [0.0]

    def once(chance: random.Random) -> float:
        return slow.pop() if slow else 0.0

    with Serial(delay=once, silent=lambda unit, function, count: count > 1) as device:
        link = ModbusLink("line", ALIKE, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.002, PLENTY_S)
        channel = link.subscribe(ProcessImage(), [t.name for t in ALIKE], "test")
        with link:
            for _ in range(10):
                wait_for(lambda: channel.read().quality is Quality.GOOD)
                wait_for(lambda: channel.read().quality is not Quality.GOOD or (not slow and slow.append(0.075)))
                assert channel.read().values.tolist() == [1000.0, 1050.0, 1090.0]
        assert link.status().reconnects == 0


def test_a_device_that_is_late_many_times_is_caught_up_with() -> None:
    """Twenty answers that each take 0.8 of what is waited for, behind one that takes three times it: GOOD soon, no new connection."""
    slow = [0.0]

    def late(_: random.Random) -> float:
        return slow.pop() if len(slow) > 1 else slow[0]

    with Serial(delay=late) as device:
        link = ModbusLink("line", ALIKE, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.002, PLENTY_S)
        channel = link.subscribe(ProcessImage(), [t.name for t in ALIKE], "test")
        with link:
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            slow[:] = [0.0, *[0.04] * 20, 0.15]
            wait_for(lambda: len(slow) == 1)
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            assert channel.read().values.tolist() == [1000.0, 1050.0, 1090.0]
        assert link.status().reconnects == 0


def test_safe_values_are_not_confirmed_by_a_late_answer() -> None:
    """The device answers the write before only after the link has stopped asking: `stop` says that nothing was confirmed."""
    dead = threading.Event()
    out = Tag("valve", "uint16", "out", safe=5, address=ModbusAddress("holding", 30))
    with Serial(delay=lambda _: 0.2 if dead.is_set() else 0.0) as device:
        link = ModbusLink("line", [out], Rtu(device.port, BAUD, "N", answer_s=0.05), 0.01, 0.15)
        link.start()
        assert link.wait_up(PATIENCE_S)
        dead.set()
        wait_for(lambda: link.status().state != "up")
        is_confirmed, answered = link.stop(), device.answered
        wait_for(lambda: device.asked[-1][1][:6] == bytes([1, 6, 0, 30, 0, 5]))
        assert not is_confirmed or answered == len(device.asked)  # a link that stood still so long got its own answer


# --- echoes -------------------------------------------------------------------------------------------------------------

VALVE = Tag("valve", "uint16", "out", safe=5, address=ModbusAddress("holding", 30))


@pytest.mark.parametrize("units", [(1,), ()], ids=["alive", "dead"])
@pytest.mark.parametrize("tags", [[VALVE], [VALVE, tag(1, 0)]], ids=["writes", "writes and reads"])
def test_an_echo_is_found_out(units: tuple[int, ...], tags: list[Tag]) -> None:
    """Without `echo` nothing that an adapter hears of itself is a confirmation; the key is named."""
    with Serial(units=units, echo=True) as device:
        link = ModbusLink("line", tags, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.01, 0.2)
        link.start()
        wait_for(lambda: link.status().last_error == "unit 1: the adapter hears what it sends: set echo = true")
        assert link.status().writes == 0
        assert link.stop() is False


def test_an_echo_that_does_not_come_is_told() -> None:
    """`echo` is set, and the adapter does not hear itself: nothing is read, and the key is named."""
    with Serial() as device:
        transport = Rtu(device.port, BAUD, "N", answer_s=0.05)
        link = ModbusLink("line", [tag(1, 0)], transport, 0.01, 0.2, habits=Habits(echo=True))
        with link:
            wait_for(lambda: "does not hear what it sends, set echo = false" in link.status().last_error)
            assert link.status().reads == 0


# --- several units ------------------------------------------------------------------------------------------------------


def test_a_dead_unit_does_not_slow_the_others_down() -> None:
    """Unit 2 is asked now and then only; unit 1 stays GOOD; the reason names the unit; it is back soon after it answers."""
    is_dead = threading.Event()
    with Serial(units=(1, 2), silent=lambda unit, *_: unit == 2 and is_dead.is_set()) as device:
        link = ModbusLink("line", TWO_UNITS, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.005, 1.0)
        image = ProcessImage()
        one, two = (link.subscribe(image, [t.name for t in TWO_UNITS[i : i + 2]], f"t{i}") for i in (0, 2))
        with link:
            assert link.wait_up(PATIENCE_S)
            is_dead.set()
            wait_for(lambda: two.read().quality is Quality.BAD and link.status().state == "degraded")
            wait_for(lambda: link.status().last_error == "unit 2: no answer in time")
            before, counter = len(device.asked), one.read().counter
            wait_for(lambda: one.read().counter > counter + 100)
            wait_for(lambda: one.read().quality is not Quality.BAD)
            asked = [request[0] for _, request in device.asked[before:]]
            assert asked.count(2) < asked.count(1) / 10
            is_dead.clear()
            wait_for(lambda: two.read().quality is Quality.GOOD and link.wait_up(0.0))
            assert "unit 2" not in link.status().lost_reason  # unit 1 is in the thread of a busy machine


# --- the wire -----------------------------------------------------------------------------------------------------------


def test_the_line_is_silent_between_frames() -> None:
    """3.5 characters after an answer, at 9600 baud 3.6 ms, and `request_pause_s` where that is longer."""
    for pause_s, least_s in ((0.0, 3.5 * 10 / 9600), (0.02, 0.02)):
        with Serial() as device:
            transport, habits = Rtu(device.port, 9600, "N", answer_s=PLENTY_S / 2), Habits(request_pause_s=pause_s)
            link = ModbusLink("line", ALIKE, transport, 0.001, PLENTY_S, habits=habits)
            with link:
                wait_for(lambda: link.status().reads > 5)  # noqa: B023
            times = [when for when, _ in device.asked[:12]]
            assert min(b - a for a, b in itertools.pairwise(times)) >= least_s - 0.0005


def test_a_line_on_which_somebody_else_talks() -> None:
    """Nothing can be asked: BAD by the timeout, the reason told; no phase goes on for ever."""
    with Serial() as device:
        link = ModbusLink("line", ALIKE, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.005, 0.3)
        channel = link.subscribe(ProcessImage(), [t.name for t in ALIKE], "test")
        with link:
            assert link.wait_up(PATIENCE_S)

            def talk() -> bool:
                device.line.write(b"\x55")
                return "somebody else talks on it" in link.status().last_error

            wait_for(talk)
            wait_for(lambda: talk() is not None and channel.read().quality is Quality.BAD)
            wait_for(lambda: channel.read().quality is Quality.GOOD)


def test_a_port_that_is_gone_is_told() -> None:
    """A USB adapter is pulled out: down, with the port's name."""
    with Serial() as device:
        link = ModbusLink("line", ALIKE, Rtu(device.port, BAUD, "N", answer_s=0.05), 0.005, PLENTY_S)
        with link:
            assert link.wait_up(PATIENCE_S)
            device.line.pull_out()
            wait_for(lambda: link.status().lost_reason.startswith(f"the serial port {device.port} is gone"))


@pytest.mark.parametrize(
    ("came", "words"),
    [
        ("", ""),
        ("01 04", "half an answer: 01 04 in time"),
        ("01 04 02 00 07 00 00", "half an answer, or a disturbed one (its checksum is wrong): 01 04 02 00 07 00 00"),
        ("02 04 02 00 07 +", "an answer of unit 2 came where unit 1 was asked: 02 04 02 00 07 3c f2"),
        ("01 03 02 00 07 +", "asked with FC 4, answered with FC 3: 01 03 02 00 07 f9 86"),
        ("01 04 04 00 07 00 07 +", "not the answer that was expected: 01 04 04 00 07 00 07 8b 87"),
        ("01 04 00 00 00 01 +", "the adapter hears what it sends: set echo = true"),
    ],
)
def test_what_came_in_words(came: str, words: str) -> None:
    """Of a read of one input register of unit 1; "+" is the checksum."""
    request = framed(bytes.fromhex("01 04 00 00 00 01"))
    data = bytes.fromhex(came.rstrip("+"))
    told = heard(request, framed(data) if came.endswith("+") else data, echo=False)
    assert told.split(": ")[0] == words.split(": ")[0]


def test_fences_look_like_no_other_answer() -> None:
    """Of each unit: reads of lengths that no request has, of addresses that are read anyway where there are enough."""
    link = ModbusLink("line", [*LONGER, tag(2, 7), tag(1, 200, 2), VALVE], Rtu("/dev/null"))
    asked = [[(v.label, v.request[:6].hex()) for v in fence.variants] for fence in link._laid[1].fences]
    assert [bytes.fromhex(request)[5] for _, request in asked[0]] == [1, 3, 4, 5]
    assert {bytes.fromhex(request)[1:4].hex() for _, request in asked[0]} == {"040000"}
    assert [bytes.fromhex(request)[5] for _, request in asked[1]] == list(range(2, 10))
    assert asked[1][0] == ("unit 2", "020400070002")
