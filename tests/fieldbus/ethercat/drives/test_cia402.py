"""The state machine of a drive's master, against the tables of IEC 61800-7-201 and a drive made of them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus.ethercat.drives.cia402 import (
    DriveState,
    Goal,
    controlword_for,
    goal_of,
    handed_over,
    moved,
    stands,
    state_of,
)
from tests.fieldbus.ethercat.drive_twin import COMMANDS, STATUS, TRANSITIONS, Twin

STATES = {
    "not ready": DriveState.NOT_READY,
    "off": DriveState.SWITCH_ON_DISABLED,
    "ready": DriveState.READY_TO_SWITCH_ON,
    "on": DriveState.SWITCHED_ON,
    "enabled": DriveState.OPERATION_ENABLED,
    "stopping": DriveState.QUICK_STOP_ACTIVE,
    "reacting": DriveState.FAULT_REACTION_ACTIVE,
    "fault": DriveState.FAULT,
}
GOALS = {Goal.ENABLE: "enabled", Goal.DISABLE: "off", Goal.LEAVE: "off"}
MOST_STEPS = 12


def named(controlword: int) -> str:
    """The command that a control word is."""
    return next((name for name, (mask, bits) in COMMANDS.items() if controlword & mask == bits), "")


@pytest.mark.parametrize("state", STATUS)
def test_every_state_is_known_whatever_the_other_bits_are(state: str) -> None:
    """Voltage, warning, remote, target reached, limits and the manufacturer's bits say nothing about the state."""
    free = 0xFFFF & ~0x6F if state in ("ready", "on", "enabled", "stopping") else 0xFFFF & ~0x4F
    for bits in {0, free, free & 0x5555, free & 0xAAAA, *(1 << i for i in range(16) if free >> i & 1)}:
        assert state_of(STATUS[state] | bits) == STATES[state]


def test_every_status_word_is_one_state_or_unknown() -> None:
    """All 65536 of them; what the standard does not have is unknown, but for a bit 5 that is 0 before a drive is enabled."""
    for word in range(1 << 16):
        shown = {
            name for name, bits in STATUS.items() if word & (0x6F if bits & 0x07 and not bits & 0x08 else 0x4F) == bits
        }
        lenient = {0x01: "ready", 0x03: "on"}.get(word & 0x6F)
        expected = STATES[shown.pop()] if shown else STATES[lenient] if lenient else DriveState.UNKNOWN
        assert state_of(word) == expected, hex(word)
        assert not shown


@pytest.mark.parametrize(("state", "goal"), [*product(STATES, GOALS)])
def test_a_drive_comes_to_its_goal_from_every_state(state: str, goal: Goal) -> None:
    """One state at a time, by commands that the standard has for it; out of a fault only a reset leads."""
    twin = Twin(state)
    seen = [state]
    for _ in range(MOST_STEPS):
        at = stands(twin.statusword, 0, 10**9)
        twin.step(controlword_for(state_of(twin.statusword), goal, at, 1))
        seen += [twin.state] if twin.state != seen[-1] else []
    expected = "fault" if state in ("reacting", "fault") else GOALS[goal]
    assert twin.state == expected, seen
    assert len(seen) == len(set(seen)), seen


@pytest.mark.parametrize("goal", [Goal.STOP, Goal.LEAVE])
@pytest.mark.parametrize("state", STATES)
def test_a_stop_takes_power_or_brakes_from_every_state_with_one_command(state: str, goal: Goal) -> None:
    """An enabled drive brakes at once and stays so; any other is without power after one command."""
    twin = Twin(state)
    twin.step(controlword_for(state_of(twin.statusword), goal, 0, 1))
    ended = {"enabled": "stopping", "stopping": "stopping", "reacting": "fault", "fault": "fault"}.get(state, "off")
    assert twin.state == ended
    for stood in (0, 1):
        assert named(controlword_for(DriveState.QUICK_STOP_ACTIVE, Goal.STOP, stood, 1)) == "quick stop"


@pytest.mark.parametrize(("state", "goal", "stood", "may"), [*product(STATES, Goal, (0, 1), (0, 1))])
def test_only_a_drive_that_is_wanted_gets_nearer_to_power(state: str, goal: Goal, stood: int, may: int) -> None:
    """Over all states and goals: no command but for ENABLE leads up, and none enables a drive that may not be."""
    order = ["off", "ready", "on", "enabled"]
    word = controlword_for(STATES[state], goal, stood, may)
    led = TRANSITIONS.get((state, named(word)), state)
    assert word & 0x80 == 0
    if state in order and led in order and order.index(led) > order.index(state):
        assert goal is Goal.ENABLE
        assert order.index(led) == order.index(state) + 1
    if led == "enabled" and state != "enabled":
        assert may
    if state == "stopping" and not stood:
        assert led == "stopping"


