"""Execution time against budgets. No test knows how fast this machine is: budgets are far from any time, or times are made up."""

import numpy as np
import pytest

from rt_engine.gate import timing
from rt_engine.gate.examine import examine
from rt_engine.gate.job import Budget
from rt_engine.gate.report import Outcome, Timing
from tests.rt_engine.gate.models import job, loaded, of, root, root_contract

HOUR_NS = 3_600_000_000_000
FAKE = Timing(5, 1000, 2000, 3000, 5, 4000, 9000)


@pytest.fixture
def model():
    return loaded(root(), root_contract())


def test_it_is_measured_warm_and_cold_over_inputs(model):
    report = examine(model, job(model, budgets=(Budget("slow", HOUR_NS),)))
    found = report.timing
    assert found.runs >= timing.REPEATS * timing.FEWEST_INPUTS and found.cold_runs >= 2 * timing.COLD_REPEATS
    assert 0 < found.p50_ns <= found.p99_9_ns <= found.longest_ns
    assert 0 < found.cold_p50_ns <= found.cold_longest_ns
    assert of(report, "execution time").outcome is Outcome.PASSED
    assert report.fits_both == {"slow": True}


def test_a_budget_that_no_model_keeps_is_refused(model):
    """With the task, what it has, and what it needs besides."""
    report = examine(model, job(model, budgets=(Budget("slow", HOUR_NS), Budget("fast", 1_000_000, 999_999))))
    found = of(report, "execution time")
    assert found.outcome is Outcome.FAILED
    assert "task fast has 0.0 us for it (its period 1.00 ms less the 1000.0 us that it needs besides)" in found.why
    assert "task slow" not in found.why


@pytest.mark.parametrize(
    ("period_ns", "fits"),
    [(3334, True), (3333, False)],
)
def test_longest_and_cold_median_leave_a_tenth_of_the_budget(period_ns, fits):
    found = Timing(5, 1000, 2000, 3000, 5, 2500, 9000)
    assert (timing._short(found, (Budget("t", period_ns),)) == []) is fits


def test_cold_caches_count():
    assert timing._short(FAKE, (Budget("t", 4000),)) and not timing._short(FAKE, (Budget("t", 4500),))


def test_old_and_new_in_one_tick():
    """What the new one needs is its 99.9 %, or its cold median; a running one that is not known takes as long."""
    assert timing.fits_both(FAKE, Budget("t", 5000, 0, 1000))
    assert not timing.fits_both(FAKE, Budget("t", 5000, 1, 1000))
    assert timing.fits_both(FAKE, Budget("t", 8000)) and not timing.fits_both(FAKE, Budget("t", 7999))


def test_a_trial_that_does_not_fit_is_said_and_refuses_nothing(model, monkeypatch):
    running = Budget("t", HOUR_NS, 0, HOUR_NS)
    report = examine(model, job(model, budgets=(running,)))
    found = of(report, "execution time")
    assert found.outcome is Outcome.PASSED and report.fits_both == {"t": False}
    assert "in task t old and new do not fit in one cycle" in found.why


def test_an_interruption_is_measured_again_and_forgotten(model, monkeypatch):
    """The least of all repeats counts: one that was interrupted every time the first time is not refused."""
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    taken = []

    def take(self):
        taken.append(1)
        slow = 100_000 if len(taken) == 1 else 1000
        return timing._Times(np.full(5, slow), np.full(5, slow), 5, 5)

    monkeypatch.setattr(timing._Measurement, "take", take)
    check, found = timing.check_times(model, job(model, budgets=(Budget("t", 10_000),)), None)
    assert (check.outcome, len(taken), found.longest_ns, found.runs) == (Outcome.PASSED, 2, 1000, 10)


def test_one_that_is_too_slow_is_refused_however_often_it_is_measured(model, monkeypatch):
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    monkeypatch.setattr(
        timing._Measurement, "take", lambda self: timing._Times(np.full(5, 20_000), np.full(5, 1), 5, 5)
    )
    check, _ = timing.check_times(model, job(model, budgets=(Budget("t", 10_000),)), None)
    assert check.outcome is Outcome.FAILED
