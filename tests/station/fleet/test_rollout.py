"""Which stations are next, and when a rollout stops."""

from itertools import pairwise

import pytest

from station.fleet.documents import Desired, Health, Reported, Slot, Stage
from station.fleet.rollout import (
    Member,
    Plan,
    RolloutState,
    Standing,
    Timers,
    advance,
    is_reached,
    ordered,
    size_of,
    standing,
    taken_back,
)
from tests.station.fleet.world import OLD, wanted

NEW = wanted("new", 5)


def plan(**changes):
    return Plan(**{"id": "r1", "term": 1, "slots": {"policy": NEW}, "soak_s": 10, "patience_s": 60, **changes})


def fleet(count, online=lambda _: True, **labels):
    return {f"s{i}": member(f"s{i}", online(i), labels) for i in range(count)}


def member(name, online=True, labels=(), slots=("policy",)):
    has = {slot: Slot(sha256=OLD) for slot in slots}
    return Member(name, online, Reported(station=name, boot=1, count=1, labels=dict(labels), slots=has))


def give(members, plan, names, first=1_000_001):
    """They get their orders."""
    for number, name in enumerate(names, first):
        members[name].desired = ordered(plan, members[name], number)


def report(one, stage=Stage.COMMITTED, why="", **health):
    """A station has taken its order, and is so far with it."""
    slot = Slot(sha256=NEW.sha256, stage=stage, wanted=NEW.sha256, serial=5, why=why)
    one.reported = one.reported.model_copy(
        update={
            "generation": one.desired.generation,
            "rollout": one.desired.rollout,
            "slots": {"policy": slot},
            "health": Health(**health),
        }
    )


def run_to(members, plan, end_s=1000, step=lambda members, names, now: None):
    """Look each second; stations do what `step` says."""
    timers, now, waves = Timers(), 0.0, []
    while now < end_s and plan.state == RolloutState.RUNNING:
        taken = advance(plan, members, timers, now)
        plan = taken.plan
        if taken.orders:
            give(members, plan, taken.orders)
            waves.append((now, len(taken.orders)))
        step(members, taken.orders, now)
        now += 1.0
    return plan, waves


def all_commit(members, names, now):
    for name in names:
        report(members[name])


def test_waves_follow_each_other_when_all_are_good_and_have_soaked():
    done, waves = run_to(fleet(50), plan(), step=all_commit)
    assert (done.state, done.good, done.why) == (RolloutState.DONE, 50, "50 committed")
    assert [count for _, count in waves] == [1, 4, 45]
    assert all(later[0] - before[0] >= 10 for before, later in pairwise(waves))


def test_waves_that_reach_nobody_else_cost_no_soak():
    """Of two stations, a tenth is one."""
    done, waves = run_to(fleet(2), plan(), step=all_commit)
    assert (done.state, done.why) == (RolloutState.DONE, "2 committed")
    assert [count for _, count in waves] == [1, 1] and waves[1][0] - waves[0][0] < 20


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"stage": Stage.ROLLED_BACK, "why": "7 values disagreed"}, "policy rolled back: 7 values disagreed"),
        ({"stage": Stage.REJECTED, "why": "too slow"}, "policy rejected: too slow"),
        ({"stage": Stage.REPLACED}, "policy replaced"),
        ({"monitor_quiet": False}, "its monitor speaks"),
        ({"reaction_ns": 2_000_000, "limit_ns": 1_000_000}, "it reacts in 2.000 ms, 1.000 may be"),
    ],
)
def test_the_first_doubt_stops_it(told, words):
    def second_wave_is_bad(members, names, now):
        for number, name in enumerate(names):
            report(members[name], **(told if number == 2 else {}))

    done, waves = run_to(fleet(50), plan(), step=second_wave_is_bad)
    assert (done.state, [count for _, count in waves]) == (RolloutState.STOPPED, [1, 4])
    assert done.why.endswith(words) and done.why.startswith("s")


def test_a_doubt_while_a_wave_soaks_stops_it_too():
    def speaks_later(members, names, now):
        all_commit(members, names, now)
        if now == 5:
            for one in members.values():
                if one.desired is not None:
                    report(one, monitor_quiet=False)

    done, waves = run_to(fleet(50), plan(), step=speaks_later)
    assert (done.state, len(waves)) == (RolloutState.STOPPED, 1)


def test_one_that_takes_too_long_or_goes_away_in_its_change_is_a_doubt():
    for is_online in (True, False):

        def hangs(members, names, now, is_online=is_online):
            for name in names:
                report(members[name], Stage.TRIAL)
                members[name].online = is_online

        done, _ = run_to(fleet(5), plan(), step=hangs)
        assert done.state == RolloutState.STOPPED
        assert ("and it is away" in done.why) is not is_online
    done, _ = run_to(fleet(5), plan())
    assert "not done within 60 s: sent" in done.why


def test_a_canary_that_goes_before_it_takes_its_order_is_a_doubt_and_no_second_one_follows():
    """It may have gone because of something that the others have, too. Who says resume goes on without it."""

    def goes(members, names, now):
        for name in names if now == 0 else ():
            members[name].online = False

    members = fleet(20)
    stopped, waves = run_to(members, plan(), step=goes)
    assert (stopped.state, len(waves)) == (RolloutState.STOPPED, 1)
    assert "not done within 60 s, and it is away: its order waits at the broker" in stopped.why
    gone = next(name for name, one in members.items() if one.desired is not None)
    resumed = stopped.with_(state=RolloutState.RUNNING, excused=(gone,))
    done, waves = run_to(members, resumed, step=all_commit)
    assert done.why == "19 committed; 1 away: they follow when they are back"


