"""Two versions of a model in one task, with time and both in the test's hands: nobody publishes what was found bad."""

import ctypes
import math

import numpy as np
import pytest

from fieldbus.tags import Quality
from rt_engine.change import Verdict
from rt_engine.run.blocks import CHANGE
from scheduler import Guard, TaskStatus
from scheduler.second import EDGES, Terms
from tests.scheduler.fakes import EPOCH, MS, FakeClock, step_of
from tests.scheduler.versions import TERMS, Run, Trial, Versions, tells, wide_trial

NAN, INF = math.nan, math.inf
K = 4
"""The run of a new version in which it is bad."""


def alone(count: int) -> list[float]:
    """What version 1 publishes where there is no other."""
    trial = Trial(Versions(tells))
    trial.run(count)
    return trial.values()


def at_k(change):  # type: ignore[no-untyped-def]
    """`tells`, but that run K does more: its status is what `change` gives."""

    def compute(run: Run) -> int | None:
        tells(run)
        return change(run) if run.count == K else None

    return compute


def gives(value):  # type: ignore[no-untyped-def]
    def change(run: Run) -> None:
        run.y[0] = value

    return change


def bad_free(run: Run) -> None:
    run.free[0] = NAN


def bad_state(run: Run) -> None:
    run.state[0] = NAN


BAD = {
    "nan": (gives(NAN), Verdict.NOT_FINITE, "a.y"),
    "infinite": (gives(-INF), Verdict.NOT_FINITE, "a.y"),
    "an output that no task reads": (bad_free, Verdict.NOT_FINITE, ""),
    "state": (bad_state, Verdict.NOT_FINITE, ""),
    "above": (gives(2601.0), Verdict.OUT_OF_LIMITS, "a.y"),
    "below": (gives(0.0), Verdict.OUT_OF_LIMITS, "a.y"),
    "status": (lambda run: 3, Verdict.FAILED, ""),
}
LIMITS = Terms(new_ns=100_000, old_ns=100_000, budget_ns=200_000, low={"a.y": 500.0}, high={"a.y": 2600.0})


@pytest.mark.parametrize("place", [0, 5, 7, 8, 15, 16, 18])
@pytest.mark.parametrize("beyond", [-1.5, 1.5])
def test_whichever_output_is_beyond_its_limits_is_named(place: int, beyond: float) -> None:
    """Of nineteen: also where eight are looked at together."""
    change, names = wide_trial(19, place, beyond)
    assert change.fate is not None
    assert (change.fate.verdict, change.fate.output) == (Verdict.OUT_OF_LIMITS, names[place])


@pytest.mark.parametrize("shadowed", [False, True], ids=["trial", "shadow-trial"])
@pytest.mark.parametrize("case", BAD)
def test_the_old_version_takes_over_in_the_tick_in_which_the_new_one_is_bad(case: str, shadowed: bool) -> None:
    """The new one's values until then; in that tick and after it the old one's, bit for bit as if it had been alone."""
    change, verdict, output = BAD[case]
    trial = Trial(Versions(tells, at_k(change)), terms=LIMITS)
    trial.run(12, {1: "shadow", 2: "trial"} if shadowed else {2: "trial"})
    bad_at = 2 + K - shadowed
    assert trial.values()[:2] + trial.values()[bad_at:] == alone(12)[:2] + alone(12)[bad_at:]
    assert all(value >= 2000 for value in trial.values()[2:bad_at])
    assert all(quality == Quality.GOOD for _, quality in trial.seen["a"])
    assert trial.change is not None
    fate = trial.change.fate
    assert fate is not None
    assert (fate.verdict, fate.task, fate.output) == (verdict, "a", output)
    assert fate.tick_ns == EPOCH + bad_at * MS
    s = trial.runners[0].stats()
    assert (s.nan_outputs, s.failed, s.state_resets, s.held, s.safe) == (0, 0, 0, 0, 0)
    assert (s.model_version, s.switches, s.switched_ns) == (1, 2, EPOCH + bad_at * MS)


