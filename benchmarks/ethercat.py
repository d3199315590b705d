"""The exchange on an EtherCAT bus beside a C loop with raw sockets: python -m benchmarks.ethercat [--rounds 5] [--slaves drive,do8]

The bus is simulated, a process of its own behind a pair of virtual interfaces (`fieldbus.ethercat.simulated`), in a network of its
own; it needs root. Both sides send the same frames and take turns. A cycle's time is from before its outputs are encoded until its
inputs are decoded and, here, published: of the link's own thread all frames at once; of a task's cycle the frames that read, then
those that write. `odd`: errors of ours; a frame that is not back in time is one, while the C loop waits 100 ms for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.c_programs import MissingError, compiled
from fieldbus.ethercat.master import Master
from fieldbus.ethercat.plan import BusSlave, Place, plan_of
from fieldbus.ethercat.protocol import AlState, Register
from fieldbus.ethercat.simulated.wires import own_network, pair
from fieldbus.ethercat.wire.socket import open_socket
from fieldbus.ethercat.wire.wire import EVERYBODY
from fieldbus.exchange.block import AREA_BYTES
from fieldbus.exchange.memory import NATIVE, Exchange
from fieldbus.exchange.plan import Plan
from fieldbus.image.image import ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.tags import Tag
from rt_native.isolated import bound_program
from rt_native.library import Library
from rt_native.memory import Block

HERE: Final = Path(__file__).parent
CYCLES = Library("bus-cycles", modules=("bus_native",), path=(str(HERE),))
MASTER, SLAVES = "master0", "slaves0"
NS: Final = 1_000_000_000
PRIORITY: Final = 80
WAYS: Final = ("own-thread", "in-cycle")


@dataclass(slots=True)
class Bus:
    """A simulated bus in OP: its mapped slaves and the tags for all that they exchange."""

    slaves: list[BusSlave]
    inputs: Cells
    outputs: Cells
    places: list[Place]

    def plan(self, how: Any, period_ns: int) -> Plan:
        """Of one way to exchange."""
        return plan_of(self.slaves, self.places, how, round(0.8 * period_ns))


@dataclass(slots=True)
class Times:
    """How long cycles took, in nanoseconds, by (way, period, rival), a row for each round; and how many were not good."""

    rounds: dict[tuple[str, int, str], list[NDArray[np.float64]]] = field(default_factory=dict)
    odd: dict[tuple[str, int, str], int] = field(default_factory=dict)

    def add(self, key: tuple[str, int, str], percentiles: Sequence[float], odd: int) -> None:
        """One round."""
        self.rounds.setdefault(key, []).append(np.array(percentiles))
        self.odd[key] = self.odd.get(key, 0) + odd


@contextmanager
def brought_up(names: str) -> Iterator[Bus]:
    """Slaves by these names, in SAFE-OP, their watchdogs off."""
    words = [sys.executable, "-m", "fieldbus.ethercat.simulated", "--interface", SLAVES, "--slaves", names]
    with own_network(), pair(MASTER, SLAVES):
        plant = subprocess.Popen(bound_program(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        master = Master(MASTER)
        try:
            assert plant.stdout is not None
            answer = json.loads(plant.stdout.readline())
            if not answer["ok"]:
                raise MissingError(answer["error"])
            master.open()
            master.scan()
            master.check()
            master.set_up()
            master.lay_out()
            master.to_safeop()
            master.wire.write(EVERYBODY, Register.WATCHDOG_PROCESS_DATA, bytes(2))
            bus = mapped(master)
            to_op(master, bus)
            yield bus
        finally:
            master.close()
            plant.terminate()
            plant.wait()


def mapped(master: Master) -> Bus:
    """A tag for each entry that can have one."""
    slaves, tags, entries = [], [], []
    for number, slave in enumerate(master.slaves):
        assert slave.layout is not None
        layout = slave.layout
        slaves.append(
            BusSlave(
                name=slave.label,
                logical=layout.logical,
                out_bytes=layout.out_bytes,
                in_bytes=layout.in_bytes,
                has_lrw=slave.found.has_lrw,
                station_address=slave.address,
            )
        )
        for entry in slave.found.entries:
            if entry.type:
                tags.append(Tag(f"{number}.{entry.name}", entry.type, entry.direction, count=entry.count))
                entries.append((number, entry))
    ways = {way: Cells("bus", [tag for tag in tags if tag.direction == way]) for way in ("in", "out")}
    places = [
        Place(tag, ways[tag.direction].first[tag.name], number, entry.bit_offset, entry.bits // entry.count)
        for tag, (number, entry) in zip(tags, entries, strict=True)
    ]
    return Bus(slaves, ways["in"], ways["out"], places)


class Ours:
    """The native exchange with the bus."""

    def __init__(self, bus: Bus, how: str, period_ns: int) -> None:
        self.socket = open_socket(MASTER)
        self.exchange = Exchange(bus.inputs, bus.outputs, NS, period_ns, 1 << 62)
        self.exchange.lay(bus.plan(how, period_ns))
        image = ProcessImage()
        tags = {"in": list(bus.inputs.tags.values()), "out": list(bus.outputs.tags.values())}
        self.seen = image.channel("seen", tags["in"], writer="bus", reader="benchmark")
        self.driven = image.channel("driven", tags["out"], writer="benchmark", reader="bus")
        self.exchange.subscribers([self.seen])
        self.exchange.drivers([self.driven])
        self.driven.write(np.zeros(bus.outputs.count))
        self.exchange.arm(self.socket.fileno(), True)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Ours:
        self.exchange.stop(False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.exchange.stop()
        if self._thread is not None:
            self._thread.join()
        self.exchange.take()
        self.exchange.close()
        self.socket.close()

    def begin(self) -> None:
        """In a thread of its own."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        quick()
        self.exchange.run()

    def cycles(self, period_ns: int, cycles: int) -> NDArray[np.int64]:
        """As in a task's cycle; how long each took."""
        times, area = np.zeros(cycles, np.int64), Block(AREA_BYTES)
        table = np.array([self.exchange.address], np.int64)

        def run() -> None:
            quick()
            function, phase = CYCLES.function("bus_cycles"), NATIVE.address("exchange_phase")
            function(table.ctypes.data, phase, area.address, period_ns, cycles, times.ctypes.data)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return times


