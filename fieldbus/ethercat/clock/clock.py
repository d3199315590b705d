"""Arithmetic of a cycle's clock against a distributed clock: pure integers, the same functions in native code and in tests.

    bus clock    |-----|-----|-----|-----|    SYNC0 of all slaves, from their reference clock
    our clock      |------|------|------|     CLOCK_MONOTONIC, by which threads are woken

Every frame that passes the reference clock tells what time it was there. Of these pairs (when it was sent, what time it was) a
line is kept: `offset` and `rate` of the bus clock against ours. It is fitted by least squares over the first `n` pairs, later over
a sliding horizon of the same weight (an alpha-beta filter: proportional and integral). What is far from it is not believed.

The next wake-up is then moved so that frames arrive at the wanted phase: by the rate always, and by a part of what is left of
the error, within a bound. While the reference clock is lost the rate is held. Times in nanoseconds; names that end in `_q` have
16 binary places more, `rate` has 32 and is nanoseconds per nanosecond.
"""

from typing import Final

Q: Final = 16
"""Binary places of what is finer than a nanosecond."""
RATE_Q: Final = 32
MOST_RATE: Final = (1 << RATE_Q) // 1000
"""No two clocks that work differ by more than 1,000 ppm; CLOCK_MONOTONIC itself is steered by up to 500."""
FIRST: Final = 32
"""From so many pairs on the line is used, and what is far from it is not believed."""
SURE: Final = 64
"""A new line goes on with the rate of the one before, as if so many pairs had told it."""
IN_A_ROW: Final = 32
"""So many pairs in a row that are far from the line: it is the line that is wrong, the bus clock has jumped."""
ONE_SIDED: Final = 24
"""So many in a row on one side of the line: the rate has changed, and the horizon is halved."""
FARTHEST: Final = 8
"""Times the usual distance from the line: what is farther is not believed."""
LEAST_GATE_NS: Final = 1000
MOST_NOISE_NS: Final = 1 << 20
DRIFT: Final = 50_000
"""A line that has heard nothing for so long may be off by one more nanosecond in each of these (20 ppm)."""
LONGEST_NS: Final = 1 << 40
"""A line that has heard nothing for longer (18 minutes) is not drawn out any further."""


def wrapped(ns: int, cycle_ns: int) -> int:
    """A time difference as a phase, from half a cycle too early to half a cycle too late."""
    return (ns + cycle_ns // 2) % cycle_ns - cycle_ns // 2


def unwrapped(told_ns: int, before_ns: int, is_short: int) -> int:
    """What a clock means that tells only the lowest 32 bits, where it last was at `before_ns`; others mean what they tell."""
    if is_short == 0:
        return told_ns
    gone = (told_ns - before_ns) & 0xFFFFFFFF
    return before_ns + (gone if gone < 1 << 31 else gone - (1 << 32))


def drawn_out(rate: int, gone_ns: int) -> int:
    """How far the bus clock gets ahead in `gone_ns` (`_q`)."""
    return (rate * max(min(gone_ns, LONGEST_NS), -LONGEST_NS)) >> (RATE_Q - Q)


def pull(residual_q: int, n: int) -> int:
    """By how much the n-th pair moves the line, when it is `residual_q` above it."""
    return residual_q * 2 * (2 * n - 1) // (n * (n + 1))


def turn(residual_q: int, n: int, gone_ns: int) -> int:
    """By how much it changes its rate, when `gone_ns` have gone since the pair before."""
    return (residual_q << (RATE_Q - Q)) * 6 // (n * (n + 1) * gone_ns)


def gate(usual_q: int, gone_ns: int) -> int:
    """How far from the line a pair may be to be believed (`_q`)."""
    return FARTHEST * usual_q + ((LEAST_GATE_NS + min(gone_ns, LONGEST_NS) // DRIFT) << Q)


def usual(usual_q: int, distance_q: int, slowness: int) -> int:
    """The usual distance from the line, after one more, which counts 1 / 2**slowness; no noise is more than a millisecond."""
    after = usual_q + ((min(distance_q, FARTHEST * usual_q + (LEAST_GATE_NS << Q)) - usual_q) >> slowness)
    return min(after, MOST_NOISE_NS << Q)


def within(value: int, most: int) -> int:
    """`value`, kept within +-`most`."""
    return max(min(value, most), -most)


def slew(error_q: int, rate: int, cycle_ns: int, most_q: int) -> int:
    """By how much the next cycle is longer than `cycle_ns` (`_q`): what the rate takes, and a quarter of the error, within a bound."""
    return -((rate * cycle_ns) >> (RATE_Q - Q)) - max(min(error_q >> 2, most_q), -most_q)
