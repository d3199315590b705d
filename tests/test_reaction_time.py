"""The device of the reaction benchmark measures what it says: a stop watch that always shows little proves nothing."""

import socket
import struct
import time

import numpy as np
import pytest

from benchmarks.c_programs import compiled
from benchmarks.reaction_time import __main__ as benchmark
from benchmarks.reaction_time.device import Devices
from benchmarks.reaction_time.figures import Figures, Result, ratio, svg, table
from tests import need

pytestmark = pytest.mark.peer("gcc")
X, Y, FLOATS = 100, 0, 4


@pytest.fixture
def devices(tmp_path):
    need.program("gcc")
    made = Devices(compiled(tmp_path, benchmark.HERE / "device.c"), 2, 1000, tmp_path)
    yield made
    made.close()


@pytest.fixture
def ask(devices):
    """One request to the first device: its answer's bytes behind the function code."""
    with socket.create_connection(("127.0.0.1", devices.ports[0]), timeout=10) as sock:

        def one(pdu):
            sock.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu)
            head = sock.recv(7, socket.MSG_WAITALL)
            return sock.recv(int.from_bytes(head[4:6], "big") - 1, socket.MSG_WAITALL)

        yield one


def read(ask):
    return struct.unpack(">4f", ask(struct.pack(">BHH", 3, X, 2 * FLOATS))[2:])


def write(ask, values):
    ask(struct.pack(">BHHB4f", 16, Y, 2 * FLOATS, 4 * FLOATS, *values))


def made_of(x):
    return [0.5 * value + 0.25 for value in x]


def test_times(devices, ask):
    """An exchange lasts from the answer to the write made of it; a change that is answered late is late for all that wait."""
    devices.go()
    x = read(ask)
    time.sleep(0.05)
    write(ask, made_of(x))
    write(ask, made_of(x))
    counts, (times, other) = devices.stop()
    assert times["exchange"].size == 1 and times["exchange"][0] >= 50_000_000, "and the second write adds nothing"
    assert times["gap"].size == 0 and counts["wrong"] == 0 and counts["writes"] == 2
    assert times["register"].min() >= 20_000_000, "changes since then still wait"
    assert other["exchange"].size == 0


def test_gap_is_between_answers(devices, ask):
    """The gap is that between two answers."""
    read(ask)
    devices.go()
    read(ask)
    time.sleep(0.03)
    read(ask)
    _, (times, _) = devices.stop()
    assert times["gap"].size == 1 and times["gap"][0] >= 30_000_000


def test_wrong_is_wrong(devices, ask):
    """Values that no answer gives, parts of two answers, answers that never were; the safe value is counted apart."""
    old, new = read(ask), read(ask)
    time.sleep(0.01)
    newest = read(ask)
    for number, (values, expected) in enumerate(
        [
            ([-1.0] * 4, {"safe": 1, "wrong": 0}),
            (made_of(newest), {"wrong": 0}),
            ([value + 0.1 for value in made_of(new)], {"wrong": 1}),
            ([*made_of(newest)[:2], *made_of(old)[2:]], {"wrong": 1}),
            (made_of([newest[0], newest[1] + 1, *newest[2:]]), {"wrong": 1}),
            (made_of(old), {"wrong": 1}),
        ]
    ):
        devices.go()
        write(ask, values)
        counts = devices.counts()
        assert {name: counts[name] for name in expected} == expected, number


def test_other_registers_are_refused(ask):
    """The device knows its own registers only, and says so by an exception."""
    assert ask(struct.pack(">BHH", 3, 0, 2)) == bytes((0x83, 2))
    assert ask(struct.pack(">BHH", 4, X, 2)) == bytes((0x84, 1))


def test_figures():
    """The ratio is the median of the rounds' ratios; a table and a picture are made of any number of runs."""
    figures = Figures()
    for microseconds, name in ((10, "C program"), (20, "ours"), (10, "C program"), (40, "ours")):
        ns = {kind: np.full(100, 1000 * microseconds) for kind in ("exchange", "register", "gap")}
        counts = {"writes": 100, "safe": 0, "wrong": 0, "connections": 0}
        figures.add("idle", name, Result(ns, counts, 1.0, 5e7, {}, {"p50": 1.0}))
    runs = figures.runs["idle"]
    assert ratio(runs["ours"], runs["C program"], "exchange", 50) == 3.0
    assert [row.cpu_us_per_exchange for row in figures.rows()] == [500.0] * 4
    assert table("idle", figures, "C program", {"ours": {50.0: 1.3}}).row_count == 6
    assert svg(figures, ["idle"]).count("<polyline") == 4
