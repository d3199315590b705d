"""The drain hands every cycle of every task to who listens, and holds nothing back without a recorder."""

from station.recorder.drain import Drain
from tests.station.recorder.records import records
from tests.station.recorder.rings import FakeRing
from tests.waiting import wait_for


def test_every_cycle_is_heard_once_and_the_ring_is_empty():
    ring, heard = FakeRing(), []
    drain = Drain([ring])
    drain.listen(lambda layout, found: heard.append((layout.task, found["number"].tolist())))
    ring.put(records(3))
    ring.put_checkpoints([0], [1])
    drain.look()
    drain.look()
    ring.put(records(2, 3))
    drain.look()
    assert heard == [("axis", [1, 2, 3]), ("axis", [4, 5])]
    assert (ring.tail, ring.checkpoint_tail) == (5, 1)


def test_a_listener_that_fails_is_told_and_not_called_again():
    ring, heard, told = FakeRing(), [], []
    drain = Drain([ring], told.append)
    drain.listen(lambda layout, found: 1 / 0)
    drain.listen(lambda layout, found: heard.append(len(found)))
    for _ in range(2):
        ring.put(records(1))
        drain.look()
    assert heard == [1, 1]
    assert len(told) == 1 and "ZeroDivisionError" in told[0]


def test_who_ends_listening_hears_no_more():
    ring, heard = FakeRing(), []
    drain = Drain([ring])
    end = drain.listen(lambda layout, found: heard.append(len(found)))
    end()
    ring.put(records(1))
    drain.look()
    assert heard == []


def test_the_thread_looks_and_the_last_look_is_at_the_stop():
    ring, heard = FakeRing(), []
    drain = Drain([ring])
    drain.listen(lambda layout, found: heard.extend(found["number"].tolist()))
    drain.start()
    ring.put(records(5))
    wait_for(lambda: len(heard) == 5)
    drain.stop()
    ring.put(records(1, 5))
    drain.look()
    assert heard == [1, 2, 3, 4, 5, 6]
