"""Who measures when: we, mostly; cyclictest, where it is installed; the kernel's own search for gaps, where it lets us.

Turns are short against the whole, so that what drifts on the machine meets everybody.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_native import isolated
from station.latency.result import Spread

OURS_OF_FOUR: Final = 3
"""Of four turns so many are ours, and one is cyclictest's."""
GAPS_EVERY: Final = 20
"""The kernel's search for gaps stops a core for half of each second: one turn of so many."""
LONGEST_US: Final = 30_000
TURNS: Final = 40
SHORTEST_TURN_S: Final = 5.0
LONGEST_TURN_S: Final = 60.0


def turn_seconds(seconds: float) -> float:
    """How long a turn is when so many seconds are measured."""
    return min(max(seconds / TURNS, min(SHORTEST_TURN_S, seconds / 4)), LONGEST_TURN_S)


def order(benches: int, has_peer: bool, has_gaps: bool) -> Callable[[int], int]:
    """Number of a turn -> whose it is: that of a bench, -1 cyclictest, -2 the search for gaps."""

    def whose(turn: int) -> int:
        if has_gaps and turn % GAPS_EVERY == GAPS_EVERY - 1:
            return -2
        if has_peer and turn % (OURS_OF_FOUR + 1) == OURS_OF_FOUR:
            return -1
        ours = turn - turn // (OURS_OF_FOUR + 1) if has_peer else turn
        return ours % benches

    return whose


@dataclass(frozen=True, slots=True)
class Cyclictest:
    """cyclictest of Debian's rt-tests: a thread on each core, our priority, our period."""

    program: str
    cpus: tuple[int, ...]
    period_ns: int
    priority: int

    @classmethod
    def found(cls, cpus: Sequence[int], period_ns: int, priority: int) -> Cyclictest | None:
        """Where it is installed."""
        program = shutil.which("cyclictest")
        return None if program is None else cls(program, tuple(cpus), period_ns, priority)

    def start(self, seconds: float) -> subprocess.Popen[str]:
        """For so long."""
        command = [self.program, "-q", "-m", f"-p{self.priority}", f"-i{self.period_ns // 1000}", "-d0"]
        command += [f"-D{max(round(seconds), 1)}", f"-h{LONGEST_US}", f"-t{len(self.cpus)}"]
        command += [f"-a{','.join(map(str, self.cpus))}"]
        return subprocess.Popen(
            isolated.bound_program(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def spreads_of(text: str, threads: int) -> list[Spread]:
    """What cyclictest printed with `-h`: one for each of its threads. What was beyond its last bin counts as its longest."""
    bars: list[list[tuple[int, int, int]]] = [[] for _ in range(threads)]
    for line in text.splitlines():
        if re.match(r"\d{6} ", line):
            us, *counts = map(int, line.split())
            for some, count in zip(bars, counts, strict=False):
                some.extend([(1000 * us, 1000 * us + 1000, count)] if count else [])
    beyond, longest = (re.search(rf"# {what}:([\s\d]+)", text) for what in ("Histogram Overflows", "Max Latencies"))
    if beyond and longest:
        for some, count, us in zip(bars, map(int, beyond[1].split()), map(int, longest[1].split()), strict=False):
            some.extend([(1000 * us, 1000 * us + 1000, count)] if count else [])
    return [Spread.of_bars(some) for some in bars]


class Gaps:
    """The kernel's hwlat tracer: a thread of its own that looks at the clock with interrupts off, and so sees what even the kernel
    does not: firmware, and the host of a virtual machine. What was set before is put back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[str, str] = {}

    @classmethod
    def found(cls, root: Path = Path("/")) -> tuple[Gaps | None, str]:
        """Where the kernel has it, nobody traces, and we may; else why not."""
        for place in ("sys/kernel/tracing", "sys/kernel/debug/tracing"):
            folder = root / place
            try:
                tracers = (folder / "available_tracers").read_text(encoding="ascii").split()
                busy = (folder / "current_tracer").read_text(encoding="ascii").strip()
                events = folder / "set_event"
                has_events = events.exists() and bool(events.read_text(encoding="ascii").strip())
            except OSError:
                continue
            if "hwlat" not in tracers:
                return None, "this kernel was built without the hwlat tracer (CONFIG_HWLAT_TRACER)"
            if busy != "nop":
                return None, f"somebody traces already, with {busy}"
            if has_events:  # another tracer would clear what they have so far
                return None, "somebody traces events already"
            if not os.access(folder / "current_tracer", os.W_OK):
                return None, "tracing is root's"
            return cls(folder), ""
        return None, "tracing is not visible here: it takes root, and a mounted tracefs"

    def start(self) -> None:
        """Look for gaps of 5 us and more.

        Raises:
            OSError: the kernel refuses; all is as it was.
        """
        try:
            for name, value in {"tracing_thresh": "5", "current_tracer": "hwlat", "tracing_on": "1"}.items():
                path = self._folder / name
                self._before[name] = path.read_text(encoding="ascii").strip()
                path.write_text(value, encoding="ascii")
        except OSError:
            self._put_back()
            raise

    def stop(self) -> list[int]:
        """The gaps that were found, in nanoseconds, and everything as it was."""
        try:
            return gaps_of((self._folder / "trace").read_text(encoding="utf-8", errors="replace"))
        finally:
            self._put_back()

    def _put_back(self) -> None:
        for name, value in reversed(self._before.items()):
            with suppress(OSError):  # the others all the same
                (self._folder / name).write_text(value, encoding="ascii")
        self._before.clear()


def gaps_of(text: str) -> list[int]:
    """Lines of a trace of hwlat -> the longer of inner and outer gap of each, in nanoseconds."""
    return [1000 * max(int(a), int(b)) for a, b in re.findall(r"inner/outer\(us\):\s*(\d+)/(\d+)", text)]
