"""How late do tasks wake that share a core: each in a thread of its own, and all in one?

    python -m benchmarks.many_tasks                     64 tasks of 1 ms on one core
    python -m benchmarks.many_tasks --tasks 16 --cpu 1

The two are measured in turn; one line of JSON for each round, in microseconds over the cycles of all tasks, and `misses`: ticks
that no cycle served. Needs the right to SCHED_FIFO for numbers that mean something; the line says whether it was granted.
"""

import argparse
import json
import time
from typing import Any

import numpy as np

from scheduler import Scheduler, Task


def measure(count: int, cpu: int, seconds: float, is_shared: bool) -> dict[str, Any]:
    """So many empty tasks of 1 ms on one core, for so long."""
    tasks = [
        Task(name=f"t{k}", period_s=0.001, cpu=cpu, watchdog=0, thread="all" if is_shared else f"own {k}")
        for k in range(count)
    ]
    scheduler = Scheduler(tasks)
    with scheduler:
        time.sleep(0.2)
        scheduler.reset_stats()
        time.sleep(seconds)
        stats = scheduler.stats()
    wakeups = [one.wakeup for one in stats.values()]
    return {
        "threads": 1 if is_shared else count,
        "tasks": count,
        "p50_us": round(float(np.median([one.p50_ns for one in wakeups])) / 1000, 1),
        "p50_of_the_last_us": round(max(one.p50_ns for one in wakeups) / 1000, 1),
        "p99_us": round(float(np.median([one.p99_ns for one in wakeups])) / 1000, 1),
        "misses": sum(one.missed for one in stats.values()),
        "fifo": all(grant.granted for grant in scheduler.rights if "SCHED_FIFO" in grant.name),
    }


def main() -> None:
    """Rounds of both, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=64, help="of 1 ms")
    parser.add_argument("--cpu", type=int, default=0, help="the core")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3, help="of each of the two")
    args = parser.parse_args()
    for _ in range(args.rounds):
        for is_shared in (False, True):
            print(json.dumps(measure(args.tasks, args.cpu, args.seconds, is_shared)), flush=True)


if __name__ == "__main__":
    main()
