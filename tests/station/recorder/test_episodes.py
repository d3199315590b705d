"""What is kept around triggers, tick by tick, on a clock of the test's own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from station.recorder.episodes import MOST_FIRED, Always, Episodes, Fired


def fired(tick, kind="fault"):
    return Fired(tick, kind, "axis", "")


def kept(plan, ticks, look):
    """(what is kept now, what is dropped now, what waits)."""
    at, keep, drop = 0, [], []
    for part in plan.cut(np.asarray(ticks), look):
        (keep if part.episode is not None else drop).extend(ticks[at : at + part.count])
        at += part.count
    return keep, drop, list(ticks[at:])


def test_before_and_after_a_trigger():
    plan = Episodes(10, 5, 0)
    plan.fire(fired(100))
    keep, drop, waits = kept(plan, list(range(80, 111)), look=110)
    assert (keep[0], keep[-1]) == (90, 105)
    assert (drop[0], drop[-1]) == (80, 89)
    assert (waits[0], waits[-1]) == (106, 110)


def test_nothing_that_a_trigger_may_still_want_is_dropped():
    plan = Episodes(10, 5, 3)
    keep, drop, waits = kept(plan, list(range(101)), look=100)
    assert not keep and drop[-1] == 86 and waits[0] == 87
    plan.fire(fired(97))
    assert kept(plan, waits, look=100)[0] == list(range(87, 101))


def test_triggers_that_overlap_are_one_episode():
    plan = Episodes(10, 5, 0)
    first, second = plan.fire(fired(100)), plan.fire(fired(104))
    assert first is second
    assert plan.fire(fired(119)) is first, "its before begins where the episode has not ended"
    assert (first.begin_ns, first.end_ns) == (90, 124)
    assert len(first.fired) == 3
    other = plan.fire(fired(136))
    assert (other.begin_ns, other.number) == (126, 2)


def test_no_tick_belongs_to_two_episodes():
    plan = Episodes(10, 5, 0)
    plan.fire(fired(100))
    assert [one.number for one in plan.ended(106)] == [1]
    assert plan.fire(fired(112)).begin_ns == 106


def test_an_episode_ends_once_when_its_last_cycle_is_known():
    plan = Episodes(10, 5, 3)
    episode = plan.fire(fired(100))
    assert plan.ended(108) == []
    assert plan.ended(109) == [episode]
    assert plan.ended(500) == []


def test_a_trigger_of_a_cycle_long_ago_takes_what_is_there():
    plan = Episodes(10, 5, 0)
    plan.fire(fired(100))
    plan.ended(200)
    late = plan.fire(fired(50))
    assert late.begin_ns <= late.end_ns, "no episode that ends before it begins"


def test_a_flood_of_triggers_is_counted():
    plan = Episodes(10, 5, 0)
    for tick in range(1000):
        episode = plan.fire(fired(tick))
    assert len(episode.fired) == MOST_FIRED and episode.more == 1000 - MOST_FIRED


def test_continuous_keeps_all():
    plan = Always()
    plan.fire(fired(3))
    assert kept(plan, [1, 2, 3], look=100) == ([1, 2, 3], [], [])
    assert plan.ended(1 << 61) == []


@settings(max_examples=200)
@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.lists(st.integers(0, 300), max_size=8).map(sorted),
    st.lists(st.integers(1, 40), min_size=1, max_size=40),
)
def test_whatever_the_looks_each_tick_near_a_trigger_is_kept_once_and_no_other(before, after, triggers, steps):
    """Against the definition: a tick is kept when it lies within before .. after of a trigger."""
    plan, pending, seen, keep, now = Episodes(before, after, 0), [], 0, [], 0
    for step in [*steps, 400]:
        now += step
        pending += range(seen, now)
        for tick in triggers:
            if seen <= tick < now:
                plan.fire(fired(tick))
        seen = now
        new, _, pending = kept(plan, pending, look=now)
        keep += new
        plan.ended(now)
    wanted = [tick for tick in range(now) if any(-before <= tick - one <= after for one in triggers)]
    assert keep == [tick for tick in wanted if tick < now]
