"""What do twenty viewers of the page cost a station, and its tasks?

    python -m benchmarks.page_cost                    20 viewers, 15 rounds of 2 x 4 s
    python -m benchmarks.page_cost --viewers 100

A station with a task of 1 ms and a page, in one process. In turns nobody looks, and twenty do, from a process of their own: each
follows the stream and asks for the trends of all tags once a second, as the page does. Medians over the rounds: the processor
time of the page's thread and of the whole process, in shares of one core, and the task's wake-up. Beside it how much 99 % of the
wake-ups are apart between rounds in which nobody looks: less cannot be told from noise.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rt_native.isolated import bound_program
from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import AXIS, SIM, Recorder, station_text, write_station

PAGE = '[servers.page]\ntype = "web"\nport = 0\nrequests_per_second = 1000\nconnections = 1000\n'
SETTLE_S = 1.5

VIEWERS = """
import asyncio, sys
import aiohttp

async def follow(session):
    async with session.get("/api/stream", timeout=aiohttp.ClientTimeout(total=None)) as answer:
        async for _ in answer.content:
            pass

async def look(base):
    async with aiohttp.ClientSession(base_url=base) as session:
        stream, start = asyncio.create_task(follow(session)), 0
        while True:
            tags = [("tag", name) for name in ("a", "b", "force")]
            async with session.get("/api/trends", params=[*tags, ("step_ms", 100), ("from", start)]) as answer:
                start = (await answer.json())["end"]
            await asyncio.sleep(1.0)

async def main():
    await asyncio.gather(*(look(sys.argv[1]) for _ in range(int(sys.argv[2]))))

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One round: shares of a core in percent, wake-up in microseconds."""

    page: float
    process: float
    p50: float
    p99: float
    missed: int


@contextmanager
def looking(base: str, viewers: int) -> Iterator[None]:
    """So many viewers look."""
    others = subprocess.Popen(bound_program([sys.executable, "-c", VIEWERS, base, str(viewers)])) if viewers else None
    try:
        time.sleep(SETTLE_S)
        yield
    finally:
        if others is not None:
            others.kill()
            others.wait()


def thread_s(native_id: int) -> float:
    """Processor seconds of a thread, to a nanosecond."""
    return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0]) / 1e9


def look(station: Any, page: int, seconds: float) -> Seen:
    """One round, as it is."""
    station._scheduler.reset_stats()
    begin, of_page, of_all = time.monotonic(), thread_s(page), time.process_time()
    time.sleep(seconds)
    took = time.monotonic() - begin
    stats = station._scheduler.stats()["axis"]
    return Seen(
        100 * (thread_s(page) - of_page) / took,
        100 * (time.process_time() - of_all) / took,
        stats.wakeup.p50_ns / 1e3,
        stats.wakeup.p99_ns / 1e3,
        stats.missed,
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        station = Station(read_station(write_station(Path(folder), station_text("bench", SIM, AXIS, PAGE))))
        with station:
            watch = threading.Thread(target=station.run, args=(Recorder(),))
            watch.start()
            assert station._plc is not None
            base = station._plc.servers["page"].status().address.split()[1].rstrip("/")
            page = next(thread.native_id or 0 for thread in threading.enumerate() if thread.name == "page")
            alone, watched = [], []
            for _ in range(given.rounds):
                for viewers, seen in ((0, alone), (given.viewers, watched)):
                    with looking(base, viewers):
                        seen.append(look(station, page, given.seconds))
            station.request_stop()
            watch.join()
    show(alone, watched, given.viewers)


def show(alone: list[Seen], watched: list[Seen], viewers: int) -> None:
    """As a table."""
    print(f"{'':24}{'nobody':>10}{viewers:>8} look")
    units = {
        "page": "page's thread, %",
        "process": "whole process, %",
        "p50": "wake-up p50, us",
        "p99": "wake-up p99, us",
    }
    for name, words in units.items():
        print(f"{words:24}{median(getattr(one, name) for one in alone):10.2f}"
              f"{median(getattr(one, name) for one in watched):10.2f}")  # fmt: skip
    print(f"{'missed ticks':24}{sum(one.missed for one in alone):10}{sum(one.missed for one in watched):10}")
    ratios = [a.p99 and w.p99 / a.p99 for a, w in zip(alone, watched, strict=True)]
    noise = [b.p99 / a.p99 for a, b in itertools.pairwise(alone)]
    spread = max((abs(ratio - 1) for ratio in noise), default=0.0)
    print(
        f"p99 with viewers / without, median of rounds: {median(ratios):.3f}; between rounds without: up to {spread:.0%} apart"
    )


if __name__ == "__main__":
    main()
