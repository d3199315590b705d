"""The demo with a PLC: an external program, which knows nothing of us but ADS or Modbus, controls the machine.

plant process  <--Modbus TCP-->  PLC program  <--ADS or Modbus TCP-->  station process  <--control socket-->  we

hold -> better network -> wrong network -> the PLC program ends, and tells of its calls
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fieldbus.ads.protocol import TCP_PORT
from rt_native import isolated
from station.demo import checks, plc_checks
from station.demo.acts import TRIES, Record
from station.demo.checks import Check
from station.demo.facts import Interval, PlantView
from station.demo.processes import DemoError, PlantProcess, StationProcess, free_port, new_store
from station.demo.protocols import PlcProtocol
from station.demo.screen import Screen
from station.demo.story import FIND_TOGETHER_S, MEASURE_S, SETTLE_S, SLOT
from station.demo.trajectory import Moment, trajectory_svg
from station.errors import ExitCode

HERE: Final = Path(__file__).parent
PROGRAM: Final = HERE / "plc_program.py"
CALLS: Final = "calls.csv"
STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the engine's two servers listen: AdsLib knows one port only, so the ADS server has an address of its own."""

    ads: str
    modbus: int

    @classmethod
    def free(cls) -> Addresses:
        """Such as nobody listens at.

        Raises:
            DemoError: none was found.
        """
        for _ in range(100):
            host = f"127.0.{random.randint(0, 254)}.{random.randint(2, 254)}"
            with contextlib.suppress(OSError), socket.create_server((host, TCP_PORT)):
                break
        else:
            raise DemoError(f"port {TCP_PORT} is taken at every address of this computer that was tried")
        return cls(host, free_port())

    def engine(self, protocol: PlcProtocol) -> str:
        """For the PLC program's command line."""
        return self.ads if protocol == PlcProtocol.ads else f"127.0.0.1:{self.modbus}"


def station_file(folder: Path, addresses: Addresses) -> Path:
    """A copy of plc.toml with these addresses, absolute paths of the models and a store of its own."""
    text = (HERE / "plc.toml").read_text(encoding="utf-8")
    data = (HERE / "data").as_posix()
    for old, new in (
        ('host = "127.0.0.2" ', f'host = "{addresses.ads}" '),
        ("port = 5502\n", f"port = {addresses.modbus}\n"),
        ('file = "data/', f'file = "{data}/'),
        ('name = "demo-plc"\n', f'name = "demo-plc"\nstore = "{new_store(folder)}"\n'),
    ):
        assert old in text, f"plc.toml of the demo must contain {old!r}"
        text = text.replace(old, new)
    file = folder / "station.toml"
    file.write_text(text, encoding="utf-8")
    return file


