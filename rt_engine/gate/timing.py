"""How long one run takes here, and whether every task has that much time.

The worker is an ordinary process of low priority on a machine that works: any single time may hold an interruption. So every time
is of one input, and the least of several repeats with the same input: what interrupts would have to do so at the same input each
time. Percentiles and the longest are over inputs (drawn ones, a model may take longer for some); of a model with state, over the
steps of a sequence, which is the same in each repeat.

Cold: before each run all lines of weights, arena, records and code are thrown out of the caches (not those of others).

A task's budget is its period less what it already needs. It suffices if the longest warm time and the cold median leave a tenth of
it. Where it seems not to, all is measured again, twice at most, and the least counts: so a busy machine refuses no good model; and
as no repeat is faster than the program, one that takes longer than the budget is always refused.
"""

import mmap
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_engine.contract.terms import Contract
from rt_engine.errors import RunError
from rt_engine.gate.draws import Draws
from rt_engine.gate.elements import meanings
from rt_engine.gate.job import Budget, GateJob
from rt_engine.gate.report import Check, Outcome, Timing
from rt_engine.model import Model
from rt_engine.run.batch import moves
from rt_engine.run.context import Context
from rt_native.memory import Block

NAME = "execution time"
USABLE = 0.9
"""The part of a budget that a model may use."""
REPEATS, COLD_REPEATS = 5, 3
MOST_INPUTS, FEWEST_INPUTS, MOST_COLD = 1000, 5, 50
MOST_BYTES = 64 << 20
"""Of all inputs."""
WARM_S, COLD_S = 0.3, 0.15
"""What one measurement may take, about."""
AGAIN, PAUSE_S = 2, 0.3
LINE_NS = 20.0
"""What it takes to throw one line out, about; for how many cold runs there is time."""
UNKNOWN = np.iinfo(np.int64).max
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """The least nanoseconds of each input so far."""

    warm: Times
    cold: Times
    warm_runs: int = 0
    cold_runs: int = 0

    def timing(self) -> Timing:
        warm, cold = self.warm[self.warm < UNKNOWN], self.cold[self.cold < UNKNOWN]
        p50, p99_9, longest = (int(np.percentile(warm, p)) for p in (50, 99.9, 100))
        cold_p50, cold_longest = (int(np.percentile(cold, p)) for p in (50, 100))
        return Timing(self.warm_runs, p50, p99_9, longest, self.cold_runs, cold_p50, cold_longest)

    def least(self, other: "_Times") -> "_Times":
        runs = self.warm_runs + other.warm_runs, self.cold_runs + other.cold_runs
        return _Times(np.minimum(self.warm, other.warm), np.minimum(self.cold, other.cold), *runs)


def check_times(model: Model, job: GateJob, contract: Contract | None) -> tuple[Check, Timing]:
    """Measure, and compare with every budget. Gives the times too, which are zeros where the model cannot be run."""
    try:
        measure = _Measurement(model, job, contract)
        times = measure.take()
        for _ in range(AGAIN):
            if not _short(times.timing(), job.budgets):
                break
            time.sleep(PAUSE_S)
            times = times.least(measure.take())
    except RunError as error:
        return Check(NAME, Outcome.FAILED, str(error)), Timing()
    timing = times.timing()
    figures = {f"budget_us {budget.task}": budget.ns / 1e3 for budget in job.budgets}
    said = _said(timing)
    if short := _short(timing, job.budgets):
        return Check(
            NAME, Outcome.FAILED, f"{said}; {'; '.join(_refused(timing, budget) for budget in short)}", figures
        ), timing
    tight = [_both(timing, budget) for budget in job.budgets if not fits_both(timing, budget)]
    least = min((budget for budget in job.budgets), key=lambda budget: budget.ns, default=None)
    room = "; no task runs it within one cycle" if least is None else f"; task {least.task} has {_us(least.ns)} for it"
    return Check(NAME, Outcome.PASSED, f"{said}{room}{''.join(tight)}", figures), timing


