"""What the exchange on a bus rests on: no allocation, no page fault; three system calls for a frame, and no others."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fieldbus.ethercat.wire.frames import datagrams_of
from fieldbus.exchange.block import AREA_BYTES
from rt_native.memory import Block
from tests import ROOT, need
from tests.counting import grown
from tests.fieldbus.ethercat.bench import PIECES, Bench
from tests.fieldbus.exchange.bench import NS
from tests.test_proofs import MILLION


class Hammered:
    """A bench whose slaves answer in the same thread, beforehand."""

    def __init__(self, bench: Bench) -> None:
        self.exchange = bench.exchange
        self.exchange._set(timeout_ns=3600 * NS, answer_ns=10 * NS)  # nothing here is to depend on the machine's load
        bench.write(1.5, 15, 1)
        (frame,) = bench.phase()
        right = bench.wire.answer(frame)
        self.answer, self.area = Block(len(right)), Block(AREA_BYTES)
        self.answer.view(np.uint8, 0, len(right))[:] = np.frombuffer(right, np.uint8)
        self.nbytes, places, at = len(right), [], 16
        for one in datagrams_of(right):
            places.append(at + 1)
            at += one.nbytes
        self.places = np.array([len(places), *places], np.int64)
        self.table = np.array([self.exchange.address], np.int64)
        self.peer = bench.theirs.fileno()

    def run(self, rounds: int) -> int:
        """So many exchanges; gives how many were good."""
        hammer, table, places = PIECES.function("bus_hammer"), self.table.ctypes.data, self.places.ctypes.data
        return int(hammer(table, self.peer, self.answer.address, self.nbytes, places, rounds, self.area.address))


@pytest.mark.parametrize("rounds", [20_000, pytest.param(MILLION, marks=pytest.mark.slow)])
def test_a_million_exchanges_allocate_nothing_and_fault_never(rounds: int) -> None:
    """Counted by the C library and by the kernel, of this thread, around whole phases on a real socket. All were good."""
    with Bench() as bench:
        hammered, good = Hammered(bench), []
        hammered.run(100)
        heap, faults = grown(lambda: good.append(hammered.run(rounds)))
        assert set(good) == {rounds}
        assert (heap, faults) == (0, 0)


@pytest.mark.peer("strace")
def test_a_frame_costs_three_system_calls(tmp_path: Path) -> None:
    """It is sent, its answer is waited for, and taken; the clock is read without one. (The device here sends and takes, too.)"""
    calls = tmp_path / "calls"
    rounds = 100
    script = f"""
        from tests.fieldbus.ethercat.bench import Bench
        from tests.fieldbus.ethercat.test_proofs import Hammered
        import os
        with Bench() as bench:
            hammered = Hammered(bench)
            hammered.run(1)
            os.getppid()
            assert hammered.run({rounds}) == {rounds}
            os.getppid()
    """
    command = [need.program("strace"), "-o", str(calls), sys.executable, "-c", textwrap.dedent(script)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=280)
    _, between, _ = re.split(r"^getppid.*\n", calls.read_text(), flags=re.MULTILINE)
    names = [line.partition("(")[0] for line in between.splitlines()]
    assert {name: names.count(name) / rounds for name in set(names)} == {"sendto": 2, "ppoll": 1, "recvfrom": 2}
