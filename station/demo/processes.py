"""The demo's two processes, plant and station, and how to talk to them; none outlives the demo.

The plant is asked through its standard input, the station only through what every user has: its command line and its
control socket. Both run in sessions of their own, so that a Ctrl-C on the terminal reaches the demo alone, which then
ends them in order; they are bound to the demo, and end as by SIGTERM where it was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from rt_native import isolated
from station.demo.facts import Answer
from station.errors import NotRunningError
from station.running.asking import fetch_status, fetch_tags
from station.show.snapshot import Snapshot
from station.show.tags import TagView

ANSWER_LIMIT: Final = 2**24  # bytes; two minutes of history are some hundred thousand
START_S: Final = 90.0
STOP_S: Final = 10.0
STORE: Final = "store"
PORTS: Final = range(31_000, 32_768)
"""Below those that a system gives to whoever asks for any: none of these is taken between `free_port` and its use."""


class DemoError(Exception):
    """The demo cannot go on; the message says which process failed, and how."""


def free_port() -> int:
    """A TCP port at 127.0.0.1 at which nobody listens.

    Raises:
        DemoError: none was found.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise DemoError(f"every port of 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1} is taken")


class PlantProcess:
    """A running plant: `await plant.ask("status")`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.port = 0

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    async def ask(self, line: str) -> dict[str, Any]:
        """Send one command line, and give its answer.

        Raises:
            DemoError: the plant has ended, or does not know the command.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the missing answer says it
            self._process.stdin.write(f"{line}\n".encode())
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """The next line that the plant says."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise DemoError(f"the plant process ended with exit code {await self._process.wait()}; it says why above")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DemoError(f"the plant: {answer['error']}")
        return answer


@contextlib.asynccontextmanager
async def plant_process(port: int = 0) -> AsyncIterator[PlantProcess]:
    """A plant that listens on `port` (0: any free one) until the context ends."""
    process = await _spawn("station.demo.plant", "--port", str(port), stdin=PIPE, stdout=PIPE)
    try:
        plant = PlantProcess(process)
        plant.port = int((await asyncio.wait_for(plant.answer(), START_S))["port"])
        yield plant
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await _end(process)


@contextlib.asynccontextmanager
async def bus_process(interface: str, slaves: Sequence[str]) -> AsyncIterator[PlantProcess]:
    """Simulated EtherCAT slaves on an interface, until the context ends; orders are JSON (`fieldbus.ethercat.simulated.orders`)."""
    words = ("--interface", interface, "--slaves", ",".join(slaves))
    process = await _spawn("fieldbus.ethercat.simulated", *words, stdin=PIPE, stdout=PIPE)
    try:
        bus = PlantProcess(process)
        await asyncio.wait_for(bus.answer(), START_S)
        yield bus
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await _end(process)


class StationProcess:
    """A running station, `rt-engine run FILE`, begun at `begun_ns`; asked and updated through its control socket.

    What it prints goes to `log`, also that of a later process.
    """

    def __init__(self, arguments: Sequence[str], socket: Path, log: Path) -> None:
        self._arguments, self.socket, self._log = arguments, socket, log
        self._running: Process | None = None
        self.begun_ns = 0
        self._before = 0

    @property
    def folder(self) -> Path:
        """In which it leaves what it leaves."""
        return self._log.parent

    @property
    def _process(self) -> Process:
        assert self._running is not None, "it has been started"
        return self._running

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    async def start_again(self) -> None:
        """The power is back."""
        await self.start()

    async def start(self) -> None:
        """Start it."""
        self.begun_ns = time.monotonic_ns()
        with self._log.open("ab") as output:
            self._before = output.tell()
            self._running = await _spawn("station", *self._arguments, stdout=output.fileno(), stderr=STDOUT)

    async def cut_power(self) -> None:
        """End it as a power cut does: with SIGKILL, in the middle of whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """End it, if it runs."""
        if self._running is not None:
            await _end(self._running, terminate=True)

    async def status(self) -> Snapshot:
        """The station now.

        Raises:
            DemoError: it has ended; with the last lines that it said.
        """
        try:
            return await asyncio.to_thread(fetch_status, self.socket)
        except NotRunningError as error:
            raise DemoError(f"the station does not answer: {error}; it said:\n{self._last_words()}") from error

    async def tags(self, *names: str) -> dict[str, TagView]:
        """These tags now, by name; raises `DemoError` as `status`."""
        try:
            return {tag.name: tag for tag in await asyncio.to_thread(fetch_tags, self.socket, names)}
        except NotRunningError as error:
            raise DemoError(f"the station does not answer: {error}; it said:\n{self._last_words()}") from error

    async def first_cycle(self) -> Snapshot:
        """Wait until its first task ticks; gives the first status that shows it.

        Raises:
            DemoError: it ended, or for so long as `START_S` nothing ticks and it says nothing new (as it does while it compiles).
        """
        silent_since, words = asyncio.get_running_loop().time(), 0
        while True:
            if self._process.returncode is not None:
                raise DemoError(f"the station ended with exit code {self._process.returncode}:\n{self._last_words()}")
            with contextlib.suppress(DemoError):
                snapshot = await self.status()
                if any(task.cycles for task in snapshot.tasks):
                    return snapshot
            now = asyncio.get_running_loop().time()
            if (said := self._log.stat().st_size) > words:
                silent_since, words = now, said
            elif now - silent_since > START_S:
                raise DemoError(f"no task of the station ran within {START_S:g} s; it said:\n{self._last_words()}")
            await asyncio.sleep(0.01)

    async def command(self, *words: str) -> Answer:
        """Run a command of `rt-engine` on it, such as `update SLOT MODEL`."""
        process = await _spawn("station", *words, "--socket", str(self.socket), stdout=PIPE, stderr=STDOUT)
        try:
            said, _ = await process.communicate()
        finally:
            await _end(process)
        return Answer(process.returncode or 0, said.decode().strip())

    async def stop(self) -> Answer:
        """End it as SIGTERM does (outputs safe, report written); gives its exit code and all that it said."""
        await self.end()
        return Answer(self._process.returncode or 0, self._log.read_text(encoding="utf-8"))

    def said(self) -> str:
        """What it has printed since its newest start."""
        return self._log.read_bytes()[self._before :].decode(errors="replace")

    def memory_bytes(self) -> int | None:
        """Resident memory; None where the system does not tell."""
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return None

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8").splitlines()[-8:])


def new_store(folder: Path) -> str:
    """The name of a store that is not there yet: a demo knows nothing of those before it in the same folder."""
    names = itertools.chain([STORE], (f"{STORE}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not (folder / name).exists())


@contextlib.asynccontextmanager
async def station_process(file: Path, report: Path, socket: Path, log: Path) -> AsyncIterator[StationProcess]:
    """A station that runs `file` until the context ends; what it prints goes to `log`."""
    command = ("run", str(file), "--report", str(report), "--socket", str(socket))
    log.unlink(missing_ok=True)
    station = StationProcess(command, socket, log)
    try:
        await station.start()
        yield station
    finally:
        await station.end()


async def _spawn(module: str, *arguments: str, stdout: int, stdin: int = DEVNULL, stderr: int | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *isolated.command(module, *arguments, bound=signal.SIGTERM),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        limit=ANSWER_LIMIT,
        start_new_session=True,
        env=isolated.environment(),
    )


async def _end(process: Process, terminate: bool = False) -> None:
    """Wait for the process to end; kill it when that takes too long, or at once when we are cancelled meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        if terminate and process.returncode is None:
            process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
