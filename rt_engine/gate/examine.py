"""The recipe: all checks, one after the other, on a model that is loaded.

    interface -> contract -> same meaning -> station -> test vectors -> execution time -> drawn inputs -> recording -> memory

A check that cannot be made is skipped and says why; all others are made, so that one report tells everything.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rt_engine.contract.terms import Contract
from rt_engine.errors import RunError
from rt_engine.gate.contracts import check_contract, check_meaning, check_station, running_contract
from rt_engine.gate.interface import objection
from rt_engine.gate.job import GateJob, Recorded
from rt_engine.gate.limits import free_bytes
from rt_engine.gate.report import Check, GateReport, Memory, Outcome, Timing
from rt_engine.gate.runs import check_drawn
from rt_engine.gate.timing import check_times, fits_both
from rt_engine.gate.vectors import check_vectors
from rt_engine.model import Model

Stage = Callable[[str], None]
"""Told what begins, before it does."""
Over = Callable[[Model, Recorded], Check]
"""Runs a model over a recording. What a recording holds are the inputs of tasks, with their windows, steps and guards: that is known
above this package, so who examines for a station brings it along."""
SLOW_DRAW_S = 1.0
RECORDING = "recording"
ONCE = "one run"
"""The stage that finds out whether a run ends at all."""
_Result = TypeVar("_Result")


class _Stages:
    """What was done, and how long it took."""

    def __init__(self, told: Stage) -> None:
        self._told = told
        self.took_ms: dict[str, float] = {}

    def do(self, what: str, work: Callable[[], _Result]) -> _Result:
        self._told(what)
        begin = time.monotonic()
        try:
            return work()
        finally:
            self.took_ms[what] = round((time.monotonic() - begin) * 1e3, 3)


def examine(
    model: Model, job: GateJob, told: Stage = lambda what: None, program_bytes: int = 0, over: Over | None = None
) -> GateReport:
    """Ask everything of a model that a station would want to know before it runs it. Any process; nothing of it is live.

    Raises nothing for a model that is bad: that is what the report says. A run that never ends holds it: its process is limited
    (`rt_engine.gate.limits`).

    Args:
        told: what begins.
        program_bytes: of the compiled file, for the report.
        over: makes the check of `job.recording`; raises nothing.
    """
    stages = _Stages(told)
    interface = stages.do("interface", lambda: _interface(model, job))
    first, contract = stages.do("contract", lambda: check_contract(model, job))
    running = running_contract(model, job)
    checks = [interface, first, check_meaning(contract, running), check_station(contract, running, job)]
    memory = Memory(model.program.weight_nbytes, model.program.arena_nbytes, program_bytes)
    room = _memory(memory, job)
    broken = _not_to_be_run(room) or stages.do(ONCE, lambda: _once(model))
    timing = Timing()
    if broken is None:
        runs, timing = _runs(model, job, contract, stages, over)
        checks += [*runs, room]
    else:
        checks += [broken] if broken is room else [broken, room]
    both = {budget.task: fits_both(timing, budget) for budget in job.budgets} if timing.runs else {}
    ends = job.seed, f"{platform.node()}: {_processor()}", stages.took_ms
    return GateReport(job.slot, model.name, model.sha256, tuple(checks), timing, memory, both, *ends)


def _runs(
    model: Model, job: GateJob, contract: Contract | None, stages: _Stages, over: Over | None
) -> tuple[list[Check], Timing]:
    """The checks that run the model. One that is too slow is refused whatever it gives: it is shown fewer inputs."""
    vectors = stages.do("test vectors", lambda: check_vectors(model, contract))
    time_, timing = stages.do("execution time", lambda: check_times(model, job, contract))
    if time_.outcome is Outcome.FAILED:
        job = _hurried(job)
    drawn = stages.do("drawn inputs", lambda: check_drawn(model, job, contract))
    recorded = stages.do(RECORDING, lambda: _recorded(model, job, over))
    return [vectors, drawn, recorded, time_], timing


def _hurried(job: GateJob) -> GateJob:
    recording = None if job.recording is None else replace(job.recording, most_s=min(job.recording.most_s, SLOW_DRAW_S))
    return replace(job, draw_s=min(job.draw_s, SLOW_DRAW_S), recording=recording)


def _recorded(model: Model, job: GateJob, over: Over | None) -> Check:
    if job.recording is None:
        return Check(RECORDING, Outcome.SKIPPED, "none was given")
    if over is None:
        return Check(RECORDING, Outcome.FAILED, f"{job.recording.path} cannot be replayed by who examines here")
    return over(model, job.recording)


def _interface(model: Model, job: GateJob) -> Check:
    if job.inputs is None and job.outputs is None:
        return Check("interface", Outcome.SKIPPED, "no version is running to which it could be compared")
    why = objection(job.slot, job.inputs, job.outputs, job.classes, model)
    return Check("interface", Outcome.FAILED if why else Outcome.PASSED, why or "that of the running model")


def _once(model: Model) -> Check | None:
    """What is wrong with a run on zeros, if anything is."""
    try:
        model.context().run()
    except RunError as error:
        return Check(ONCE, Outcome.FAILED, f"on zeros, {error}")
    return None


def _memory(memory: Memory, job: GateJob) -> Check:
    contexts = max(len(job.budgets), 1)
    need, limit = memory.weights + contexts * memory.arena, job.most_bytes or free_bytes()
    what = "allowed" if job.most_bytes else "free"
    figures = {"needed_bytes": float(need), "limit_bytes": float(limit)}
    told = f"{need:,} bytes: weights {memory.weights:,}, arena {memory.arena:,}" + (
        f" for each of {contexts} tasks" if contexts > 1 else ""
    )
    if limit and need > limit:
        return Check("memory", Outcome.FAILED, f"it needs {told}; {limit:,} bytes are {what}: quantise it", figures)
    return Check("memory", Outcome.PASSED, f"{told}; {limit:,} bytes are {what}", figures)


def _not_to_be_run(memory: Check) -> Check | None:
    """A model that has no room is not run."""
    return memory if memory.outcome is Outcome.FAILED else None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
