import numpy as np
import pytest

from fieldbus.ethercat.clock.clock_memory import BusClock
from tests.fieldbus.ethercat.clocked import MS, Loop, noisy

AHEAD = 12_345_678_901_234_567
CYCLES = [250_000, 1 * MS, 10 * MS]


def loop(cycle_ns: int = 1 * MS, ppm: float = 0.0, *, is_noisy: bool = True, **more: object) -> Loop:
    """A machine whose threads wake up 10 us late, now and then nearly a millisecond, and a reference that is somewhere else."""
    if is_noisy:
        more = {"latency": noisy(1, 10_000, 900_000, 500), "travel": noisy(2, 1000, 50_000, 300), **more}
    return Loop(BusClock(cycle_ns), cycle_ns, ppm, AHEAD, **more)  # type: ignore[arg-type]


def spread(phases: list[int]) -> int:
    """How far phases are from the one in their middle, at most."""
    found = np.array(phases)
    return int(abs(found - np.median(found)).max())


@pytest.mark.parametrize("cycle_ns", CYCLES)
@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_frames_come_at_the_wanted_phase_whatever_the_drift(cycle_ns: int, ppm: float) -> None:
    """Without noise: within 2 ns, after at most 700 cycles, from wherever it began; the rate is right to 0.1 ppm."""
    one = loop(cycle_ns, ppm, is_noisy=False).run(700)
    settled = len(one.phases)
    one.run(2000)
    assert max(map(abs, one.phases[settled:])) <= 2
    status = one.clock.status()
    assert status.is_locked
    assert status.rate_ppm == pytest.approx(ppm, abs=0.1)
    assert status.offsets.max <= max(cycle_ns // 50, 8000)
    assert status.unlocks == status.refused == status.jumps == 0


@pytest.mark.parametrize("cycle_ns", CYCLES)
@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_noise_of_threads_and_cables_hardly_moves_the_wake_up(cycle_ns: int, ppm: float) -> None:
    """With wake-ups up to 900 us late and frames that travel up to 50 us: the wake-up stays within 5 us on the bus clock."""
    one = loop(cycle_ns, ppm).run(6000)
    assert spread(one.begins[2000:]) < 5_000
    assert one.clock.status().rate_ppm == pytest.approx(ppm, abs=1.0)
    assert one.clock.status().unlocks == 0
    assert 0 < one.clock.status().refused < 100


@pytest.mark.parametrize("target_ns", [0, 300_000, 999_999])
def test_the_wanted_phase_is_what_it_is_told(target_ns: int) -> None:
    """Frames pass the reference clock there."""
    one = Loop(BusClock(1 * MS, target_ns=target_ns), 1 * MS, 20.0, AHEAD).run(1500)
    assert one.phases[-1] % (1 * MS) == pytest.approx(target_ns, abs=2)
    assert abs(one.clock.status().phase_ns) <= 2


def test_no_cycle_is_longer_or_shorter_by_more_than_two_thousandths() -> None:
    """Not while it begins, nor after a jump: the ticks of tasks stay where a drive can follow."""
    one = loop(ppm=440.0).run(1000)
    one.ahead_ns += 10**15 + 333_333
    one.run(1000)
    assert one.clock.status().jumps == 1
    assert max(map(abs, one.shifts)) <= 2_000
    assert max(map(abs, one.shifts)) > 1_000


def test_while_the_reference_is_lost_the_rate_is_held() -> None:
    """After five seconds without a word the wake-up is still where it was, within 5 us; it locks at once when it is back."""
    is_lost = False
    travel = noisy(3, 1000, 20_000, 300)
    one = loop(ppm=80.0, travel=lambda k: None if is_lost else travel(k)).run(4000)
    before = int(np.median(one.begins[-500:]))
    is_lost = True
    one.run(5000)
    assert one.clock.status().is_lost
    assert not one.clock.status().is_locked
    assert abs(one.begins[-1] - before) < 5_000
    is_lost = False
    one.run(100)
    status = one.clock.status()
    assert (status.is_lost, status.is_locked, status.losses, status.unlocks, status.jumps) == (False, True, 1, 1, 0)


def test_frames_that_are_lost_now_and_then_cost_nothing() -> None:
    """Every third."""
    travel = noisy(3, 1000, 20_000, 300)
    one = loop(ppm=-60.0, travel=lambda k: None if k % 3 == 0 else travel(k)).run(6000)
    assert spread(one.begins[3000:]) < 5_000
    assert one.clock.status().losses == 0


def test_a_jump_of_the_reference_is_followed() -> None:
    """Another slave tells the time: after 32 frames that do not fit it is believed, and the phase found anew."""
    one = loop(ppm=30.0).run(3000)
    for ahead in (333_333, 10**17 + 7, -5 * 10**17):
        jumps = one.clock.status().jumps
        one.ahead_ns += ahead
        one.run(40)
        assert one.clock.status().jumps == jumps + 1
        assert not one.clock.status().is_locked
        one.run(1500)
        assert one.clock.status().is_locked
        assert abs(float(np.mean(one.phases[-500:]))) < 15_000


@pytest.mark.parametrize("ppm", [40.0, -100.0, 400.0])
def test_a_step_of_the_rate_is_followed_within_a_second(ppm: float) -> None:
    """As the system's clock is steered by NTP; the phase is off by less than 0.1 us for each ppm meanwhile."""
    one = loop(ppm=0.0).run(3000)
    middle = float(np.median(one.begins[-500:]))
    one.change(ppm)
    one.run(1000)
    peak = max(abs(b - middle) for b in one.begins[-1000:])
    assert peak < 100 * abs(ppm) + 5_000
    one.run(500)
    assert spread(one.begins[-300:]) < 3_000
    assert one.clock.status().jumps == 0


def test_noise_that_grows_is_no_jump_of_the_clock_for_long() -> None:
    """When a machine gets busy, the gate opens, and the phase is held."""
    usual_ns = [1000]
    draw = noisy(5, 1000, 1001, 1 << 30)
    one = loop(ppm=10.0, travel=lambda k: draw(k) * usual_ns[0] // 1000).run(4000)
    usual_ns[0] = 30_000
    one.run(4000)
    status = one.clock.status()
    assert status.jumps <= 2
    assert status.is_locked
    assert spread(one.begins[-1000:]) < 15_000


def test_a_clock_of_32_bits_is_followed_over_its_wrap() -> None:
    """It wraps every 4.3 s; the phase does not notice."""
    one = Loop(BusClock(1 * MS, is_short=True), 1 * MS, 50.0, (1 << 32) - 10**15 % (1 << 32) - 2_000 * MS)
    whole = one.bus
    one.bus = lambda ns: whole(ns) & 0xFFFFFFFF  # type: ignore[method-assign]
    one.run(1000)
    before = whole(one.due_ns) % MS
    one.run(5000)
    assert abs(whole(one.due_ns) % MS - before) <= 2
    assert one.clock.status().jumps == 0


def test_a_frame_that_tells_again_what_it_told_is_not_believed() -> None:
    """Nothing new was sent."""
    one = loop(is_noisy=False).run(100)
    before = one.clock.status()
    one.due_ns -= 1 * MS + one.shifts[-1]
    one.run(1)
    assert one.clock.status().refused == before.refused + 1


def test_offsets_are_counted_since_it_was_first_in_phase() -> None:
    """Not those of the way there; then all, refused ones too."""
    one = loop(is_noisy=False).run(20)
    assert one.clock.status().offsets.count == 0
    one.run(2000)
    counted = one.clock.status().offsets.count
    assert 0 < counted < 2020
    one.ahead_ns += 400_000
    one.run(10)
    assert one.clock.status().offsets.count == counted + 10
    assert one.clock.status().offsets.max >= 390_000