def slow(clock: FakeClock, work_ns: int):  # type: ignore[no-untyped-def]
    def change(run: Run) -> None:
        clock.now_ns += work_ns

    return change


def test_a_version_that_is_slow_is_replaced_where_there_is_time() -> None:
    """Longer than its budget, and enough is left: the old one's outputs, in time."""
    trial = Trial(Versions(tells))
    trial.slot.computes = (tells, at_k(slow(trial.clock, 300_000)))
    trial.run(12, {2: "trial"})
    assert trial.values()[2 + K :] == alone(12)[2 + K :]
    assert trial.change is not None
    assert trial.change.fate is not None
    assert trial.change.fate.verdict is Verdict.TOO_SLOW
    assert trial.runners[0].stats().missed == 0


def test_where_no_time_is_left_that_tick_holds() -> None:
    """The outputs stay as they were, STALE; the next tick is the old version's, which has missed one."""
    trial = Trial(Versions(tells))
    trial.slot.computes = (tells, at_k(slow(trial.clock, 950_000)))
    trial.run(12, {2: "trial"})
    bad_at = 2 + K
    assert trial.seen["a"][bad_at] == (trial.values()[bad_at - 1], Quality.STALE)
    assert trial.values()[bad_at + 1 :] == [value - 1 for value in alone(12)[bad_at + 1 :]]
    s = trial.runners[0].stats()
    assert (s.held, s.missed, s.last_fault) == (1, 0, TaskStatus.ROLLED_BACK)
    second = trial.runners[0].second()
    assert second is not None
    assert second.skipped == 1


def test_a_trial_that_goes_well_is_committed_and_can_be_taken_back() -> None:
    """The old one follows in each tick of it, not after; taken back it goes on from the new one's state."""
    trial = Trial(Versions(tells, tells))
    trial.run(12, {2: "trial", 6: "commit", 9: "roll_back"})
    assert trial.values() == [1001, 1002, *range(2003, 2010), *range(1010, 1013)]
    second = trial.runners[0].second()
    assert second is not None
    assert (second.mode, second.version, second.ran, second.skipped) == ("trial", 1, 4, 0)


def test_a_trial_that_is_ended_by_hand_leaves_the_old_version_as_if_alone() -> None:
    """It went on all the time."""
    trial = Trial(Versions(tells, tells))
    trial.run(12, {2: "shadow", 4: "trial", 8: "roll_back"})
    assert trial.values()[:4] + trial.values()[8:] == alone(12)[:4] + alone(12)[8:]


# --- several tasks --------------------------------------------------------------------------------------------------


def mark_bad(trial: Trial) -> None:
    """As another task's native code does, at this moment."""
    assert trial.change is not None
    words = trial.change._words._block.view(CHANGE)
    words["task"], words["place"], words["tick_ns"], words["verdict"] = 1, -1, 77, Verdict.MONITOR


def test_all_tasks_of_the_slot_are_back_at_once() -> None:
    """b, which runs after a, finds it bad: it publishes the old one's output in that tick; a from its next tick on."""
    runs: list[int] = []

    def second_of_two(run: Run) -> None:
        tells(run)
        runs.append(run.version)
        if len(runs) == 2 * K:  # b's run in the cycle K - 1
            run.y[0] = NAN

    trial = Trial(Versions(tells, second_of_two), tasks=2)
    trial.run(10, {2: "trial"})
    bad_at = 2 + K - 1
    assert trial.values("a")[bad_at + 1 :] == alone(10)[bad_at + 1 :]
    assert trial.values("b")[bad_at:] == alone(10)[bad_at:]
    assert trial.change is not None
    assert trial.change.fate is not None
    assert (trial.change.fate.task, trial.change.fate.output) == ("b", "b.y")
    assert len(runs) == 2 * K  # nobody ran it again


