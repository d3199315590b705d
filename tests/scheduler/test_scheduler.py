"""Tasks on real threads. What is asserted are counts, never how fast this machine is."""

import ctypes
import dataclasses
import gc
import mmap
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rt_engine
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Quality, Tag
from rt_native.library import Library
from rt_native.memory import Block
from scheduler import Action, Guard, Input, Output, Scheduler, State, Step, Task, TaskStats, TaskStatus, measure_wakeup
from scheduler.clock import Clock
from scheduler.errors import SchedulerError, TaskError
from scheduler.runner import TaskRunner
from scheduler.task_block import Control
from tests.counting import least
from tests.scheduler.fakes import ANY_AGE, channel, step_of
from tests.scheduler.models import scale
from tests.waiting import PATIENCE_S, is_once, wait_for

STEPS = str(Path(__file__).with_name("step_native.py"))


def task(
    name: str, model: object, period_s: float = 0.001, value: float = 1.0, **more: object
) -> tuple[Task, Channel, Channel]:
    """A task `x -> model -> y` whose input is written once."""
    x, y = channel([f"{name}.x"], "in"), channel([f"{name}.y"], "out", safe=-1.0)
    x.write([value])
    more.setdefault("guard", ANY_AGE)
    built = Task(
        name=name,
        model=model,  # type: ignore[arg-type]
        period_s=period_s,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor="y", channel=y),),
        **more,  # type: ignore[arg-type]
    )
    return built, x, y


def test_tasks_run_on_one_grid_and_leave_safe_outputs() -> None:
    """Two tasks publish their model's values while running, share the first tick, and end safe and BAD."""
    model = scale(3)
    a, _, ya = task("a", model)
    b, _, yb = task("b", model, 0.002, value=5)
    with Scheduler([a, b]) as scheduler:
        wait_for(lambda: min(s.cycles for s in scheduler.stats().values()) > 20)
        wait_for(lambda: (ya.read().values[0], yb.read().values[0]) == (3, 15))  # safe where three cycles were late
        wait_for(lambda: ya.read().quality == Quality.GOOD)
        running = scheduler.stats()
    assert running["a"].state == State.RUNNING
    assert all((s.first_due_ns - scheduler.epoch_ns) % s.period_ns == 0 for s in running.values())
    for y in (ya, yb):
        assert (y.read().values[0], y.read().quality) == (-1, Quality.BAD)
    stopped = scheduler.stats()["a"]
    assert (stopped.state, stopped.status, stopped.action) == (State.STOPPED, TaskStatus.STOPPED, Action.SAFE)


def test_counters_agree_with_the_clock_at_every_moment() -> None:
    """Whenever statistics are read: cycles + missed = the ticks that have come, and all times are counted."""
    t, _, _ = task("t", scale(1), 0.0005)
    with Scheduler([t]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 0)
        for _ in range(300):
            s = scheduler.stats()["t"]
            assert s.cycles + s.missed == (s.due_ns - s.first_due_ns) // s.period_ns
    s = scheduler.stats()["t"]
    assert s.wakeup.count == s.execution.count == s.cycles


def counts_from(due_ns: int, s: TaskStats) -> bool:
    """Does it count all ticks since one that is not before `due_ns`, and none before?"""
    return s.first_due_ns >= due_ns and s.cycles + s.missed == (s.due_ns - s.first_due_ns) // s.period_ns


def test_start_stop_start() -> None:
    """A scheduler starts again with fresh counters; a second start while it runs is refused; a second stop is
    nothing."""
    t, _, y = task("t", scale(2))
    scheduler = Scheduler([t])
    scheduler.start()
    with pytest.raises(SchedulerError, match="running already"):
        scheduler.start()
    wait_for(lambda: scheduler.stats()["t"].cycles > 50)
    scheduler.stop()
    scheduler.stop()
    last = scheduler.stats()["t"]
    scheduler.start()
    assert counts_from(last.due_ns, scheduler.stats()["t"])
    wait_for(lambda: y.read().values[0] == 2)
    scheduler.close()
    assert not scheduler.is_running


