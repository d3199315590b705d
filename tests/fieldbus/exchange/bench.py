"""A bench for the native exchange: its pieces one by one, at a time that the test says; the device's end is the test's."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldbus.codec import Codec, Field
from fieldbus.exchange.block import Phase
from fieldbus.exchange.memory import Exchange
from fieldbus.exchange.plan import Plan
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.modbus.requests import Read, Write
from fieldbus.modbus.transactions import tcp_frames, transaction
from fieldbus.tags import Order, Tag
from rt_native.library import Library

PIECES = Library("fieldbus-exchange-pieces", modules=("pieces_native",), path=(str(Path(__file__).parent),))
MS, NS = 1_000_000, 1_000_000_000
START = 1000 * NS

FIRST = Tag("first", "uint16", "in", count=2)
SECOND = Tag("second", "float32", "in")
SPEED = Tag("speed", "float32", "out", low=-100.0, high=100.0, safe=-1.0)
INPUTS, OUTPUTS = Cells("plant", [FIRST, SECOND]), Cells("plant", [SPEED])
WRITE = Write(1, 16, 100, 2, Codec([Field(SPEED, 0, 0, 4)], 4))
READ_FIRST = Read(1, 3, 0, 2, Codec([Field(FIRST, 0, 0, 2, Order.ABCD, 2)], 4))
READ_SECOND = Read(2, 3, 0, 2, Codec([Field(SECOND, 2, 0, 4)], 4))
"""To two units: both reads are answered with as many bytes."""


def plan_of(answer_ns: int = 10 * MS) -> Plan:
    """A write to unit 1, a read from it, and one from unit 2, on Modbus TCP."""
    asked = tuple(transaction(request) for request in (WRITE, READ_FIRST, READ_SECOND))
    return Plan(frames=tcp_frames(), transactions=asked, writes=1, answer_ns=answer_ns)


def exchange_of(plan: Plan, timeout_ns: int = 100 * MS) -> Exchange:
    """An exchange that carries out `plan`; the whole connection is never silent for too long."""
    exchange = Exchange(INPUTS, OUTPUTS, timeout_ns, MS, 1 << 62)
    exchange.lay(plan)
    return exchange


class Bench:
    """Two units on one connection, and a clock that stands still until it is moved (`wait`).

    `asked` gives what has been sent since it was asked last; `answer` lets bytes come.
    """

    def __init__(self, *, answer_ns: int = 10 * MS, timeout_ns: int = 100 * MS) -> None:
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        self.now_ns = START
        self.exchange = exchange_of(plan_of(answer_ns), timeout_ns)
        image = ProcessImage()
        self.both = image.channel("both", [FIRST, SECOND], writer="plant", reader="test")
        self.first = image.channel("first", [FIRST], writer="plant", reader="test")
        self.second = image.channel("second", [SECOND], writer="plant", reader="test")
        self.speed = image.channel("speed", [SPEED], writer="test", reader="plant")
        self.exchange.subscribers([self.both, self.first, self.second])
        self.exchange.drivers([])
        self.exchange.arm(self.ours.fileno(), True)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.exchange.close()
        self.ours.close()
        self.theirs.close()

    def begin(self, phase: Phase = Phase.ALL) -> None:
        """A cycle begins: what can be asked is asked."""
        assert PIECES.function("piece_begin")(self.exchange.address, phase, self.now_ns)
        self.step()

    def step(self) -> None:
        """The runner looks what time it is."""
        PIECES.function("piece_step")(self.exchange.address, self.now_ns)

    def wait(self, time_ns: int) -> None:
        """Time passes."""
        self.now_ns += time_ns
        self.step()

    def finish(self, phase: Phase = Phase.ALL) -> None:
        """The cycle ends."""
        PIECES.function("piece_finish")(self.exchange.address, phase, self.now_ns)

    def asked(self) -> bytes:
        """What has been sent."""
        try:
            return self.theirs.recv(4096)
        except BlockingIOError:
            return b""

    def answer(self, frame: bytes) -> None:
        """Bytes come, and the runner goes on."""
        data = np.frombuffer(frame, np.uint8)
        PIECES.function("piece_feed")(self.exchange.address, data.ctypes.data, len(frame), self.now_ns)
        self.step()

    def cycle(self, *bodies: bytes) -> None:
        """A whole cycle in which every question gets its answer: unit, function and body of each."""
        self.begin()
        for body in bodies:
            self.answer(framed(number_of(self.asked()), body))
        self.finish()


def number_of(request: bytes) -> int:
    """The number of a question."""
    return int.from_bytes(request[:2])


def framed(number: int, body: bytes) -> bytes:
    """Unit, function code and what follows, as a frame."""
    return number.to_bytes(2) + bytes(2) + len(body).to_bytes(2) + body


def qualities(channels: Sequence[Channel]) -> list[str]:
    """By name."""
    return [channel.read().quality.name for channel in channels]


def into_nothing() -> int:
    """A descriptor that takes all that is sent."""
    return os.open("/dev/null", os.O_WRONLY)