def test_an_unknown_state_is_told_to_stop() -> None:
    """Whatever is wanted."""
    assert all(named(controlword_for(DriveState.UNKNOWN, goal, 0, 1)) == "quick stop" for goal in Goal)


@given(
    st.sampled_from(list(STATES)),
    st.lists(
        st.tuples(
            st.sampled_from(list(Goal)),
            st.sampled_from(["", "", "", "fail", "reset"]),
            st.integers(1, 8),
        ),
        max_size=20,
    ),
)
def test_over_any_story_a_drive_is_enabled_only_when_it_is_wanted(
    state: str, story: list[tuple[Goal, str, int]]
) -> None:
    """Goals, faults and resets in any order: enabled for ENABLE alone, or on the way down; at the end at rest where the goal is."""
    twin, enabled_for = Twin(state), None
    for goal, event, cycles in story:
        if event == "fail":
            twin.fail(0x8611)
        for cycle in range(cycles):
            before, shown = twin.state, state_of(twin.statusword)
            word = controlword_for(shown, goal, stands(twin.statusword, 0, 10**9), 1)
            is_reset = event == "reset" and cycle == 0 and shown == DriveState.FAULT
            twin.step(0x80 if is_reset else word)
            if twin.state == "enabled" and before != "enabled":
                enabled_for = goal
            assert (
                twin.state != "enabled"
                or (goal if before != "enabled" else enabled_for) is Goal.ENABLE
                or state == "enabled"
            )
            assert goal not in (Goal.STOP, Goal.LEAVE) or twin.state != "enabled"
    last = story[-1][0] if story else Goal.STOP
    for _ in range(MOST_STEPS):
        word = controlword_for(state_of(twin.statusword), last, stands(twin.statusword, 0, 10**9), 1)
        twin.step(word)
    resting = {Goal.ENABLE: {"enabled"}, Goal.STOP: {"off", "stopping"}}.get(last, {"off"})
    assert twin.state in {*resting, "fault"}


def test_what_is_not_heard_or_in_the_wrong_mode_or_not_answered_for_is_stopped() -> None:
    """A drive is enabled for 1 alone, disabled for 0, and stopped for everything that says that nobody is there."""
    assert goal_of(1, 1, 1.0, 1, 0) == Goal.ENABLE
    assert goal_of(1, 1, 0.0, 1, 0) == goal_of(1, 1, 0.0, 0, 0) == Goal.DISABLE
    assert goal_of(1, 1, -1.0, 1, 0) == Goal.STOP
    assert goal_of(0, 1, 1.0, 1, 0) == goal_of(1, 0, 1.0, 1, 0) == goal_of(1, 1, 1.0, 0, 0) == Goal.STOP
    assert {goal_of(h, r, o, t, 1) for h in (0, 1) for r in (0, 1) for o in (-1.0, 0.0, 1.0) for t in (0, 1)} == {
        Goal.LEAVE
    }


def test_a_quick_stop_has_ended_when_the_drive_says_so_or_its_time_is_over() -> None:
    """Bit 10 of the status word; some drives never set it."""
    assert stands(0x0407, 0, 1000) == 1
    assert stands(0x0007, 999, 1000) == 0
    assert stands(0x0007, 1000, 1000) == 1


numbers = st.floats(-1e9, 1e9)


@given(numbers, numbers, st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_handover_begins_where_the_axis_is_and_ends_at_the_target(
    axis: float, target: float, since: int, lasts: int
) -> None:
    """Between the two it is always between them."""
    gap = axis - target
    assert handed_over(target, gap, 0, lasts) == pytest.approx(axis, abs=1e-3)
    assert handed_over(target, gap, lasts, lasts) == target
    low, high = sorted((axis, target))
    assert low - 1e-3 <= handed_over(target, gap, since, lasts) <= high + 1e-3
    assert handed_over(target, gap, 0, 0) == target


@given(numbers, numbers, st.floats(0, 1e9))
def test_a_target_moves_no_further_than_it_may(before: float, wanted: float, reach: float) -> None:
    """It gets there as soon as it is near enough."""
    after = moved(before, wanted, reach)
    assert abs(after - before) <= reach * (1 + 1e-9) + 1e-6
    assert min(before, wanted) <= after <= max(before, wanted)
    assert after == wanted or abs(wanted - before) >= reach * (1 - 1e-9)


def test_no_limit_of_the_rate_is_none() -> None:
    """Infinity times no time is not a number: nothing is held back by it."""
    assert moved(0.0, 5.0, float("inf") * 0.0) == 5.0
