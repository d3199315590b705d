"""When a monitor speaks, tick by tick: limit, hysteresis, delay, values that are none."""

import math

import pytest

from scheduler.verdicts import NOT_OVER, is_over, over_since, speaks

TICK = 1_000


def spoken(values: list[float], *, limit: float = 1.0, hysteresis: float = 0.0, delay: int = 0) -> str:
    """`1` for each tick in which a monitor with these values speaks."""
    since, now, said = NOT_OVER, 0, ""
    for number, value in enumerate(values):
        since = over_since(since, is_over(value, limit, hysteresis, now), number * TICK)
        now = speaks(since, number * TICK, delay * TICK)
        said += str(now)
    return said


@pytest.mark.parametrize(
    ("values", "settings", "said"),
    [
        ([0.5, 1.0, 1.1, 1.0, 0.5], {}, "00100"),  # over is above the limit, not at it
        ([2, 2, 2, 2], {"delay": 2}, "0011"),  # over for two periods: from the third cycle on
        ([2, 2, 0, 2, 2, 2], {"delay": 2}, "000001"),  # in a row
        ([2, 0.9, 0.81, 0.8, 0.9], {"hysteresis": 0.2}, "11100"),  # until it is at limit - hysteresis
        ([0.9, 0.9], {"hysteresis": 0.2}, "00"),  # the hysteresis is for one that speaks
        ([2, 2, 0.9, 0.9, 2], {"hysteresis": 0.2, "delay": 2}, "00000"),  # ... not for one that waits
        ([2, 2, 2, 0.9, 0.7, 2], {"hysteresis": 0.2, "delay": 2}, "001100"),
        ([math.nan, 0.0, math.nan], {}, "101"),  # what cannot be told is not trusted
        ([math.inf, -math.inf], {}, "10"),
    ],
)
def test_it_speaks_in_these_ticks(values, settings, said):
    assert spoken(values, **settings) == said


def test_missed_ticks_count_as_time():
    """The delay is time, not a number of cycles: after a gap the value has been over for as long as the gap."""
    since = over_since(NOT_OVER, True, 0)
    assert speaks(over_since(since, True, 5 * TICK), 5 * TICK, 5 * TICK) == 1
