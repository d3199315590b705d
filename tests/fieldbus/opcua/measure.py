"""Measures a link to asyncua's server in a process of its own: `python -m tests.fieldbus.opcua.measure`. No test; some minutes.

How old a value is when a task could have it, what tags cost, how long connecting and coming back take; with `beside 1000`, what a
link with so many tags costs a task of 1 kHz in the same process.
"""

import multiprocessing
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from fieldbus.image.image import ProcessImage
from fieldbus.opcua.address import parse
from fieldbus.opcua.link import OpcUaLink
from fieldbus.opcua.session import Where
from fieldbus.tags import Quality, Tag
from tests.fieldbus.opcua.server import URI, PlantedServer
from tests.waiting import free_port


def serve(port, many, changes_per_s, ready, stop):
    """`level` is the time at which it was written; `changes_per_s` of the other nodes change."""
    from asyncua import ua

    with PlantedServer(port=port, many=many) as server:

        async def change():
            number = 0
            while True:
                now = ua.DataValue(ua.Variant(time.monotonic_ns() / 1e9, ua.VariantType.Double))
                await server.server.write_attribute_value(server.nodes["level"].nodeid, now)
                for _ in range(changes_per_s // 20):
                    number += 1
                    data = ua.DataValue(ua.Variant(float(number), ua.VariantType.Float))
                    await server.server.write_attribute_value(server.nodes[f"n{number % many}"].nodeid, data)
                await __import__("asyncio").sleep(0.05)

        server.loop.call_soon_threadsafe(lambda: server.loop.create_task(change()))
        ready.set()
        stop.wait()


class Apart:
    """The server in a process of its own."""

    def __init__(self, port, many=10, changes_per_s=0):
        context = multiprocessing.get_context("spawn")
        self.ready, self.stop = context.Event(), context.Event()
        self.process = context.Process(
            target=serve, args=(port, many, changes_per_s, self.ready, self.stop), daemon=True
        )

    def __enter__(self):
        self.process.start()
        assert self.ready.wait(300)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


def tags(many):
    line = [Tag("level", "float64", "in", address=parse(f"nsu={URI};s=Line.level"))]
    return line + [Tag(f"n{n}", "float32", "in", address=parse(f"nsu={URI};s=Line.n{n}")) for n in range(many)]


def linked(port, many, cycle_s, timeout_s=2.0):
    link = OpcUaLink("line", tags(many), Where(f"opc.tcp://127.0.0.1:{port}", "none"), cycle_s, timeout_s)
    return link, link.subscribe(ProcessImage(), ["level"], "task")


def latency(cycle_s, seconds=20.0):
    port = free_port()
    with Apart(port):
        link, channel = linked(port, 0, cycle_s)
        with link:
            assert link.wait_up(20)
            ages, seen, end = [], 0.0, time.monotonic() + seconds
            while time.monotonic() < end:
                values, _, _, quality = channel.latest()
                if quality == Quality.GOOD and values[0] != seen:
                    seen = values[0]
                    ages.append(time.monotonic_ns() / 1e9 - seen)
                time.sleep(0.0005)
    ages = np.array(ages[5:]) * 1000
    print(
        f"cycle {cycle_s * 1000:g} ms: {len(ages)} changes, age p50 {np.median(ages):.1f} p99 {np.percentile(ages, 99):.1f} ms"
    )


def cost(many, changes_per_s, seconds=10.0):
    port = free_port()
    with Apart(port, many, changes_per_s):
        link, _ = linked(port, many, 0.1, 5.0)
        begun, used = time.monotonic(), time.process_time()
        with link:
            assert link.wait_up(120)
            up_s, up_cpu = time.monotonic() - begun, time.process_time() - used
            time.sleep(1.0)
            begun, used = time.monotonic(), time.process_time()
            time.sleep(seconds)
            share = (time.process_time() - used) / (time.monotonic() - begun)
            good = sum(one.quality == Quality.GOOD for one in link.values())
            print(
                f"{many} tags, {changes_per_s} changes/s: up after {up_s:.2f} s ({up_cpu:.2f} s CPU), then {share:.1%} of a core, "
                f"{good} good, {link.status().reconnects} reconnects"
            )


def recovery(times=5):
    port = free_port()
    lost, back = [], []
    link, channel = linked(port, 100, 0.1)
    with link:
        for _ in range(times):
            with Apart(port, 100) as server:
                begun = time.monotonic()
                while channel.latest()[3] != Quality.GOOD:
                    time.sleep(0.002)
                back.append(time.monotonic() - begun)
                time.sleep(0.5)
                begun = time.monotonic()
                server.process.kill()
                while channel.latest()[3] == Quality.GOOD:
                    time.sleep(0.002)
                lost.append(time.monotonic() - begun)
    print(f"killed: BAD after {np.median(lost) * 1000:.0f} ms (longest {max(lost) * 1000:.0f})")
    print(f"there again: GOOD after {np.median(back) * 1000:.0f} ms (longest {max(back) * 1000:.0f})")


def elsewhere(port, many, is_up, stop):
    """A link in a process of its own."""
    with linked(port, many, 0.1, 10.0)[0] as link:
        assert link.wait_up(120)
        is_up.set()
        stop.wait()


@contextmanager
def link_apart(port, many):
    context = multiprocessing.get_context("spawn")
    is_up, stop = context.Event(), context.Event()
    process = context.Process(target=elsewhere, args=(port, many, is_up, stop), daemon=True)
    process.start()
    assert is_up.wait(120)
    yield
    stop.set()
    process.join()


@contextmanager
def link_here(port, many):
    with linked(port, many, 0.1, 10.0)[0] as link:
        assert link.wait_up(120)
        yield
        assert link.status().reconnects == 0


def beside(many, rounds=4, seconds=4.0):
    """In turns: no link; one in another process, which the computer has to bear as well; one here."""
    from station.file.reading import read_station
    from station.running.station import Station
    from tests.station.stations import Recorder, write_station

    port = free_port()
    ways = {"none": lambda *_: nullcontext(), "in another process": link_apart, "here": link_here}
    seen = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder, Apart(port, many, 1000):
        station = Station(read_station(write_station(Path(folder))))
        with station:
            watch = threading.Thread(target=station.run, args=(Recorder(),))
            watch.start()
            for _ in range(rounds):
                for name, way in ways.items():
                    with way(port, many):
                        time.sleep(1.5)
                        station._scheduler.reset_stats()
                        time.sleep(seconds)
                        stats = station._scheduler.stats()["axis"]
                        wakeup, execution = stats.wakeup, stats.execution
                        seen[name].append(
                            (
                                wakeup.p50_ns / 1e3,
                                wakeup.p99_ns / 1e3,
                                execution.p50_ns / 1e3,
                                execution.p99_ns / 1e3,
                                stats.missed,
                            )
                        )
            station.request_stop()
            watch.join()
    print(
        f"{many} tags, 1000 changes/s; wake-up p50, p99, execution p50, p99 in us, missed ticks; each a median of {rounds} rounds"
    )
    for name, found in seen.items():
        print(f"{name:20}", *(f"{value:9.1f}" for value in np.median(np.array(found), axis=0)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["beside"]:
        beside(int(sys.argv[2]))
        sys.exit()
    for cycle_s in (0.02, 0.1):
        latency(cycle_s)
    for many, changes in ((1000, 0), (1000, 1000), (10_000, 0)):
        cost(many, changes)
    recovery()
