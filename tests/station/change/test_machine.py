"""The states of a change: every state with every event, and what time and evidence mean."""

import itertools

import pytest

from rt_engine.change import ChangeState as S
from rt_engine.change import Verdict
from station.change.machine import (
    ENDED,
    MOST_SKIPPED,
    NEVER_LIVE,
    NEXT,
    Event,
    Evidence,
    Policy,
    Span,
    after,
    objection,
    seen,
)

MINUTE_NS = 60_000_000_000
LONG, CYCLES = Span(ns=10 * MINUTE_NS), Span(cycles=1000)
PLAIN = Policy()
BOTH = Policy(shadow=LONG, trial=LONG)
POLICIES = [PLAIN, BOTH, Policy(shadow=LONG), Policy(trial=LONG), Policy(shadow=CYCLES, trial=CYCLES, commit="manual")]
AGAINST = {
    Event.FAILED,
    Event.STARVED,
    Event.DISAGREED,
    Event.VERDICT,
    Event.NO_WORD,
    Event.BACK,
    Event.STOP,
    Event.BROKE,
}

TABLE = {
    S.NONE: {},
    S.STAGED: {Event.KEPT: S.GATE, **dict.fromkeys((Event.FAILED, Event.BACK, Event.STOP, Event.BROKE), S.REJECTED)},
    S.GATE: {Event.PASSED: S.SHADOW, **dict.fromkeys((Event.FAILED, Event.BACK, Event.STOP, Event.BROKE), S.REJECTED)},
    S.SHADOW: {
        **dict.fromkeys((Event.ENOUGH, Event.COMMIT), S.TRIAL),
        **dict.fromkeys(AGAINST - {Event.FAILED, Event.NO_WORD}, S.REJECTED),
    },
    S.TRIAL: {
        **dict.fromkeys((Event.ENOUGH, Event.COMMIT), S.COMMITTED),
        **dict.fromkeys(AGAINST - {Event.FAILED}, S.ROLLED_BACK),
    },
    S.COMMITTED: dict.fromkeys((Event.BACK, Event.BROKE), S.ROLLED_BACK),
    S.REJECTED: {},
    S.ROLLED_BACK: {},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(S, Event)))
def test_every_state_with_every_event(state, event):
    """With shadow and trial: exactly this table; what it does not have changes nothing."""
    assert after(state, event, BOTH) == TABLE[state].get(event)


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (PLAIN, [S.COMMITTED]),
        (Policy(shadow=LONG), [S.SHADOW, S.COMMITTED]),
        (Policy(trial=LONG), [S.TRIAL, S.COMMITTED]),
        (BOTH, [S.SHADOW, S.TRIAL, S.COMMITTED]),
    ],
)
def test_a_policy_leaves_out_what_it_has_no_time_for(policy, path):
    state, went = after(S.GATE, Event.PASSED, policy), []
    while state is not None:
        went.append(state)
        state = after(state, Event.ENOUGH, policy)
    assert went == path


@pytest.mark.parametrize(("policy", "state", "event"), list(itertools.product(POLICIES, S, Event)))
def test_what_speaks_against_a_version_never_leads_on(policy, state, event):
    """To REJECTED where it was never live, to ROLLED_BACK where it was; and nothing leads out of these two, or backwards."""
    to = after(state, event, policy)
    if event in AGAINST and to is not None:
        assert to == (S.REJECTED if state in NEVER_LIVE else S.ROLLED_BACK)
    if to is not None:
        assert to > state
        assert state not in (S.NONE, S.REJECTED, S.ROLLED_BACK)


def test_every_event_means_something():
    assert {event for _, event in NEXT} == set(Event)


@pytest.mark.parametrize("state", [state for state in S if state not in (S.SHADOW, S.TRIAL)])
def test_time_means_nothing_outside_shadow_and_trial(state):
    """Also not what tasks counted: of a change that has ended they have nothing to say."""
    assert seen(state, BOTH, 10**18, Evidence(10**9, 0, 10**9, Verdict.NOT_FINITE)) is None


