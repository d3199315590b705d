"""Sleep of the cores: how late does the task's core wake?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from station.machine.computer import CPU_FOLDER, Computer, Fact, Level

WEAK, BAD = 0.01, 0.1
"""A wake-up that takes more than these parts of a cycle is a shortcoming."""
_DRIVERS: Final = {
    "intel_idle": "Intel's own table",
    "acpi_idle": "the states that the firmware offers: look there, too",
    "haltpoll": "a virtual machine's: the host knows deeper ones",
    "none": "the processor's halt alone",
}
"""Who says which states there are (`current_driver`)."""


@dataclass(frozen=True, slots=True)
class IdleState:
    """A way for a core to sleep: how long it takes to wake (`exit_us`), and how long it must sleep to be worth it."""

    name: str
    exit_us: int
    residency_us: int
    is_enabled: bool


def idle_states_of(m: Computer, cpu: int) -> tuple[IdleState, ...]:
    """The states of a core, as the kernel lists them; () where it lists none."""
    found = []
    for folder in m.glob(f"{CPU_FOLDER}/cpu{cpu}/cpuidle/state*"):
        path = m.path(folder)
        name = m.read(f"{path}/name") or folder.name
        exit_us, residency_us = (m.number(f"{path}/{file}") or 0 for file in ("latency", "residency"))
        found.append(IdleState(name, exit_us, residency_us, m.read(f"{path}/disable") == "0"))
    return tuple(found)


def deepest(m: Computer, cpu: int) -> IdleState | None:
    """The enabled state that wakes most slowly, of those that are worth it within a cycle; None: there is none."""
    usable = [state for state in idle_states_of(m, cpu) if state.is_enabled and state.residency_us <= m.cycle_us]
    return max(usable, key=lambda state: state.exit_us, default=None)


def idle_states(m: Computer) -> Iterator[Fact]:
    """How long does the core take to wake up?"""
    cpu, driver = m.task_cpu, m.read(f"{CPU_FOLDER}/cpuidle/current_driver") or ""
    if (forced := m.boot_value("idle")) == "poll":
        yield Fact("idle states", "ok", "idle=poll", "no core ever sleeps")
        return
    if not idle_states_of(m, cpu):
        if forced is None and driver in _DRIVERS:
            yield Fact("idle states", "ok", f"driver {driver}", _DRIVERS[driver])
        return
    by, worst = f" ({driver})" if driver else "", deepest(m, cpu)
    worst_us = worst.exit_us if worst else 0
    held = m.answer("no deep core sleep")
    fix = f"for f in {CPU_FOLDER}/cpu{cpu}/cpuidle/state[1-9]*/disable; do echo 1 | sudo tee $f; done"
    share = worst_us / max(m.cycle_us, 1)
    if worst is None or share <= WEAK:
        meaning = "the core wakes at once" + (", as far as this machine sees: its host has states too" * m.is_virtual)
        yield Fact("idle states", "ok", f"at most {worst_us} us{by}", meaning)
    elif held is not None and held.granted:
        yield Fact(
            "idle states", "ok", f"{worst.name}, {worst_us} us{by}", "a station that runs keeps the core out of it"
        )
    else:
        level: Level = "bad" if share >= BAD else "warn"
        meaning = f"waking up may take {worst_us} us longer, {share:.0%} of a cycle of {m.cycle_us:,} us"
        yield Fact("idle states", level, f"{worst.name}, {worst_us} us{by}", meaning, fix)


FAMILY = "sleep"
ORDER = 50
PROBES = (idle_states,)
