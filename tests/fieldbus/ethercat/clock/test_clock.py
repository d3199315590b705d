from hypothesis import given
from hypothesis import strategies as st

from fieldbus.ethercat.clock import clock
from fieldbus.ethercat.clock.clock import (
    LEAST_GATE_NS,
    MOST_RATE,
    RATE_Q,
    Q,
    drawn_out,
    gate,
    pull,
    slew,
    turn,
    unwrapped,
    usual,
    within,
    wrapped,
)

CYCLE = 1_000_000
times = st.integers(-(10**18), 10**18)


@given(times, st.integers(50_000, 10**9))
def test_a_phase_is_the_difference_less_whole_cycles(ns: int, cycle: int) -> None:
    """At most half a cycle early or late."""
    phase = wrapped(ns, cycle)
    assert (ns - phase) % cycle == 0
    assert -cycle <= 2 * phase <= cycle


@given(st.integers(0, 10**18), st.integers(-(1 << 31), (1 << 31) - 1))
def test_a_clock_of_32_bits_goes_on_where_it_wraps(before: int, gone: int) -> None:
    """What it means is the time nearest to what it told before that has these bits."""
    assert unwrapped((before + gone) & 0xFFFFFFFF, before, 1) == before + gone


def test_a_clock_of_64_bits_means_what_it_tells() -> None:
    """Whatever it told before."""
    assert unwrapped(5, 1 << 40, 0) == 5


def test_a_line_is_what_least_squares_make_of_all_its_pairs() -> None:
    """The n-th pair pulls it by 2 (2 n - 1) / (n (n + 1)), and turns it by 6 / (n (n + 1)): exactly the fit of n pairs."""
    measured = [3000, 8100, 5200, 16400, 11900, 21000]
    line, rate = measured[0] << Q, 0
    for n, one in enumerate(measured[1:], 2):
        line += drawn_out(rate, CYCLE)
        residual = (one << Q) - line
        rate += turn(residual, n, CYCLE)
        line += pull(residual, n)
    xs, n = range(len(measured)), len(measured)
    mean_x, mean_y = sum(xs) / n, sum(measured) / n
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, measured, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )
    assert abs(line / (1 << Q) - (mean_y + slope * (n - 1 - mean_x))) < 0.01
    assert abs(rate / (1 << RATE_Q) * CYCLE - slope) < 0.01


def test_the_gate_is_eight_times_the_usual_distance_and_opens_with_time() -> None:
    """One nanosecond for each 50 us of silence: 20 ppm."""
    assert gate(1000 << Q, 0) == (8000 + LEAST_GATE_NS) << Q
    assert gate(0, 10**9) == (LEAST_GATE_NS + 20_000) << Q


def test_the_usual_distance_follows_what_is_believed() -> None:
    """A thirty-second part each time; one that is very far counts no more than the gate."""
    assert usual(3200, 0, 5) == 3100
    assert usual(0, 1 << 60, 5) == (LEAST_GATE_NS << Q) >> 5


@given(st.integers(-CYCLE, CYCLE), st.integers(-MOST_RATE, MOST_RATE))
def test_no_cycle_is_changed_by_more_than_rate_and_bound(error_ns: int, rate: int) -> None:
    """A thousandth for the rate, a thousandth for the error: two together, whatever the error is."""
    moved = slew(error_ns << Q, rate, CYCLE, (CYCLE << Q) // 1000)
    assert abs(moved) <= 2 * (CYCLE << Q) // 1000 + 1


def test_an_error_makes_the_next_cycle_shorter_where_frames_come_too_late() -> None:
    """And a bus clock that is faster than ours makes every one shorter."""
    assert slew(400 << Q, 0, CYCLE, 1 << 60) == -(100 << Q)
    assert slew(0, (1 << RATE_Q) // 10_000, CYCLE, 1 << 60) >> Q == -100


def test_within_keeps_to_both_sides() -> None:
    """A bound holds for early as for late."""
    assert [within(v, 5) for v in (-9, -5, 0, 5, 9)] == [-5, -5, 0, 5, 5]


def test_a_reference_that_tells_nonsense_for_seconds_does_not_open_the_gate_for_ever() -> None:
    """The usual distance stays that of noise: numbers beyond it left the 64 bits of native code, and nothing was in phase again."""
    usual_q = 0
    for _ in range(5000):
        usual_q = clock.usual(usual_q, 1 << 61, 8)
    assert usual_q <= clock.MOST_NOISE_NS << clock.Q
