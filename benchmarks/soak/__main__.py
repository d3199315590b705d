"""Two stations, a fault every second each, and what reached their devices: python -m benchmarks.soak [--minutes 60]

    steady     is never ended: its memory and its descriptors tell of leaks, its ticks of what faults cost
    restarted  is killed and stopped again and again

Before, the same without faults (`--quiet-minutes`). Prints a table, keeps every fault as a line of reports/soak/soak.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.soak.faults import RESTARTS, STEADY, Fault
from benchmarks.soak.stations import Soaked

JUDGED: Final = ("writes", "right", "safe", "wrong", "too old")


class Run:
    """One station, one thread: a fault, the rest of the second, a look."""

    def __init__(self, station: Soaked, faults: dict[str, Fault], log: Path, seed: int) -> None:
        self.station, self._faults, self._log = station, faults, log
        self._chance = random.Random(seed)
        self.missed: dict[str, list[int]] = defaultdict(list)
        self.surprises: list[str] = []
        self.memory: list[tuple[float, int, int]] = []
        self.cycles = 0
        self._pid = self._last_missed = self._last_cycles = 0

    def go_on(self, until_s: float, quiet: bool) -> None:
        """A fault every second (none when quiet) until then."""
        while time.monotonic() < until_s:
            begin = time.monotonic()
            name = "none" if quiet else self._chance.choice(list(self._faults))
            try:
                surprise = "" if quiet else self._faults[name](self.station, self._chance)
            except Exception as error:  # the soak goes on, and says so
                surprise = f"{type(error).__name__}: {error}"
            time.sleep(max(0.0, 1.0 - (time.monotonic() - begin)))
            self._look(name, surprise)

    def _look(self, name: str, surprise: str) -> None:
        status = self.station.status()
        if status is None:
            surprise = surprise or "no status"
        else:
            missed, cycles = status.tasks[0].counters["missed"], status.tasks[0].cycles
            again = status.pid != self._pid
            self.missed[name].append(missed if again else missed - self._last_missed)
            self.cycles += cycles if again else cycles - self._last_cycles
            self._pid, self._last_missed, self._last_cycles = status.pid, missed, cycles
            self.memory.append((time.monotonic(), self.station.memory_kib(), self.station.descriptors()))
        if surprise:
            self.surprises.append(f"{name}: {surprise}")
        line = {"t": time.time(), "station": self.station.name, "fault": name, "surprise": surprise}
        with self._log.open("a") as log:
            log.write(json.dumps({**line, **self.station.device.ask("count")}) + "\n")


def slope_kib_per_hour(memory: list[tuple[float, int, int]]) -> float:
    """Of the second half: the first fills caches."""
    half = np.array(memory[len(memory) // 2 :], float)
    return float(np.polyfit(half[:, 0], half[:, 1], 1)[0] * 3600.0) if len(half) > 10 else float("nan")


def show(console: Console, title: str, runs: list[Run]) -> None:
    """What each fault cost, and what reached the devices."""
    table = Table("fault", "times", "missed ticks: median", "most", "total", title=title)
    names = {name for run in runs for name in run.missed}
    for name in sorted(names):
        missed = [count for run in runs for count in run.missed.get(name, [])]
        table.add_row(name, str(len(missed)), f"{np.median(missed):.0f}", str(max(missed)), str(sum(missed)))
    console.print(table)
    for run in runs:
        counts: dict[str, Any] = run.station.device.ask("count")
        words = ", ".join(f"{counts.get(key, 0):,} {key}" for key in JUDGED)
        console.print(f"{run.station.name}: {words}; {run.cycles:,} cycles; most connections {counts['most at once']}")
        if counts["examples"]:
            console.print(f"  {counts['examples']}")
        if run.memory:
            first, last = run.memory[min(60, len(run.memory) - 1)], run.memory[-1]
            console.print(
                f"  memory {first[1] / 1024:.1f} -> {last[1] / 1024:.1f} MiB, "
                f"second half {slope_kib_per_hour(run.memory):+.0f} KiB/h; "
                f"descriptors {first[2]} -> {last[2]}"
            )
        for surprise in sorted(set(run.surprises)):
            console.print(f"  {run.surprises.count(surprise)} x {surprise}", markup=False)


def together(runs: list[Run], minutes: float, quiet: bool) -> None:
    """All at once."""
    until_s = time.monotonic() + 60.0 * minutes
    threads = [threading.Thread(target=run.go_on, args=(until_s, quiet)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Soak, show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--quiet-minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reports/soak"))
    chosen = parser.parse_args()
    folder = chosen.out.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    log = folder / "soak.jsonl"
    steady = Soaked(folder / "steady", "soak-steady", (15021, 48921))
    restarted = Soaked(folder / "restarted", "soak-restarted", (15022, 48922))
    console = Console()
    try:
        for station in (steady, restarted):
            station.start()
        if chosen.quiet_minutes:
            quiet = [Run(steady, {}, log, 0), Run(restarted, {}, log, 0)]
            together(quiet, chosen.quiet_minutes, quiet=True)
            show(console, "without faults", quiet)
        runs = [Run(steady, STEADY, log, chosen.seed), Run(restarted, RESTARTS, log, chosen.seed + 1)]
        together(runs, chosen.minutes, quiet=False)
        show(console, f"a fault every second, {chosen.minutes:g} minutes", runs)
    finally:
        for station in (steady, restarted):
            if station.process is not None and station.process.poll() is None:
                station.stop()
            station.device.close()


if __name__ == "__main__":
    main()