def test_pause_and_reset_reach_a_running_task() -> None:
    """Pause makes outputs safe while ticks go on; reset makes the counters small again."""
    t, _, y = task("t", scale(2))
    with Scheduler([t]) as scheduler:
        wait_for(lambda: y.read().values[0] == 2)
        scheduler.pause("t")
        wait_for(lambda: y.read().values[0] == -1)
        wait_for(lambda: scheduler.stats()["t"].status == TaskStatus.PAUSED)  # noted behind the outputs
        wait_for(lambda: scheduler.stats()["t"].cycles > 50)
        last = scheduler.stats()["t"]
        scheduler.reset_stats("t")
        assert counts_from(last.due_ns, scheduler.stats()["t"])
        scheduler.resume("t")
        wait_for(lambda: y.read().values[0] == 2)


def test_a_held_gil_does_not_stop_the_ticks() -> None:
    """While one Python thread holds the GIL for 300 ms without a break, most of the 300 ticks are executed: none
    needs it."""
    t, _, _ = task("t", scale(1))
    with Scheduler([t]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 10)

        def goes_on() -> bool:
            before = scheduler.stats()["t"].cycles
            ctypes.PyDLL(None).usleep(300_000)  # PyDLL: called with the GIL held
            return scheduler.stats()["t"].cycles - before > 50  # none, if it needed the GIL

        assert is_once(goes_on)
        after = scheduler.stats()["t"]
    assert after.cycles + after.missed == (after.due_ns - after.first_due_ns) // after.period_ns


@pytest.mark.parametrize("burden", ["gil", "gc"])
def test_a_busy_interpreter_takes_no_tick(burden: str) -> None:
    """Under a thread that hogs the GIL, or one that forces garbage collection, every tick is executed or accounted as
    missed, and no more ticks are missed than the machine itself costs an empty task of the same period, plus one in a
    hundred. (The machine may disturb one of the two only: the comparison has three tries, the accounting none.)"""
    for _ in range(3):
        s, has_priority = under_burden(burden)
        assert s["t"].cycles + s["t"].missed == (s["t"].due_ns - s["t"].first_due_ns) // s["t"].period_ns
        if not has_priority or s["t"].missed <= s["empty"].missed + 5:
            return
    pytest.fail(f"{s['t'].missed} ticks missed in three tries, {s['empty'].missed} by an empty task")


def under_burden(burden: str) -> tuple[dict[str, TaskStats], bool]:
    """Statistics of a task and of an empty one, after a second beside two hogs; and whether they have priority."""
    stop = threading.Event()
    garbage = [[i] for i in range(100_000)]

    def hog() -> None:
        while not stop.is_set():
            if burden == "gc":
                gc.collect()
            else:
                sum(range(20_000))

    hogs = [threading.Thread(target=hog) for _ in range(2)]
    t, _, _ = task("t", scale(1), 0.002)
    with Scheduler([t, Task(name="empty", period_s=0.002)]) as scheduler:
        for thread in hogs:
            thread.start()
        time.sleep(1.0)
        stop.set()
        for thread in hogs:
            thread.join()
        s = scheduler.stats()
    assert len(garbage) == 100_000
    return s, all(grant.granted for grant in scheduler.rights if grant.name.startswith("SCHED_FIFO"))


# --- page faults ----------------------------------------------------------------------------------------------------


def test_no_page_fault_over_many_cycles() -> None:
    """From the first cycle on a task's thread has no page fault, while it runs a model, windows and a step."""
    assert least(faults_of_a_scheduler) == (0, 0)


def faults_of_a_scheduler() -> tuple[int, ...]:
    """Page faults of a new task's thread: after its 5000th cycle, and after its last."""
    x, y = channel(["x"], "in"), channel(["y"], "out")
    x.write([1.0])
    step = Step.compile(f"{STEPS}:negate")
    inputs = (Input(tensor="x", channel=x, window=64, stride=2),)
    t = Task(
        name="t",
        model=scale(1, 64),
        period_s=0.0002,
        inputs=inputs,
        outputs=(Output(tensor="y", channel=y),),
        guard=Guard(max_age_s=float("inf")),
        step=step,
        watchdog=0,
    )
    with Scheduler([t]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 5000)
        running = scheduler.stats()["t"].usage
    ended = scheduler.stats()["t"].usage
    assert y.read().counter > 5000
    assert running.voluntary_switches > 4000
    return running.minor_faults + running.major_faults, ended.minor_faults + ended.major_faults