def fits_both(timing: Timing, budget: Budget) -> bool:
    """Can the new version run, and the running one behind it, in one cycle of that task? One that is not known takes as long."""
    return timing.need_ns + _running(timing, budget) <= budget.ns


def _running(timing: Timing, budget: Budget) -> int:
    return budget.running_ns or timing.need_ns


def _short(timing: Timing, budgets: tuple[Budget, ...]) -> list[Budget]:
    """The budgets that do not suffice."""
    need = max(timing.longest_ns, timing.cold_p50_ns)
    return [budget for budget in budgets if need > USABLE * budget.ns]


def _refused(timing: Timing, budget: Budget) -> str:
    return (
        f"task {budget.task} has {_us(budget.ns)} for it (its period {_us(budget.period_ns)} less the {_us(budget.needs_ns)} that it "
        f"needs besides), of which a model may use {USABLE:.0%}: a smaller model, a longer cycle, or one that runs every few cycles"
    )


def _both(timing: Timing, budget: Budget) -> str:
    return (
        f"; in task {budget.task} old and new do not fit in one cycle ({_us(timing.need_ns)} + {_us(_running(timing, budget))} of "
        f"{_us(budget.ns)}): in a trial, a tick in which the new one goes wrong holds"
    )


def _said(timing: Timing) -> str:
    return (
        f"median {_us(timing.p50_ns)}, 99.9 % {_us(timing.p99_9_ns)}, longest {_us(timing.longest_ns)}; with cold caches median "
        f"{_us(timing.cold_p50_ns)}, longest {_us(timing.cold_longest_ns)}"
    )


def _us(ns: float) -> str:
    return f"{ns / 1e3:.1f} us" if ns < 1e6 else f"{ns / 1e6:.2f} ms"


class _Measurement:
    """A context with inputs, to be measured any number of times."""

    def __init__(self, model: Model, job: GateJob, contract: Contract | None) -> None:
        self._context = model.context()
        self._context.run()
        one = float(np.median([self._one() for _ in range(3)]))
        nbytes = sum(view.nbytes for view in self._context.inputs.values())
        most = int(np.clip(MOST_BYTES // max(nbytes, 1), FEWEST_INPUTS, MOST_INPUTS))
        count = int(np.clip(WARM_S * 1e9 / (REPEATS * one), FEWEST_INPUTS, most))
        given = list(Draws(meanings(model.inputs, True, contract), job.seed).take(count).values())
        self._given, self._count = given, count
        lines = sum(nbytes for _, nbytes in self._context.memory()) / 64
        self._cold_count = int(
            np.clip(COLD_S * 1e9 / (COLD_REPEATS * (one + LINE_NS * lines)), 2, min(MOST_COLD, count))
        )
        self._moves, self._warm, self._cold = moves(self._context, given, []), Block(8), _cold(self._context)

    def _one(self) -> int:
        begin = time.monotonic_ns()
        self._context.run()
        return time.monotonic_ns() - begin

    def take(self) -> _Times:
        """Measure once more."""
        warm, cold = np.full(self._count, UNKNOWN), np.full(self._cold_count, UNKNOWN)
        warm_runs, cold_runs = self._repeat(warm, self._warm, REPEATS), self._repeat(cold, self._cold, COLD_REPEATS)
        return _Times(warm, cold, warm_runs, cold_runs)

    def _repeat(self, times: Times, cold: Block, repeats: int) -> int:
        """Repeat all inputs from a fresh state; the times are then the least of each."""
        runs = 0
        for _ in range(repeats):
            self._context.reset()
            runs += self._context.time_samples(self._moves, times, cold, UNKNOWN)
        return runs


def _cold(context: Context) -> Block:
    """What is thrown out of the caches, as `rt_engine.run.times_native` reads it: data whole, code as far as its first page goes."""
    code = [(at, mmap.PAGESIZE - at % mmap.PAGESIZE) for at in context.code()]
    places = [*context.memory(), *code]
    block = Block(8 + 16 * len(places))
    words = block.view(np.int64, 0, 1 + 2 * len(places))
    words[0], words[1:] = len(places), np.array(places, np.int64).reshape(-1)
    return block
