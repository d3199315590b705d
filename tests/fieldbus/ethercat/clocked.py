"""A loop closed by arithmetic: a thread that wakes late, frames that travel, a reference clock that drifts. No time passes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fieldbus.ethercat.clock.clock import wrapped
from fieldbus.ethercat.clock.clock_memory import NATIVE, BusClock
from fieldbus.exchange.block import EXCHANGE
from rt_native.memory import Block

MS = 1_000_000
_HEADER = 10


@dataclass
class Loop:
    """Cycles of `cycle_ns`, each with a frame that is sent `latency(k)` after its begin, and travels `travel(k)`; None: it is lost."""

    clock: BusClock
    cycle_ns: int
    ppm: float = 0.0
    ahead_ns: int = 0
    """Of the bus clock at the begin."""
    latency: Callable[[int], int] = lambda k: 5_000
    travel: Callable[[int], int | None] = lambda k: 2_000
    due_ns: int = 10**15
    k: int = 0
    phases: list[int] = field(default_factory=list)
    """Of each frame, lost ones too: by how much it passed the reference too late."""
    begins: list[int] = field(default_factory=list)
    """Of each cycle, on the bus clock, as a phase."""
    shifts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._exchange, self._datagram = Block(EXCHANGE.itemsize), Block(64)
        self._exchange.view(EXCHANGE)["clock"] = self.clock.address
        self._told = self._datagram.view(np.int64, _HEADER)
        self._note, self._shift = NATIVE.function("clock_note"), NATIVE.function("clock_shift")
        self._begin_ns = self.due_ns

    def bus(self, ns: int) -> int:
        """What time it is at the reference clock."""
        gone = ns - self._begin_ns
        return ns + self.ahead_ns + round(gone * self.ppm / 1e6)

    def change(self, ppm: float) -> None:
        """The reference clock has another rate from now on."""
        self.ahead_ns = self.bus(self.due_ns) - self.due_ns
        self._begin_ns, self.ppm = self.due_ns, ppm

    def run(self, cycles: int) -> "Loop":
        """So many cycles."""
        for _ in range(cycles):
            sent = self.due_ns + self.latency(self.k)
            travel = self.travel(self.k)
            self.phases.append(wrapped(self.bus(sent + (travel or 0)), self.cycle_ns))
            self.begins.append(wrapped(self.bus(self.due_ns), self.cycle_ns))
            if travel is not None:
                self._told[0] = self.bus(sent + travel)
                self._note(self._exchange.address, self._datagram.address, sent, sent + 3 * travel, 0)
            due = self.due_ns + self.cycle_ns
            self.shifts.append(self._shift(self._exchange.address, due))
            self.due_ns, self.k = due + self.shifts[-1], self.k + 1
        return self


def noisy(seed: int, usual_ns: int, worst_ns: int, one_in: int) -> Callable[[int], int]:
    """Latencies: exponential around `usual_ns`, and seldom up to `worst_ns`."""
    draw = random.Random(seed)
    return lambda k: draw.randrange(worst_ns) if draw.randrange(one_in) == 0 else round(draw.expovariate(1 / usual_ns))
