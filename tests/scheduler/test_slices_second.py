"""Two versions of a model that runs in slices, with time and both in the test's hands."""

import ctypes
import math

import numpy as np

from rt_engine import Context, Model
from rt_engine.change import Verdict
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.kept import keep, keep_states
from rt_engine.run.slicing import slices_block
from rt_engine.status import Status
from rt_native.memory import Block
from scheduler.second import Terms
from scheduler.status import TaskStatus
from tests.scheduler.fakes import _PAIR, MS
from tests.scheduler.versions import Compute, Run, Trial, Versions, tells

US = 1_000
RECORDS = 4
"""Of each version, 100 us each: two cycles in slices of 300 us. The second one computes, the state too."""


class SlicedVersions(Versions):
    """Versions whose runs are several records long; `trial` has the clock that they take time of."""

    trial: "Trial"

    def __init__(self, *computes: Compute) -> None:
        super().__init__(*computes)
        self.runs: list[tuple[int, float]] = []
        """(Version, x) of each run that began."""
        self.costs: dict[int, int] = {}
        """Version -> nanoseconds of each of its records, where they are not 100 us."""

    def _script(self, model: Model, context: Context) -> None:
        version = int(context._fields["version"][0])
        cost = self.costs.get(version, 100 * US)
        run, records, table = Run(version, context), Block(RECORD.itemsize * RECORDS), Block(8)

        def kernel(arena: int, record: int) -> int:
            self.trial.clock.now_ns += cost
            number = (record - records.address) // RECORD.itemsize
            if number == 0:
                self.runs.append((version, float(run.x[0])))
            if number != 1:
                return 0
            status = self.computes[version - 1](run) or 0
            run.count += 1
            return status

        native = _PAIR(kernel)
        table.view(np.int64)[0] = ctypes.cast(native, ctypes.c_void_p).value or 0
        for name, value in {"table": table.address, "records": records.address, "count": RECORDS}.items():
            context._fields[name] = value
        keep_states(context)
        pieces = [(i, i + 1) for i in range(RECORDS)]
        keep(context, "slices", slices_block(records.address, RECORDS, pieces, [cost] * RECORDS))
        self._kept.append((native, table, records, run))


def trial_of(*computes: Compute, **more: object) -> Trial:
    """A task of 1 ms, its slot's versions in slices of 300 us."""
    slot = SlicedVersions(*computes)
    slot.trial = trial = Trial.__new__(Trial)
    trial.__init__(slot, slice_s=300e-6, terms=Terms(new_ns=1, old_ns=1), **more)  # type: ignore[misc, arg-type]
    return trial


def at(count: int, change: Compute) -> Compute:
    """`tells`, but that run number `count` does more."""

    def compute(run: Run) -> int | None:
        tells(run)
        return change(run) if run.count == count else None

    return compute


def nan(run: Run) -> None:
    run.y[0] = math.nan


def test_a_shadow_runs_in_slices_too() -> None:
    """Behind the outputs, on the inputs of the runs that are done, with nothing of what is published changed."""
    alone, trial = trial_of(tells), trial_of(tells, tells)
    alone.run(20, x=lambda k: k)
    trial.run(20, {4: "shadow"}, x=lambda k: k)
    assert trial.values() == alone.values()
    second = trial.runners[0].second()
    assert second is not None and second.ran >= 6 and (second.failed, second.skipped) == (0, 0)
    assert second.differences[0].largest == 1000  # its state, too, is that of the live one
    slot = trial.slot
    assert isinstance(slot, SlicedVersions)
    live = [x for version, x in slot.runs if version == 1]
    shadow = [x for version, x in slot.runs if version == 2]
    assert shadow == live[2 : 2 + len(shadow)]
    assert trial.runners[0].stats().missed == 0


def test_a_shadow_whose_piece_does_not_fit_costs_no_tick() -> None:
    """It never begins, however long it waits; the live version has all of its cycles."""
    alone, trial = trial_of(tells), trial_of(tells, tells)
    assert isinstance(trial.slot, SlicedVersions)
    trial.slot.costs[2] = 1500 * US
    alone.run(40, x=lambda k: k)
    trial.run(40, {4: "shadow"}, x=lambda k: k)
    second = trial.runners[0].second()
    assert trial.values() == alone.values() and trial.runners[0].stats().missed == 0
    assert second is not None and second.ran == 0 and second.skipped > 8
    assert 2 not in {version for version, _ in trial.slot.runs}


