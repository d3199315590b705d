"""The exchange on a real interface: a cable that is cut, a flood of frames from somewhere."""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fieldbus.ethercat.simulated.wires import open_port
from fieldbus.ethercat.wire.socket import open_socket
from fieldbus.exchange.block import Event, Phase
from fieldbus.exchange.memory import Exchange
from tests.fieldbus.ethercat.bench import ALL_GOOD, Bench
from tests.fieldbus.ethercat.buses import MASTER, SLAVES, network
from tests.fieldbus.exchange.bench import NS


class Answering:
    """The slaves' end of a cable, in a thread: every frame comes back."""

    def __init__(self, bench: Bench) -> None:
        self.port, self._bench, self._ends = open_port(SLAVES), bench, False
        self.port.setblocking(True)
        self.port.settimeout(0.05)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends:
            try:
                frame = self.port.recv(2048)
                self.port.send(self._bench.wire.answer(frame))
            except OSError:
                continue

    def close(self) -> None:
        """No answers any more."""
        self._ends = True
        self._thread.join()
        self.port.close()


@contextmanager
def wired() -> Iterator[tuple[Bench, Answering]]:
    """A bench on one end of a cable, its slaves on the other; time is the machine's, and there is plenty of it."""
    with network(), Bench() as bench, open_socket(MASTER) as raw:
        exchange = bench.exchange
        exchange._set(answer_ns=2 * NS, timeout_ns=3600 * NS)
        exchange.take()
        exchange.arm(raw.fileno(), True)
        slaves = Answering(bench)
        try:
            yield bench, slaves
        finally:
            slaves.close()


def exchanged(exchange: Exchange) -> None:
    """One phase, however long it takes."""
    exchange.phase(Phase.ALL, (1 << 63) - 1)


def test_frames_go_over_a_cable_and_come_back() -> None:
    """Also short ones, which Ethernet fills; the first one too."""
    with wired() as (bench, _):
        bench.wire.slaves[1].inputs[0] = 7
        for _ in range(5):
            exchanged(bench.exchange)
        assert bench.counters() == {"reads": 5, "writes_done": 5, "state_changes": 1}
        assert bench.qualities() == ALL_GOOD
        assert bench.values("status") == [7.0]


def test_an_interface_that_is_switched_off_ends_the_connection_with_the_systems_word() -> None:
    """ENETDOWN."""
    with wired() as (bench, _):
        exchanged(bench.exchange)
        bench.exchange.note()
        subprocess.run(["ip", "link", "set", MASTER, "down"], check=True)
        exchanged(bench.exchange)
        note = bench.exchange.note()
        assert note is not None
        assert (note.event, os.strerror(note.error)) == (Event.FAILED, "Network is down")
        assert bench.exchange.is_mine


@pytest.mark.parametrize("nbytes", [60, 1514])
def test_a_flood_of_foreign_frames_ends_nothing(nbytes: int) -> None:
    """Hundreds with our numbers lie before each answer; the kernel drops those that have other numbers."""
    chance = random.Random(nbytes)
    with wired() as (bench, slaves):
        for _ in range(3):
            for _ in range(100):
                body = bytearray(chance.randbytes(nbytes))
                body[12:14] = b"\x88\xa4"
                slaves.port.send(bytes(body))
            exchanged(bench.exchange)
        assert bench.qualities() == ALL_GOOD
        counters = bench.counters()
        assert 90 < counters["foreign"] < 210
        assert counters["reads"] == 3
