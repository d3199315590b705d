"""The recipe: all checks, one after the other, on a model that is loaded.

    interface -> contract -> requirements -> test vectors -> drawn inputs -> recording -> execution time -> memory

A check that needs another one which failed is skipped and says so; all others are made, so that one report tells everything.
"""

import platform
import time
from collections.abc import Callable

from rt_engine.gate.interface import objection
from rt_engine.gate.job import GateJob
from rt_engine.gate.report import Check, GateReport, Memory, Outcome, Timing
from rt_engine.model import Model

Stage = Callable[[str], None]
"""Told what begins, before it does."""


def examine(model: Model, job: GateJob, stage: Stage = lambda what: None) -> GateReport:
    """Ask everything of a model that a station would want to know before it runs it. Any process; nothing of it is live.

    Raises nothing for a model that is bad: that is what the report says.
    """
    took: dict[str, float] = {}
    checks: list[Check] = []

    def made(what: str, check: Callable[[], Check]) -> Check:
        stage(what)
        begin = time.monotonic()
        checks.append(check())
        took[what] = (time.monotonic() - begin) * 1e3
        return checks[-1]

    made("interface", lambda: _interface(model, job))
    program = model.program
    memory = Memory(program.weight_nbytes, program.arena_nbytes)
    return GateReport(
        *(job.slot, model.name, model.sha256, tuple(checks), Timing(), memory),
        seed=job.seed,
        machine=platform.machine(),
        took_ms=took,
    )


def _interface(model: Model, job: GateJob) -> Check:
    if job.inputs is None and job.outputs is None:
        return Check("interface", Outcome.SKIPPED, "no version is running to which it could be compared")
    why = objection(job.slot, job.inputs, job.outputs, model)
    return Check("interface", Outcome.FAILED if why else Outcome.PASSED, why or "as that of the running model")
