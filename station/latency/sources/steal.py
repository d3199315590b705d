"""Time that the host of a virtual machine took from a core: /proc/stat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from station.latency.sources import Counter, Scene, Source

ORDER = 20
STEAL: Final = 8
MS_PER_TICK: Final = 10.0
"""USER_HZ is 100 on every Linux."""


def read(scene: Scene) -> Mapping[Counter, float]:
    """Milliseconds, in steps of ten."""
    found = {}
    for line in (scene.computer.read("/proc/stat") or "").splitlines():
        name, *numbers = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in scene.cpus and len(numbers) >= STEAL:
            found[Counter("steal", name, "ms")] = MS_PER_TICK * float(numbers[STEAL - 1])
    return found


SOURCE = Source("steal", "time that the host took from a core, in steps of 10 ms", read, "/proc/stat is not readable")
