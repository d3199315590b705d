"""A load: arithmetic without end."""

from __future__ import annotations

from station.latency.loads import GoesOn, Load

ORDER = 10


def work(core: int | None, goes_on: GoesOn) -> None:
    """Spin."""
    number = 1
    while goes_on():
        for _ in range(20_000):
            number = number * 1_103_515_245 + 12_345 & 0x7FFF_FFFF


LOAD = Load("cpu", "endless arithmetic, a process on each core", per_core=True, work=work)
