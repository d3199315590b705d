"""What this machine is, and the most that one of its cores can do, measured."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from rt_engine.measure.native import MEASURING
from rt_native.memory import Block
from rt_native.processor import data_caches, processor_name
from rt_native.target import host

_USUAL = {1: 32 << 10, 2: 512 << 10, 3: 8 << 20}
"""Caches, where the system does not tell."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Facts of a machine and the measured peaks of one core."""

    processor: str
    system: str
    cores: int
    lanes: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    ghz: float
    """From a chain of dependent additions, one cycle each."""
    gflops: float
    """float32, two operations per fused multiply-add."""
    gops_int8: float
    """int8 dot products (VNNI), two operations per multiply-add; 0 where the processor has none."""
    l1_gbs: float
    l2_gbs: float
    l3_gbs: float
    dram_gbs: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        int8 = f", int8 {self.gops_int8:,.0f} Gop/s" if self.gops_int8 else ""
        return (
            f"{self.processor}, {self.cores} cores, {self.lanes} lanes, {self.ghz:.2f} GHz; one core: "
            f"{self.gflops:,.0f} GFLOP/s{int8}; reads L1 {self.l1_gbs:,.0f}, "
            f"L2 {self.l2_gbs:,.0f}, L3 {self.l3_gbs:,.0f}, DRAM {self.dram_gbs:,.0f} GB/s"
        )

    def read_ns(self, nbytes: int) -> float:
        """The least time to read so many bytes once, each from the nearest memory that has room for it."""
        levels = ((self.l1_bytes, self.l1_gbs), (self.l2_bytes, self.l2_gbs), (self.l3_bytes, self.l3_gbs))
        time, held = 0.0, 0
        for size, speed in levels:
            part = min(max(nbytes - held, 0), max(size - held, 0))
            time, held = time + part / speed, held + part
        return time + (nbytes - held) / self.dram_gbs

    def least_ns(self, macs: int, nbytes: int, int8: bool = False) -> float:
        """The least time for so many multiply-accumulates that touch so many bytes: the roofline."""
        peak = self.gops_int8 if int8 and self.gops_int8 else self.gflops
        return max(2 * macs / peak, self.read_ns(nbytes))


@cache
def peaks() -> Peaks:
    """This machine, measured once per process (half a second)."""
    l1, l2, l3 = (data_caches().get(level, usual) for level, usual in _USUAL.items())
    return Peaks(
        f"{processor_name()} ({host().cpu})",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        len(_cores()),
        host().lanes,
        l1,
        l2,
        l3,
        _ghz(),
        _fma(),
        _int8(),
        _read(l1 // 2, 40),
        _read(l2 // 2, 40),
        _read(min(4 * l2, l3 // 2), 40),
        _read(2 * (l2 + l3), 3),
    )


def _cores() -> set[int]:
    import os

    return os.sched_getaffinity(0)


def _best_ns(run: Callable[[], object], times: int) -> int:
    """The shortest of several runs: what the machine can do when nothing disturbs it."""
    shortest = 1 << 62
    for _ in range(times):
        start = time.perf_counter_ns()
        run()
        shortest = min(shortest, time.perf_counter_ns() - start)
    return shortest


def _ghz() -> float:
    chain, steps = MEASURING.function("add_chain"), 20_000
    chain(steps, 3, 5)
    return steps * 64 / _best_ns(lambda: chain(steps, 3, 5), 20)


def _fma() -> float:
    run, steps, out = MEASURING.function("fma_f32"), 100_000, Block(64)
    run(steps, out.address)
    chains = 12 if MEASURING.target.lanes == 16 else 6
    return steps * chains * 32 / _best_ns(lambda: run(steps, out.address), 30)


def _int8() -> float:
    run, steps, out = MEASURING.function("dot_int8"), 100_000, Block(64)
    if run(steps, out.address):
        return 0.0
    return steps * 12 * 128 / _best_ns(lambda: run(steps, out.address), 30)


def _read(nbytes: int, tries: int) -> float:
    nbytes = -(-nbytes // 512) * 512
    block, out, run = Block(nbytes), Block(64), MEASURING.function("read_lines")
    times = max(1, (4 << 20) // nbytes)
    run(block.address, nbytes, times, out.address)
    return nbytes * times / _best_ns(lambda: run(block.address, nbytes, times, out.address), tries)


class Sweeper:
    """Empties the caches: writes every line of a buffer one and a half times as large as L2 and L3 together."""

    def __init__(self) -> None:
        self.nbytes = (3 * sum(data_caches().get(level, _USUAL[level]) for level in (2, 3)) // 2) // 64 * 64
        self._block = Block(self.nbytes)
        self.address = self._block.address
        self._sweep = MEASURING.function("sweep")

    def __call__(self) -> None:
        """Empty them now."""
        self._sweep(self.address, self.nbytes)


def clock_cost_ns() -> float:
    """What one look at the clock costs, in native code."""
    times = np.zeros(2000, np.int64)
    MEASURING.function("clock_cost")(times.size, times.ctypes.data)
    return float(np.median(times))
