from hypothesis import given
from hypothesis import strategies as st

from scheduler.deadlines import (
    common_period,
    is_late,
    missed_ticks,
    next_due,
    tick_at_or_after,
    tick_served,
    watchdog_tripped,
)

times = st.integers(0, 10**18)
periods = st.integers(50_000, 10**10)


@given(times, times, periods)
def test_first_tick_at_or_after(now: int, epoch: int, period: int) -> None:
    """The first tick at or after any time lies on the grid, less than a period away, before the epoch and after it."""
    tick = tick_at_or_after(now, epoch, period)
    assert (tick - epoch) % period == 0
    assert now <= tick < now + period


@given(times, st.integers(0, 1000), periods, st.integers(0, 10**11), st.integers(0, 10**11))
def test_every_tick_is_served_or_missed_once(epoch: int, k: int, period: int, latency: int, work: int) -> None:
    """However late a cycle wakes or ends: the ticks up to the next due one are the served one plus the missed ones."""
    due = epoch + k * period
    woke = due + latency
    tick = tick_served(due, woke, epoch, period)
    done = woke + work
    following = next_due(tick, done, epoch, period)
    assert due <= tick <= woke < tick + period
    assert following > tick
    assert following >= done  # never a burst: the next tick is still ahead
    missed = missed_ticks(due, tick, following, period)
    assert missed >= 0
    assert 1 + missed == (following - due) // period
    assert (missed > 0) == is_late(due, tick, done, period)


def test_on_time_cycle_waits_for_the_next_tick() -> None:
    """A cycle that ends within its period, or exactly at its end, misses nothing."""
    for done in (150, 199, 200):
        assert next_due(100, done, 0, 100) == 200
        assert not is_late(100, 100, done, 100)


def test_late_end_skips_the_ticks_that_passed() -> None:
    """An end 1 ns after the deadline costs the tick at the deadline, and no more."""
    assert next_due(100, 201, 0, 100) == 300
    assert missed_ticks(100, 100, 300, 100) == 1


def test_late_wake_serves_the_newest_tick() -> None:
    """A task that slept through ticks serves the newest one and counts the others."""
    assert tick_served(100, 455, 0, 100) == 400
    assert missed_ticks(100, 400, 500, 100) == 3


def test_watchdog_needs_n_late_to_trip_and_n_on_time_to_recover() -> None:
    """The watchdog has the same patience in both directions; limit 0 switches it off."""
    assert [watchdog_tripped(0, n, 0, 3) for n in range(5)] == [0, 0, 0, 1, 1]
    assert [watchdog_tripped(1, 0, n, 3) for n in range(5)] == [1, 1, 1, 0, 0]
    assert watchdog_tripped(0, 1000, 0, 0) == 0


def test_common_period_of_one_and_two_ms() -> None:
    """Ticks of 1 ms, 2 ms and 3 ms tasks coincide every 6 ms."""
    assert common_period((1_000_000, 2_000_000, 3_000_000)) == 6_000_000
