"""Who runs before us: threads of other processes with a real-time priority of ours or higher, and how long each ran.

Which there are is looked up every `LOOK_S`; how long they ran, at every reading. Kernel threads count too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from station.latency.sources import Counter, Scene, Source
from station.machine.computer import Computer

ORDER = 40
LOOK_S: Final = 5.0
REAL_TIME: Final = {"1": "FIFO", "2": "RR", "6": "DEADLINE"}
PRIORITY, POLICY = 37, 38  # proc(5), fields 40 and 41, counted after the name


class Rivals:
    """Remembers which threads there are between two looks."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._looked_s = 0.0
        self._root = Path()

    def read(self, scene: Scene) -> Mapping[Counter, float]:
        """Nanoseconds on a core."""
        if scene.computer.root != self._root or time.monotonic() - self._looked_s > LOOK_S:
            self._known = dict(_threads(scene))
            self._looked_s, self._root = time.monotonic(), scene.computer.root
        found = {}
        for folder, name in self._known.items():
            ran = (scene.computer.read(f"{folder}/schedstat") or "").split()
            if ran:
                found[Counter("rival", "", name)] = float(ran[0])
        return found


def _folders(computer: Computer) -> Iterator[Path]:
    """Of all threads. A process that ends while we look has none: `Path.glob` of Python 3.11 raises there."""
    for tasks in computer.glob("/proc/[0-9]*/task"):
        try:
            names = os.listdir(tasks)
        except OSError:
            continue
        yield from (tasks / name for name in sorted(names) if name.isdigit())


def _threads(scene: Scene) -> Iterator[tuple[str, str]]:
    """(folder, words) of those whose priority is not below ours."""
    computer: Computer = scene.computer
    for path in _folders(computer):
        thread = int(path.name)
        if thread in scene.own or thread in scene.threads.values():
            continue
        folder = f"/{path.relative_to(computer.root)}"
        name, _, rest = (computer.read(f"{folder}/stat") or "").partition("(")[2].rpartition(")")
        fields = rest.split()
        if len(fields) <= POLICY or fields[POLICY] not in REAL_TIME:
            continue
        policy = REAL_TIME[fields[POLICY]]
        if policy == "DEADLINE" or int(fields[PRIORITY]) >= scene.priority:
            yield folder, f"{name} ({policy} {fields[PRIORITY]}, pid {path.parent.parent.name})"


SOURCE = Source(
    "rivals", "threads of our priority or higher, and how long each ran", Rivals().read, "/proc of others is hidden"
)