def test_a_verdict_that_comes_while_a_task_computes_is_heeded_before_it_publishes() -> None:
    """Its own run was good: its outputs, its step's state, its counters are those of the old version all the same."""
    trial = Trial(Versions(tells, tells))
    calls: list[float] = []

    def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
        count = ctypes.c_int64.from_address(state)
        count.value += 1
        calls.append(float(outputs[0]))
        if outputs[0] >= 2000 and count.value == K:
            mark_bad(trial)
        outputs[0] += 0.25 * count.value
        return 0

    trial = Trial(Versions(tells, tells), step=step_of(step), output={"high": 1999.0})
    trial.run(8, {2: "trial"})
    assert calls[K - 1 : K + 1] == [2000 + K, 1000 + K]
    expected = [1000 + k + 0.25 * k for k in range(1, 9)]
    assert trial.values() == [*expected[:2], 1999.0, *expected[K - 1 :]]
    s = trial.runners[0].stats()
    assert (s.clamped, s.cycles) == (1, 8)
    assert trial.runners[0].ranges()["a.y"].greatest == 1999.0


def test_a_bad_input_is_no_fault_of_a_version() -> None:
    """Nobody runs on it: the trial goes on, and the old one's state too."""
    trial = Trial(Versions(tells, tells), guard=Guard(on_nan="hold", max_age_s=INF))
    trial.run(8, {2: "trial", 6: "roll_back"}, x=lambda k: NAN if k == 4 else 1.0)
    assert trial.values() == [1001, 1002, 2003, 2004, 2004, 2005, 1006, 1007]
    assert trial.change is not None
    assert trial.change.fate is None


# --- shadow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*BAD, "slow"])
def test_a_shadow_never_changes_what_is_live(case: str) -> None:
    """Whatever it gives: the live one's values, bit for bit, and no trial of it is begun."""
    trial = Trial(Versions(tells), terms=LIMITS)
    change = BAD[case][0] if case in BAD else slow(trial.clock, 700_000)
    trial.slot.computes = (tells, at_k(change))
    trial.run(12, {2: "shadow"})
    assert trial.values() == alone(12)
    s = trial.runners[0].stats()
    assert (s.missed, s.overruns, s.held, s.safe, s.nan_outputs, s.failed) == (0, 0, 0, 0, 0, 0)
    assert s.execution.max_ns == 0
    second = trial.runners[0].second()
    assert second is not None
    found = (second.failed, second.not_finite, second.outside)
    wanted = {Verdict.FAILED: (1, 0, 0), Verdict.NOT_FINITE: (0, 1, 0), Verdict.OUT_OF_LIMITS: (0, 0, 1)}
    assert (second.mode, second.version) == ("shadow", 2)
    assert found == ((0, 1, 1) if case == "infinite" else wanted[BAD[case][1]] if case in BAD else (0, 0, 0))
    assert trial.change is not None
    assert trial.change.fate is None


def test_differences_are_told_by_output() -> None:
    """How many in each bin, the largest and its tick, those beyond the tolerance, and those that are no numbers."""
    apart = [0.0, 0.5, -3.0, NAN, 1.0, 1.5]

    def other(run: Run) -> None:
        run.y[0] = apart[run.count]

    def zero(run: Run) -> None:
        run.y[0] = 0.0

    terms = Terms(new_ns=1, old_ns=1, tolerance={"a.y": 1.0})
    trial = Trial(Versions(zero, other), terms=terms, output={"scale": 2.0, "offset": 5.0})
    trial.run(6, {0: "shadow"})
    second = trial.runners[0].second()
    assert second is not None
    (difference,) = second.differences
    assert (difference.name, difference.largest, difference.largest_tick_ns) == ("a.y", 6.0, EPOCH + 2 * MS)
    assert (difference.beyond, difference.not_finite, difference.tolerance) == (3, 1, 1.0)
    bins = [int(np.searchsorted(EDGES, 2 * abs(a), "right")) - 1 for a in apart if a == a]
    np.testing.assert_array_equal(difference.histogram, np.bincount(bins, minlength=len(EDGES) - 1))


