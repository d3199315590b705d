"""Fifty Modbus devices at 100 Hz and one at 1 kHz, a station beside a C program: python -m benchmarks.many_devices [--rounds 3]

The devices are those of `benchmarks.reaction_time`: they measure when they are asked. An exchange is late when the one before it
was more than one and a half cycles ago. The C program has a thread for each device, on libmodbus; the station a link for each, a
task of 1 ms for the quick one, and a task of 10 ms for all others. `--before DIR` measures the station of another checkout too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.c_programs import MissingError, compiled
from benchmarks.reaction_time import models
from benchmarks.reaction_time.device import Devices
from benchmarks.reaction_time.rivals import RefusedError, Rival, Running, build, cpu_ns, run, wait_live

HERE: Final = Path(__file__).parent
SLOW_NS: Final = 10_000_000
QUICK_NS: Final = 1_000_000
LATE: Final = 1.5
SETTLE_S: Final = 1.0
C_PROGRAM: Final = Rival("C program, a thread each")
COLUMNS: Final = (
    *("", "devices", "exchanges", "expected", "late", "longest gap ms"),
    *("reaction p50 us", "p99.9 us", "CPU ms/s", "odd"),
)
HEAD: Final = """\
[station]
name = "many-devices"
status_lines = false

[models.one]
file = "one.onnx"

[models.many]
file = "many.onnx"
"""
LINK: Final = """
[links.d{i}]
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}
cycle = "{cycle}"
{keys}
[tags.x{i}]
link = "d{i}"
address = "holding 100"
count = 4

[tags.y{i}]
link = "d{i}"
address = "holding 0"
count = 4
direction = "out"
safe = -1
"""
TASK: Final = """
[tasks.{model}]
model = "{model}"
cycle = "{cycle}"
inputs = {inputs}
outputs = {outputs}
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Devices of one cycle in one run."""

    devices: int
    exchanges: int
    expected: int
    late: int
    longest_gap_ms: float
    exchange_p50_us: float
    exchange_p999_us: float


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    rival: str
    quick: Group
    slow: Group
    cpu_ms_per_s: float
    odd: dict[str, int]
    """Safe values, wrong values, connections made while it was measured."""


def station_file(ports: Sequence[int], quick_keys: str | None) -> str:
    """The quick device first, with more keys of its link."""
    slow = [LINK.format(i=i, port=port, cycle="10 ms", keys="") for i, port in enumerate(ports)][1:]
    links = [LINK.format(i=0, port=ports[0], cycle="1 ms", keys=quick_keys), *slow]
    names = [[f"{letter}{i}" for i in range(1, len(ports))] for letter in "xy"]
    many = TASK.format(model="many", cycle="10 ms", inputs=json.dumps(names[0]), outputs=json.dumps(names[1]))
    return HEAD + "".join(links) + TASK.format(model="one", cycle="1 ms", inputs='["x0"]', outputs='["y0"]') + many


def group(gaps: Sequence[NDArray[np.int64]], reactions: Sequence[NDArray[np.int64]], period_ns: int, ns: int) -> Group:
    """What the devices of one cycle saw within `ns`."""
    gap, reaction = np.concatenate(gaps), np.concatenate(reactions)
    p50, p999 = np.percentile(reaction, (50, 99.9)) / 1e3 if reaction.size else (np.nan, np.nan)
    late, longest = int(np.sum(gap > LATE * period_ns)), gap.max() / 1e6 if gap.size else np.nan
    return Group(len(gaps), gap.size, len(gaps) * ns // period_ns, late, float(longest), float(p50), float(p999))


def measured(name: str, devices: Devices, running: Running, seconds: float) -> Result:
    """One run, once all devices get right values."""
    devices.go()
    wait_live(running, lambda: devices.right_writes() - 49 * len(devices.ports))
    time.sleep(SETTLE_S)
    cpu, begin = cpu_ns(running.pid), time.monotonic_ns()
    devices.go()
    time.sleep(seconds)
    took, cpu = time.monotonic_ns() - begin, cpu_ns(running.pid) - cpu
    counts, times = devices.stop()
    gaps, reactions = ([t[kind] for t in times] for kind in ("gap", "exchange"))
    quick = group(gaps[:1], reactions[:1], QUICK_NS, took)
    slow = group(gaps[1:], reactions[1:], SLOW_NS, took)
    odd = {kind: counts[kind] for kind in ("safe", "wrong", "connections")}
    return Result(name, quick, slow, cpu / took * 1e3, odd)


def one(rival: Rival, options: argparse.Namespace, programs: tuple[str, str], folder: Path) -> Result:
    """One run with devices of its own."""
    devices = Devices(programs[0], options.devices + 1, 200_000, folder)
    try:
        words = [str(n) for i, port in enumerate(devices.ports) for n in (port, (SLOW_NS if i else QUICK_NS) // 1000)]
        with run(rival, "idle", [programs[1], *words], station_file(devices.ports, rival.keys), folder) as running:
            return measured(rival.name, devices, running, options.seconds)
    finally:
        devices.close()


def table(results: Sequence[Result]) -> Table:
    """A line for each run and cycle."""
    shown = Table(title="exchanges as the devices saw them; late: more than 1.5 cycles after the one before")
    for column in COLUMNS:
        shown.add_column(column, justify="right" if column else "left")
    for result in results:
        for one in (result.quick, result.slow):
            counts = [f"{one.devices}", f"{one.exchanges:,}", f"{one.expected:,}", f"{one.late:,}"]
            times = [f"{one.longest_gap_ms:.2f}", f"{one.exchange_p50_us:,.0f}", f"{one.exchange_p999_us:,.0f}"]
            odd = ", ".join(f"{count} {what}" for what, count in result.odd.items() if count)
            of_all = (f"{result.cpu_ms_per_s:.0f}", odd) if one is result.slow else ("", "")
            shown.add_row(result.rival, *counts, *times, *of_all)
    return shown


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_devices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--before", type=Path, help="another checkout, whose station is measured too")
    parser.add_argument("--out", type=Path, help="all figures, as JSON")
    options = parser.parse_args()
    older = [Rival("station before", "", options.before.absolute())] if options.before else []
    rivals, results = [C_PROGRAM, *older, Rival("station, own threads", "priority = 80\n")], []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            programs = (
                compiled(folder, HERE / "reaction_time" / "device.c"),
                compiled(folder, HERE / "many_devices.c", "-lmodbus", "-pthread"),
            )
            models.save(folder / "one.onnx")
            models.save(folder / "many.onnx", floats=options.devices * models.FLOATS)
            for rival in rivals:
                build(rival)
            for number in range(options.rounds):
                for rival in rivals[number % len(rivals) :] + rivals[: number % len(rivals)]:
                    results.append(one(rival, options, programs, folder))
    except (MissingError, RefusedError, TimeoutError) as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 1
    Console(width=150).print(table(sorted(results, key=lambda result: result.rival)))
    cpu = {r.name: float(np.median([x.cpu_ms_per_s for x in results if x.rival == r.name])) for r in rivals}
    for rival in rivals[1:]:
        print(f"CPU of {rival.name} against the C program: {cpu[rival.name] / cpu[C_PROGRAM.name]:.2f}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    if options.out:
        options.out.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
