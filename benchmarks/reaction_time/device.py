"""The devices of `device.h`, as a process that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.spoken import Spoken

KINDS: Final = ("exchange", "register", "gap")
"""What is measured at a device; see there."""
Times = dict[str, NDArray[np.int64]]


def on(cpu: int | None) -> list[str]:
    """The beginning of a command that keeps to one processor."""
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


class Devices:
    """`count` devices in one process, on one processor or on any, which ends with `close`."""

    def __init__(self, program: str, count: int, samples: int, scratch: Path, cpu: int | None = None) -> None:
        command = [*on(cpu), program, str(count), str(samples)]
        self._process = Spoken(*command)
        self._scratch = scratch / "times"
        first = self._process.first
        self.ports: list[int] = first["ports"]
        self.host: str = first["host"]
        self.is_real_time = bool(first["fifo"])

    def go(self) -> None:
        """Forget what was measured, begin anew."""
        self._process.ask("go")

    def counts(self) -> dict[str, int]:
        """Reads, writes, and what was odd, of all devices since `go`."""
        return self._process.ask("stop /dev/null")

    def stop(self) -> tuple[dict[str, int], list[Times]]:
        """The same, and the times of each device."""
        counts = self._process.ask(f"stop {self._scratch}")
        data, at, found = np.fromfile(self._scratch, np.int64), 0, []
        for _ in self.ports:
            times: Times = {}
            for kind in KINDS:
                times[kind] = data[at + 1 : at + 1 + data[at]]
                at += 1 + int(data[at])
            found.append(times)
        return counts, found

    def right_writes(self) -> int:
        """Writes since `go` that a computed value came with."""
        counts = self.counts()
        return counts["writes"] - counts["safe"] - counts["wrong"]

    def close(self) -> None:
        """End the process."""
        self._process.close()