def fast_clock() -> tuple[Clock, np.ndarray[Any, Any]]:
    """A clock without waiting, and its state: now, sleeps left, address of the control word."""
    native = Library("fast-clock", ("clock_native",), path=(str(Path(__file__).parent),))
    state = Block(24)
    return Clock(native.address("fast_now"), native.address("fast_sleep"), state.address, native), state.view(
        np.int64, 0, 3
    )


def test_a_million_cycles_without_a_page_fault() -> None:
    """1,000,000 cycles of latch, window, model, step, guard and publish: not one page fault, by the kernel's own
    count, and every tick executed. (That nothing allocates is read from the object file: `tests/test_proofs.py`.)"""
    assert least(faults_of_a_million) == (0,)


def faults_of_a_million() -> tuple[int, ...]:
    """Page faults of a new task's thread in so many cycles."""
    clock, state = fast_clock()
    built, _, y = task("t", scale(1, 16), step=Step.compile(f"{STEPS}:negate"))
    built = dataclasses.replace(built, inputs=(dataclasses.replace(built.inputs[0], window=16, stride=3),))
    runner = TaskRunner(built, rt_engine.ModelSlot(scale(1, 16)), clock)
    state[:] = 1, 1_000_001, runner.memory.address  # the control word is the first of TASK
    runner.start(lambda: None)
    assert runner.join(5 * PATIENCE_S)
    s = runner.stats()
    assert (s.cycles, s.missed, s.overruns) == (1_000_000, 0, 0)
    assert y.read().counter == 1_000_001
    return (s.page_faults,)


def test_planted_page_faults_are_counted() -> None:
    """A step that touches a fresh page in each of 50 cycles is seen as 50 page faults: the check above can fail."""
    area = mmap.mmap(-1, 64 * 4096)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    step = Step.compile(f"{STEPS}:touch", state_bytes=24)
    y = channel(["y"], "out")
    t = Task(name="t", period_s=0.001, outputs=(Output(tensor=None, channel=y),), step=step)
    scheduler = Scheduler([t])
    runner = scheduler._runners["t"]
    with scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 20)
        before = scheduler.stats()["t"].usage.minor_faults
        runner.memory._step_state.view(np.int64)[:2] = address, 50
        wait_for(lambda: runner.memory._step_state.view(np.int64)[2] == 50)
        cycles = scheduler.stats()["t"].cycles
        wait_for(lambda: scheduler.stats()["t"].cycles > cycles + 1)
        after = scheduler.stats()["t"].usage.minor_faults
    assert after - before >= 50


# --- model updates --------------------------------------------------------------------------------------------------


def test_update_is_taken_by_all_tasks_at_one_common_tick() -> None:
    """Tasks of 1, 2 and 3 ms change model at one tick that all three have, and publish the new one's values from then
    on."""
    slot = rt_engine.ModelSlot(scale(1))
    built = [task(n, slot, p) for n, p in (("a", 0.001), ("b", 0.002), ("c", 0.003))]
    with Scheduler([t for t, _, _ in built]) as scheduler:
        wait_for(lambda: min(s.cycles for s in scheduler.stats().values()) > 10)
        at = scheduler.next_common_tick(slot)
        assert (at - scheduler.epoch_ns) % 6_000_000 == 0
        result = scheduler.update(slot, scale(4))
        assert (result.activation_ns - scheduler.epoch_ns) % 6_000_000 == 0
        wait_for(lambda: all(y.read().values[0] == 4 for _, _, y in built))
        stats = scheduler.stats()
    for s in stats.values():
        assert (s.model_version, s.switches) == (2, 1)
        on_the_tick = s.switched_ns == result.activation_ns
        assert on_the_tick or s.missed > 0  # the machine may have slept over the tick


