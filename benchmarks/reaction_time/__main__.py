"""From the sensor to the actuator: python -m benchmarks.reaction_time [--rounds 5] [--seconds 10] [--out FILE.json]

A device in C has a sensor that changes all the time, and measures when what was made of it comes back:

    exchange    from the answer that holds a value to the write that was made of that answer
    register    from the change of the sensor to the write that was made of it: with the wait for the next cycle
    round trip  of an exchange, reading and writing, by the clock of who exchanges (median of the rounds)

Who talks to it, each in turn, every round in another order, all with a cycle of 1 ms:

    C program                libmodbus: FC 3, compute, FC 16 in one cycle; SCHED_FIFO 80, locked memory. With
                             --protocol ads: sum read, compute, sum write, in the very frames of the link
    station, own thread      `rt-engine run`: the link in a thread of its own
    station, in the cycle    the same with exchange = "in-cycle"
    before                   the station of another checkout (--before DIR)

and with what beside it: nothing (idle), a Python thread that never waits (hog), garbage collection without a pause (gc), a
model of 500 MB that is loaded for an update (update). In the station's own process; for the C program, in one beside it.

The device and whoever has its cycle keep to one processor (--cpu): real-time threads that wake each other are else pushed from
one processor to the other, which takes three times as long as what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.c_programs import MissingError, compiled
from benchmarks.reaction_time import models
from benchmarks.reaction_time.device import Devices, on
from benchmarks.reaction_time.figures import Figures, Result, svg, table
from benchmarks.reaction_time.protocols import HERE, PROTOCOLS
from benchmarks.reaction_time.rivals import RefusedError, Rival, Running, build, cpu_ns, run, thread_ns, wait_live

LOADS: Final = ("idle", "hog", "gc", "update")
C_PROGRAM: Final = Rival("C program")
IN_CYCLE: Final = Rival("station, in the cycle", 'exchange = "in-cycle"\n')
SETTLE_S: Final = 0.5
SAMPLES: Final = 1_000_000


def rivals(before: Path | None, cpu: int | None) -> list[Rival]:
    """Who is measured, the C program first."""
    older = [Rival("station before", "", before.absolute())] if before is not None else []
    return [C_PROGRAM, *older, Rival("station, own thread", "" if cpu is None else f"cpu = {cpu}\n"), IN_CYCLE]


def measured(device: Devices, running: Running, load: str, seconds: float) -> Result:
    """One run: wait until it works, begin the load, measure; an update is measured from its begin to its end."""
    device.go()
    wait_live(running, device.right_writes)
    if load != "update":
        running.load()
    time.sleep(SETTLE_S)
    threads = running.threads()
    before = {name: thread_ns(running.pid, number) for name, number in threads.items()}
    cpu, begin = cpu_ns(running.pid), time.monotonic()
    device.go()
    if load == "update":
        running.load()
    else:
        time.sleep(seconds)
    took, cpu = time.monotonic() - begin, cpu_ns(running.pid) - cpu
    spent = {name: (thread_ns(running.pid, number) - before[name]) / took for name, number in threads.items()}
    counts, (times,) = device.stop()
    return Result(times, counts, took, cpu / took, spent, running.round_trips())


def one(rival: Rival, load: str, options: argparse.Namespace, programs: tuple[str, str], folder: Path) -> Result:
    """One run with a device of its own. Raises `RefusedError`, and `TimeoutError`."""
    protocol, cpu = PROTOCOLS[options.protocol], options.cpu
    device = Devices(programs[0], 1, SAMPLES, folder, cpu)
    try:
        command = [*on(cpu), programs[1], *protocol.words(device)]
        with run(rival, load, command, protocol.station_file(device, rival.keys, cpu), folder) as running:
            return measured(device, running, load, options.seconds)
    finally:
        device.close()


def all_runs(options: argparse.Namespace, folder: Path, console: Console) -> Figures:
    """Every rival under every load, in rounds."""
    protocol = PROTOCOLS[options.protocol]
    programs = (
        compiled(folder, HERE / protocol.device),
        compiled(folder, HERE / protocol.rival, *protocol.libraries),
    )
    models.save(folder / "small.onnx")
    if "update" in options.loads:
        models.save(folder / "large.onnx", round(options.megabytes * 1e6))
    figures, them = Figures(), rivals(options.before, options.cpu)
    for rival in them:
        build(rival)
    for number in range(options.rounds):
        for load in options.loads:
            for rival in them[number % len(them) :] + them[: number % len(them)]:
                if rival.name in figures.refused:
                    continue
                console.print(f"round {number + 1} of {options.rounds}: {load}, {rival.name}", style="dim")
                try:
                    figures.add(load, rival.name, one(rival, load, options, programs, folder))
                except (RefusedError, TimeoutError) as error:
                    if isinstance(error, RefusedError):
                        figures.refused[rival.name] = str(error)
                    console.print(f"{rival.name} is skipped: {error}", style="yellow", markup=False)
    return figures


def processor(text: str) -> int | None:
    """A number, or `any`."""
    return None if text == "any" else int(text)


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reaction_time",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="modbus")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run; an update takes as long as it takes")
    parser.add_argument("--loads", type=lambda text: text.split(","), default=list(LOADS), help="idle,hog,gc,update")
    parser.add_argument("--megabytes", type=float, default=models.LARGE_BYTES / 1e6, help="of the update's model")
    parser.add_argument(
        "--cpu", type=int, default=0, help="of the device, the C program and the station's task; -1: any"
    )
    parser.add_argument("--before", type=Path, help="another checkout, whose station is measured too")
    parser.add_argument("--quick", action="store_true", help="one round of a second, an update of 20 MB")
    parser.add_argument("--out", type=Path, help="all figures, as JSON")
    parser.add_argument("--svg", type=Path, help="a picture of the distributions")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.megabytes = 1, 1.0, 20.0
    console, began = Console(width=150), os.getloadavg()
    try:
        with tempfile.TemporaryDirectory() as name:
            figures = all_runs(options, Path(name), Console(stderr=True))
    except MissingError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 1
    console.print(f"load of the machine before and after: {began[0]:.1f}, {os.getloadavg()[0]:.1f}")
    for load in options.loads:
        console.print(table(load, figures, C_PROGRAM.name, {IN_CYCLE.name: PROTOCOLS[options.protocol].targets}))
    if options.out:
        options.out.write_text(json.dumps({"load": began, "runs": [asdict(row) for row in figures.rows()]}, indent=1))
    if options.svg:
        options.svg.write_text(svg(figures, options.loads), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
