"""What does a cycle cost that moves thousands of tags one by one, and what does it cost to set it up?

    python -m benchmarks.many_tags                              10,000 inputs and 10,000 outputs
    python -m benchmarks.many_tags --tags 10000 --kind mixed    every second tag with a scale of its own: no runs

One task without a model's arithmetic: cells -> input tensor, output tensor -> guard -> cells, with a step that does nothing
if asked for. The clock does not wait, so cycles follow each other at once. Prints one line of JSON: medians in microseconds.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Quality, Tag
from rt_native.library import Library
from rt_native.memory import Block
from scheduler import Guard, Input, Output, Task
from scheduler.checks import check_task
from scheduler.clock import Clock
from scheduler.runner import TaskRunner

sys.path.insert(0, str(Path(__file__).parent.parent))
ANY_AGE = Guard(max_age_s=float("inf"))
KINDS = ("plain", "scaled", "limits", "rates", "mixed")


def fast_clock() -> tuple[Clock, Any]:
    """A clock whose sleep is over at once, and its state (`tests/scheduler/clock_native.py`)."""
    folder = Path(__file__).parent.parent / "tests" / "scheduler"
    native = Library("fast-clock", ("clock_native",), path=(str(folder),))
    state = Block(24)
    clock = Clock(native.address("fast_now"), native.address("fast_sleep"), state.address, native)
    return clock, state.view(np.int64, 0, 3)


def channels(count: int) -> tuple[Channel, Channel]:
    """An input and an output channel of so many tags."""
    image = ProcessImage()
    x = image.channel("x", [Tag(f"x{k}", "float64", "in") for k in range(count)], writer="w", reader="r")
    y = image.channel("y", [Tag(f"y{k}", "float64", "out") for k in range(count)], writer="w", reader="r")
    return x, y


def task(kind: str, x: Channel, y: Channel, count: int) -> Task:
    """Every tag an entry of its own."""
    inputs, outputs = [], []
    for k in range(count):
        scale = 0.5 if kind == "scaled" or (kind == "mixed" and k % 2) else 1.0
        more: dict[str, Any] = {"low": -5.0 - k, "high": 5.0 + k} if kind == "limits" else {}
        more |= {"max_rate": 1e3 + k} if kind == "rates" else {}
        inputs.append(Input(tensor="x", index=k, channel=x, cell=k, scale=scale))
        outputs.append(Output(tensor="y", index=k, channel=y, cell=k, scale=scale, **more))
    return Task(name="t", period_s=0.001, inputs=tuple(inputs), outputs=tuple(outputs), guard=ANY_AGE)


def measure(kind: str, count: int, cycles: int, rounds: int) -> dict[str, Any]:
    """Set-up in seconds, and the median of so many rounds of cycles in microseconds each."""
    from tests.scheduler.fakes import FakeModel, FakeSlot, spec

    model = FakeModel([spec("x", 1, count)], [spec("y", 1, count)], lambda i, o: None)
    x, y = channels(count)
    built = task(kind, x, y, count)
    clock, state = fast_clock()
    begin = time.perf_counter()
    check_task(built, model)  # type: ignore[arg-type]
    runner = TaskRunner(built, FakeSlot(model), clock)  # type: ignore[arg-type]
    set_up = time.perf_counter() - begin
    rng = np.random.default_rng(1)
    x.write(rng.standard_normal(count), Quality.GOOD, 0)
    model.arrays["y"][0] = rng.standard_normal(count)
    times = []
    for _ in range(rounds):
        state[:] = 1, cycles + 1, runner.memory.address
        runner.memory.clear()
        begin = time.perf_counter()
        done = runner.run_here()
        times.append((time.perf_counter() - begin) / done * 1e6)
    return {
        "kind": kind, "tags": count, "set_up_s": round(set_up, 3), "cycle_us": round(statistics.median(times), 2),
        "least_us": round(min(times), 2), "greatest_us": round(max(times), 2),
    }  # fmt: skip


def main() -> None:
    """Measure one kind, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=10_000, help="inputs, and as many outputs")
    parser.add_argument("--kind", choices=(*KINDS, "all"), default="all", help="what the entries are like")
    parser.add_argument("--cycles", type=int, default=1000, help="in a round")
    parser.add_argument("--rounds", type=int, default=11, help="of which the median is printed")
    args = parser.parse_args()
    for kind in KINDS if args.kind == "all" else (args.kind,):
        print(json.dumps(measure(kind, args.tags, args.cycles, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