class PlcProcess:
    """The running PLC program. Isolated (-I): it finds none of our files."""

    def __init__(self, process: asyncio.subprocess.Process, calls: Path, log: Path) -> None:
        self._process, self.calls, self._log = process, calls, log

    async def stop(self) -> str:
        """End it; gives what it said.

        Raises:
            DemoError: it had failed.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.wait_for(self._process.communicate(), STOP_S)
        if self._process.returncode:
            raise DemoError(self.failure())
        return said.decode().rstrip()

    def failure(self) -> str:
        """How it ended by itself, in words; "" while it runs."""
        if self._process.returncode is None:
            return ""
        last = "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        return f"the PLC program ended with exit code {self._process.returncode}; it said:\n{last}"


@contextlib.asynccontextmanager
async def plc_process(protocol: PlcProtocol, engine: str, machine: str, folder: Path) -> AsyncIterator[PlcProcess]:
    """A PLC program that runs until the context ends; its calls and what it complains of go into the folder."""
    calls, log = folder / CALLS, folder / "plc.log"
    words = (protocol, "--engine", engine, "--machine", machine, "--calls", str(calls))
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *isolated.bound_program((sys.executable, "-I", str(PROGRAM), *words), signal.SIGTERM),
            stdout=PIPE,
            stderr=errors.fileno(),
            start_new_session=True,
            env=isolated.environment(),
        )
    try:
        yield PlcProcess(process, calls, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class PlcStory:
    """The acts with a PLC; see `station.demo.story.Story` for those without."""

    def __init__(
        self,
        plant: PlantProcess,
        station: StationProcess,
        plc: PlcProcess,
        screen: Screen,
        better: Path,
        wrong: Path,
    ) -> None:
        self.record = Record()
        self._plant, self._station, self._plc, self._screen = plant, station, plc, screen
        self._better, self._wrong = better, wrong

    async def play(self) -> None:
        """All acts, in order.

        Raises:
            DemoError: a process ended, or the machine never gets going.
        """
        await self._until_held()
        begun_s = time.monotonic()
        self._screen.act("A PLC program asks the network for two forces every 10 ms")
        await self._hold()
        self._screen.act("A better network takes over while it asks")
        await self._update()
        self._screen.act("A network of the wrong shape is refused")
        await self._refuse()
        self._screen.act("The PLC program ends, and tells of its calls")
        await self._count(time.monotonic() - begun_s)

    async def _hold(self) -> None:
        await asyncio.sleep(SETTLE_S)
        await self._mark("take-off")
        await self._moment("held by the first network")
        await self._station.command("status")  # the same work as an update, without one
        await self._held("first network", MEASURE_S)

    async def _held(self, name: str, seconds: float) -> None:
        """Both axes are held for so long; looked at again where Modbus fell silent, which is the computer's fault."""
        for left in reversed(range(TRIES)):
            await asyncio.sleep(seconds)
            interval = await self._mark(name)
            held = checks.both_axes_held(interval)
            if held.ok or not (left and interval.was_cut_off):
                break
            excuse = "Modbus fell silent for longer than the plant accepts"
            self._screen.show(held)
            self.record.retold.append(f"{held.claim}: {held.evidence}; {excuse}")
            self._screen.say(f"but this computer was too busy for it ({excuse}): once more", "yellow")
            await self._until_held()
            await self._mark("found together")
        self._show(held)

    async def _update(self) -> None:
        answer = await self._station.command("update", SLOT, str(self._better))
        self._show(Check("the better network is live", answer.code == ExitCode.OK, answer.text))
        await self._moment("better network")
        await self._held("change-over", SETTLE_S)
        await asyncio.sleep(MEASURE_S)
        better = await self._mark("better network")
        self._show(checks.tracks_better(self.record.interval("first network"), better))

    async def _refuse(self) -> None:
        answer = await self._station.command("update", SLOT, str(self._wrong))
        await self._moment("wrong network refused")
        self._show(checks.refused_with_reason(answer))
        await self._held("wrong network", SETTLE_S / 3)

    async def _count(self, seconds: float) -> None:
        for line in (await self._plc.stop()).splitlines():
            self._screen.say(line)
        calls = plc_checks.read_calls(self._plc.calls)
        self._show(plc_checks.all_answered(calls, seconds))
        self._show(plc_checks.taken_between_two_calls(calls))
        self._show(plc_checks.no_cycle_missed(calls))

    async def _until_held(self) -> None:
        until_s = time.monotonic() + FIND_TOGETHER_S
        while not PlantView.of(await self._plant.ask("status")).runs:
            if failure := self._plc.failure():
                raise DemoError(failure)
            if time.monotonic() > until_s:
                raise DemoError(f"PLC program, station and plant did not find together within {FIND_TOGETHER_S:g} s")
            await asyncio.sleep(0.05)

    def _show(self, check: Check) -> None:
        self._screen.show(check)
        self.record.claims.append(check)

    async def _mark(self, name: str) -> Interval:
        interval = Interval.of(name, await self._plant.ask(f"mark after-{len(self.record.intervals)}"))
        self.record.intervals.append(interval)
        return interval

    async def _moment(self, text: str) -> None:
        self.record.moments.append(Moment(PlantView.of(await self._plant.ask("status")).time_s, text))


async def end(plant: PlantProcess, station: StationProcess, record: Record, folder: Path, picture: Path) -> Check:
    """Stop the station, and write down what the plant recorded and what was claimed."""
    snapshot = await station.status()
    requests = {server.name: server.requests for server in snapshot.servers}
    record.numbers["requests that the servers counted"] = ", ".join(f"{n} {count:,}" for n, count in requests.items())
    answer = await station.stop()
    closing = Check("the station ended in order", answer.code == ExitCode.OK, answer.text.splitlines()[-1])
    record.claims.append(closing)
    picture.write_text(trajectory_svg(await plant.ask("history"), record.moments), encoding="utf-8")
    (folder / "demo.json").write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    return closing