class Lockstep:
    """A clock for several tasks in threads: time moves to the next tick when all of them sleep. No tick is ever
    late."""

    def __init__(self, tasks: int) -> None:
        self.now_ns, self._sleeping, self._tasks = 0, {}, tasks
        self._changed = threading.Condition()

    def clock(self, name: str) -> Clock:
        from tests.scheduler.fakes import _NOW, _PAIR

        functions = (_NOW(lambda state: self.now_ns), _PAIR(lambda state, until: self._sleep(name, until)))
        now, sleep = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions)
        return Clock(now, sleep, owner=functions)

    def _sleep(self, name: str, until_ns: int) -> int:
        with self._changed:
            self._sleeping[name] = until_ns
            self._advance()
            while self.now_ns < until_ns:
                self._changed.wait(0.1)
                self._advance()
            self._sleeping.pop(name)
        return 0

    def _advance(self) -> None:
        if len(self._sleeping) >= self._tasks:
            self.now_ns = max(self.now_ns, min(self._sleeping.values()))
            self._changed.notify_all()

    def let_each_end(self) -> None:
        """From here on a task does not wait for the others."""
        self._tasks = 1


@pytest.fixture(scope="module")
def two_versions() -> tuple[rt_engine.Model, rt_engine.Model]:
    return scale(1), scale(2)


def updates(
    scheduler: Scheduler, slot: rt_engine.ModelSlot, models: tuple[rt_engine.Model, rt_engine.Model], count: int
) -> Iterator[rt_engine.UpdateResult]:
    for n in range(count):
        yield scheduler.update(slot, models[(n + 1) % 2], margin_s=0.002)


@pytest.mark.slow
def test_a_thousand_updates(two_versions: tuple[rt_engine.Model, rt_engine.Model]) -> None:
    """1,000 updates under two running tasks: each is taken by both at the same tick, the common one it was meant for,
    save where the machine slept over that tick and counted it as missed; contexts are freed; nothing grows."""
    from rt_engine.run.context import Context

    slot = rt_engine.ModelSlot(two_versions[0])
    a, _, _ = task("a", slot, 0.001)
    b, _, _ = task("b", slot, 0.002)
    scheduler = Scheduler([a, b])
    contexts: weakref.WeakSet[Context] = weakref.WeakSet()
    for reader in slot.readers:
        contexts.add(reader.context)
    with scheduler:
        wait_for(lambda: min(s.cycles for s in scheduler.stats().values()) > 10)
        astray = 0
        for result in updates(scheduler, slot, two_versions, 1000):
            astray += not (result.same_tick and result.taken_ns[0] == result.activation_ns)
            for reader in slot.readers:
                contexts.add(reader.context)
        stats = scheduler.stats()
    assert all(s.switches == 1000 and s.model_version == 1001 for s in stats.values())
    missed = sum(s.missed for s in stats.values())
    assert astray <= missed
    assert sum(s.cycles + s.missed for s in stats.values()) == sum(
        (s.due_ns - s.first_due_ns) // s.period_ns for s in stats.values()
    )
    assert all(s.failed == s.nan_outputs == s.safe == 0 for s in stats.values())
    gc.collect()
    assert len(contexts) == 2