def quick() -> None:
    """This thread gets the priority that the C loop gets."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


def to_op(master: Master, bus: Bus) -> None:
    """Exchange until all are in OP."""
    with Ours(bus, "own-thread", 1_000_000) as ours:
        ours.begin()
        master.wire.write(EVERYBODY, Register.AL_CONTROL, int(AlState.OP).to_bytes(2, "little"))
        until_s = time.monotonic() + 10.0
        while ours.exchange.bus_state != (AlState.OP, len(bus.slaves)):
            if time.monotonic() > until_s:
                raise TimeoutError(f"the slaves are not in OP: {ours.exchange.bus_state}")
            time.sleep(0.01)


def frames(plan: Plan) -> list[list[str]]:
    """Its frames in hex, by phase: [of all at once] or [that read, that write]."""
    found, first = [], 0
    for packet in plan.packets:
        some = plan.transactions[first : first + packet.count]
        whole = (packet.head + b"".join(one.request for one in some)).ljust(packet.least, b"\0")
        found.append((first < plan.writes, whole.hex()))
        first += packet.count
    return [[text for writes, text in found if not writes], [text for writes, text in found if writes]]


def c_loop(program: str, plan: Plan, how: str, period_ns: int, cycles: int, folder: Path) -> NDArray[np.int64]:
    """How long its cycles took."""
    reads, writes = frames(plan)
    groups = [[*writes, *reads]] if how == "own-thread" else [reads, writes]
    out = folder / "times"
    words = [program, MASTER, str(period_ns // 1000), str(cycles), str(out), *("+".join(group) for group in groups)]
    subprocess.run(words, check=True, capture_output=True)
    return np.fromfile(out, np.int64)


def measured(bus: Bus, options: argparse.Namespace, program: str, folder: Path) -> Times:
    """All rounds; C and ours take turns."""
    times = Times()
    for number in range(options.rounds):
        for how in WAYS:
            for rate in options.rates:
                period_ns = NS // rate
                cycles = round(options.seconds * rate)
                rivals = ("C", "ours") if number % 2 == 0 else ("ours", "C")
                for rival in rivals:
                    key = how, rate, rival
                    if rival == "C":
                        took = c_loop(program, bus.plan(how, period_ns), how, period_ns, cycles, folder)
                        times.add(key, np.percentile(took, (50, 99, 99.9, 100)).tolist(), 0)
                    else:
                        times.add(key, *one(bus, how, period_ns, cycles))
    return times


def one(bus: Bus, how: str, period_ns: int, cycles: int) -> tuple[list[float], int]:
    """A round of ours: percentiles, and how many cycles were not good."""
    with Ours(bus, how, period_ns) as ours:
        if how == "in-cycle":
            took = ours.cycles(period_ns, cycles)
            errors = ours.exchange.counter("errors")
            return np.percentile(took, (50, 99, 99.9, 100)).tolist(), errors
        ours.begin()
        time.sleep(cycles * period_ns / NS)
        trips, errors = ours.exchange.round_trip, ours.exchange.counter("errors")
        return [*(float(trips.percentile(p)) for p in (50, 99, 99.9)), float(trips.max)], errors


def table(times: Times) -> Table:
    """Medians over the rounds; ratios of rounds beside each other."""
    shown = Table(title="one exchange with the bus, us (medians over the rounds)")
    for column in ("", "Hz", "who", "p50", "p99", "p99.9", "max", "p50 / C", "p99.9 / C", "odd"):
        shown.add_column(column, justify="left" if column in ("", "who") else "right")
    for how, rate, rival in sorted(times.rounds, key=lambda k: (k[0] != WAYS[0], k[1], k[2])):
        rows = np.array(times.rounds[how, rate, rival])
        beside = rows / np.array(times.rounds[how, rate, "C"])
        ratios = [f"{np.median(beside[:, i]):.2f}" for i in (0, 2)] if rival == "ours" else ["", ""]
        figures = [f"{value / 1e3:.1f}" for value in np.median(rows, axis=0)]
        shown.add_row(how, f"{rate:,}", rival, *figures, *ratios, str(times.odd[how, rate, rival] or ""))
    return shown


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ethercat", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--slaves", default="drive,do8")
    options = parser.parse_args()
    CYCLES.build()
    try:
        with tempfile.TemporaryDirectory() as name, brought_up(options.slaves) as bus:
            folder = Path(name)
            times = measured(bus, options, compiled(folder, HERE / "ethercat_loop.c"), folder)
            sizes = [len(text) // 2 for group in frames(bus.plan("own-thread", 1)) for text in group]
    except (MissingError, PermissionError, TimeoutError) as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 1
    Console(width=120).print(table(times))
    print(
        f"{len(bus.slaves)} slaves ({options.slaves}), frames of {sizes} bytes; load of the machine: {os.getloadavg()[0]:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
