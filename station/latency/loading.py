"""Loads while a latency is measured: processes of normal priority that end with us, in every case."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rt_native import isolated
from station.latency.loads import Load, loads

PROGRAM: Final = "station.latency.load_process"
MARGIN_S: Final = 60.0
"""So long after the time that was asked for a load ends by itself, if nobody has ended it."""
PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load as it ran. `failed`: what is known of a process that ended before it should; empty: none did."""

    name: str
    what: str
    processes: int
    failed: str = ""


def named(text: str) -> list[Load]:
    """`"cpu,io"` -> those loads, in the order of the folder; `all`: every one.

    Raises:
        ValueError: there is no such load; says which there are.
    """
    known = loads()
    words = {word.strip() for word in text.split(",")} - {""}
    if words == {"all"}:
        return list(known.values())
    if unknown := sorted(words - set(known)):
        raise ValueError(f'there is no load "{unknown[0]}"; there are {", ".join(known)}, and all')
    return [load for name, load in known.items() if name in words]


class Loading:
    """Loads from entry to exit. Start it in the main thread: the kernel ends the processes with the thread that made them.

    Args:
        wanted: which.
        cores: where those that are pinned go.
        seconds: how long at most; `MARGIN_S` later they end even if we hang.
    """

    def __init__(self, wanted: Sequence[Load], cores: Sequence[int], seconds: float) -> None:
        self._wanted, self._cores, self._seconds = tuple(wanted), tuple(cores), seconds + MARGIN_S
        self._children: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._failed: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            for load in self._wanted:
                places = map(str, self._cores) if load.per_core else ["any"]
                self._children[load.name] = [self._start(load, place) for place in places]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.look()
        self._end()

    def look(self) -> None:
        """Note which processes have ended before they should."""
        for name, children in self._children.items():
            for child in children:
                if child.poll() is not None and name not in self._failed:
                    said = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
                    why = said.splitlines()[-1] if said else f"exit code {child.returncode}"
                    self._failed[name] = f"a process ended early: {why}"

    @property
    def pids(self) -> list[int]:
        """Its processes that run."""
        return [child.pid for children in self._children.values() for child in children if child.poll() is None]

    def loaded(self) -> tuple[Loaded, ...]:
        """What ran."""
        return tuple(
            Loaded(load.name, load.what, len(self._children.get(load.name, ())), self._failed.get(load.name, ""))
            for load in self._wanted
        )

    def _start(self, load: Load, place: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            isolated.command(PROGRAM, load.name, place, f"{self._seconds:.0f}", bound=signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=isolated.environment(),
            cwd="/",
        )

    def _end(self) -> None:
        """By closing their pipes; what does not listen is killed."""
        children = [child for some in self._children.values() for child in some]
        for child in children:
            child.terminate()
        until = time.monotonic() + PATIENCE_S
        for child in children:
            try:
                child.wait(max(until - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stderr):
                if pipe is not None:
                    pipe.close()
