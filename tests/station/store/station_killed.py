"""Not a test: a whole station is killed again and again at random moments of updates of two slots, and started again.

    python -m tests.station.store.station_killed --count 50

Each update goes through gate, shadow and trial to its commit, then back by `rollback`. After each kill both slots run the same
version: that before the update, or the new one; the new one if it was seen committed, until it is taken back.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from plc_bindings.data.changes import ChangeView
from rt_engine.change import ChangeState
from station.errors import NotRunningError, RefusedError
from station.running.asking import fetch_status, request_rollback, request_update
from station.running.places import socket_path
from tests import ROOT
from tests.station.stations import SIM, gemm
from tests.waiting import wait_for

TEXT = f"""\
[station]
name = "killed"
store_keep = 3

[models]
a = {{ file = "first.onnx" }}
b = {{ file = "first.onnx" }}

{SIM}
[tags]
x = {{}}
to_a = {{ direction = "out" }}
to_b = {{ direction = "out" }}

[tasks.a]
model = "a"
cycle = "1 ms"
inputs = ["x"]
outputs = ["to_a"]

[tasks.b]
model = "b"
cycle = "2 ms"
inputs = ["x"]
outputs = ["to_b"]
"""
DEVICE = 'def device(outputs):\n    return {"x": 1.0}\n'
WISHES = {"shadow": "100 cycles", "trial": "100 cycles", "commit": "auto"}


class Killed:
    """The station, its folder, and the gain of the version that must run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.gain, self.outcomes = folder, 1.0, Counter[str]()
        (folder / "station.toml").write_text(TEXT)
        (folder / "device.py").write_text(DEVICE)
        gemm(folder / "first.onnx", 1)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Gives the gain that both tasks run with; raises AssertionError where they differ."""
        with open(self.folder / "log", "ab") as log:
            command = [sys.executable, "-m", "station", "run", str(self.folder / "station.toml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        wait_for(lambda: self.process.poll() is not None or all(self.outputs()), 120)
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        a, b = self.outputs()
        assert a == b, f"a mixture: {a} and {b}"
        return a

    def outputs(self) -> tuple[float, float]:
        """(to_a, to_b); zeros where nobody answers, or nothing is live yet."""
        with suppress(NotRunningError):
            values = {tag.name: tag.values for tag in fetch_status(socket_path("killed"), 10).tags}
            return tuple(round(float(values[name][0]), 4) if values[name] else 0.0 for name in ("to_a", "to_b"))
        return 0.0, 0.0

    def change(self) -> ChangeView:
        return next(one for one in fetch_status(socket_path("killed")).changes if one.slot == "a")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def update(self, gain: float, seen: list[str]) -> None:
        """The whole update, then back; `seen`: what is sure so far."""
        file = gemm(self.folder / f"{gain}.onnx", 1, gain)
        with suppress(NotRunningError, RefusedError, OSError):
            seen.append("begun")
            request_update(socket_path("killed"), {"a": file, "b": file}, WISHES)
            while self.change().state != ChangeState.COMMITTED:
                time.sleep(0.005)
            seen.append("committed")
            time.sleep(0.05)
            seen.append("taking back")
            request_rollback(socket_path("killed"), "a")
            seen.append("taken back")

    def once(self, number: int, moment_s: float) -> str:
        """Kill it that long after the update began, and start it again; what was found."""
        old, new, seen = self.gain, round(1.0 + number / 64, 4), []
        thread = threading.Thread(target=self.update, args=(new, seen))
        thread.start()
        time.sleep(moment_s)
        sure = list(seen)
        self.kill()
        thread.join()
        found = self.start()
        last = sure[-1] if sure else ""
        may = {"committed": (new,), "taken back": (old,)}.get(last, (old, new))
        assert found in may, f"{found} runs behind '{last}', not {may}"
        self.gain = found
        return f"{'old' if found == old else 'new'} behind '{last}'"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    count = parser.parse_args(arguments).count
    wrong, choose = 0, random.Random(11)
    with tempfile.TemporaryDirectory(prefix="rt-", dir="/tmp") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        killed = Killed(Path(folder))
        killed.start()
        begin, seen = time.monotonic(), []
        killed.update(1.0 + 1 / 128, seen)
        whole_s = time.monotonic() - begin
        print(f"an update and back: {whole_s:.2f} s, {seen[-1:]}", flush=True)
        try:
            for number in range(1, count + 1):
                try:
                    found = killed.once(number, choose.uniform(0, 1.1 * whole_s))
                    killed.outcomes[found] += 1
                    print(f"  {number}: {found}", flush=True)
                except AssertionError as error:
                    wrong += 1
                    print(f"  wrong: {error}", flush=True)
        finally:
            killed.kill()
    print(
        f"{count} kills: "
        + ", ".join(f"{n} {what}" for what, n in sorted(killed.outcomes.items()))
        + f"; {wrong} wrong"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
