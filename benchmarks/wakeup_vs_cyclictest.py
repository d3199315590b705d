"""Wake-up latency of an empty 1 kHz task against cyclictest (Debian: rt-tests), in alternating runs.

    python benchmarks/wakeup_vs_cyclictest.py [--pairs 10] [--seconds 5] [--cpu 1] [--json FILE]

Both use SCHED_FIFO 80, locked memory, CLOCK_MONOTONIC with absolute sleeps, and 0 us of /dev/cpu_dma_latency. Each
pair runs one after the other, the order changing from pair to pair, so that drift of the machine meets both. Times in
microseconds.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from rt_native.histogram import Histogram
from scheduler import measure_wakeup

PERIOD_US = 1000
PRIORITY = 80
LONGEST_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """p50, p99 and maximum of one run of each, in microseconds."""

    ours: tuple[float, float, float]
    cyclictest: tuple[float, float, float]


def numbers(histogram: Histogram) -> tuple[float, float, float]:
    """(p50, p99, maximum) in microseconds."""
    return histogram.percentile(50) / 1000, histogram.percentile(99) / 1000, histogram.max / 1000


def run_ours(seconds: float, cpu: int | None) -> Histogram:
    """Our task."""
    return measure_wakeup(PERIOD_US / 1e6, seconds, PRIORITY, cpu)


def run_cyclictest(seconds: float, cpu: int | None) -> Histogram:
    """cyclictest's own histogram, in nanoseconds, counted into one of ours."""
    loops = round(seconds * 1e6 / PERIOD_US)
    command = ["cyclictest", "-q", "-m", "-N", f"-p{PRIORITY}", f"-i{PERIOD_US}", f"-l{loops}", f"-h{LONGEST_NS}"]
    if cpu is not None:
        command += ["-a", str(cpu)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    histogram = Histogram()
    for line in text.splitlines():
        match = re.fullmatch(r"(\d+) (\d+)", line.strip())
        if match and int(match[2]):
            for _ in range(int(match[2])):
                histogram.add(int(match[1]))
    overflows, longest = (re.search(rf"# {what}: (\d+)", text) for what in ("Histogram Overflows", "Max Latencies"))
    for _ in range(int(overflows[1]) if overflows else 0):  # beyond its histogram only the longest is known
        histogram.add(int(longest[1]) if longest else LONGEST_NS)
    return histogram


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cpu", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    if shutil.which("cyclictest") is None:
        print("cyclictest is missing: apt-get install rt-tests", file=sys.stderr)
        return 1

    run_ours(0.2, options.cpu)  # builds and loads the native library
    pairs = []
    for number in track(range(options.pairs), "pairs of runs", console=Console(stderr=True)):
        measured = {}
        for run in (run_ours, run_cyclictest) if number % 2 else (run_cyclictest, run_ours):
            measured[run.__name__] = numbers(run(options.seconds, options.cpu))
        pairs.append(Pair(measured["run_ours"], measured["run_cyclictest"]))

    table = Table("", "p50", "p99", "max", title=f"median of {options.pairs} runs of {options.seconds:g} s, in us")
    ours, theirs = (
        [statistics.median(getattr(p, who)[i] for p in pairs) for i in range(3)] for who in ("ours", "cyclictest")
    )
    ratios = [statistics.median(p.ours[i] / p.cyclictest[i] for p in pairs) for i in range(3)]
    for name, row, digits in (("rt-engine", ours, 1), ("cyclictest", theirs, 1), ("median of ratios", ratios, 2)):
        table.add_row(name, *(f"{value:.{digits}f}" for value in row))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"pairs": [asdict(p) for p in pairs], "ratios": ratios}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
