"""What does a cycle cost in which a model is watched: by a second version, or by a monitor?

    python -m benchmarks.watched_cycles                     1, 16 and 64 values in and out
    python -m benchmarks.watched_cycles --values 100

    plain      the task alone                          shadow     a new version of the same size beside it, compared
    ranges     envelope: ranges of the training data   trial      the new version live and judged, the old one beside it
    distance   envelope with the Mahalanobis distance  model      a monitor that is a model of the same size

The clock does not wait, so cycles follow each other at once; the kinds are measured in turns. Nanoseconds, medians over rounds;
what is over `plain` holds the run of the other model too, whose own time is the last column.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import rt_engine
from benchmarks.many_tags import ANY_AGE, channels, fast_clock
from fieldbus.tags import Quality
from rt_engine.contract import Contract, Element, TensorContract, attach, statistics_of
from rt_engine.slot_change import SlotChange
from scheduler import Input, Output, Task
from scheduler.envelope import Envelope
from scheduler.instead import Monitor
from scheduler.runner import TaskRunner
from scheduler.second import Terms
from tests.scheduler.models import scale_file

KINDS = ("plain", "shadow", "trial", "ranges", "distance", "model")
FAR = 1e9
Round = Callable[[int], float]
"""Nanoseconds of each of so many cycles."""


def model_of(factor: float, width: int, covariance: bool) -> rt_engine.Model:
    """y = factor * x, with a contract that holds the statistics of normal samples."""
    file = scale_file(factor, width)
    rng = np.random.default_rng(0)
    seen = statistics_of(rng.standard_normal((10_000, width)), "x")
    if not covariance:
        seen = replace(seen, covariance=None)
    parts = [TensorContract(t, tuple(Element(f"{t}{k}") for k in range(width))) for t in "xy"]
    attach(file, Contract(inputs=(parts[0],), outputs=(parts[1],), statistics=(seen,)))
    return rt_engine.load(file)


def rounds_of(kind: str, width: int) -> Round:
    """A task that is watched so, as a function that runs it."""
    slot = rt_engine.ModelSlot(model_of(2.0, width, covariance=kind == "distance"))
    x, y = channels(width)
    other = model_of(2.001, width, covariance=False)
    watched_by = {"ranges": Envelope(), "distance": Envelope(), "model": rt_engine.ModelSlot(other)}.get(kind)
    task = Task(
        name="t",
        model=slot,
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x, count=width),),
        outputs=(Output(tensor="y", channel=y, count=width),),
        guard=ANY_AGE,
        monitor=Monitor(model=watched_by, limit=FAR) if watched_by is not None else None,
    )
    clock, state = fast_clock()
    runner = TaskRunner(task, slot, clock)
    x.write(np.random.default_rng(1).standard_normal(width), Quality.GOOD, 0)
    if kind in ("shadow", "trial"):
        names = [f"y{k}" for k in range(width)]
        terms = Terms(
            new_ns=1000, old_ns=1000, budget_ns=500_000, low=dict.fromkeys(names, -FAR), high=dict.fromkeys(names, FAR)
        )
        change = SlotChange({slot: other}, watching=lambda _, a, s, m: runner.watch(0, a, s, m, terms))
        change.trial() if kind == "trial" else change.shadow()

    def measured(cycles: int) -> float:
        state[:] = 1, cycles + 1, runner.memory.address
        runner.memory.clear()
        runner.set_epoch(0)
        begin = time.perf_counter_ns()
        done = runner.run_here()
        return (time.perf_counter_ns() - begin) / done

    return measured


def main() -> None:
    """Print a row for each number of values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, nargs="+", default=[1, 16, 64], help="in, and as many out")
    parser.add_argument("--cycles", type=int, default=20_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=15, help="of which the median is printed")
    args = parser.parse_args()
    print("values", *(f"{kind:>9}" for kind in (*KINDS, "model run")))
    for width in args.values:
        kinds = {kind: rounds_of(kind, width) for kind in KINDS}
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(args.rounds):
            for kind, measured in kinds.items():
                times[kind].append(measured(args.cycles))
        alone = statistics.median(model_of(2.0, width, covariance=False).context().measure(args.cycles))
        print(f"{width:6}", *(f"{statistics.median(times[kind]):9.0f}" for kind in KINDS), f"{alone:9.0f}", flush=True)


if __name__ == "__main__":
    main()
