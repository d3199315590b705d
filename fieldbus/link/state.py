"""The states of a link, what it tells about itself, and how long it waits before it tries again. Pure.

stopped --start--> connecting --connected, first exchange good--> up
                    ^      |                                     |  ^
              retry |      | no connection       refused, missed |  | exchange good
                    |      v                                     v  |
                   down <------- connection lost ------------- degraded
any --stop--> stopped
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from fieldbus.statistic import counted, declared

if TYPE_CHECKING:
    from rt_native.histogram import Histogram

State = Literal["stopped", "connecting", "up", "degraded", "down"]

NEXT: dict[State, tuple[State, ...]] = {
    "stopped": ("connecting",),
    "connecting": ("up", "degraded", "down", "stopped"),
    "up": ("degraded", "down", "stopped"),
    "degraded": ("up", "down", "stopped"),
    "down": ("connecting", "stopped"),
}
"""State -> the states that may follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounts:
    """What a link counts, from `start()` or the last reset."""

    reads: int = counted("Reads", heading="reads")
    """Successful exchanges that read."""
    writes: int = counted("Writes", heading="writes")
    """Successful exchanges that wrote."""
    errors: int = counted("Errors", heading="errors", is_live=True)
    reconnects: int = counted("Reconnects", heading="lost")
    safe_writes: int = counted("SafeWrites", meaning="times that safe values were passed on")
    """Writes that sent at least one channel's safe values because it was bad or stale."""
    timeouts: int = counted("Timeouts", meaning="times that PLC clients stopped writing")
    """See `fieldbus.plc.link`."""
    implausible: int = counted(meaning="input values that were outside low..high, or not available")
    frames_lost: int = counted(meaning="frames of a bus that did not come back in time")
    wrong_counters: int = counted(meaning="times that a slave of a bus did not do all that it was asked in a frame")
    foreign_frames: int = counted(meaning="frames on a bus that were nobody's answer")
    slaves_lost: int = counted(meaning="times that a slave of a bus did not answer any more, or left its state")
    slaves_back: int = counted(meaning="times that one was brought back")
    late: int = counted(meaning="answers that came when nobody waited for them any longer, or twice; they were dropped")
    state_changes: int = counted(
        meaning="times that the states of a bus's slaves, all together, or their number were others"
    )
    clock_locked: int = counted(
        *("ClockLocked", "UDINT"), meaning="are frames in phase with the reference clock of a bus: 1 yes, 0 no"
    )
    clock_offset: int = counted(
        *("ClockOffset", "UDINT", "ns"),
        meaning="by how much the newest frame passed the reference clock too early or too late",
    )
    clock_rate: int = counted(unit="ppb", meaning="by how much the reference clock is faster than the machine's")
    clock_refused: int = counted(meaning="frames whose time was an outlier, so that the clock was not steered by it")
    clock_jumps: int = counted(meaning="times that the reference clock was another one, or had jumped")
    clock_unlocks: int = counted(
        *("ClockUnlocks", "UDINT"), meaning="times that frames lost the phase of the reference clock"
    )
    clock_losses: int = counted(
        *("ClockLosses", "UDINT"), meaning="times that the reference clock was lost; the rate is held then"
    )
    limited: int
    """Output cells that a limit, a type's range or a NaN changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus(LinkCounts):
    """A link at one moment. `round_trip` is live, not a copy."""

    state: State
    since: datetime
    """UTC time of the last change of state."""
    round_trip: Histogram
    """Nanoseconds of each successful exchange: write and read together."""
    last_error: str
    clock_offsets: Histogram | None = None
    """Nanoseconds that frames passed the reference clock of a bus too early or too late, since they were first in phase. Live."""
    lost_reason: str = ""
    """Why the connection was lost the last time it was up; errors of attempts to get it back do not change that."""
    note: str = ""
    """What the link does beside its cycles, or cannot do: how far a look-up is, which commands the device has not."""


LINK_STATISTICS: Final = declared(LinkCounts)


class Backoff:
    """Delays between attempts: `first_s`, doubled each time, at most `most_s`; from the start again after a success."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The delay before the next attempt."""
        delay_s, self._next_s = self._next_s, min(2.0 * self._next_s, self._most_s)
        return delay_s

    def reset(self) -> None:
        """The device answered well."""
        self._next_s = self._first_s
