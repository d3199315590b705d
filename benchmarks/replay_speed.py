"""How fast is a recording repeated, against life, and is it the same to the bit over millions of cycles?

    python -m benchmarks.replay_speed                      12 million cycles of three kinds of model, and the speed of each
    python -m benchmarks.replay_speed --cycles 100000 --kind "LSTM"

A task is run on a clock in native code that gives it new inputs before each cycle, bad and late ones among them, and resets; its tap
records it, and the recording is repeated while it goes on: all of it must be the same. Then the speed, of a piece in memory:

replay     a repeated cycle, all in all: inputs put in place, the cycle with its model, outputs compared; nanoseconds of one core
model      a run of the model, again and again
times life at a cycle of 1 ms
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rt_engine import Model, ModelSlot
from scheduler import Guard, Input, Output, Task
from scheduler.replay import Piece, Replay, Replayed, replay_task
from tests.scheduler.driven import Driven
from tests.scheduler.fakes import channel
from tests.scheduler.models import lstm, mlp, trees

KINDS: dict[str, tuple[Callable[[], Model], int, int, dict[str, int]]] = {
    "MLP 16-64-64-4": (lambda: mlp(16, 64, 64, 4), 16, 4, {}),
    "LSTM 8-32, window of 4": (lambda: lstm(4, 8, 32, 2), 8, 2, {"window": 4}),
    "50 trees of depth 6": (lambda: trees(16, 50, 6), 16, 1, {}),
}
"""Name -> model, inputs, outputs, what else an input has."""


def task_of(model: Model, inputs: int, outputs: int, more: dict[str, int]) -> Task:
    """With channels of its own."""
    x = channel([f"a{k}" for k in range(inputs)], "in")
    y = channel([f"p{k}" for k in range(outputs)], "out", low=-50.0, high=50.0, safe=0.0)
    return Task(
        name="axis",
        model=ModelSlot(model),
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x, count=inputs, **more),),  # type: ignore[arg-type]
        outputs=(Output(tensor="y", channel=y, count=outputs, max_rate=500.0),),
        guard=Guard(max_age_s=0.1, on_bad_input="hold", max_hold_s=0.05),
        overrun="hold",
    )


def exact(kind: str, cycles: int) -> tuple[Replayed, float]:
    """Record and repeat so many cycles of a kind; gives what came of it, and the seconds."""
    make, *form = KINDS[kind]
    model = make()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        driven = Driven(task_of(model, *form), cycles, Path(folder))  # type: ignore[arg-type]
        began = time.perf_counter()
        found = replay_task(task_of(model, *form), {1: model}, driven.layout, driven.pieces())  # type: ignore[arg-type]
        return found, time.perf_counter() - began


def speed(kind: str, cycles: int = 200_000, rounds: int = 7) -> tuple[float, float]:
    """Nanoseconds of the processor of a repeated cycle, and of a run of the model; the best of some rounds, of pieces in memory."""
    make, *form = KINDS[kind]
    model = make()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        driven = Driven(task_of(model, *form), cycles, Path(folder))  # type: ignore[arg-type]
        pieces = list(driven.pieces())
    replay = Replay(task_of(model, *form), {1: model}, driven.layout)  # type: ignore[arg-type]

    def again() -> Iterator[Piece]:
        yield from pieces

    took = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        found = replay.run(again())
        took.append((time.thread_time_ns() - began) / cycles)
        assert found.is_equal and found.cycles == cycles, found
    return min(took), float(np.median(model.context().measure(20_000)))


def main() -> None:
    """Prove, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=4_000_000, help="of each kind")
    parser.add_argument("--kind", nargs="+", default=list(KINDS))
    args = parser.parse_args()
    for kind in args.kind:
        found, seconds = exact(kind, args.cycles)
        print(
            f"{kind}: {found.recorded:,} recorded, {found.cycles:,} repeated, {found.equal:,} the same to the bit, {found.first}, "
            f"{dict(found.left_out)}; recorded and repeated in {seconds:.0f} s",
            flush=True,
        )
    for kind in args.kind:
        replay_ns, model_ns = speed(kind)
        print(
            f"{kind}: replay {replay_ns:,.0f} ns a cycle, of which the model {model_ns:,.0f}: {1e9 / replay_ns:,.0f} cycles a second, "
            f"{1e6 / replay_ns:,.0f} times life at 1 ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
