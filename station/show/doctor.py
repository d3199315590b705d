"""How ready is this machine for real time? Facts from its files, a measured histogram, and a verdict in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from scheduler.groups import ROOT
from scheduler.rights import try_rights
from station.machine.computer import Computer, Fact, Level
from station.machine.probes import examine
from station.show.picture import Picture
from station.terms.durations import format_duration

PERIOD_S: Final = 0.001
CYCLE_SHARE: Final = 0.2
"""A cycle should be at least so long that the worst measured wake-up takes no more than this share of it."""
NAMED: Final = 6
"""So many shortcomings the verdict names."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What doctor found. `wake_up` is None when nothing was measured."""

    facts: tuple[Fact, ...]
    wake_up: Picture | None

    @property
    def level(self) -> Level:
        """The worst of all facts."""
        levels = [fact.level for fact in self.facts]
        return "bad" if "bad" in levels else "warn" if "warn" in levels else "ok"

    @property
    def verdict(self) -> str:
        """What to make of it, in plain words."""
        bad = [fact.name for fact in self.facts if fact.level == "bad"]
        weak = [fact.name for fact in self.facts if fact.level == "warn"]
        if bad:
            words = f"Not ready for real time: {_listed(bad)}. Mend these first."
        elif weak:
            words = f"Usable; deadlines may be missed now and then because of: {_listed(weak)}."
        else:
            words = "Ready for real time."
        if "hypervisor" in weak:
            words += " In a virtual machine the host is the larger doubt: no figure from here holds for it."
        return f"{words} {_measured(self.wake_up)}" if self.wake_up and self.wake_up.bars else words

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "verdict": self.verdict,
            "level": self.level,
            "facts": [asdict(fact) for fact in self.facts],
            "wake_up": asdict(self.wake_up) if self.wake_up else None,
        }


def diagnose(machine: Computer, seconds: float) -> Diagnosis:
    """Examine the machine, try the rights that a station asks for, and measure wake-ups of an empty 1 kHz task.

    `seconds`: how long to measure (0: not). Of files of another computer nothing can be tried.
    """
    if machine.root == ROOT:
        machine = replace(machine, grants=try_rights(cpu=machine.wanted_cpu))
    facts: Sequence[Fact] = examine(machine)
    if seconds <= 0:
        return Diagnosis(tuple(facts), None)
    from scheduler.wakeup import measure_wakeup

    histogram = measure_wakeup(PERIOD_S, seconds, cpu=machine.wanted_cpu)
    return Diagnosis(tuple(facts), Picture.of("wake-up of an empty 1 kHz task", histogram))


def _listed(names: Sequence[str]) -> str:
    """Names, the first ones where there are many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED + 1 else ""
    return ", ".join(dict.fromkeys(names[:NAMED] if more else names)) + more


def _measured(picture: Picture) -> str:
    timing = picture.timing
    shortest = format_duration(max(timing.max_ns / CYCLE_SHARE, 50_000), 2)
    return (
        f"Measured: half of all wake-ups within {format_duration(timing.p50_ns, 3)}, 99.9 % within "
        f"{format_duration(timing.p99_9_ns, 3)}, the worst {format_duration(timing.max_ns, 3)}; cycles of {shortest} "
        f"and longer keep the worst below {CYCLE_SHARE:.0%} of a cycle."
    )
