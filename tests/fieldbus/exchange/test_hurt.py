"""What hurts a machine: values that look good, outputs that are said to have been sent, memory that two write to."""

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from fieldbus.codec import Codec, Field
from fieldbus.exchange.block import Event, Phase, State
from fieldbus.exchange.memory import NATIVE, Exchange
from fieldbus.exchange.plan import Plan
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.modbus.requests import Read
from fieldbus.modbus.transactions import tcp_frames, transaction
from fieldbus.tags import Quality, Tag
from tests.fieldbus.exchange.bench import FIRST, MS, NS, Bench, exchange_of, framed, number_of, plan_of
from tests.waiting import is_once, wait_for

TEMPERATURE = Tag("temperature", "uint16", "in", low=0.0, high=100.0)


class Pair:
    """One input, asked for on a socket pair, in whole phases and real time."""

    def __init__(self, *, any_number: bool = False, answer_ns: int = 50 * MS) -> None:
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        cells = Cells("plant", [TEMPERATURE])
        read = Read(1, 3, 0, 1, Codec([Field(TEMPERATURE, 0, 0, 2)], 2))
        self.exchange = Exchange(cells, Cells("plant", []), 60 * NS, MS, 1 << 62)
        self.exchange.lay(
            Plan(
                frames=tcp_frames(any_number=any_number),
                transactions=(transaction(read),),
                writes=0,
                answer_ns=answer_ns,
            )
        )
        self.channel = ProcessImage().channel("t", [TEMPERATURE], writer="plant", reader="test")
        self.exchange.subscribers([self.channel])
        self.exchange.arm(self.ours.fileno(), True)

    def answer(self, *values: int) -> None:
        """To the newest question, or, without one, to the next."""
        try:
            number = number_of(self.theirs.recv(4096)[-12:])
        except BlockingIOError:
            number = self.exchange.counter("number") + 1
        for value in values:
            self.theirs.send(framed(number, struct.pack(">BBBH", 1, 3, 2, value)))

    def phase(self, limit_ns: int = 10 * NS) -> None:
        """What the runner does."""
        self.exchange.phase(Phase.ALL, time.monotonic_ns() + limit_ns)

    @property
    def read(self) -> tuple[float, Quality]:
        """What a subscriber has."""
        sample = self.channel.read()
        return float(sample.values[0]), sample.quality

    def close(self) -> None:
        """Everything."""
        self.exchange.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A socket pair."""
    made = Pair()
    yield made
    made.close()


def test_a_number_that_means_nothing_is_not_shown_while_the_keeper_has_the_exchange(pair: Pair) -> None:
    """Between the end of a connection and the keeper's word, an implausible input stays NaN and BAD."""
    pair.answer(5000)
    pair.phase()
    assert pair.read[1] is Quality.BAD
    pair.theirs.close()
    pair.phase()
    assert pair.exchange.fault in (Event.CLOSED, Event.FAILED)
    pair.phase()
    value, quality = pair.read
    assert value != value
    assert quality is Quality.BAD


def test_a_value_stays_stale_while_the_keeper_has_the_exchange(pair: Pair) -> None:
    """One that was good a moment ago is still shown, as STALE."""
    pair.answer(50)
    pair.phase()
    assert pair.read == (50.0, Quality.GOOD)
    pair.theirs.close()
    pair.phase()
    pair.phase()
    assert pair.read == (50.0, Quality.STALE)


def test_an_answer_that_came_between_two_phases_is_taken_however_late_the_next_phase_is() -> None:
    """A task of a slow cycle looks after the answer's time is over: the answer lies there, and counts."""
    pair = Pair(answer_ns=20 * MS)
    pair.phase(limit_ns=1)
    pair.answer(42)
    time.sleep(0.05)
    pair.phase(limit_ns=1)
    assert pair.read[0] == 42.0
    assert int(pair.exchange.transactions[0]["misses"]) == 0
    pair.close()


def test_a_device_that_answers_twice_and_has_no_numbers_is_found_out() -> None:
    """Else each answer would be taken for that of the next question, for ever."""
    pair = Pair(any_number=True, answer_ns=10 * NS)
    for value in (10, 20, 30):
        if pair.exchange.is_mine:
            break
        thread = threading.Timer(0.02, lambda value=value: pair.answer(value, value))
        thread.start()
        pair.phase()
        thread.join()
        assert pair.exchange.is_mine or pair.read[0] == value
    assert pair.exchange.fault is Event.UNASKED
    pair.close()


def test_the_keeper_ends_a_phase_that_waits_for_many_answers() -> None:
    """It gets the exchange after one answer's time at most, not after all of them: safe values have to be sent."""

    def is_next() -> bool:
        exchange = exchange_of(plan_of(answer_ns=300 * MS), timeout_ns=MS)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        exchange.arm(ours.fileno(), True)
        runner = threading.Thread(target=exchange.phase, args=(Phase.ALL, time.monotonic_ns() + 60 * NS))
        runner.start()
        wait_for(lambda: exchange.pending >= 0)
        assert exchange.take()
        runner.join()
        misses = int(sum(exchange.transactions["misses"]))
        exchange.close()
        ours.close()
        theirs.close()
        return misses <= 1

    assert is_once(is_next)


