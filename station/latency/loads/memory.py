"""A load: the caches thrown out, and the memory's bandwidth taken."""

from __future__ import annotations

from typing import Final

from station.latency.loads import GoesOn, Load

ORDER = 20
BYTES: Final = 64 << 20
"""Of each of two areas: more than the last cache of an industrial PC."""


def work(core: int | None, goes_on: GoesOn) -> None:
    """Copy one area to the other and back."""
    import numpy as np

    one, other = np.ones(BYTES, np.uint8), np.zeros(BYTES, np.uint8)
    while goes_on():
        np.copyto(other, one)
        np.copyto(one, other)


LOAD = Load("memory", f"copies of {BYTES >> 20} MiB without end, a process on each core", per_core=True, work=work)
