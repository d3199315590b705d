"""What becomes of what a ring holds: nothing leaves it before it is written, and a slow writer loses the oldest, counted."""

import numpy as np

from rt_engine.recording.layout import TaskLayout
from station.recorder import lanes
from station.recorder.episodes import Always, Episodes, Fired
from station.recorder.lanes import Lane
from tests.station.recorder.records import LAYOUT, MS, records
from tests.station.recorder.rings import FakeRing


def taken(lane):
    """Ticks (in ms) of all that is kept now, written at once."""
    found = []
    while (one := lane.take()) is not None:
        found += (one[1]["tick_ns"] // MS).tolist()
        lane.done()
    return found


def test_what_is_kept_stays_in_the_ring_until_it_is_written():
    ring = FakeRing()
    lane = Lane(ring, "records")
    ring.put(records(100))
    assert len(lane.new()) == 100
    lane.decide(Always(), 0)
    assert (ring.tail, lane.waits) == (0, 100)
    job, copies = lane.take()
    assert (job.count, len(copies), ring.tail) == (100, 100, 0)
    lane.done()
    assert (ring.tail, lane.waits) == (100, 0)


def test_around_a_trigger():
    ring, plan = FakeRing(), Episodes(10 * MS, 5 * MS, 0)
    lane = Lane(ring, "records")
    ring.put(records(50))
    lane.new()
    lane.decide(plan, 50 * MS)
    assert taken(lane) == [] and ring.tail == 40
    plan.fire(Fired(45 * MS, "fault", "axis", ""))
    ring.put(records(30, 50))
    lane.new()
    lane.decide(plan, 80 * MS)
    assert taken(lane) == list(range(40, 51))
    assert ring.tail == 70, "what came after the episode is dropped when no trigger can want it any more"


def test_checkpoints_are_kept_likewise():
    ring, plan = FakeRing(), Episodes(10 * MS, 5 * MS, 0)
    lane = Lane(ring, "checkpoints")
    ring.put_checkpoints([0, 10 * MS, 20 * MS, 30 * MS], [1, 11, 21, 31])
    plan.fire(Fired(22 * MS, "fault", "axis", ""))
    lane.new()
    lane.decide(plan, 40 * MS)
    assert taken(lane) == [20] and ring.checkpoint_tail == 3


def test_small_looks_become_jobs_of_a_chunks_size(monkeypatch):
    monkeypatch.setattr(lanes, "JOB_BYTES", 100 * LAYOUT.nbytes)
    ring, plan = FakeRing(), Always()
    lane = Lane(ring, "records")
    for look in range(25):
        ring.put(records(10, 10 * look))
        lane.new()
        lane.decide(plan, 0)
    sizes = []
    while (one := lane.take()) is not None:
        sizes.append(one[0].count)
        lane.done()
    assert sizes == [100, 100, 50]


def test_a_slow_writer_loses_the_oldest_and_they_are_counted(monkeypatch):
    monkeypatch.setattr(lanes, "JOB_BYTES", 100 * LAYOUT.nbytes)
    ring, plan = FakeRing(capacity=1000), Always()
    lane = Lane(ring, "records")
    ring.put(records(900))
    lane.new()
    lane.decide(plan, 0)
    _, copies = lane.take()
    ring.put(records(80, 900))
    lane.spare()
    assert (len(copies), ring.tail, lane.lost) == (100, 200, 100), "the one that is being written is not lost"
    lane.done()
    assert (ring.tail, ring.dropped) == (200, 0)
    lane.new()
    lane.decide(plan, 0)
    assert taken(lane) == list(range(200, 980))


def test_a_job_that_is_being_written_does_not_grow():
    ring, plan = FakeRing(), Always()
    lane = Lane(ring, "records")
    ring.put(records(10))
    lane.new()
    lane.decide(plan, 0)
    lane.take()
    ring.put(records(10, 10))
    lane.new()
    lane.decide(plan, 0)
    lane.done()
    assert ring.tail == 10 and taken(lane) == list(range(10, 20))


def test_without_a_plan_all_that_was_looked_at_is_dropped():
    ring = FakeRing()
    lane = Lane(ring, "records")
    ring.put(records(10))
    lane.new(4)
    lane.drop()
    assert ring.tail == 4
    assert len(lane.new()) == 6


def test_a_record_larger_than_a_job_is_a_job():
    layout = TaskLayout("big", MS, (), (), regions=(("r", lanes.JOB_BYTES * 2),))
    ring = FakeRing(layout)
    ring.put_checkpoints([1], [1])
    lane = Lane(ring, "checkpoints")
    lane.new()
    lane.decide(Always(), 0)
    assert taken(lane) == [0]
    assert isinstance(np.zeros(1, layout.checkpoint_dtype), np.ndarray)
