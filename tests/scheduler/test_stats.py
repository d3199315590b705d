import json

from rt_native.histogram import Histogram
from scheduler import Usage
from scheduler.stats import Latency
from scheduler.status import TaskStatus, describe
from tests.scheduler.fakes import bench


def test_latency_of_a_histogram() -> None:
    """The numbers are the histogram's, in nanoseconds."""
    histogram = Histogram()
    for ns in range(1, 1001):
        histogram.add(ns)
    latency = Latency.of(histogram)
    assert (latency.count, latency.min_ns, latency.max_ns, latency.last_ns) == (1000, 1, 1000, 1000)
    assert 485 <= latency.p50_ns <= 515
    assert latency.p50_ns <= latency.p99_ns <= latency.p99_9_ns <= latency.p99_99_ns <= latency.max_ns


def test_statistics_go_into_json() -> None:
    """as_dict is plain: it survives a round trip through JSON, with names for state, action and status."""
    b = bench()
    stats = b.run(2, before=lambda k: b.put(1))[-1].stats
    plain = stats.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["state"], plain["action"], plain["status_text"]) == ("RUNNING", "LIVE", "0 OK")
    assert plain["wakeup"]["count"] == 2


def test_status_numbers_of_tasks_and_models_do_not_collide() -> None:
    """A task's numbers begin at 100, the model's own end before; each has one name."""
    from rt_engine.status import Status

    assert {int(s) for s in Status} & {int(s) for s in TaskStatus} == {0}
    assert min(int(s) for s in TaskStatus if s) >= 100 > max(Status)
    assert describe(102) == "102 BAD_INPUT"
    assert describe(1) == "1 INDEX_OUT_OF_RANGE"
    assert describe(77) == "77 (unknown)"


def test_usage_difference() -> None:
    """What was counted between two moments."""
    assert Usage(5, 1, 9, 2) - Usage(3, 1, 4, 0) == Usage(2, 0, 5, 2)
