"""What the kernel counts while a latency is measured: one file for each kind, found by being in this folder.

    def read(scene): ...            every counter of the kind now, as it stands since whenever: `Counter` -> number
    SOURCE = Source("steal", "time that the host took from a core", read, lacks="...")
    ORDER = 30                      its own place among the others

A kind reads files below `scene.computer.root`, so that a test gives it a folder. One that is not there, or may not be read, gives
nothing; then `lacks` says what it would have told, and what would grant it. `station.latency.causes` judges the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from rt_native.found import modules
from station.machine.computer import Computer


class Counter(NamedTuple):
    """A counter. `source`: its kind; `where`: "cpu1", the name of a task, or "": the whole machine; `name`: what people read."""

    source: str
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Where counters are looked for. `cpus`: that tasks run on; `threads`: task -> its thread's number; `own`: of this process."""

    computer: Computer
    cpus: tuple[int, ...]
    threads: Mapping[str, int] = field(default_factory=dict)
    priority: int = 80
    own: frozenset[int] = frozenset()


Read = Callable[[Scene], Mapping[Counter, float]]


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of counter."""

    name: str
    what: str
    read: Read
    lacks: str


@cache
def sources() -> tuple[Source, ...]:
    """Every one in this folder, in their order."""
    return tuple(module.SOURCE for module in modules(__name__, __path__))


def read_all(scene: Scene) -> dict[Counter, float]:
    """All counters of all kinds, now. A file in an unknown form, or that fails, counts as one that is not there."""
    found: dict[Counter, float] = {}
    for source in sources():
        try:
            found.update(source.read(scene))
        except (OSError, ValueError, LookupError):
            continue
    return found
