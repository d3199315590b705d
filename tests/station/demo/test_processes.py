"""The demo's processes: what it waits for, and for how long."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from station.demo import processes
from station.demo.processes import DemoError, StationProcess, free_port
from tests import ROOT
from tests.station.stations import write_station
from tests.waiting import wait_for


class Starting(StationProcess):
    """A station that says a word at each of `words` looks, and ticks at the look behind them if it is to."""

    def __init__(self, log, words, ticks):
        super().__init__((), log.with_name("socket"), log)
        self._running = SimpleNamespace(returncode=None)
        self.left, self.ticks = words, ticks

    async def status(self):
        if not self.left:
            return SimpleNamespace(tasks=[SimpleNamespace(cycles=int(self.ticks))])
        self.left -= 1
        with self._log.open("a", encoding="utf-8") as log:
            log.write("Compiling\n")
        raise DemoError("not yet")


@pytest.mark.parametrize("ticks", [True, False])
def test_a_station_that_compiles_is_waited_for_and_a_silent_one_is_not(tmp_path, monkeypatch, ticks):
    """A slow computer compiles for as long as it takes; patience is for silence."""
    monkeypatch.setattr(processes, "START_S", 0.0)
    log = tmp_path / "station.log"
    log.touch()
    waiting = Starting(log, words=5, ticks=ticks).first_cycle()
    if ticks:
        assert asyncio.run(waiting).tasks[0].cycles
    else:
        with pytest.raises(DemoError, match=r"Compiling"):
            asyncio.run(waiting)


DEMO = """
import asyncio, sys, time
from pathlib import Path
from station.demo.processes import plant_process, station_process

async def demo(folder):
    async with plant_process(), station_process(*(folder / name for name in ("station.toml", "reports", "socket", "log"))) as station:
        await station.first_cycle()
        print("it runs", flush=True)
        time.sleep(600)

asyncio.run(demo(Path(sys.argv[1])))
"""


def test_nothing_is_left_of_a_demo_that_is_killed(tmp_path):
    """The station ends as by SIGTERM, with its last report; the pipe closes when the plant, which has it too, is gone."""
    write_station(tmp_path)
    demo = subprocess.Popen(
        [sys.executable, "-c", DEMO, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert demo.stdout.readline() == "it runs\n"
    demo.kill()
    demo.communicate(timeout=60)
    reports = tmp_path / "reports"
    wait_for(lambda: any(json.loads(path.read_text())["final"] for path in reports.glob("*.json")))


def test_a_port_is_one_that_nobody_has_and_that_no_system_gives_away(monkeypatch):
    """The station listens there seconds later, and once more after its power was cut."""
    assert processes.PORTS.stop <= 32_768, "the first that Linux gives to whoever asks for any"
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(processes, "PORTS", range(port, port + 1))
        with pytest.raises(DemoError, match=f"every port of 127.0.0.1 from {port} to {port} is taken"):
            free_port()
