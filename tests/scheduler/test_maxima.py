"""The longest of every interval, as the cycle keeps it: on a clock that the test moves."""

import pytest

from scheduler.maxima import KINDS, Maxima
from tests.scheduler.fakes import EPOCH, MS, bench

INTERVAL = 4 * MS


def driven(maxima, late_ns, first=EPOCH):
    """A task of 1 ms whose cycle k wakes `late_ns[k]` after its tick."""
    task = bench()
    task.runner.keep_maxima(maxima)
    maxima.begin(first)

    def before(number):
        task.clock.latency_ns = late_ns[number]
        task.put(1.0)

    task.run(len(late_ns), before)
    return task


def test_each_interval_has_its_longest_and_when_it_was():
    """Two intervals: what is longest in each, its tick, and how many cycles there were."""
    maxima = Maxima(INTERVAL, 8)
    late = [10, 300, 20, 30, 40, 50, 700, 60]
    task = driven(maxima, late)
    rows = maxima.rows()
    starts = [int(row["wakeup_tick_ns"]) for row in rows]
    assert sum(rows["cycles"]) == len(late)
    assert max(rows["wakeup_ns"]) == 700
    assert all((tick - EPOCH) // INTERVAL == number for number, tick in enumerate(starts) if tick)
    for kind in KINDS:
        assert maxima.histogram(kind).count == len(late)
    own = task.runner.memory.wakeup
    assert maxima.histogram("wakeup").max == own.max == 700
    assert (maxima.histogram("reaction").max, maxima.histogram("reaction").min) == (700, 10)


def test_cycles_before_the_first_and_behind_the_last_interval_do_not_count():
    """The memory is a bound: nothing is written behind it."""
    maxima = Maxima(INTERVAL, 1)
    driven(maxima, [10, 20, 30, 40, 50, 60, 70, 80], first=EPOCH - 6 * MS)
    rows = maxima.rows()
    assert len(rows) <= 1
    assert maxima.histogram("wakeup").count == sum(rows["cycles"]) < 8


def test_nothing_counts_before_begin():
    """A task that has the memory, and no word to begin."""
    maxima = Maxima(INTERVAL, 4)
    task = bench()
    task.runner.keep_maxima(maxima)
    task.run(3, lambda number: task.put(1.0))
    assert len(maxima.rows()) == maxima.histogram("wakeup").count == 0


@pytest.mark.parametrize("kind", KINDS)
def test_begin_forgets(kind):
    maxima = Maxima(INTERVAL, 4)
    driven(maxima, [10, 20])
    maxima.begin(EPOCH)
    assert maxima.histogram(kind).count == len(maxima.rows()) == 0
