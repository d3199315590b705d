"""What a comparison says of cycles, given as arrays."""

import json

import numpy as np
import pytest

from scheduler.status import Action, TaskStatus
from station.replay.whatif import OutputTerms
from tests.station.replay.cycles import FIRST_NS, PERIOD_NS, compared, cut, cycles

FORCE = OutputTerms("force", "N", low=-1.0, high=1.0, tolerance=0.25)
RAW = np.sin(np.arange(1000) / 50)


def at(cycle):
    return FIRST_NS + cycle * PERIOD_NS


def changed(values, **places):
    """With other values at cycles `c7=...`."""
    values = np.array(values, np.float64)
    for place, value in places.items():
        values[int(place[1:])] = value
    return values


@pytest.mark.parametrize("pieces", [1, 9])
def test_the_same_is_equal(pieces):
    found = compared(cycles(RAW), cycles(RAW), FORCE, pieces=pieces)
    assert found.is_equal
    assert (found.cycles, found.compared, found.apart) == (1000, 1000, {})
    assert found.both == {("LIVE", "LIVE"): 1000}


def test_a_last_bit_is_a_difference():
    found = compared(cycles(RAW), cycles(changed(RAW, c5=np.nextafter(RAW[5], 9))), FORCE)
    assert not found.is_equal
    assert 0 < found.outputs[0].largest < 1e-15
    assert found.outputs[0].beyond == 0


def test_what_is_beyond_the_tolerance_is_counted_and_the_first_named():
    new = changed(RAW, c700=RAW[700] + 0.5, c300=RAW[300] - 0.3, c10=RAW[10] + 0.2)
    (one,) = compared(cycles(RAW), cycles(new), FORCE, pieces=3).outputs
    assert (one.beyond, one.first_beyond_ns, one.largest_ns) == (2, at(300), at(700))
    assert one.largest == pytest.approx(0.5)


def test_cycles_in_which_no_model_computed_are_not_compared_and_said_why():
    """Bad inputs, pauses; the numbers of a fallback, or of a smaller model, are not the model's."""
    smaller = np.arange(1000) == 50
    status, action = np.zeros(1000, int), np.zeros(1000, int)
    status[:20], action[:20] = TaskStatus.BAD_INPUT, Action.SAFE
    status[20:25], action[20:25] = TaskStatus.PAUSED, Action.SAFE
    status[30:33], action[30:33] = TaskStatus.MONITOR, Action.FALLBACK
    status[40], action[40] = TaskStatus.MONITOR, Action.HOLD
    far = changed(RAW, **{f"c{i}": 99.0 for i in range(25)})
    how = {"status": status, "action": action, "smaller": smaller}
    found = compared(cycles(RAW, **how), cycles(far, RAW, **how), FORCE)
    assert found.compared == 1000 - 29
    assert found.apart == {
        "recorded: 102 BAD_INPUT": 20,
        "recorded: 100 PAUSED": 5,
        "recorded: a fallback stood in": 3,
        "recorded: a smaller model computed": 1,
    }
    assert found.outputs[0].largest == 0.0


def test_what_only_the_new_one_fails_in_is_a_fault():
    """A status of its own, numbers that are none; what both fail in is none of the new one's."""
    old_status, new_status = np.zeros(1000, int), np.zeros(1000, int)
    old_status[3] = new_status[3] = TaskStatus.NAN_OUTPUT
    new_status[50], new_status[60] = 3, TaskStatus.NAN_OUTPUT
    old = cycles(changed(RAW, c3=np.nan), status=old_status)
    found = compared(old, cycles(changed(RAW, c3=np.nan, c60=np.nan), status=new_status), FORCE, pieces=4)
    assert (found.faults, found.fault_ns) == (2, at(50))
    assert (found.not_finite, found.outputs[0].first_bad_ns) == (1, at(60))
    assert found.apart == {"new: 3 DIVISION_BY_ZERO": 1}


def test_values_beyond_the_contract_are_counted():
    terms = OutputTerms("force", "N", least=-1.0, most=1.0)
    (one,) = compared(cycles(RAW), cycles(changed(RAW, c9=1.5, c8=-2.0, c7=np.nan)), terms).outputs
    assert (one.outside, one.not_finite, one.first_bad_ns) == (2, 1, at(7))


def test_what_the_guard_did_to_both_is_counted():
    """Clamped to the limits; kept to a rate is what differs from that; in cycles that were held it did nothing."""
    terms = OutputTerms("force", "N", low=-0.5, high=0.5)
    action = np.zeros(4, int)
    action[3] = Action.HOLD
    old = cycles([0.1, 0.7, 0.2, 9.0], [0.1, 0.5, 0.3, 0.3], action=action)
    new = cycles([0.1, -0.7, -0.7, 0.0], [0.1, -0.2, -0.5, 0.0])
    found = compared(old, new, terms)
    (one,) = found.outputs
    assert one.clamped == (1, 2)
    assert one.limited == (1, 1)
    assert one.published.largest == pytest.approx(0.8)
    assert found.both == {("LIVE", "LIVE"): 3, ("HOLD", "LIVE"): 1}


def test_what_the_monitor_said_of_both_is_counted():
    old, new = cycles(RAW, monitor=0.5), cycles(RAW, monitor=np.linspace(0, 2, 1000))
    found = compared(old, new, FORCE, monitor_limit=1.0)
    assert (found.old.over_limit, found.new.over_limit) == (0, 500)
    assert (found.old.monitor, found.new.monitor) == (0.5, 2.0)


def test_other_cycles_are_no_comparison():
    with pytest.raises(ValueError, match="other cycles"):
        compared(cycles(RAW), cut(cycles(RAW, first=1), np.arange(1000)), FORCE)


def test_it_is_plain_json():
    """Limits that are infinite are null: any reader of JSON takes it."""
    found = compared(cycles(RAW), cycles(RAW + 0.5), OutputTerms("force", "N"), utc_ns=3)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    (one,) = data["outputs"]
    assert one["largest"] == pytest.approx(0.5)
    assert (one["high"], one["tolerance"], one["name"]) == (None, None, "force")
    assert data["actions"] == [{"old": "LIVE", "new": "LIVE", "cycles": 1000}]
