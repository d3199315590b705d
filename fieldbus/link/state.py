"""The states of a link, what it tells about itself, and how long it waits before it tries again. Pure.

stopped --start--> connecting --connected, first exchange good--> up
                    ^      |                                     |  ^
              retry |      | no connection       refused, missed |  | exchange good
                    |      v                                     v  |
                   down <------- connection lost ------------- degraded
any --stop--> stopped
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A link at one moment. Counters count from `start()`; `round_trip` is live, not a copy.

    `reads` and `writes` count successful exchanges that read or wrote; `safe_writes` those of them that sent at least
    one channel's safe values because it was bad or stale; `limited` the output cells that a limit, a type's range or a
    NaN changed.
    """

    state: State
    since: datetime
    """UTC time of the last change of state."""
    round_trip: Histogram
    """Nanoseconds of each successful exchange: write and read together."""
    reads: int
    writes: int
    errors: int
    reconnects: int
    last_error: str
    safe_writes: int
    limited: int
    timeouts: int = 0
    """Times that a PLC stopped writing (`fieldbus.plc.link`)."""


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
