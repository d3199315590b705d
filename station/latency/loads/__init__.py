"""Kinds of load: one file each, found by being in this folder. A kind says what it does, and does it until it is told to end:

    def work(core, goes_on): ...          in a process of its own, pinned to `core` unless that is None
    LOAD = Load("cpu", "endless arithmetic on every core", per_core=True, work=work)
    ORDER = 10                            its own place among the others

`station.latency.loading` starts and ends the processes. Each load is bounded: in memory, in files, in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from rt_native.found import modules

GoesOn = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of load. `what`: for people; `per_core`: a process for each core, pinned to it, else one that goes where it likes."""

    name: str
    what: str
    per_core: bool
    work: Callable[[int | None, GoesOn], None]


@cache
def loads() -> dict[str, Load]:
    """Name -> load, of every file in this folder, in their order."""
    return {module.LOAD.name: module.LOAD for module in modules(__name__, __path__)}
