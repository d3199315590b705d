"""What is done to a station, one a second. Each function takes the station; a device's fault is a word that it knows."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.soak.device import SAFE
from benchmarks.soak.stations import Soaked

Fault = Callable[[Soaked, random.Random], str]
"""Gives what went otherwise than it should; empty: nothing."""

DEVICE = ("silent", "late", "slow", "exception", "foreign", "half", "garbage", "reset", "refuse", "nan", "infinite")


def of_device(word: str) -> Fault:
    """The device misbehaves for up to half a second."""

    def fault(station: Soaked, chance: random.Random) -> str:
        station.device.ask(f"{word} {chance.uniform(0.01, 0.5):.3f}")
        return ""

    return fault


def stand_still(station: Soaked, chance: random.Random) -> str:
    """The process gets no processor for up to 0.4 s, then goes on."""
    station.stand_still(chance.uniform(0.05, 0.4))
    return ""


def update(station: Soaked, chance: random.Random) -> str:
    """Another version, compiled or not."""
    version = chance.choice([v for v in range(4) if v != station.version])
    kind = chance.choice(("onnx", "rtp"))
    return "" if station.take(version, kind) else f"a good update (.{kind}) was refused"


def bad_update(station: Soaked, chance: random.Random) -> str:
    """A file that does not fit, is cut, is a pipe, is not there."""
    file = chance.choice(("wide.onnx", "cut.onnx", "pipe.onnx", "missing.onnx", "."))
    result = station.update(file)
    return "" if result.returncode in (3, 5) else f"update with {file} ended with {result.returncode}"


def second_start(station: Soaked, chance: random.Random) -> str:
    """The same station once more, from another environment."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(station.folder / "other"), "PYTHONPATH": os.getcwd()}
    (station.folder / "other").mkdir(mode=0o700, exist_ok=True)
    station.calm()
    before, own_before = station.device.ask("count"), station.reconnects()
    result = subprocess.run(
        [sys.executable, "-m", "station", "run", str(station.file)], env=environment, capture_output=True, timeout=30
    )
    made = station.device.ask("count")["connections"] - before["connections"]
    if result.returncode != 4:
        return f"a second start ended with {result.returncode}"
    return "" if made <= station.reconnects() - own_before else "a second start connected to the device"


def hostile_clients(station: Soaked, chance: random.Random) -> str:
    """Clients that connect and say nothing, half, or too much, and vanish."""
    for port in station.ports:
        for _ in range(chance.randrange(1, 12)):
            client = socket.create_connection(("127.0.0.1", port), 2)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.send(chance.randbytes(chance.randrange(1, 200)))
            client.close()
    return ""


def asked_often(station: Soaked, chance: random.Random) -> str:
    """Status, again and again."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if station.status() is None:
            return "no status"
    return ""


def killed(station: Soaked, chance: random.Random) -> str:
    """SIGKILL, and started again; other faults come meanwhile."""
    station.kill()
    station.start()
    return ""


def stopped(station: Soaked, chance: random.Random) -> str:
    """SIGTERM, once or several within moments; the device must have its safe values."""
    signals = chance.choice(([signal.SIGTERM], [signal.SIGTERM] * 3, [signal.SIGINT, signal.SIGTERM, signal.SIGINT]))
    code = station.stop(*signals, apart_s=chance.uniform(0.0, 0.03))
    last = station.device.ask("count")["last"]
    station.start()
    if last != SAFE:
        return f"ended with {code} and left {last} in the device"
    return "" if code == 0 else f"ended with {code}"


STEADY: dict[str, Fault] = {
    **{f"device {word}": of_device(word) for word in DEVICE},
    "stands still": stand_still,
    "update": update,
    "bad update": bad_update,
    "second start": second_start,
    "hostile clients": hostile_clients,
    "asked often": asked_often,
}
"""Those that the process lives through."""
RESTARTS: dict[str, Fault] = {
    **{f"device {word}": of_device(word) for word in DEVICE},
    "killed": killed,
    "stopped": stopped,
}
"""Those of the station that is killed and stopped."""