@pytest.mark.parametrize("state", [S.SHADOW, S.TRIAL])
def test_time_is_over_at_its_last_nanosecond(state):
    policy = Policy(shadow=LONG, trial=LONG)
    assert seen(state, policy, LONG.ns - 1, Evidence(cycles=5)) is None
    assert seen(state, policy, LONG.ns, Evidence(cycles=5)) == Event.ENOUGH


@pytest.mark.parametrize("state", [S.SHADOW, S.TRIAL])
def test_cycles_are_those_in_which_the_new_version_computed(state):
    """Not time, and not those that were skipped."""
    policy = Policy(shadow=CYCLES, trial=CYCLES)
    assert seen(state, policy, 10**18, Evidence(cycles=999, skipped=5000)) is None
    assert seen(state, policy, 0, Evidence(cycles=1000)) == Event.ENOUGH


@pytest.mark.parametrize("state", [S.SHADOW, S.TRIAL])
def test_a_version_that_never_had_time_to_compute_is_not_good(state):
    by_time, by_cycles = Policy(shadow=LONG, trial=LONG), Policy(shadow=CYCLES, trial=CYCLES)
    assert seen(state, by_time, LONG.ns, Evidence(skipped=600_000)) == Event.STARVED
    most = MOST_SKIPPED * CYCLES.cycles
    assert seen(state, by_cycles, 0, Evidence(cycles=999, skipped=most - 1000)) is None
    assert seen(state, by_cycles, 0, Evidence(cycles=999, skipped=most - 999)) == Event.STARVED


def test_a_version_that_can_never_compute_in_a_shadow_is_not_waited_for():
    """As a trial it is live, and its parts are run whole."""
    policy, never = Policy(shadow=LONG, trial=LONG), Evidence(never="a part of it is longer than a slice")
    assert seen(S.SHADOW, policy, 0, never) == Event.STARVED
    assert seen(S.TRIAL, policy, 0, never) is None


@pytest.mark.parametrize("state", [S.SHADOW, S.TRIAL])
def test_one_disagreement_more_than_allowed(state):
    policy = Policy(shadow=LONG, trial=LONG, disagreements=3)
    assert seen(state, policy, 0, Evidence(10, disagreements=3)) is None
    assert seen(state, policy, 0, Evidence(10, disagreements=4)) == Event.DISAGREED
    assert seen(state, policy, LONG.ns, Evidence(10, disagreements=4)) == Event.DISAGREED


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict])
def test_a_tasks_verdict_comes_before_all(verdict):
    """Also when the time is over in the same look, and when values disagree as well."""
    assert seen(S.TRIAL, BOTH, LONG.ns, Evidence(10, 0, 99, verdict)) == Event.VERDICT


def test_a_trial_that_waits_for_a_word_ends_without_it():
    """Manual: the time of the trial is the time for the word. The shadow ends by itself all the same."""
    policy = Policy(shadow=LONG, trial=LONG, commit="manual")
    assert seen(S.TRIAL, policy, LONG.ns - 1, Evidence(10)) is None
    assert seen(S.TRIAL, policy, LONG.ns, Evidence(10)) == Event.NO_WORD
    assert seen(S.SHADOW, policy, LONG.ns, Evidence(10)) == Event.ENOUGH


@pytest.mark.parametrize(("state", "word"), list(itertools.product(S, (Event.COMMIT, Event.BACK))))
def test_a_word_that_changes_nothing_is_answered(state, word):
    """Words exactly where the table has nothing."""
    assert bool(objection(state, word)) == (word not in TABLE[state])


def test_a_tolerance_of_its_own_goes_before_that_of_all():
    policy = Policy(tolerance=0.5, tolerances={"speed": 2.0})
    assert (policy.tolerance_of("speed"), policy.tolerance_of("force")) == (2.0, 0.5)


def test_states_that_have_ended():
    """Time leads out of none; of these, only a committed one can still go back."""
    assert {state for state in S if after(state, Event.BACK, BOTH)} & ENDED == {S.COMMITTED}


@pytest.mark.parametrize(
    ("limits", "judges"), [({}, False), ({"tolerance": 0.5}, True), ({"tolerances": {"force": 0.5}}, True)]
)
def test_a_policy_knows_whether_differences_can_reject(limits, judges):
    assert Policy(**limits).has_tolerance is judges