def test_no_tick_mixes_versions_and_none_is_missed() -> None:
    """200 updates with time in the test's hands, so that the machine cannot be blamed: no tick is missed, every
    version is taken by both tasks at exactly its common tick, and what they publish for a tick comes from one
    version."""
    lockstep = Lockstep(2)
    published: dict[str, dict[int, float]] = {"a": {}, "b": {}}
    slot = rt_engine.ModelSlot(scale(1))
    runners: dict[str, TaskRunner] = {}

    def note(name: str):  # type: ignore[no-untyped-def]
        def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
            published[name][lockstep.now_ns] = float(outputs[0])
            return 0

        return step

    for name, period in (("a", 0.001), ("b", 0.002)):
        clock: Clock = lockstep.clock(name)
        built, _, _ = task(name, slot, period, step=step_of(note(name)))
        runners[name] = TaskRunner(built, slot, clock)
    for runner in runners.values():
        runner.start(lambda: None)
    switched: list[int] = []
    for version in range(2, 202):
        result = slot.update(scale(version), at=lambda: (lockstep.now_ns // 2_000_000 + 3) * 2_000_000)
        assert result.same_tick
        assert result.taken_ns[0] == result.activation_ns
        switched.append(result.activation_ns)
    for runner in runners.values():
        runner.tell(Control.STOP)
    lockstep.let_each_end()
    assert all(runner.join(PATIENCE_S) for runner in runners.values())
    stats = {name: runner.stats() for name, runner in runners.items()}
    assert all(s.missed == 0 and s.switches == 200 for s in stats.values())
    both = sorted(published["a"].keys() & published["b"].keys())
    assert len(both) > 400
    assert [(t, published["a"][t], published["b"][t]) for t in both if published["a"][t] != published["b"][t]] == []
    for name in runners:  # each version begins at its own tick, and not before
        for tick, value in published[name].items():
            assert value == 1 + sum(at <= tick for at in switched)


# --- watchdog -------------------------------------------------------------------------------------------------------


def test_a_task_that_hangs_loses_its_outputs() -> None:
    """A step that does not return: within about a second the outputs are safe and BAD, the state says HUNG; the other
    task goes on; and when the step comes back the task ends without writing again."""
    release = threading.Event()
    hang = threading.Event()

    def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
        if hang.is_set():
            release.wait(30)
        return 0

    t, _, y = task("t", scale(2), step=step_of(step))
    other, _, _ = task("other", scale(1))
    with Scheduler([t, other]) as scheduler:
        wait_for(lambda: y.read().values[0] == 2)
        hang.set()
        wait_for(lambda: scheduler.stats()["t"].state == State.HUNG)
        sample = y.read()
        assert (sample.values[0], sample.quality) == (-1, Quality.BAD)
        assert scheduler.stats()["t"].status == TaskStatus.HUNG
        cycles = scheduler.stats()["other"].cycles
        wait_for(lambda: scheduler.stats()["other"].cycles > cycles + 10)
        release.set()
        wait_for(lambda: not scheduler._runners["t"].is_alive)
        assert y.read().counter == sample.counter


def test_stopping_a_scheduler_whose_task_hangs_leaves_it_safe() -> None:
    """`stop` does not wait forever for a task that hangs, and its outputs are safe when it returns."""
    entered, release = threading.Event(), threading.Event()

    def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
        entered.set()
        release.wait(30)
        return 0

    t, _, y = task("t", scale(2), step=step_of(step))
    scheduler = Scheduler([t])
    scheduler.start()
    assert entered.wait(60)
    scheduler.stop()
    sample = y.read()
    assert (sample.values[0], sample.quality) == (-1, Quality.BAD)
    with pytest.raises(SchedulerError, match="'t' has not ended: it hangs"):
        scheduler.start()
    release.set()
    assert scheduler._runners["t"].join(PATIENCE_S)


# --- the rest -------------------------------------------------------------------------------------------------------


def test_an_interrupted_stop_has_told_the_tasks_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while stopping: the tasks end with safe outputs all the same, and another `stop` does the rest."""
    t, _, y = task("t", scale(2))
    scheduler = Scheduler([t])
    scheduler.start()
    wait_for(lambda: y.read().values[0] == 2)
    with monkeypatch.context() as patch:
        patch.setattr(scheduler._supervisor, "stop", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.stop()
    wait_for(lambda: (y.read().values[0], y.read().quality) == (-1, Quality.BAD))
    assert scheduler.is_running
    scheduler.stop()
    assert not scheduler.is_running


def _interrupted() -> None:
    raise KeyboardInterrupt


def test_a_thread_that_never_gets_ready_does_not_hang_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start says so, the other tasks end, and all can be started again."""
    a, _, _ = task("a", scale(1))
    b, _, yb = task("b", scale(1))
    scheduler = Scheduler([a, b])
    with monkeypatch.context() as patch:
        patch.setattr("scheduler.scheduler.START_PATIENCE_S", 0.3)
        patch.setattr(scheduler._runners["a"].thread, "_main", lambda ready: None)
        with pytest.raises(SchedulerError, match="not ready within"):
            scheduler.start()
    wait_for(lambda: not any(runner.is_alive for runner in scheduler._runners.values()))
    assert yb.read().counter == 0 or yb.read().quality == Quality.BAD
    with scheduler:
        wait_for(lambda: scheduler.stats()["b"].cycles > 0)


def test_a_slow_task_has_its_period_to_take_an_update() -> None:
    """The period is longer than the patience of the update: it waits for that tick."""
    slot = rt_engine.ModelSlot(scale(2))
    slow, _, y = task("slow", slot, period_s=0.5)
    with Scheduler([slow]) as scheduler:
        wait_for(lambda: y.read().values[0] == 2)
        assert scheduler.update(slot, scale(3), timeout_s=0.05).version == 2
        wait_for(lambda: y.read().values[0] == 3)


def test_a_plain_model_is_shared_by_its_tasks() -> None:
    """Two tasks with the same model run one program, each in a context of its own."""
    model = scale(3)
    a, _, _ = task("a", model)
    b, _, _ = task("b", model)
    scheduler = Scheduler([a, b])
    slots = {id(r.slot) for r in scheduler._runners.values()}
    assert len(slots) == 1


def test_a_task_that_does_not_fit_leaves_no_reader_behind() -> None:
    """A scheduler that is refused for its second task has taken nothing from the slot of its first."""
    slot = rt_engine.ModelSlot(scale(1))
    good, _, _ = task("good", slot)
    bad, _, _ = task("bad", scale(1, 2))
    with pytest.raises(TaskError, match="task 'bad', input 0: the model has no tensor 'q'"):
        Scheduler([good, dataclasses.replace(bad, inputs=(Input(tensor="q", channel=channel(["q"], "in")),))])
    assert slot.readers == ()


def test_close_gives_the_contexts_back() -> None:
    """After `close` the slot has no reader of this scheduler."""
    slot = rt_engine.ModelSlot(scale(1))
    t, _, _ = task("t", slot)
    scheduler = Scheduler([t])
    assert len(slot.readers) == 1
    scheduler.close()
    assert slot.readers == ()


def test_unknown_slot_is_refused() -> None:
    """A common tick of a slot that no task runs: an error with the slot's name."""
    t, _, _ = task("t", scale(1))
    with pytest.raises(SchedulerError, match="no task of this scheduler runs the model slot 'other'"):
        Scheduler([t]).next_common_tick(rt_engine.ModelSlot(scale(1), "other"))


def test_measure_wakeup_counts_every_cycle() -> None:
    """The wake-up histogram of an empty task has about one entry per period."""

    def is_one_a_period() -> bool:
        begun_s = time.monotonic()
        histogram = measure_wakeup(period_s=0.001, seconds=0.3)
        assert histogram.count <= 1000 * (time.monotonic() - begun_s) + 1
        return histogram.count >= 50 and 0 < histogram.min <= histogram.percentile(50) <= histogram.max

    assert is_once(is_one_a_period)


def test_tags_give_channels_of_arrays() -> None:
    """A tag with count 3 is three cells, read by one input."""
    x = ProcessImage().channel("x", [Tag("v", "float64", "in", count=3)], writer="w", reader="r")
    y = ProcessImage().channel("y", [Tag("w", "float64", "out", count=3)], writer="w", reader="r")
    x.write([1.0, 2.0, 3.0])
    t = Task(
        name="t",
        model=scale(2, 3),
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x, count=3),),
        outputs=(Output(tensor="y", channel=y, count=3),),
        guard=ANY_AGE,
    )
    with Scheduler([t]):
        wait_for(lambda: y.read().values.tolist() == [2, 4, 6])
