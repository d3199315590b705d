"""The clock of a link: the native memory of its controller (drawn in `clock_block`), and what it says of itself."""

from dataclasses import dataclass
from typing import Final

from fieldbus.ethercat.clock.clock import RATE_Q, Q
from fieldbus.ethercat.clock.clock_block import CLOCK
from rt_native.histogram import NBYTES, Histogram
from rt_native.library import Library
from rt_native.memory import Block

NATIVE: Final = Library("fieldbus.ethercat.clock.clock", modules=("fieldbus.ethercat.clock.clock_native",), apart=True)

HORIZON_S: Final = 1.0
LEAST_HORIZON, MOST_HORIZON = 256, 4096
MOST_SLEW: Final = 1000
"""A cycle is made longer or shorter by a thousandth at most, besides what the rate of the clocks takes."""
WINDOW: Final = 200
"""Within this part of a cycle, or `LEAST_WINDOW_NS`, the wake-up is in phase."""
LEAST_WINDOW_NS: Final = 2_000
LOST_CYCLES: Final = 100
LEAST_LOST_NS: Final = 50_000_000
_COUNTERS = ("heard", "refused", "jumps", "losses", "unlocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStatus:
    """A clock at one moment. `offsets` is live, not a copy."""

    phase_ns: int
    """By how much the newest frame passed the reference clock too late; too early where negative."""
    error_ns: int
    """The same of wake-ups, without their jitter."""
    rate_ppm: float
    """By how much the bus clock is faster than CLOCK_MONOTONIC."""
    is_locked: bool
    """Are frames in phase?"""
    is_lost: bool
    """Does the reference clock not tell its time any more? The rate is held meanwhile."""
    heard: int
    """Frames whose time was believed."""
    refused: int
    """Frames whose time was not: too late, or an outlier."""
    jumps: int
    """Times that the reference clock was another, or had jumped."""
    losses: int
    """Times that the reference clock was lost."""
    unlocks: int
    """Times that the phase was lost."""
    offsets: Histogram
    """How far from the wanted phase frames passed the reference clock, early or late, since it was first in phase: nanoseconds."""


class BusClock:
    """What keeps wake-ups in phase with the reference clock of a bus: `exchange.extend(**clock.words)`.

    Args:
        cycle_ns: from one wake-up to the next.
        target_ns: the phase at which frames pass the reference clock, of its own time.
        is_short: the reference clock tells 32 bits only.
    """

    def __init__(self, cycle_ns: int, *, target_ns: int = 0, is_short: bool = False) -> None:
        self._block, histogram = Block(CLOCK.itemsize), Block(NBYTES)
        self._fields, self.offsets = self._block.view(CLOCK), Histogram(histogram)
        values = {
            "cycle_ns": cycle_ns,
            "target_ns": target_ns,
            "is_short": int(is_short),
            "most_q": (cycle_ns << Q) // MOST_SLEW,
            "horizon": min(max(round(HORIZON_S * 1e9) // cycle_ns, LEAST_HORIZON), MOST_HORIZON),
            "window_ns": max(cycle_ns // WINDOW, LEAST_WINDOW_NS),
            "lost_ns": max(LOST_CYCLES * cycle_ns, LEAST_LOST_NS),
            "offsets": histogram.address,
        }
        for name, value in values.items():
            self._fields[name] = value

    @property
    def address(self) -> int:
        """Of its CLOCK."""
        return self._block.address

    @property
    def words(self) -> dict[str, int]:
        """What an exchange is told of it; this object must live as long."""
        return {
            "clock": self.address,
            "clock_note": NATIVE.address("clock_note"),
            "clock_shift": NATIVE.address("clock_shift"),
        }

    def restart(self) -> None:
        """The bus clock is another from now on, or was set: only its rate is still believed. While no exchange runs."""
        self._fields["n"] = self._fields["is_new"] = self._fields["is_locked"] = self._fields["is_lost"] = 0
        self._fields["calm"] = self._fields["late_q"] = 0

    def reset_counters(self) -> None:
        """Count from 0 again."""
        for name in _COUNTERS:
            self._fields[name] = 0
        self.offsets.reset()

    def status(self) -> ClockStatus:
        """How it is, now."""
        row = {name: int(self._fields[name][0]) for name in CLOCK.names or ()}
        return ClockStatus(
            phase_ns=row["phase_ns"],
            error_ns=row["error_ns"],
            rate_ppm=row["rate"] / (1 << RATE_Q) * 1e6,
            is_locked=bool(row["is_locked"]),
            is_lost=bool(row["is_lost"]),
            offsets=self.offsets,
            **{name: row[name] for name in _COUNTERS},
        )
