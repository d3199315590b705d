"""What is lost of a task's record when its process is killed: many processes, each ended by SIGKILL at some moment.

    python -m tests.scheduler.kill_campaign --rounds 1000              cycles at 1 kHz
    python -m tests.scheduler.kill_campaign --rounds 1000 --at-once    on a clock that does not wait: about half of the time is records

A step counts the cycles in shared memory, where the parent sees one begin; it waits for some of them, then for a chance moment of up
to `--within` nanoseconds, and kills. So kills fall into cycles and records, far more often than they would by chance. Then the
ring is opened: a record lacks only of the cycle that was killed, if it did, and every record is whole. Prints one line of JSON.
"""

import argparse
import json
import mmap
import os
import random
import signal
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.many_tags import fast_clock
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Tag
from rt_native.library import Library
from scheduler import Guard, Input, Output, Scheduler, Step, Task
from scheduler.ring import Ring
from scheduler.runner import TaskRunner
from scheduler.tap import TapTerms

NATIVE = Library("witness", ("witness_native",), path=(str(Path(__file__).parent),))
MOST_WAITED_S = 20.0
RING_BYTES = 16 << 20


def child(path: Path, values: int, counter: int, at_once: bool) -> None:
    """Run a task with a tap until somebody kills it."""
    image = ProcessImage()
    x = image.channel("x", [Tag("x", "float64", "in", count=values)], writer="plc", reader="t")
    y = image.channel("y", [Tag("y", "float64", "out", count=values)], writer="t", reader="plc")
    step = Step(NATIVE.address("witness"), 8, "witness", counter.to_bytes(8, "little"))
    task = Task(
        name="t",
        period_s=0.001,
        inputs=(Input(tensor=None, channel=x, count=values),),
        outputs=(Output(tensor=None, channel=y, count=values),),
        guard=Guard(max_age_s=float("inf")),
        step=step,
    )
    x.write(np.zeros(values))
    capacity = min(20_000, RING_BYTES // (24 * values + 256))
    terms = TapTerms(path=path, capacity=capacity, checkpoint_ns=5_000_000, checkpoints=1000)
    if at_once:
        clock, state = fast_clock()
        runner = TaskRunner(task, None, clock, terms=terms)
        assert runner.tap
        state[:] = 1, 1 << 40, runner.memory.address
        threading.Thread(target=runner.run_here, daemon=True).start()
        feed(x, values, runner.tap.ring, 0.0)
    with Scheduler([task], taps={"t": terms}) as scheduler:
        feed(x, values, scheduler.rings["t"], 0.0007)


def feed(x: Channel, values: int, ring: Ring, pause_s: float) -> None:
    """Write inputs for a while, and take from a ring that is half full."""
    until = time.monotonic() + 3 * MOST_WAITED_S
    for number in range(1 << 30):
        x.write(np.full(values, float(number)))
        time.sleep(pause_s)
        if (there := ring.head - ring.tail) > ring.capacity // 2:
            ring.release(there // 2)
            ring.release_checkpoints((ring.checkpoint_head - ring.checkpoint_tail) // 2)
        if time.monotonic() > until:
            break


def killed(path: Path, values: int, wait_for: int, within_ns: int, at_once: bool) -> int:
    """A process that was killed, in or after its cycle number `wait_for`; gives how many cycles it had begun."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    counter: Any = np.frombuffer(shared, np.int64)
    pid = os.fork()
    if pid == 0:
        try:
            child(path, values, int(counter.ctypes.data), at_once)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    seen, until = memoryview(counter), time.monotonic() + MOST_WAITED_S
    while seen[0] < wait_for and time.monotonic() < until:
        pass
    moment = time.perf_counter_ns() + within_ns
    while time.perf_counter_ns() < moment:
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return int(counter[0])


def faults(ring: Ring, begun: int) -> dict[str, int]:
    """What is wrong with what a killed process left; all zero is as it should be."""
    records, layout = ring.records(), ring.layout
    values, raw, published = layout.values(records, 0), layout.raw(records), layout.published(records)
    checkpoints = ring.checkpoints()
    checkpoints = checkpoints[
        np.isin(checkpoints["number"], records["number"])
    ]  # not that of the cycle that was killed
    its_ticks = records["tick_ns"][np.searchsorted(records["number"], checkpoints["number"])]
    halves = (values != values[:, :1]).any(1) | (raw != 2 * values).any(1) | (published != raw).any(1)
    missing, gaps = begun - ring.head - ring.dropped, int((np.diff(records["number"]) - 1).sum())
    return {
        "lost": max(0, missing - 1),
        "in_flight": int(missing == 1),
        "dropped": ring.dropped,
        "gaps": max(0, gaps - ring.dropped),
        "halves": int(halves.sum()),
        "old_ticks": int((np.diff(records["tick_ns"]) <= 0).sum()),
        "bad_checkpoints": int((checkpoints["tick_ns"] != its_ticks).sum()),
    }


def campaign(rounds: int, values: int, within_ns: int, seed: int, folder: Path, at_once: bool) -> dict[str, int]:
    """So many processes; the sum of what was wrong, and of what was recorded."""
    NATIVE.address("witness")
    fast_clock()
    chance = random.Random(seed)
    total: dict[str, int] = {"values": values, "rounds": rounds, "cycles": 0, "records": 0}
    for number in range(rounds):
        path = folder / f"ring-{number}"
        begun = killed(path, values, chance.randint(5, 60), chance.randrange(within_ns), at_once)
        ring = Ring.open(path)
        total["cycles"] += begun
        total["records"] += ring.head
        for name, count in faults(ring, begun).items():
            total[name] = total.get(name, 0) + count
        ring.remove()
    return total


def main() -> None:
    """Two sizes: a small record, and one that takes long to write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="processes of each size")
    parser.add_argument("--values", type=int, nargs="+", default=[8, 5000])
    parser.add_argument("--within", type=int, default=20_000, help="nanoseconds")
    parser.add_argument("--at-once", action="store_true", help="a cycle after the other, without a pause")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = [
            campaign(args.rounds, values, args.within, args.seed, Path(folder), args.at_once) for values in args.values
        ]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
