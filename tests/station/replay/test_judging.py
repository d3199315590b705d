"""What a comparison comes to."""

import numpy as np
import pytest

from scheduler.status import Action, TaskStatus
from station.replay.judging import clock, judged, passes
from station.replay.whatif import OutputTerms
from tests.station.replay.cycles import FIRST_NS, PERIOD_NS, compared, cycles, terms

RAW = np.sin(np.arange(1000) / 50)
NEAR = OutputTerms("force", "N", tolerance=0.25)
FREE = OutputTerms("force", "N", least=-1.0, most=1.0)


def texts(found):
    return [f"{remark.level}: {remark.text}" for remark in judged(found)]


def test_the_same_bits_are_good():
    found = compared(cycles(RAW), cycles(RAW), NEAR)
    assert passes(found)
    assert texts(found) == ["ok: the same bits in all 1,000 cycles"]


def test_within_the_tolerance_is_good():
    found = compared(cycles(RAW), cycles(RAW + 0.2), NEAR)
    assert passes(found)
    assert texts(found) == ["ok: every output is within its tolerance in all 1,000 cycles that can be compared"]


def test_without_a_tolerance_a_difference_is_shown_and_judged_by_nobody():
    found = compared(cycles(RAW), cycles(RAW * 0.5), FREE)
    assert passes(found)
    assert texts(found)[0].startswith("warn: force differs by up to 0.5 N, at")


def test_beyond_the_tolerance_is_bad_unless_so_many_may():
    new = RAW.copy()
    new[[7, 9]] += 1.0
    found = compared(cycles(RAW), cycles(new), NEAR)
    assert not passes(found)
    assert (
        "2 of 1,000 values lie beyond their tolerance: force by up to 1 N (tolerance 0.25), 2 times, first at 0.007 s"
        in texts(found)[0]
    )
    assert passes(compared(cycles(RAW), cycles(new), NEAR, disagreements=2))


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "NaN or infinite where the old one's are numbers"), (1.5, "beyond the limits of its contract")],
)
def test_values_that_are_no_good_are_bad_without_a_tolerance(value, words):
    new = RAW.copy()
    new[500] = value
    found = compared(cycles(RAW), cycles(new), FREE)
    assert not passes(found)
    assert words in texts(found)[0]
    assert "0.500 s" in texts(found)[0]


def test_faults_are_bad():
    status = np.zeros(1000, int)
    status[4] = TaskStatus.STEP_FAILED
    found = compared(cycles(RAW), cycles(RAW, status=status), NEAR)
    assert not passes(found)
    assert "fails in 1 cycle in which the old one does not (105 STEP_FAILED), first at 0.004 s" in texts(found)[0]


def test_nothing_that_could_be_compared_is_bad():
    """An empty recording is no proof."""
    safe = {"status": TaskStatus.BAD_INPUT, "action": Action.SAFE}
    found = compared(cycles(RAW, **safe), cycles(RAW, **safe), NEAR)
    assert texts(found) == ["bad: nothing could be compared, in 1,000 cycles: recorded: 102 BAD_INPUT"]


def test_more_cycles_that_are_not_live_are_a_warning():
    action = np.zeros(1000, int)
    action[:6] = Action.HOLD
    found = compared(cycles(RAW), cycles(RAW, action=action), NEAR)
    assert "warn: held, safe or from a fallback in 6 cycles, with the old one in 0" in texts(found)


def test_a_monitor_that_speaks_more_is_a_warning():
    found = compared(cycles(RAW), cycles(RAW, monitor=2.0), NEAR, monitor_limit=1.0)
    assert "warn: the monitor is over its limit in 1,000 cycles, with the old one in 0" in texts(found)


def test_a_tick_is_said_with_the_time_of_day_where_it_is_known():
    tick = FIRST_NS + 1500 * PERIOD_NS
    assert clock(terms(NEAR), tick) == "1.500 s"
    assert clock(terms(NEAR, utc_ns=1_700_000_000_000_000_000), tick) == "1.500 s (2023-11-14 22:13:28.500 UTC)"
    assert clock(terms(NEAR, utc_ns=1_700_000_000_000_000_000), 1 << 80).endswith(" s")  # no such time
