"""The stations that are soaked, as processes: started, asked, killed, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.soak.device import SAFE
from benchmarks.spoken import Spoken
from station.errors import NotRunningError, RefusedError
from station.running.asking import fetch_status
from station.show.snapshot import Snapshot

TIMEOUT_MS = 50
START_S = 90.0  # on a busy machine too
UPDATE_S = 150.0  # longer than a station gives itself
CALM_S = 3.0
FILE = """\
[station]
name = "{name}"
report = "reports"

[models.follow]
file = "v0.onnx"

[links.device]
type = "modbus-tcp"
host = "127.0.0.1"
port = {device}
cycle = "2 ms"
timeout = "{timeout} ms"

[servers.modbus]
type = "modbus-tcp"
port = {modbus}

[servers.ads]
type = "ads"
port = {ads}

[tags]
x = {{ address = "input 0" }}
y = {{ address = "holding 0", direction = "out", safe = {safe} }}

[tasks.follow]
model = "follow"
cycle = "1 ms"
inputs = ["x"]
outputs = ["y"]
guard = {{ on_bad_input = "safe", on_nan = "safe" }}
"""


def adder(path: Path, version: int, size: int = 1) -> None:
    """A model whose output is its input and `version` quarters; with another `size` it does not fit the station."""
    add = numpy_helper.from_array(np.full((1, size), version / 4, np.float32), "quarters")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "quarters"], ["y"])], "follow", [x], [y], [add])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


class Soaked:
    """One station with its device."""

    def __init__(self, folder: Path, name: str, ports: tuple[int, int]) -> None:
        folder.mkdir(parents=True)
        self.folder, self.name, self.ports = folder, name, ports
        self.device = Spoken(sys.executable, "-m", "benchmarks.soak.device", str(TIMEOUT_MS))
        self.file = folder / "station.toml"
        values = {"device": self.device.first["port"], "timeout": TIMEOUT_MS, "safe": SAFE}
        self.file.write_text(FILE.format(name=name, modbus=ports[0], ads=ports[1], **values))
        for version in range(4):
            adder(folder / f"v{version}.onnx", version)
        adder(folder / "wide.onnx", 0, size=5)
        (folder / "cut.onnx").write_bytes((folder / "v1.onnx").read_bytes()[:60])
        os.mkfifo(folder / "pipe.onnx")
        for version in range(4):
            self.command("compile", f"v{version}.onnx", "-o", f"v{version}.rtp")
        self.version = 0
        self._log: IO[bytes] = (folder / "output.txt").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it with version 0, and wait until its outputs are live."""
        self.device.ask("versions 0")
        before = self.device.ask("count").get("right", 0)
        command = [sys.executable, "-m", "station", "run", str(self.file)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)
        self.version = 0
        until = time.monotonic() + START_S
        while self.device.ask("count").get("right", 0) <= before:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.name} did not come up: see {self.folder / 'output.txt'}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, *numbers: int, apart_s: float = 0.0) -> int:
        """Signals, then wait for the end; gives the exit code."""
        assert self.process is not None
        for number in numbers or (signal.SIGTERM,):
            self.process.send_signal(number)
            time.sleep(apart_s)
        return self.process.wait(30)

    def stand_still(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    # --- as a user ----------------------------------------------------------------------------------------------------

    def command(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """A command of rt-engine in the station's folder."""
        command = [sys.executable, "-m", "station", *words]
        path = {"PYTHONPATH": os.getcwd()}
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=seconds, env={**os.environ, **path}
        )

    def update(self, file: str) -> subprocess.CompletedProcess[str]:
        """`rt-engine update`."""
        return self.command("update", "follow", file, "--station", self.name, seconds=UPDATE_S)

    def take(self, version: int, kind: str) -> bool:
        """Update to a version; from then on nothing but what runs by its status may reach the device."""
        self.device.ask(f"versions {self.version} {version}")
        taken = self.update(f"v{version}.{kind}").returncode == 0
        time.sleep(0.15)  # what was made before is on its way for two timeouts at most
        status = self.status()
        if status is not None:
            self.version = int(Path(status.models["follow"]).stem[1:])
            self.device.ask(f"versions {self.version}")
        return taken

    def calm(self) -> None:
        """Wait until no connection was made for longer than the station waits between two attempts."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < CALM_S:
            now = self.device.ask("count")["connections"]
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.1)

    def status(self) -> Snapshot | None:
        """The station now; None: it does not answer."""
        from station.running.places import socket_path

        try:
            return fetch_status(socket_path(self.name))
        except (NotRunningError, RefusedError):
            return None

    def reconnects(self) -> int:
        """Times that the station itself found its device again."""
        status = self.status()
        return 0 if status is None else status.links[0].reconnects

    def memory_kib(self) -> int:
        """Resident memory of the process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        """Open descriptors of the process."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
