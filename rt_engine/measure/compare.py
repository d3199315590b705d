"""One model in several engines: the results are compared first, then the times, in rounds that take turns.

    round 1   ours ... | onnxruntime ... | openvino ...
    round 2   ours ... | onnxruntime ... | openvino ...      a slow moment of the machine hits all of them
    cold      the same, with the caches emptied before each run

Where samples are given, each run has the next of them: what branches on its inputs (trees as code) is quick on one that it has
just seen.

p50 is the median of the rounds' medians; p99 and p99.9 are over all runs; a ratio is the median of the rounds' ratios.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.engines import OURS, Arrays, Engine, OurRunner, RefusedError, Runner, Times
from rt_engine.measure.inspect import is_int8
from rt_engine.measure.peaks import Sweeper, peaks
from rt_engine.measure.trial import runner as runner_in
from rt_engine.model import Model
from rt_engine.program.program import TensorSpec

ROUNDS = 9
COLD_RUNS = 21
FEWEST_RUNS, MOST_RUNS = 3, 4000
Step = Callable[[str], None]
"""Called with what begins now, for a progress bar."""


def steps(engines: int) -> int:
    """How often `compare` calls `step` with so many engines."""
    return 5 * engines + ROUNDS


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one engine in nanoseconds, and how far its result is from what is expected (share of the greatest output)."""

    p50: float
    p99: float
    p999: float
    cold: float
    runs: int
    rounds: tuple[float, ...]
    """Median of each round."""
    error: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a model asks of the machine."""

    macs: int
    weight_bytes: int
    arena_bytes: int
    arena_lower_bound: int
    int8: bool

    @property
    def least_ns(self) -> float:
        """The least time at this machine's measured peaks."""
        return peaks().least_ns(self.macs, self.weight_bytes + self.arena_bytes, self.int8)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model in all engines. An engine is in `timings` or in `refused`."""

    name: str
    title: str
    target: float | None
    timings: dict[str, Timing]
    refused: dict[str, str]
    wrong: dict[str, float]
    """Engines whose result is not what is expected: they are timed all the same, and said so."""
    work: Work | None
    inputs: tuple[str, ...] = ()
    """What it was run on: name, type and shape of each."""
    is_varied: bool = False
    """Had each timed run another sample?"""

    @property
    def better_peer(self) -> str | None:
        """The fastest of the others whose result is right."""
        peers = {n: t.p50 for n, t in self.timings.items() if n != OURS.name and n not in self.wrong}
        return min(peers, key=lambda n: peers[n]) if peers else None

    def ratio(self, cold: bool = False) -> float | None:
        """How many times faster than the best peer we are; None where one of the two is missing."""
        ours, peer = self.timings.get(OURS.name), self.better_peer
        if ours is None or peer is None:
            return None
        if cold:
            return min(t.cold for n, t in self.timings.items() if n != OURS.name and n not in self.wrong) / ours.cold
        return float(np.median(np.divide(self.timings[peer].rounds, ours.rounds)))

    @property
    def of_peak(self) -> float | None:
        """The least time on this machine divided by ours; None where nothing is multiplied (trees read part of their tables)."""
        ours = self.timings.get(OURS.name)
        return None if ours is None or self.work is None or not self.work.macs else self.work.least_ns / ours.p50


def difference(results: Arrays, expected: Arrays) -> float:
    """The greatest difference over all outputs, as a share of each output's greatest value; inf where shapes differ."""
    worst = 0.0
    for name, wanted in expected.items():
        got = _there(results.get(name), wanted, results.get(f"{name}_count"))
        if got is None or got.size != wanted.size:
            return float("inf")
        a, b = np.asarray(got, np.float64).ravel(), np.asarray(wanted, np.float64).ravel()
        scale = max(float(np.abs(b[np.isfinite(b)]).max(initial=0.0)), 1e-30)
        with np.errstate(invalid="ignore"):  # inf - inf
            apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        worst = max(worst, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)) / scale)
    return worst


def _there(got: NDArray[Any] | None, wanted: NDArray[Any], count: NDArray[Any] | None) -> NDArray[Any] | None:
    """Of an output that is as long as data decide, whose count is one more, what is there."""
    if got is None or count is None or got.ndim != wanted.ndim:
        return got
    longer = [axis for axis in range(got.ndim) if got.shape[axis] != wanted.shape[axis]]
    return got[tuple(map(slice, wanted.shape))] if all(wanted.shape[axis] == count for axis in longer) else got


