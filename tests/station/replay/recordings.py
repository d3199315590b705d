"""Recordings of stations that ran on a fake clock: with their file, their models' hashes, and the models attached or not."""

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

import rt_engine
from rt_engine.recording import Version, Writer
from station.file.reading import read_as_it_ran
from station.replay.restored import WithoutDevices
from tests.scheduler.fakes import FakeClock
from tests.scheduler.models import scale_file
from tests.scheduler.recorded import Live, Recorded, run

OFFSET_NS = 1_700_000_000_000_000_000
STATION = """
[station]
name = "bench"

[models.policy]
file = "policy.onnx"

[links.plc]
type = "modbus-tcp"
host = "192.0.2.1"

[tags]
a = { address = "holding 0" }
b = { address = "holding 2" }
p = { address = "holding 10", direction = "out", safe = 0.0 }
q = { address = "holding 12", direction = "out", safe = 0.0 }

[tasks.axis]
model = "policy"
cycle = "1 ms"
inputs = ["a", "b"]
outputs = [{ tag = "p", max_rate = 400.0 }, "q"]
"""


def model_bytes(factor: float = 2.0, width: int = 2) -> bytes:
    """Of a model y = factor * x."""
    data: bytes = scale_file(factor, width).SerializeToString()
    return data


def wave(k: int, live: Live) -> None:
    """Inputs that are others in every cycle."""
    live.put(k % 7 - 3.0, 0.25 * (k % 5))


def record(
    models: Mapping[str, bytes],
    count: int = 60,
    before: Callable[[int, Live], None] = wave,
    text: str = STATION,
    task: str = "axis",
    later_ns: int = 0,
) -> Recorded:
    """Run a task of a station file for so many cycles, `later_ns` after others did."""
    loaded = {name: {1: rt_engine.load(onnx.load_from_string(data))} for name, data in models.items()}
    contracts = {name: model[1].contract for name, model in loaded.items()}
    file = read_as_it_ran(text, Path("station.toml"), {}, [task], contracts)
    clock = FakeClock()
    clock.now_ns += later_ns
    return run(WithoutDevices(file, loaded).task(task), count, before, clock=clock)


def write(
    path: Path,
    recorded: Recorded,
    models: Mapping[str, bytes],
    *,
    text: str = STATION,
    attach: bool = True,
    software: str = "",
    arithmetic: str = "",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """As the recorder writes it."""
    hashes = {name: rt_engine.load(data).sha256 for name, data in models.items()}
    said = {"software": software, "arithmetic": arithmetic}
    about = {"machine": "bench", "boot_id": "one"} | {what: text for what, text in said.items() if text}
    attachments = {f"models/{hashes[name]}.onnx": data for name, data in models.items()} if attach else {}
    with Writer(
        path,
        [recorded.layout],
        offset_ns=OFFSET_NS,
        about=about,
        station=text,
        versions=[Version(recorded.layout.task, 1, sha256, name) for name, sha256 in hashes.items()],
        attachments=attachments | dict(files or {}),
        compression="none",
    ) as writer:
        writer.add_records(recorded.layout.task, recorded.records)
        writer.add_checkpoints(recorded.layout.task, recorded.checkpoints)
    return path