def test_a_shadow_is_skipped_where_the_time_left_does_not_suffice() -> None:
    """Known before it runs, from the terms; counted."""
    trial = Trial(Versions(tells))

    def busy(run: Run) -> None:
        tells(run)
        trial.clock.now_ns += 950_000 if run.count % 3 == 0 else 100_000

    trial.slot.computes = (busy, tells)
    trial.run(9, {0: "shadow"})
    second = trial.runners[0].second()
    assert second is not None
    assert (second.ran, second.skipped) == (6, 3)
    assert trial.runners[0].stats().missed == 0


def test_a_shadow_that_took_longer_than_it_was_said_to_waits_for_more_time() -> None:
    """What it once needed must be left; each time that it is skipped a part of that is forgotten, so that it comes back."""
    trial = Trial(Versions(tells))
    trial.slot.computes = (tells, at_k(slow(trial.clock, 2_500_000)))
    trial.run(200, {0: "shadow"})
    second = trial.runners[0].second()
    assert second is not None
    assert second.skipped > 20
    assert second.ran > 100
    assert 100_000 <= second.need_ns <= 1_000_000
    assert trial.runners[0].stats().missed == 1  # it was late once: the tick after the next was served


def test_shadows_run_when_all_tasks_of_a_thread_have_published() -> None:
    """A second task of the thread does not wait for the first one's shadow."""
    trial = Trial(Versions(tells))
    order: list[tuple[int, int]] = []

    def noted(run: Run) -> None:
        tells(run)
        order.append((run.version, trial.clock.now_ns))
        trial.clock.now_ns += 50_000

    trial = Trial(Versions(noted, noted), tasks=2)
    trial.run(1, {0: "shadow"})
    assert [version for version, _ in order] == [1, 1, 2, 2]


def test_a_reset_is_of_both_versions() -> None:
    """What is asked for from outside is asked of the model, whichever version goes on."""
    trial = Trial(Versions(tells, tells))

    def x(k: int) -> float:
        if k == 5:
            trial.runners[0].memory.task["reset_state"] = 1
        return 1.0

    trial.run(8, {2: "trial", 7: "roll_back"}, x=x)
    assert trial.values() == [1001, 1002, 2003, 2004, 2005, 2001, 2002, 1003]


def test_two_bins_for_each_power_of_two() -> None:
    """From 2**-64 on; 0 is in the first bin, what is greater than all edges in the last."""
    assert EDGES[0] == 0
    assert EDGES[1] == 2.0**-64
    assert EDGES[2] == 1.5 * 2.0**-64
    assert EDGES[3] == 2.0**-63
    assert EDGES[-1] == INF
    assert np.all(np.diff(EDGES) > 0)
    assert TERMS.tolerance == INF


# --- a model that does not run in each cycle ------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["its turn", "between, before the cycle", "between, in the cycle"])
def test_nothing_of_a_bad_version_is_left_between_two_turns(when: str) -> None:
    """What is held until the next turn is the bad version's: the old one has its turn at once, on the inputs of that tick."""
    steps = iter(range(100))

    def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
        if next(steps) == 10 and when == "between, in the cycle":
            mark_bad(trial)
        return 0

    def x(k: int) -> float:
        if k == 10 and when == "between, before the cycle":
            mark_bad(trial)
        return float(k)

    bad = at_k(lambda run: run.y.fill(NAN)) if when == "its turn" else tells
    trial = Trial(Versions(tells, bad), every=3, step=step_of(step))
    if when == "its turn":
        trial.run(20, {0: "trial"}, x=x)
        bad_at, states = 3 * K, [0, 3, 6, 9, 12, 15, 18]
    else:
        trial.run(20, {0: "trial"}, x=x)
        bad_at, states = 10, [0, 3, 6, 9, 10, 12, 15, 18]
    values = trial.values()
    assert all(value >= 2000 for value in values[:bad_at])
    sums = dict(zip(states, np.cumsum(states), strict=True))
    expected = [1000 + sums[max(s for s in states if s <= k)] for k in range(bad_at, 20)]
    assert values[bad_at:] == expected
