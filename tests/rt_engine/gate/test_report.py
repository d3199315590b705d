"""A report says everything, survives JSON, and refuses with every reason."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rt_engine.contract.compare import Wire, Wiring
from rt_engine.errors import GateError
from rt_engine.gate.job import Budget, GateJob
from rt_engine.gate.report import Check, GateReport, Memory, Outcome, Timing
from rt_engine.program.program import TensorSpec

WIRE = Wire(tag="a", tensor="x", index=0, unit="rad")
WIRING = Wiring(task="t", period_ns=1000, inputs=(WIRE,), state=(("h_out", "h_in"),))
REPORT = GateReport(
    "policy",
    "m",
    "ab",
    (Check("interface", Outcome.PASSED, "same"), Check("memory", Outcome.SKIPPED, "no limit", {"bytes": 3})),
    Timing(runs=3, p50_ns=10),
    Memory(1, 2, 3),
    {"fast": True},
)


def test_it_is_the_same_after_json():
    assert GateReport.from_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT


def test_a_job_is_the_same_after_json():
    spec = TensorSpec("x", (1, 3), np.dtype(np.float32))
    job = GateJob("a", (spec,), None, {"label": ("a", "b")}, (Budget("t", 1000, 10, 5),), wirings=(WIRING,))
    assert GateJob.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_one_failed_check_refuses_and_is_named():
    """Whoever adds a check of their own refuses too."""
    REPORT.require_passed()
    bad = replace(
        REPORT,
        checks=(*REPORT.checks, Check("wiring", Outcome.FAILED, "degrees"), Check("rate", Outcome.FAILED, "50 Hz")),
    )
    assert (REPORT.passed, bad.passed) == (True, False)
    with pytest.raises(GateError, match="the gate refuses m: wiring: degrees; rate: 50 Hz") as caught:
        bad.require_passed()
    assert caught.value.report is bad


def test_a_budget_is_what_the_task_leaves():
    assert Budget("t", 1000, 400).ns == 600
    assert Budget("t", 1000, 1400).ns == 0