def test_a_version_found_bad_is_rolled_back_at_its_result() -> None:
    """Outputs are held until the old version's next run is done; its state is its own, moved on by results alone."""
    trial = trial_of(tells, at(2, nan))
    trial.run(20, {4: "shadow", 8: "trial"}, x=lambda k: 1.0)
    assert trial.change is not None and trial.change.fate is not None
    assert trial.change.fate.verdict == Verdict.NOT_FINITE
    values = trial.values()
    first_new = next(i for i, v in enumerate(values) if v > 2000)
    back = next(i for i, v in enumerate(values) if i > first_new and v < 2000)
    assert set(values[first_new:back]) == {values[first_new]}  # no NaN, and nothing but what was published
    assert all(1000 < v < 2000 for v in values[back:])
    stats = trial.runners[0].stats()
    assert stats.last_fault == TaskStatus.ROLLED_BACK and stats.missed == 0
    assert sorted(set(values[back:])) == list(np.arange(len(set(values[back:]))) + values[back])


def test_a_task_in_the_middle_of_a_run_gives_it_up_with_the_version_that_another_finds_bad() -> None:
    """Of two tasks whose runs are a cycle apart: the other's run ends in its next cycle, its outputs are held until the old one's."""

    def bad_in_b(run: Run) -> None:
        tells(run)
        if run.x[0] == 9.0:
            run.y[0] = math.nan

    trial = trial_of(tells, bad_in_b, tasks=2)
    a, b = trial.runners

    def x(k: int) -> float:
        a.memory.task["reset_state"] = (
            1 if k == 4 else 0
        )  # in the middle of a run: its others come a cycle later than those of b
        return 9.0 if k == 7 else 1.0

    trial.run(24, {0: "shadow", 2: "trial"}, x=x)
    assert trial.change is not None and trial.change.fate is not None
    assert (trial.change.fate.verdict, trial.change.fate.task) == (Verdict.NOT_FINITE, "b")
    for runner in (a, b):
        values = [v for v, _ in trial.seen[runner.task.name]]
        assert not any(math.isnan(v) for v in values) and 1000 < values[-1] < 2000
        assert runner.stats().missed == 0
    assert (a.stats().given_up_runs, b.stats().given_up_runs) == (2, 0)  # at the reset, and with the version
    assert {a.stats().last_fault, b.stats().last_fault} == {TaskStatus.ROLLED_BACK}


def test_a_committed_version_goes_on_from_its_own_state() -> None:
    """A shadow, a trial and a commit: each value is of one version, and no sample is lost to a state but those that were skipped."""
    trial = trial_of(tells, tells)
    trial.run(24, {4: "shadow", 10: "trial", 16: "commit"}, x=lambda k: 1.0)
    values = trial.values()
    assert values[0] == -1 and trial.change is not None and trial.change.fate is None
    steps = np.diff([v for v in values if v > 0])
    assert set(steps.tolist()) <= {0.0, 1.0, 1000.0, 1001.0, 999.0} and values[-1] > 2000
    assert trial.period_ns == MS


def late(run: Run) -> int:
    return int(Status.HELPER_LATE)


def test_a_late_helper_ends_a_run_and_its_states_are_those_of_before() -> None:
    """The next run begins where that one did; outputs are safe until it is done."""
    trial = trial_of(at(2, late), threads=2)
    trial.run(10)
    assert trial.values() == [-1.0, 1001.0, 1001.0, 1002.0, -1.0, -1.0, 1003.0, 1003.0, 1004.0, 1004.0]


def test_a_shadow_in_slices_whose_helper_is_late_is_skipped_once() -> None:
    trial = trial_of(tells, at(1, late), threads=2)
    trial.run(16, {1: "shadow"})
    second = trial.runners[0].second()
    assert second is not None and (second.failed, second.ran, second.skipped) == (0, 6, 1)


def test_a_version_in_slices_on_trial_is_not_blamed_for_a_late_helper() -> None:
    trial = trial_of(tells, at(3, late), threads=2)
    trial.run(24, {1: "shadow", 6: "trial"})
    assert trial.change is not None and trial.change.fate is None
    assert trial.values()[6:12] == [2004.0, -1.0, -1.0, 2005.0, 2005.0, 2006.0]
