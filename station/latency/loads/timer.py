"""A load: timer interrupts, from many sleeps that are short."""

from __future__ import annotations

import time
from typing import Final

from station.latency.loads import GoesOn, Load

ORDER = 50
SLEEP_S: Final = 100e-6


def work(core: int | None, goes_on: GoesOn) -> None:
    """Sleep, wake, sleep."""
    while goes_on():
        for _ in range(100):
            time.sleep(SLEEP_S)


LOAD = Load("timer", f"sleeps of {SLEEP_S * 1e6:.0f} us without end, a process on each core", per_core=True, work=work)