def test_who_is_away_is_ordered_last_and_holds_nobody_up():
    members = fleet(20, online=lambda i: i % 2 == 0)

    def only_those_there(members, names, now):
        all_commit(members, [name for name in names if members[name].online], now)

    done, waves = run_to(members, plan(), step=only_those_there)
    assert done.why == "10 committed; 10 away: they follow when they are back"
    assert all(one.desired is not None for one in members.values())
    nobody, waves = run_to(fleet(20, online=lambda _: False), plan(), end_s=100)
    assert (nobody.state, waves) == (RolloutState.RUNNING, [])


def test_selection_is_by_name_label_and_slot():
    members = {
        **{name: member(name, labels={"line": "4"}) for name in ("press-1", "press-2", "lathe-1")},
        "press-3": member("press-3", labels={"line": "5"}),
        "press-4": member("press-4", labels={"line": "4"}, slots=("arm",)),
        "press-5": Member("press-5", True),
    }
    wish = plan(select=("press-*",), labels={"line": "4"}, waves=("all",))
    step = advance(wish, members, Timers(), 0.0)
    assert set(step.orders) == {"press-1", "press-2"}


def test_the_same_stations_are_first_for_every_commander_and_differ_from_rollout_to_rollout():
    firsts = [advance(plan(id=name), fleet(100), Timers(), 0.0).orders for name in ("a", "a", "b", "c", "d")]
    assert firsts[0] == firsts[1]
    assert len(set(firsts)) > 1


def test_a_commander_that_begins_anew_goes_on_with_who_was_ordered():
    members = fleet(50)
    half, _ = run_to(members, plan(), end_s=15, step=all_commit)
    assert half.wave == 1
    done, waves = run_to(members, half, step=all_commit)
    assert (done.state, [count for _, count in waves]) == (RolloutState.DONE, [45])


def test_who_was_bad_when_somebody_said_resume_stops_it_no_more():
    def one_bad(members, names, now):
        for name in names:
            report(members[name], Stage.ROLLED_BACK if name == bad else Stage.COMMITTED)

    members = fleet(50)
    bad = advance(plan(), members, Timers(), 0.0).orders[0]
    stopped, _ = run_to(members, plan(), step=one_bad)
    again = stopped.with_(state=RolloutState.RUNNING, why="", excused=(bad,))
    done, _ = run_to(members, again, step=one_bad)
    assert (done.state, done.good) == (RolloutState.DONE, 49)


def test_paused_it_orders_nobody_and_its_clocks_begin_anew():
    timers = Timers()
    assert advance(plan(state=RolloutState.PAUSED), fleet(3), timers, 0.0).orders == ()
    assert advance(plan(), fleet(3), timers, 0.0).orders != ()


def test_what_another_order_wants_since_is_a_doubt():
    one = member("s1")
    one.desired = ordered(plan(), one, 7)
    report(one)
    assert standing(plan(), one)[0] == Standing.GOOD
    other = one.desired.model_copy(update={"rollout": "r2", "generation": 8})
    one.desired = other
    one.reported = one.reported.model_copy(update={"generation": 8, "slots": {"policy": Slot(sha256=OLD, wanted=OLD)}})
    assert standing(plan(), one)[0] == Standing.BAD


def test_other_slots_stay_wanted_and_back_is_what_ran_before():
    one = member("s1", slots=("policy", "arm"))
    one.desired = Desired(station="s1", generation=1, slots={"arm": wanted("arm")})
    order = ordered(plan(), one, 7)
    assert (set(order.slots), order.slots["policy"].before) == ({"arm", "policy"}, OLD)
    one.desired = order
    back = taken_back(plan(), one)
    assert back.slots["policy"].before == plan().slots["policy"].sha256
    assert (back.slots["policy"].sha256, back.slots["policy"].back, back.slots["arm"]) == (OLD, True, wanted("arm"))
    assert taken_back(plan(id="other"), one) is None


@pytest.mark.parametrize(
    ("wave", "total", "size"), [("1", 50, 1), ("10%", 5, 1), ("10%", 101, 11), ("all", 7, 7), ("9", 7, 7)]
)
def test_sizes_of_waves(wave, total, size):
    assert size_of(wave, total) == size


@pytest.mark.parametrize("before", [None, Desired(station="liar", generation=9, rollout="r0", slots={})])
def test_who_was_not_ordered_and_says_so_is_no_canary(before):
    """Else one station that lies would be wave 1, and all others the next."""
    liar = Reported(
        station="liar",
        boot=1,
        count=1,
        generation=9,
        rollout=plan().id,
        slots={"policy": Slot(sha256=NEW.sha256, wanted=NEW.sha256, serial=5, stage=Stage.COMMITTED)},
    )
    assert standing(plan(), Member("liar", True, liar, before))[0] == Standing.TODO


def test_what_ran_before_is_taken_from_the_report_where_the_order_is_lost():
    one = member("s1", slots=("policy", "arm"))
    one.desired = ordered(plan(), one, 7)
    slot = Slot(sha256=NEW.sha256, stage=Stage.COMMITTED, wanted=NEW.sha256, serial=5, before=OLD)
    said = {"generation": 7, "rollout": plan().id, "slots": {"policy": slot}}
    one.reported = one.reported.model_copy(update=said)
    known = taken_back(plan(), one)
    for lost in (None, Desired(station="s1", generation=3, rollout="r0", slots={})):
        one.desired = lost
        assert taken_back(plan(), one) == known and is_reached(plan(), one)
    back = known.numbered(8)
    one.desired = back
    assert taken_back(plan(), one) is None and is_reached(plan(), one)
    one.desired = None
    one.reported = one.reported.model_copy(update={"slots": {"policy": slot.model_copy(update={"before": ""})}})
    assert taken_back(plan(), one) is None
