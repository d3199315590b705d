"""What does it cost a cycle to be recorded?

    python -m benchmarks.tap_cost                        8, 64, 1,000 and 10,000 values in, and as many out
    python -m benchmarks.tap_cost --values 64 --pause 1000    a cycle each 1,000 us, as in life: caches and clocks have cooled down

Two tasks without a model's arithmetic, one with a tap and one without, in one process, in turns. A record has what came in, what the
guard was given and what it let through, so 3 x 8 bytes a value, and 208 more. Nanoseconds: of a cycle, and what the tap adds;
allowed are 150, and 1 for each 8 bytes. The ring is larger than the cache, so that no slot is in it, as in life.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.many_tags import channels, task
from fieldbus.tags import Quality
from rt_native.library import Library
from rt_native.memory import Block
from scheduler.checks import check_task
from scheduler.clock import Clock
from scheduler.rights import use_fifo
from scheduler.runner import TaskRunner
from scheduler.tap import TapTerms
from tests.scheduler.fakes import FakeModel, FakeSlot, spec

NATIVE = Library("ticking", ("benchmarks.ticking_native",), path=(str(Path(__file__).parent.parent),))
RING_BYTES, MOST, FIXED_NS = 96 << 20, 1 << 17, 150
NEVER = 1 << 60


class Side:
    """A task with a tap, or without, and its clock."""

    def __init__(self, values: int, path: Path | None, pause_ns: int) -> None:
        model = FakeModel([spec("x", 1, values)], [spec("y", 1, values)], lambda i, o: None)
        self.x, y = channels(values)
        built = task("plain", self.x, y, values)
        self._state = Block(48)
        clock = Clock(NATIVE.address("ticking_now"), NATIVE.address("ticking_sleep"), self._state.address, NATIVE)
        check_task(built, model)  # type: ignore[arg-type]
        nbytes = 208 + 24 * values
        terms = TapTerms(path=path, capacity=min(RING_BYTES // nbytes, MOST), checkpoint_ns=NEVER) if path else None
        self.runner = TaskRunner(built, FakeSlot(model), clock, terms=terms)  # type: ignore[arg-type]
        self.tap, self._pause_ns = self.runner.tap, pause_ns
        rng = np.random.default_rng(1)
        self.x.write(rng.standard_normal(values), Quality.GOOD, 0)
        model.arrays["y"][0] = rng.standard_normal(values)

    def run(self, cycles: int) -> NDArray[np.int64]:
        """Nanoseconds of each of so many cycles; none of them finds the ring full."""
        took = np.zeros(cycles + 2, np.int64)
        self._state.view(np.int64, 0, 6)[:] = (
            1,
            cycles + 2,
            self.runner.memory.address,
            took.ctypes.data,
            0,
            self._pause_ns,
        )
        self.runner.memory.clear()
        self.runner.run_here()
        if self.tap:
            assert self.tap.ring.dropped == 0
            self.tap.ring.release(self.tap.ring.head - self.tap.ring.tail)
        return took[1 : cycles + 1]


def measure(values: int, cycles: int, rounds: int, pause_ns: int, folder: Path) -> dict[str, Any]:
    """One size: percentiles of both sides, of each round; the median of all rounds but the first."""
    off, on = Side(values, None, pause_ns), Side(values, folder / f"tap-cost-{values}", pause_ns)
    assert on.tap
    try:
        took: dict[str, list[NDArray[np.int64]]] = {"off": [], "on": []}
        for number in range(rounds):
            for name, side in (("off", off), ("on", on))[:: 1 if number % 2 else -1]:
                took[name].append(side.run(cycles))
        nbytes = on.tap.ring.layout.nbytes
        each = {name: [np.percentile(part, [50, 99]) for part in parts[1:]] for name, parts in took.items()}
        p = {name: np.median(rows, axis=0) for name, rows in each.items()}
        return {
            "values": values, "bytes": nbytes, "allowed": FIXED_NS + nbytes // 8,
            **{f"{name} p{n}": int(v) for name, both in p.items() for n, v in zip((50, 99), both, strict=True)},
            "tap p50": int(p["on"][0] - p["off"][0]), "tap p99": int(p["on"][1] - p["off"][1]),
        }  # fmt: skip
    finally:
        on.tap.ring.remove()


def main() -> None:
    """Measure all sizes, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--values", type=int, nargs="+", default=[8, 64, 1000, 10_000], help="inputs, and as many outputs"
    )
    parser.add_argument(
        "--cycles", type=int, default=0, help="of a round; by default as many as fit the ring, up to 20,000"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pause", type=int, default=0, help="microseconds between two cycles")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="of the ring")
    args = parser.parse_args()
    print(use_fifo(80))
    heading = ("values", "bytes", "allowed", "off p50", "off p99", "on p50", "on p99", "tap p50", "tap p99")
    print("".join(f"{name:>11}" for name in heading))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for values in args.values:
            most = min(RING_BYTES // (208 + 24 * values), MOST) - 3
            cycles = min(args.cycles or 20_000, most)
            row = measure(values, cycles, args.rounds, args.pause * 1000, Path(folder))
            print("".join(f"{row[name]:>11,}" for name in heading), flush=True)


if __name__ == "__main__":
    main()
