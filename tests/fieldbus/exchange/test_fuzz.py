"""Answers cut anywhere, glued, mutated, out of order, from another device: right, or not GOOD. Beside a twin in plain Python.

A short run always; `RT_ENGINE_FUZZ_ANSWERS=10000000` for a long one.
"""

import os
import random
import struct
from collections.abc import Callable

import numpy as np

from fieldbus.exchange.memory import Exchange
from tests.fieldbus.exchange.bench import MS, PIECES, START, exchange_of, framed, into_nothing, plan_of
from tests.fieldbus.exchange.twin import ASKED, GOOD, Twin

ANSWERS = int(os.environ.get("RT_ENGINE_FUZZ_ANSWERS", "200000"))
CYCLES = 500
TIMEOUT_NS, ANSWER_NS = 5 * MS, 2 * MS
OUTCOME = np.dtype([("fault", "<i8"), ("number", "<i8"), ("quality", "<i8", 3), ("values", "<f8", 3)])


class Answers:
    """What a device, its neighbours and the wire make of a question: mostly the answer, else something near it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.near: tuple[Callable[[bytes, Twin], bytes], ...] = (
            self._changed, self._changed, self._cut, self._more, self._again, self._with_number, self._of_another,
            self._refused, self._longer, self._garbage,
        )  # fmt: skip

    def next(self, twin: Twin) -> bytes:
        """To the question that is open, or to the newest."""
        i = twin.pending if twin.pending is not None else self.random.randrange(3)
        right = framed(twin.number, self._body(i))
        if self.random.random() < 0.6:
            return right
        return self.random.choice(self.near)(right, twin)

    def _body(self, i: int) -> bytes:
        unit, function, back = ASKED[i]
        return bytes([unit, function]) + (back or b"\4" + self.random.randbytes(4))

    def _changed(self, frame: bytes, twin: Twin) -> bytes:
        at = self.random.randrange(len(frame))
        byte = self.random.choice((frame[at] ^ 1 << self.random.randrange(8), self.random.randrange(256)))
        return frame[:at] + bytes([byte]) + frame[at + 1 :]

    def _cut(self, frame: bytes, twin: Twin) -> bytes:
        return frame[: self.random.randrange(1, len(frame))]

    def _more(self, frame: bytes, twin: Twin) -> bytes:
        return frame + self.random.randbytes(self.random.randrange(1, 9))

    def _again(self, frame: bytes, twin: Twin) -> bytes:
        return frame * self.random.randrange(2, 4)

    def _with_number(self, frame: bytes, twin: Twin) -> bytes:
        off = self.random.choice((-3, -2, -1, 1, 2, -1023, -1024, -1025, 32768, 256, -256))
        return framed((twin.number + off) % 65536, frame[6:])

    def _of_another(self, frame: bytes, twin: Twin) -> bytes:
        return framed(twin.number, self._body(self.random.randrange(3)))

    def _refused(self, frame: bytes, twin: Twin) -> bytes:
        return framed(twin.number, bytes([frame[6], frame[7] | 0x80, self.random.randrange(16)]))

    def _longer(self, frame: bytes, twin: Twin) -> bytes:
        count = self.random.choice((0, 2, 3, 5, 6, 8, 250))
        return framed(twin.number, frame[6:8] + bytes([count]) + self.random.randbytes(count))

    def _garbage(self, frame: bytes, twin: Twin) -> bytes:
        return self.random.randbytes(self.random.randrange(1, 40))


class Run:
    """A script for native code, and what the twin makes of it."""

    def __init__(self, seed: int) -> None:
        self.twin = Twin(TIMEOUT_NS, ANSWER_NS, START)
        self.answers = Answers(seed)
        self.random = self.answers.random
        self.sent, self.nbytes = 0, 0

    def script(self) -> tuple[bytes, list[tuple[int, int, tuple[int, ...], tuple[bytes, ...]]]]:
        """Many cycles, and their outcomes."""
        ops, outcomes = bytearray(), []
        for _ in range(CYCLES):
            ops += _op(0)
            self.twin.begin()
            for _ in range(self.random.choice((0, 1, 2, 3, 3, 3, 4, 6))):
                self._answer(ops)
            ops += _op(3)
            outcomes.append(self.twin.end())
        return bytes(ops), outcomes

    def _answer(self, ops: bytearray) -> None:
        answer = self.answers.next(self.twin)
        self.sent, self.nbytes = self.sent + 1, self.nbytes + len(answer)
        cut = self.random.randrange(len(answer)) if self.random.random() < 0.2 else 0
        for part in (answer[:cut], answer[cut:]):
            if part:
                ops += _op(1, len(part)) + part
                self.twin.feed(part)
        if self.random.random() < 0.1:
            waited_us = self.random.choice((1, 999, 2000))
            ops += _op(2, waited_us)
            self.twin.now_ns += 1000 * waited_us
            self.twin.step()


def _op(what: int, size: int = 0) -> bytes:
    return struct.pack("<BBH", what, 0, size)


def _play(exchange: Exchange, ops: bytes, now_ns: int) -> tuple[np.ndarray, int]:
    results = np.zeros(CYCLES, OUTCOME)
    script = np.frombuffer(ops, np.uint8)
    end_ns = PIECES.function("piece_play")(exchange.address, script.ctypes.data, len(ops), results.ctypes.data, now_ns)
    return results, end_ns


def _seen(values: tuple[bytes, ...]) -> tuple[float, ...]:
    """What the newest answers of units 1 and 2 say."""
    first, second = (value or bytes(4) for value in values)
    return *struct.unpack(">HH", first), *struct.unpack(">f", second)


def test_no_answer_of_any_kind_gives_a_wrong_value() -> None:
    """Native code and the twin agree on each cycle: why it ended, the number, qualities, and the value of each cell."""
    run, exchange = Run(int(os.environ.get("RT_ENGINE_FUZZ_SEED", "1"))), exchange_of(plan_of(ANSWER_NS), TIMEOUT_NS)
    descriptor = into_nothing()
    exchange.arm(descriptor, False)
    now_ns, good = START, 0
    while run.sent < ANSWERS:
        ops, expected = run.script()
        results, now_ns = _play(exchange, ops, now_ns)
        assert now_ns == run.twin.now_ns
        wanted = np.array([(*outcome[:3], _seen(outcome[3])) for outcome in expected], OUTCOME)
        for name in OUTCOME.names or ():
            np.testing.assert_array_equal(results[name], wanted[name], name)
        good += int((wanted["quality"] == GOOD).sum())
    os.close(descriptor)
    exchange.close()
    print(f"{run.sent:,} answers, {run.nbytes:,} bytes, {run.twin.accepted:,} accepted")
    assert run.twin.accepted > run.sent / 4
    assert good > run.sent / 20
