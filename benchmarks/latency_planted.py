"""Does `rt-engine latency` find and name what was planted? A FIFO thread of higher priority, and interrupts of the network.

    python benchmarks/latency_planted.py [--seconds 60] [--cpu 1]

Two measurements of an empty 1 kHz task on one core. While the first runs, a process of FIFO 95 takes the core for some milliseconds
every few seconds; while the second runs, one floods the loopback interface from that core for a second of every five: softirqs.
What was planted, and when, is compared with what was found. Needs the right to real-time priority.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rt_native.isolated import bound_program
from station.latency.benches import of_nothing
from station.latency.measure import Measurement, Plan
from station.latency.result import Result

BURN_S, BURN_EVERY_S = 0.02, 4.0
FLOOD_S, FLOOD_EVERY_S = 1.0, 5.0
DATAGRAM = bytes(60_000)


def burn(cpu: int) -> None:
    """A thread of higher priority than the task's: sleeps, then keeps the core."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(95))
    while True:
        time.sleep(BURN_EVERY_S)
        until = time.monotonic() + BURN_S
        while time.monotonic() < until:
            pass


def flood(cpu: int) -> None:
    """Large datagrams to ourselves: the kernel hands them on in softirqs of this core."""
    os.sched_setaffinity(0, {cpu})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.connect(end.getsockname())
        end.setblocking(False)
        while True:
            time.sleep(FLOOD_EVERY_S - FLOOD_S)
            until = time.monotonic() + FLOOD_S
            while time.monotonic() < until:
                for _ in range(8):
                    with suppress(BlockingIOError):
                        end.send(DATAGRAM)
                    with suppress(BlockingIOError):
                        end.recv(len(DATAGRAM))


@contextmanager
def planted(what: str, cpu: int) -> Iterator[None]:
    """The disturbance, in a process of its own."""
    child = subprocess.Popen(bound_program([sys.executable, __file__, "--plant", what, "--cpu", str(cpu)]))
    try:
        yield
    finally:
        child.kill()
        child.wait()


def measured(what: str, seconds: float, cpu: int) -> Result:
    """An empty task, beside it."""
    measurement = Measurement(Plan((of_nothing([cpu], 1_000_000),), seconds))  # what has to be compiled is
    with planted(what, cpu):
        return measurement.run()


def main() -> int:
    """Measure and print; gives the exit code: 0 where both were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--plant", choices=("burn", "flood"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plant:
        {"burn": burn, "flood": flood}[options.plant](options.cpu)

    [subject] = measured("burn", options.seconds, options.cpu).subjects
    named = [one for one in subject.longest if any("FIFO 95" in cause.words for cause in one.why)]
    print(
        f"FIFO 95, {BURN_S * 1000:g} ms every {BURN_EVERY_S:g} s: named as a cause of {len(named)} of the ten longest"
    )
    for one in subject.longest[:5]:
        print(f"  {one.reaction_ns / 1e6:.2f} ms: {'; '.join(f'{c.kind}: {c.words}' for c in one.why)}")
    rivals = [tie for tie in subject.ties if "FIFO 95" in tie.name]
    print(f"  goes with long cycles: {rivals[0] if rivals else 'not found'}")

    [subject] = measured("flood", options.seconds, options.cpu).subjects
    softirqs = [tie for tie in subject.ties if "NET_RX" in tie.name]
    told = softirqs[0] if softirqs else "not found"
    print(f"the network floods {FLOOD_S:g} of every {FLOOD_EVERY_S:g} s: goes with long cycles: {told}")
    for one in subject.longest[:3]:
        print(f"  {one.reaction_ns / 1e6:.2f} ms: {'; '.join(f'{c.kind}: {c.words}' for c in one.why)}")
    return 0 if named and rivals and softirqs else 1


if __name__ == "__main__":
    sys.exit(main())
