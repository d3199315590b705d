"""The clock of a core: what slowed it down (thermal throttling), how far it is below its highest, and how deep the core slept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from station.latency.sources import Counter, Scene, Source
from station.machine.computer import CPU_FOLDER

ORDER = 60
SHALLOW_US: Final = 10
"""A sleep that takes no longer to leave is not counted."""


def read(scene: Scene) -> Mapping[Counter, float]:
    """Counters, but for the frequency: it is a state, in MHz, negative so that falling counts up."""
    found: dict[Counter, float] = {}
    for cpu in scene.cpus:
        where, folder = f"cpu{cpu}", f"{CPU_FOLDER}/cpu{cpu}"
        for name in ("core_throttle_count", "package_throttle_count"):
            if (count := scene.computer.read(f"{folder}/thermal_throttle/{name}")) is not None:
                found[Counter("throttle", where, name)] = float(count)
        if (khz := scene.computer.read(f"{folder}/cpufreq/scaling_cur_freq")) is not None:
            found[Counter("frequency", where, "MHz below")] = -float(khz) / 1000
        for state in scene.computer.glob(f"{folder}/cpuidle/state*"):
            path = f"/{state.relative_to(scene.computer.root)}"
            if float(scene.computer.read(f"{path}/latency") or 0) > SHALLOW_US:
                name = scene.computer.read(f"{path}/name") or state.name
                found[Counter("sleep", where, name)] = float(scene.computer.read(f"{path}/usage") or 0)
    return found


SOURCE = Source(
    "clock",
    "thermal throttling, frequency, deep sleep of each core",
    read,
    "this system does not tell frequencies, throttling or sleep states",
)
