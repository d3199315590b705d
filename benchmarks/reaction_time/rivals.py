"""What is measured, each in a process of its own: the C program, and stations."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_native.isolated import bound_program

HERE: Final = Path(__file__).parent
PERCENTILES: Final = (50.0, 99.0, 99.9)
START_S: Final = 90.0  # on a busy machine too


class RefusedError(Exception):
    """A rival cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Rival:
    """The C program (`keys` None), or a station: more keys of its link, and the checkout that it is of (None: this one)."""

    name: str
    keys: str | None = None
    checkout: Path | None = None


class Spoken:
    """A process that is told by lines on its standard input, a socket, and answers there, each by a line of JSON."""

    def __init__(self, command: list[str], folder: Path, checkout: Path | None = None) -> None:
        ours, its = socket.socketpair()
        path = {"PYTHONPATH": str(checkout)} if checkout is not None else {}
        self.log = folder / "output.txt"
        with its, self.log.open("wb") as log:
            environment = {**os.environ, **path, "XDG_RUNTIME_DIR": str(folder)}
            self.process = subprocess.Popen(
                bound_program(command), cwd=folder, env=environment, stdin=its.fileno(), stdout=log, stderr=log
            )
        self._lines = ours.makefile("rw")
        ours.close()

    def ask(self, line: str) -> dict[str, Any]:
        """Say a line, give the answer."""
        self._lines.write(line + "\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def end(self, number: int) -> None:
        """End it by a signal, in order if it can."""
        self.process.send_signal(number)
        self._lines.close()
        try:
            self.process.wait(30.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A rival that runs: its process, how its load is begun, its threads by name, and whether it still runs."""

    pid: int
    load: Callable[[], object]
    is_alive: Callable[[], bool]
    why: Callable[[], str] = lambda: ""
    threads: Callable[[], Mapping[str, int]] = field(default=lambda: {})
    round_trips: Callable[[], Mapping[str, float]] = field(default=lambda: {})
    """Of its exchanges, by its own clock, from start to now: p50, p99, p99.9 and max in us. Ends the C program."""


def build(rival: Rival) -> None:
    """Compile the native libraries of a station's checkout, where that is not done yet."""
    if rival.keys is not None:
        command, path = [sys.executable, "-m", "station", "kernels"], rival.checkout or HERE.parent.parent
        subprocess.run(command, cwd=path, env={**os.environ, "PYTHONPATH": str(path)}, check=True, capture_output=True)


@contextmanager
def run(rival: Rival, load: str, command: list[str], file: str, folder: Path) -> Iterator[Running]:
    """A rival, until the end of the block: the C program by its command, or a station by the text of its file."""
    with c_program(load, command, folder) if rival.keys is None else station(rival, load, file, folder) as running:
        yield running


@contextmanager
def c_program(load: str, command: list[str], folder: Path) -> Iterator[Running]:
    """The C program, with the load in a process beside it."""
    with ExitStack() as stack:
        beside = Spoken([sys.executable, str(HERE / "hosted.py"), load], folder) if load != "idle" else None
        if beside is not None:
            stack.callback(beside.end, signal.SIGTERM)
            beside.ask("threads")  # it has started when it answers
        times = folder / "round-trips"
        process = subprocess.Popen(bound_program([*command, str(times)]))
        try:
            trips = partial(_kept, process, times)
            yield Running(process.pid, partial(_begin, beside), lambda: process.poll() is None, round_trips=trips)
        finally:
            process.kill()
            process.wait()


@contextmanager
def station(rival: Rival, load: str, text: str, folder: Path) -> Iterator[Running]:
    """`rt-engine run` of a station file, with the load in its own process."""
    from station.running.asking import request_update

    file, place = folder / "station.toml", folder / "control"
    file.write_text(text)
    command = [sys.executable, str(HERE / "hosted.py"), load, str(file), str(place)]
    spoken = Spoken(command, folder, rival.checkout)
    update = partial(request_update, place, {"follow": folder / "large.onnx"})
    try:
        yield Running(
            spoken.process.pid,
            update if load == "update" else partial(_begin, spoken),
            lambda: spoken.process.poll() is None,
            lambda: spoken.log.read_text(errors="replace")[-600:],
            lambda: spoken.ask("threads"),
            lambda: _told(place),
        )
    finally:
        spoken.end(signal.SIGTERM)


def _begin(spoken: Spoken | None) -> None:
    """The load of that process, if any."""
    if spoken is not None:
        spoken.ask("load")


def _kept(process: subprocess.Popen[bytes], times: Path) -> dict[str, float]:
    """What the C program leaves behind."""
    process.terminate()
    process.wait(10.0)
    return percentiles(np.fromfile(times, np.int64))


def _told(place: Path) -> dict[str, float]:
    """What a station says of its link; nothing, where its Python side is too busy to answer."""
    from station.errors import NotRunningError
    from station.running.asking import fetch_status

    try:
        trip = fetch_status(place).links[0].round_trip
    except NotRunningError:
        return {}
    names = {"p50": trip.p50_ns, "p99": trip.p99_ns, "p99.9": trip.p99_9_ns, "max": trip.max_ns}
    return {name: ns / 1e3 for name, ns in names.items()}


def percentiles(ns: NDArray[np.int64]) -> dict[str, float]:
    """In microseconds, by name."""
    if not ns.size:
        return {}
    found = {
        f"p{p:g}": float(value) / 1e3 for p, value in zip(PERCENTILES, np.percentile(ns, PERCENTILES), strict=True)
    }
    return {**found, "max": float(ns.max()) / 1e3}


def cpu_ns(pid: int) -> int:
    """Time on processors of all threads of a process, of those that have ended too."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return round((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") * 1e9)


def thread_ns(pid: int, thread: int) -> int:
    """Time on processors of one thread; 0: it has ended."""
    try:
        return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    except OSError:
        return 0


def wait_live(running: Running, writes: Callable[[], int]) -> None:
    """Wait until right values reach the device; raises `RefusedError` when the rival ends before, `TimeoutError`."""
    until = time.monotonic() + START_S
    while writes() < 50:
        if not running.is_alive():
            raise RefusedError(f"it ended: {running.why().strip()}")
        if time.monotonic() > until:
            raise TimeoutError(f"no right values reach the device: {running.why().strip()}")
        time.sleep(0.2)