def compare(
    path: Path,
    inputs: Arrays,
    expected: Arrays | None,
    engines: Sequence[Engine],
    *,
    name: str = "",
    title: str = "",
    target: float | None = None,
    tolerance: float = 1e-4,
    samples: Sequence[Arrays] = (),
    seconds: float = 2.0,
    cold: bool = True,
    step: Step = lambda what: None,
) -> Comparison:
    """Load `path` in every engine, compare the results, then measure.

    Args:
        expected: outputs by name; without them, those of the first peer that runs the model, else our own.
        samples: other inputs, of which each run that is timed has the next; without them, all have `inputs`. So they have where data
            decide how long an output is: peers are bound to the lengths of the first.
        seconds: for all warm rounds together.
    """
    runners: dict[str, Runner] = {}
    refused: dict[str, str] = {}
    for engine in engines:
        step(f"loading in {engine.name}")
        try:
            runners[engine.name] = runner_in(engine, path, inputs)
        except RefusedError as error:
            refused[engine.name] = str(error)
    results = {name: runner.result() for name, runner in runners.items()}
    expected = expected or next(
        (results[n] for n in (*(e.name for e in engines if e is not OURS), OURS.name) if n in results), {}
    )
    errors = {name: difference(result, expected) for name, result in results.items()}
    if results.get(OURS.name, {}).keys() - expected.keys():  # counts, which are outputs of ours alone
        samples = ()
    wrong = {name: error for name, error in errors.items() if error > tolerance}
    warm, cold_ns = _warm(runners, samples, seconds, step), _cold(runners, samples, step) if cold else {}
    timings = {
        name: Timing(
            float(np.median([np.median(r) for r in rounds])),
            float(np.percentile(np.concatenate(rounds), 99)),
            float(np.percentile(np.concatenate(rounds), 99.9)),
            cold_ns.get(name, float("nan")),
            sum(r.size for r in rounds),
            tuple(float(np.median(r)) for r in rounds),
            errors[name],
        )
        for name, rounds in warm.items()
    }
    ours = runners.get(OURS.name)
    work = work_of(ours.model) if isinstance(ours, OurRunner) else None
    ran = tuple(str(TensorSpec(n, x.shape, x.dtype)) for n, x in inputs.items())
    return Comparison(
        name or title or path.stem, title or path.stem, target, timings, refused, wrong, work, ran, bool(samples)
    )


def _in_turns(runner: Runner, count: int, samples: Sequence[Arrays], measure: Callable[[int], Times]) -> Times:
    """Times of `count` runs, each with the next sample; feeding it is not timed."""
    if not samples:
        return measure(count)
    times = np.zeros(count, np.int64)
    for i in range(count):
        runner.feed(samples[i % len(samples)])
        times[i] = measure(1)[0]
    return times


def _warm(
    runners: Mapping[str, Runner], samples: Sequence[Arrays], seconds: float, step: Step
) -> dict[str, list[Times]]:
    """Rounds of every engine, in turns."""
    counts = {}
    for name, runner in runners.items():
        step(f"warming {name}")
        one = max(float(np.median(runner.measure(5))), 50.0)
        counts[name] = int(np.clip(seconds * 1e9 / (ROUNDS * len(runners) * one), FEWEST_RUNS, MOST_RUNS))
        runner.measure(max(counts[name] // 4, 1))
    times: dict[str, list[Times]] = {name: [] for name in runners}
    for i in range(ROUNDS):
        step(f"round {i + 1} of {ROUNDS}")
        for name, runner in runners.items():
            times[name].append(_in_turns(runner, counts[name], samples, runner.measure))
    return times


def _cold(runners: Mapping[str, Runner], samples: Sequence[Arrays], step: Step) -> dict[str, float]:
    sweeper = Sweeper()
    times: dict[str, list[Times]] = {name: [] for name in runners}
    for _ in range(3):
        for name, runner in runners.items():
            step(f"cold caches, {name}")
            cold = partial(runner.measure_cold, sweeper=sweeper)
            times[name].append(_in_turns(runner, COLD_RUNS // 3, samples, cold))
    return {name: float(np.median(np.concatenate(rounds))) for name, rounds in times.items()}


def work_of(model: Model) -> Work:
    """The work of a loaded model."""
    report = model.report()
    int8 = any(is_int8(n.kernels) for n in report.nodes if n.macs)
    return Work(report.macs, report.weight_bytes, report.arena_bytes, report.arena_lower_bound, int8)
