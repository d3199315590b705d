"""How far cores are from each other, and what a measurement that failed is taken for."""

import threading

import pytest

from rt_engine.run import distance
from rt_native.memory import Block
from tests.waiting import PATIENCE_S

_LONG_NS = 120_000_000_000


def test_a_line_that_is_sent_back_is_timed():
    """Every word that is asked is answered, by another thread, wherever it runs."""
    line, found = Block(64), []
    ask, answer = (distance.HELPING.function(name) for name in ("ask", "answer"))
    other = threading.Thread(target=lambda: found.append(answer(line.address, 2, _LONG_NS)))
    other.start()
    ns = ask(line.address, 2, _LONG_NS)
    other.join()
    assert ns > 0 and found == [2 * 32]


def test_who_is_not_answered_does_not_wait_for_ever():
    assert distance.HELPING.function("ask")(Block(64).address, 2, 1_000_000) == 0
    assert distance.HELPING.function("answer")(Block(64).address, 2, 1_000_000) == 0


class Answers:
    """Native code whose batches take so long."""

    def __init__(self, ns):
        self.ns = ns

    def function(self, name):
        return lambda line, batches, patience: self.ns


@pytest.mark.parametrize(
    ("batch_ns", "expected"), [(32 * 270, 270.0), (0, distance.NEAR_NS), (32 * 5_000_000, distance.NEAR_NS)]
)
def test_what_was_not_measured_is_taken_for_near(monkeypatch, batch_ns, expected):
    """Cores that did not meet, and batches that were all interrupted, change nothing."""
    monkeypatch.setattr(distance, "HELPING", Answers(batch_ns))
    monkeypatch.setattr(distance, "_MOST_S", PATIENCE_S)
    assert distance._distance_ns.__wrapped__(None, None) == expected


class Starved:
    """Native code whose thread gets no time until `fed`."""

    def __init__(self):
        self.fed = threading.Event()

    def function(self, name):
        return lambda line, batches, patience: self.fed.wait()


def test_who_gets_no_time_on_a_core_is_not_awaited_for_ever(monkeypatch):
    """A real-time thread has all of it: a task of another station, which `check` stands beside."""
    starved = Starved()
    monkeypatch.setattr(distance, "HELPING", starved)
    monkeypatch.setattr(distance, "_MOST_S", 0.01)
    try:
        assert distance._distance_ns.__wrapped__(None, None) == distance.NEAR_NS
    finally:
        starved.fed.set()


def test_the_farthest_helper_counts(monkeypatch):
    monkeypatch.setattr(
        distance, "_distance_ns", lambda one, other: {(2, 3): 60.0, (2, 5): 300.0}.get((one, other), 1.0)
    )
    assert distance.farthest_ns(2, (3, 5)) == 300.0 and distance.farthest_ns(2, (3,)) == 60.0
    assert distance.farthest_ns() == distance.farthest_ns(2) == 1.0
