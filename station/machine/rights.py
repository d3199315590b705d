"""Real-time rights for people: one line per right, whatever the number of tasks; one way to get them per place."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scheduler.rights import CONTAINER_OPTIONS, LIMITS_COMMAND, MEMORY_HOW, PRIORITY_HOW, Grant
from station.machine.computer import Computer, Fact
from station.machine.container import PODMAN


def rights_fix(machine: Computer) -> str:
    """The command that gives real-time priority and locked memory, here."""
    if machine.in_container:
        return f"{runner(machine)} {CONTAINER_OPTIONS} ..."
    return f"{LIMITS_COMMAND}   # then log in again: ulimit -r must print 99"


def runner(machine: Computer) -> str:
    """The command that starts a container of the kind that we are in."""
    return "podman run" if machine.engine == PODMAN else "docker run"


def merged(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """`SCHED_FIFO 80`, `SCHED_FIFO 70` with the same answer become `SCHED_FIFO 80, 70`."""
    numbers: dict[tuple[str, Grant], list[str]] = {}
    for grant in grants:
        found = re.fullmatch(r"(\D+) (\d+)", grant.name)
        name, number = found.groups() if found else (grant.name, "")
        alike = Grant(name, grant.granted, grant.why, grant.how_to_grant)
        numbers.setdefault((name, alike), []).append(number)
    return tuple(
        Grant(f"{name} {', '.join(found)}".strip(), alike.granted, alike.why, alike.how_to_grant)
        for (name, alike), found in numbers.items()
    )


def facts_of(grants: Iterable[Grant], machine: Computer) -> tuple[Fact, ...]:
    """What this process asked for its own threads, as the report shows it."""
    return tuple(_fact_of(grant, machine) for grant in merged(grants))


def _fact_of(grant: Grant, machine: Computer) -> Fact:
    if grant.granted:
        return Fact(grant.name, "ok", "granted", grant.why)
    return Fact(grant.name, "warn", "not granted", grant.why, fix_for(grant, machine))


def fix_for(grant: Grant, machine: Computer) -> str:
    """The command that would have it granted, here."""
    return rights_fix(machine) if grant.how_to_grant in (PRIORITY_HOW, MEMORY_HOW) else grant.how_to_grant
