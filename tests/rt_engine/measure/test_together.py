"""One thread beside several: what is said of both."""

import rt_engine
from rt_engine.measure.profile import record_times
from rt_engine.measure.together import run_together
from tests.rt_engine.run.test_team import layers


def test_both_are_measured_and_compared():
    """The bits are the same, and the words say how much quicker it is."""
    found = run_together(rt_engine.load(layers()), 2, 0.1)
    assert found.same and found.share == 1.0 and found.single_ns > 0 and found.several_ns > 0
    assert found.stats is not None and found.stats.fan_outs > 0 and found.stats.late == 0
    assert "times as fast, the same bits; 100% of the work is cut" in str(found)


def test_a_short_model_is_said_to_stay_on_one_core():
    found = run_together(rt_engine.load(layers(size=16, rows=1)), 2, 0.1)
    assert found.stats is None and "stays on one core" in str(found)


def test_cores_that_are_too_far_for_a_model_are_told(monkeypatch):
    """It is measured all the same."""
    monkeypatch.setattr("rt_engine.measure.together.farthest_ns", lambda: 1e5)
    found = run_together(rt_engine.load(layers()), 2, 0.1)
    assert found.stats is not None and found.stats.fan_outs > 0 and found.is_too_far
    assert str(found).endswith(
        "a cache line takes 100,000 ns there and back, and a task on cores that far apart keeps it on one"
    )


def test_records_that_fan_out_are_timed():
    """As any other: one time for each record of the program."""
    context = rt_engine.load(layers(), threads=2).context()
    times = record_times(context, 0.05)
    assert context.shared == 1.0 and len(times) == 6 and (times > 0).all()
