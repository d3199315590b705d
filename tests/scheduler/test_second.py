"""Changes of several tasks, threads and slots: one tick, one fate, and nothing published of what was found bad."""

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

import rt_engine
from rt_engine.change import ChangeState, Verdict
from rt_engine.errors import UpdateError
from rt_engine.run.slicing import slice_runs
from rt_engine.slot_change import SlotChange
from scheduler import Scheduler
from scheduler.errors import SchedulerError
from scheduler.runner import TaskRunner
from scheduler.second import Terms
from scheduler.task_block import Control
from tests.counting import least
from tests.scheduler.fakes import step_of
from tests.scheduler.models import scale
from tests.scheduler.test_scheduler import Lockstep, fast_clock, task, wait_for
from tests.scheduler.versions import TEMPLATE, TERMS, Run, Versions, tells
from tests.waiting import PATIENCE_S

FAR, BEYOND = 1_000_000, 9_999_999.0
"""What lies between two versions: no run is so long that the old one counts to it."""
PERIODS = {"a": 0.001, "b": 0.002, "c": 0.003}


def tells_far(run: Run) -> None:
    """y = FAR * version + the sum of all x until now, which is the state."""
    tells(run)
    run.y[0] = FAR * run.version + run.state[0]


@pytest.mark.parametrize("every", [1, 2])
def test_a_shadow_that_no_cycle_has_time_for_says_so_from_the_start(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """It would never end a run, as it begins no part that may not fit: into a slice, or beside the least that is live."""

    def measured(**known: int) -> Any:
        return lambda context, *args, **options: dataclasses.replace(slice_runs(context, *args, **options), **known)

    slot = rt_engine.ModelSlot(scale(1))
    built, _, _ = task("a", slot, 0.002)
    full = {"run_ns": 1_000_000, "cycles": 1}  # it leaves 0.9 ms of 2, less a reserve of 0.1: none where it rests
    monkeypatch.setattr("scheduler.instead_memory.slice_runs", measured(**full))
    with Scheduler([dataclasses.replace(built, slice_s=0.001, every=every)]) as scheduler:
        found = []
        for measure in (slice_runs, measured(surely_ns=2_000_000), measured(surely_ns=950_000)):
            monkeypatch.setattr("scheduler.instead_memory.slice_runs", measure)
            change = scheduler.change({slot: scale(2)})
            change.shadow()
            second = scheduler.second("a")
            assert second is not None
            found.append(second.never)
            change.roll_back()
    assert found[0] == "" and "a slice from 2,500 us on suffices" in found[1]
    assert ("that it leaves of a cycle" in found[2]) == (every == 1)


class Threads:
    """Tasks of several slots on threads of their own, whose clock moves when all sleep. What each publishes at each tick is noted."""

    def __init__(self, slots: Mapping[str, rt_engine.ModelSlot]) -> None:
        self.lockstep, self.slots = Lockstep(len(slots)), slots
        self.published: dict[str, dict[int, float]] = {name: {} for name in slots}
        self.runners = {name: self._runner(name) for name in slots}

    def _runner(self, name: str) -> TaskRunner:
        built, _, self_y = task(name, self.slots[name], PERIODS[name])
        clock = self.lockstep.clock(name)
        runner = TaskRunner(built, self.slots[name], clock)
        seen, sleep = self.published[name], self.lockstep._sleep

        def noting(who: str, until_ns: int) -> int:
            if who == name:
                seen[runner.tick_ns] = float(self_y.read().values[0])
            return sleep(who, until_ns)

        self.lockstep._sleep = noting  # type: ignore[method-assign]
        return runner

    def change(self, terms: Terms = TERMS) -> SlotChange:
        def watching(reader: Any, active: Any, second: Any, mode: Any) -> Any:
            number, runner = next((n, r) for n, r in enumerate(self.runners.values()) if r.reads(reader))
            return runner.watch(number, active, second, mode, terms)

        models = dict.fromkeys(self.slots.values(), TEMPLATE)
        return SlotChange(models, watching=watching, at=lambda: (self.lockstep.now_ns // 6_000_000 + 3) * 6_000_000)

    def __enter__(self) -> "Threads":
        for runner in self.runners.values():
            runner.start(lambda: None)
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self.runners.values():
            runner.tell(Control.STOP)
        self.lockstep.let_each_end()
        assert all(runner.join(PATIENCE_S) for runner in self.runners.values())

    def wait(self, ticks: int) -> None:
        """So many milliseconds of the tasks' clock."""
        until = self.lockstep.now_ns + ticks * 1_000_000
        wait_for(lambda: self.lockstep.now_ns >= until)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("several_slots", [False, True], ids=["one slot", "three slots"])
def test_no_task_publishes_a_value_of_a_version_after_it_was_found_bad(seed: int, several_slots: bool) -> None:
    """Three tasks of different periods and threads; one of them, at some run, finds the version bad. Whatever tick and task: in that
    tick its outputs are the old version's, those of the others from their next tick on at the latest, as if it had been alone."""
    rng = random.Random(seed)
    who, when, value = rng.randrange(3), rng.randrange(1, 9), rng.choice([math.nan, math.inf, BEYOND])
    made: list[Run] = []

    def new(run: Run) -> None:
        tells_far(run)
        if not any(run is other for other in made):
            made.append(run)
        if run.count == when and len(by_task) == 3 and by_task[who] is run:
            run.y[0] = value

    by_task: list[Run] = []
    shared = Versions(tells_far, new)
    slots = {name: Versions(tells_far, new) if several_slots else shared for name in PERIODS}
    threads = Threads(slots)
    with threads:
        threads.wait(5)
        change = threads.change(Terms(new_ns=1, old_ns=1, high={f"{name}.y": 3 * FAR for name in PERIODS}))
        by_task += [run for slot in dict.fromkeys(slots.values()) for version, run in runs_of(slot) if version == 2]
        change.trial()
        wait_for(lambda: change.fate is not None)
        threads.wait(12)
    fate = change.fate
    assert fate is not None
    assert fate.verdict is (Verdict.OUT_OF_LIMITS if value == BEYOND else Verdict.NOT_FINITE)
    assert (fate.task, fate.output) == (list(PERIODS)[who], f"{list(PERIODS)[who]}.y")
    for name, published in threads.published.items():
        cycles = dict(zip(sorted(published), range(len(published)), strict=True))
        wrong = [
            t
            for t, v in published.items()
            if v >= 2 * FAR and (t > fate.tick_ns or (t == fate.tick_ns and name == fate.task))
        ]
        assert wrong == []
        assert BEYOND not in published.values()
        first = min(published)
        for tick, got in published.items():
            if first < tick and got < 2 * FAR:
                assert got == FAR + cycles[tick], (name, tick)  # the first entry is from before the first cycle


def runs_of(slot: Versions) -> list[tuple[int, Run]]:
    """(version, run) of every context that was made for a slot's readers, in their order."""
    return [(kept[3].version, kept[3]) for kept in slot._kept]


def test_a_step_is_taken_by_all_tasks_of_all_slots_at_one_tick() -> None:
    """Two slots, tasks of 1, 2 and 3 ms: shadow, trial, commit and what each published."""
    slots = {name: Versions(tells_far, tells_far) for name in PERIODS}
    threads = Threads(slots)
    with threads:
        threads.wait(5)
        change = threads.change()
        for step in (change.shadow, change.trial, change.commit):
            results = step()
            assert len({tick for result in results for tick in result.taken_ns}) == 1 or step == change.commit
            if step == change.trial:
                (begun,) = {tick for result in results for tick in result.taken_ns}
        threads.wait(12)
    assert change.state is ChangeState.COMMITTED
    for published in threads.published.values():
        ticks = sorted(published)[1:]
        assert all((published[tick] >= 2 * FAR) == (tick >= begun) for tick in ticks)


@pytest.mark.parametrize("step", ["shadow", "trial"])
def test_a_hundred_thousand_cycles_of_two_versions_fault_never(step: str) -> None:
    """As many cycles, each with both versions: not one page fault, by the kernel's own count. (That nothing allocates is read from
    the object file: `tests/test_proofs.py`.)"""
    assert least(lambda: faults_of_two_versions(step)) == (0,)


def faults_of_two_versions(step: str) -> tuple[int, ...]:
    """Page faults of a new task's thread in so many cycles."""
    clock, state = fast_clock()
    built, _, y = task("t", slot := rt_engine.ModelSlot(scale(1, 16)))
    runner = TaskRunner(built, slot, clock)

    def watching(reader: Any, active: Any, second: Any, mode: Any) -> Any:
        return runner.watch(0, active, second, mode, Terms(new_ns=1, old_ns=1, low={"t.y": -1e9}))

    getattr(SlotChange({slot: scale(2, 16)}, watching=watching), step)()
    state[:] = 1, 100_001, runner.memory.address  # the control word is the first of TASK
    runner.start(lambda: None)
    assert runner.join(5 * PATIENCE_S)
    s, second = runner.stats(), runner.second()
    assert second is not None
    assert (s.cycles, s.missed, second.ran, second.skipped) == (100_000, 0, 100_000, 0)
    assert second.differences[0].histogram.sum() == 100_000
    assert y.read().counter == 100_001
    return (s.page_faults,)


# --- the scheduler's own, on real threads ---------------------------------------------------------------------------


def test_a_scheduler_changes_two_slots_together() -> None:
    """Contexts for all tasks, terms for each; what was seen is told by task; then it is committed."""
    slots = [rt_engine.ModelSlot(scale(1), name) for name in ("p", "q")]
    (a, _, ya), (b, _, yb) = task("a", slots[0]), task("b", slots[1], 0.002)
    with Scheduler([a, b]) as scheduler:
        assert scheduler.second("a") is None
        change = scheduler.change({slots[0]: scale(2), slots[1]: scale(3)}, {"a": Terms(tolerance=0.5)})
        change.shadow()
        wait_for(lambda: all((s := scheduler.second(n)) and s.ran + s.skipped > 5 for n in "ab"))
        wait_for(lambda: (ya.read().values[0], yb.read().values[0]) == (1, 1))
        change.trial()
        wait_for(lambda: (ya.read().values[0], yb.read().values[0]) == (2, 3))
        assert [slot.version for slot in slots] == [1, 1]
        change.commit()
        assert [slot.version for slot in slots] == [2, 2]
        second = scheduler.second("a")
        assert second is not None
        assert (second.mode, second.differences[0].name) == ("trial", "a.y")
        change.roll_back()
        wait_for(lambda: (ya.read().values[0], yb.read().values[0]) == (1, 1))
    assert [s.failed for s in scheduler.stats().values()] == [0, 0]


def test_what_does_not_fit_is_refused_before_anything_is_prepared() -> None:
    """Terms for a task that there is not; a second change of a slot."""
    slot = rt_engine.ModelSlot(scale(1), "policy")
    built, _, _ = task("a", slot)
    scheduler = Scheduler([built])
    with pytest.raises(SchedulerError, match="'axis': there is no such task"):
        scheduler.change({slot: scale(2)}, {"axis": Terms()})
    for terms in (Terms(low={"u": 1}), Terms(high={"u": 1}), Terms(tolerance={"u": 1})):
        with pytest.raises(SchedulerError, match=r"task 'a': [a-z]+ names 'u'; its outputs are 'a.y'"):
            scheduler.change({slot: scale(2)}, {"a": terms})
    scheduler.change({slot: scale(2)})
    with pytest.raises(UpdateError, match="in STAGED"):
        scheduler.update(slot, scale(2))


def test_a_slot_that_no_task_runs_has_its_steps_at_once() -> None:
    """PLC clients alone call it: they are answered by the committed version."""
    slot = rt_engine.ModelSlot(scale(1))
    change = Scheduler([]).change({slot: scale(2)})
    change.trial()
    assert slot.version == 1
    change.commit()
    assert slot.version == 2


def test_a_task_that_starts_anew_begins_with_both_versions_as_new() -> None:
    """Stopped in a shadow and started again: no state is left of the run before."""
    slot = Versions(tells, tells)
    built, _, y = task("a", slot, step=step_of(lambda inputs, outputs, state: 0))
    scheduler = Scheduler([built])
    change = scheduler.change({slot: TEMPLATE}, {"a": TERMS})
    with scheduler:
        change.shadow()
        wait_for(lambda: y.read().values[0] > 1005 and scheduler.second("a").ran > 0)  # type: ignore[union-attr]
    (reader,) = slot.readers
    assert all(context.state["before"][0] > 0 for context in reader.arrangement.contexts)
    with scheduler:
        wait_for(lambda: y.read().values[0] > 1000)
        assert y.read().values[0] < 1005 + scheduler.stats()["a"].cycles
    scheduler.close()