def test_outputs_that_a_device_refuses_are_not_shown_as_sent() -> None:
    """Who looks at outputs as they were sent sees nothing of a write that was refused, and it is not counted."""
    with Bench() as bench:
        shown = ProcessImage().channel("shown", bench.speed.tags, writer="plant", reader="panel")
        bench.exchange.drivers([bench.speed])
        bench.exchange.observers([shown])
        bench.speed.write([5.0], timestamp_ns=bench.now_ns)
        first, second = bytes([1, 3, 4, 0, 1, 0, 2]), bytes([2, 3, 4, 0, 0, 0, 0])
        bench.cycle(bytes([1, 0x90, 2]), first, second)
        assert shown.read().counter == 0
        assert bench.exchange.counter("writes_done") == 0
        bench.cycle(struct.pack(">BBHH", 1, 16, 100, 2), first, second)
        assert shown.read().values.tolist() == [5.0]
        assert bench.exchange.counter("writes_done") == 1


def test_a_channel_whose_tags_nothing_asks_for_is_bad() -> None:
    """Its zeros are nobody's values."""
    with Bench() as bench:
        lone: Channel = ProcessImage().channel("lone", [FIRST], writer="plant", reader="test")
        plan, bench.exchange.plan = bench.exchange.plan, None
        bench.exchange.subscribers([lone])
        bench.exchange.plan = plan
        first, second = bytes([1, 3, 4, 0, 1, 0, 2]), bytes([2, 3, 4, 0, 0, 0, 0])
        bench.cycle(struct.pack(">BBHH", 1, 16, 100, 2), first, second)
        assert lone.read().quality is Quality.BAD


def test_a_channel_has_one_writer_at_a_time(pair: Pair) -> None:
    """The keeper's word and the task's cycle, at the same time, again and again: the three slots stay three."""
    pair.theirs.close()
    pair.phase()
    stop = threading.Event()
    age = NATIVE.function("exchange_age")

    def keep() -> None:
        while not stop.is_set():
            age(pair.exchange.address, time.monotonic_ns())

    keepers = [threading.Thread(target=keep) for _ in range(2)]
    for keeper in keepers:
        keeper.start()
    for _ in range(20_000):
        pair.phase()
    stop.set()
    for keeper in keepers:
        keeper.join()
    words = pair.channel._words
    assert sorted({int(words[8]), int(words[16]), int(words[24]) & 3}) == [0, 1, 2]


def test_thousands_of_late_answers_before_the_right_one() -> None:
    """A flood that came at once is looked through, counted, and the answer behind it is taken."""
    pair = Pair(answer_ns=10 * NS)
    number, flood = pair.exchange.counter("number") + 1, 5000
    pair.theirs.setblocking(True)
    late = b"".join(framed((number - 1 - i % 1000) & 0xFFFF, bytes([1, 0x83, 2])) for i in range(flood))
    sender = threading.Thread(target=pair.theirs.sendall, args=(late + framed(number, bytes([1, 3, 2, 0, 7])),))
    sender.start()
    pair.phase(limit_ns=10 * NS)
    sender.join()
    assert pair.exchange.counter("late") == flood
    assert pair.read == (7.0, Quality.GOOD)
    pair.close()


def test_who_comes_while_a_phase_is_carried_out_does_not_disturb_it() -> None:
    """The keeper stands in for a task that pauses, just as it goes on: one of them finds the exchange taken, and it is given back."""
    pair = Pair(answer_ns=10 * NS)
    first = threading.Thread(target=pair.phase)
    first.start()
    wait_for(lambda: select.select([pair.theirs], [], [], 0)[0])
    pair.phase(limit_ns=MS)
    assert pair.exchange._x["state"][0] == State.BUSY
    pair.answer(5)
    first.join()
    assert pair.exchange.take()
    pair.close()


def test_outputs_that_nobody_confirmed_may_have_reached_the_device() -> None:
    """A refused write is counted as driven: who ends early still has to make it safe."""
    with Bench() as bench:
        first, second = bytes([1, 3, 4, 0, 1, 0, 2]), bytes([2, 3, 4, 0, 0, 0, 0])
        assert bench.exchange.counter("driven") == 0
        bench.cycle(bytes([1, 0x90, 2]), first, second)
        assert (bench.exchange.counter("driven"), bench.exchange.counter("writes_done")) == (1, 0)


def test_a_device_that_is_silent_is_given_up_within_the_timeout() -> None:
    """The last question before that is waited for no longer than there is time to tell."""
    pair = Pair(answer_ns=300 * MS)
    pair.exchange._set(silent_ns=400 * MS, timeout_ns=500 * MS)
    pair.answer(5)
    pair.phase()
    heard, until = pair.exchange.counter("heard_ns"), time.monotonic_ns() + 10 * NS
    while not pair.exchange.is_mine and time.monotonic_ns() < until:
        pair.exchange.phase(Phase.ALL, until)
        is_late = pair.exchange.counter("sent_ns") >= heard + 400 * MS  # a machine that stood still asked so late
        assert is_late or pair.exchange.counter("give_up_ns") <= heard + 400 * MS
    assert pair.exchange.fault is Event.SILENT
    pair.close()
