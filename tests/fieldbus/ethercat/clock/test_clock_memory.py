from fieldbus.ethercat.clock.clock_memory import BusClock
from tests.fieldbus.ethercat.clocked import MS, Loop


def test_a_clock_says_nothing_before_the_first_frame() -> None:
    """No phase, no rate, not locked, not lost."""
    status = BusClock(1 * MS).status()
    assert not status.is_locked
    assert not status.is_lost
    assert (status.phase_ns, status.rate_ppm, status.heard, status.refused, status.offsets.count) == (0, 0.0, 0, 0, 0)


def test_a_restart_forgets_the_phase_and_keeps_the_rate() -> None:
    """The reference was set anew: that is no jump, and no loss of the phase."""
    one = Loop(BusClock(1 * MS), 1 * MS, 70.0, 10**16).run(2000)
    one.clock.restart()
    assert not one.clock.status().is_locked
    assert abs(one.clock.status().rate_ppm - 70.0) < 0.1
    one.ahead_ns += 10**15 + 12_345
    one.run(1500)
    status = one.clock.status()
    assert (status.is_locked, status.jumps, status.unlocks, status.losses) == (True, 0, 0, 0)
    assert abs(one.phases[-1]) <= 2


def test_counters_begin_anew_and_the_clock_goes_on() -> None:
    """What is counted is of the time since; the lock is none of it."""
    one = Loop(BusClock(1 * MS), 1 * MS, 0.0, 10**16).run(2000)
    one.clock.reset_counters()
    status = one.clock.status()
    assert (status.heard, status.offsets.count, status.is_locked) == (0, 0, True)


def test_a_short_cycle_has_a_window_of_two_microseconds() -> None:
    """A two-hundredth of the cycle would be less than what a machine can hold."""
    one = Loop(BusClock(250_000), 250_000, 5.0, 10**16, travel=lambda k: 2_000 + 1_500 * (k % 2)).run(1500)
    assert one.clock.status().is_locked
