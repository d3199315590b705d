"""Turns of Python threads: short while anyone holds them so, whatever the order in which holders let go."""

import sys
import threading

import pytest

from rt_native.turns import SHORT_S, TURNS, Turns

USUAL_S = 0.005


class Interval:
    """The number of a process, and what it was set to."""

    def __init__(self, first=USUAL_S):
        self.now, self.sets = first, []

    def write(self, seconds):
        self.now = seconds
        self.sets.append(seconds)


@pytest.fixture
def interval():
    return Interval()


@pytest.fixture
def turns(interval):
    return Turns(lambda: interval.now, interval.write)


def test_turns_are_short_within_and_as_before_after(interval, turns):
    for _ in range(2):
        with turns.short():
            assert interval.now == SHORT_S
        assert interval.now == USUAL_S


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_last_holder_puts_back_what_was_before_the_first(interval, turns, order):
    """Holders that overlap, and let go in the order they came, in the opposite one, or in another."""
    holders = [turns.short() for _ in order]
    for holder in holders:
        holder.__enter__()
    for left, place in enumerate(order, 1):
        assert interval.now == SHORT_S
        holders[place].__exit__(None, None, None)
        assert interval.now == (USUAL_S if left == len(order) else SHORT_S)


def test_an_error_lets_go(interval, turns):
    with pytest.raises(ZeroDivisionError), turns.short():
        _ = 1 / 0
    assert interval.now == USUAL_S


def test_an_interval_that_was_shorter_stays(turns, interval):
    interval.now = SHORT_S / 5
    with turns.short():
        assert interval.now == SHORT_S / 5
    assert interval.now == SHORT_S / 5


def test_what_somebody_else_set_meanwhile_stays(turns, interval):
    with turns.short():
        interval.now = 0.1
    assert interval.now == 0.1


def test_many_threads_leave_it_as_it_was(interval, turns):
    """They enter and leave as they come; it was never set back while another held it."""
    seen = []

    def often():
        for _ in range(200):
            with turns.short():
                seen.append(interval.now)

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {SHORT_S}
    assert interval.now == USUAL_S


def test_those_of_the_process_are_pythons():
    """Whoever else holds them at this moment: they are short within."""
    with TURNS.short():
        assert sys.getswitchinterval() == pytest.approx(SHORT_S)
