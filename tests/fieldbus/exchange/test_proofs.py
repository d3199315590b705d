"""What the exchange rests on, as the cycle does: no Python, no allocation, no page fault; few system calls."""

import socket

import numpy as np
import pytest

from fieldbus.codec import Codec, Field
from fieldbus.exchange.block import AREA_BYTES
from fieldbus.exchange.memory import NATIVE, Exchange
from fieldbus.exchange.plan import Plan
from fieldbus.image.image import ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.modbus.requests import Read, ReadWrite, Write
from fieldbus.modbus.transactions import tcp_frames, transaction
from fieldbus.tags import Order, Tag
from rt_native.histogram import Histogram
from rt_native.memory import Block
from tests.counting import grown
from tests.fieldbus.exchange.bench import NS, PIECES, framed
from tests.rt_native.symbols import undefined
from tests.test_proofs import ALLOWED, MILLION

ON_A_DESCRIPTOR = {"send", "recv", "read", "write", "ppoll", "__errno_location"}
"""What an exchange asks of the system besides: a socket or a serial line, the keeper's eventfd, and the time to wait."""
INPUTS = [Tag("x", "float32", "in", count=8), Tag("checked", "int16", "in", low=-100.0, high=100.0)]
OUTPUTS = [Tag("u", "float32", "out", count=4)]


def test_compiled_code_needs_only_the_clock_memory_moves_and_a_descriptor() -> None:
    """No Python symbol, no malloc, no lock: read from the object files themselves; each of the calls is really there."""
    needed = undefined(NATIVE.build())
    assert needed <= ALLOWED | ON_A_DESCRIPTOR
    assert needed >= ON_A_DESCRIPTOR


class Hammered:
    """An exchange of one question that writes and reads, and a device that answers in the same thread.

    A driver brings outputs, two channels want inputs, one shows outputs: all that a cycle does is done.
    """

    def __init__(self) -> None:
        outputs = Cells("plant", OUTPUTS)
        write = Write(1, 16, 0, 8, Codec([Field(OUTPUTS[0], 0, 0, 4, Order.ABCD, 4)], 16))
        fields = [Field(INPUTS[0], 0, 0, 4, Order.ABCD, 8), Field(INPUTS[1], 8, 32, 2)]
        asked = transaction(ReadWrite(write, Read(1, 3, 100, 17, Codec(fields, 34))))
        plan = Plan(frames=tcp_frames(), transactions=(asked,), writes=1, answer_ns=10 * NS)
        self.exchange = Exchange(Cells("plant", INPUTS), outputs, 3600 * NS, NS, 3600 * NS)
        self.exchange.lay(plan)
        image = ProcessImage()
        self.wanted = [image.channel(f"in{i}", INPUTS, writer="plant", reader="test") for i in range(2)]
        self.u = image.channel("u", OUTPUTS, writer="test", reader="plant")
        self.u.reaction = Histogram()
        self.shown = image.channel("shown", OUTPUTS, writer="plant", reader="test")
        self.exchange.subscribers(self.wanted)
        self.exchange.drivers([self.u])
        self.exchange.observers([self.shown])
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.exchange.arm(self.ours.fileno(), True)
        frame = framed(0, b"\x01\x17\x22" + np.arange(8, dtype=">f4").tobytes() + (7).to_bytes(2))
        self.answer, self.area = Block(len(frame)), Block(AREA_BYTES)
        self.answer.view(np.uint8, 0, len(frame))[:] = np.frombuffer(frame, np.uint8)
        self.frame_bytes = len(frame)
        self.table = np.array([self.exchange.address], np.int64)

    def run(self, rounds: int) -> int:
        """So many exchanges; gives how many were good."""
        hammer, table = PIECES.function("piece_hammer"), self.table.ctypes.data
        return int(
            hammer(table, self.theirs.fileno(), self.answer.address, self.frame_bytes, rounds, self.area.address)
        )

    def close(self) -> None:
        """Give back what was opened."""
        self.exchange.close()
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("rounds", [20_000, pytest.param(MILLION, marks=pytest.mark.slow)])
def test_a_million_exchanges_allocate_nothing_and_fault_never(rounds: int) -> None:
    """Counted by the C library and by the kernel, of this thread, around whole phases on a real socket. All were good."""
    hammered, good = Hammered(), []
    hammered.u.write([1.0, 2.0, 3.0, 4.0])
    hammered.run(100)
    heap, faults = grown(lambda: good.append(hammered.run(rounds)))
    assert set(good) == {rounds}
    assert (heap, faults) == (0, 0)
    sample = hammered.wanted[1].read()
    assert (sample.counter, sample.values.tolist()) == (100 + len(good) * rounds, [*range(8), 7.0])
    assert hammered.shown.read().values.tolist() == [1.0, 2.0, 3.0, 4.0]
    hammered.close()
