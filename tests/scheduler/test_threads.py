"""Tasks that share a thread: one tick, a cycle of each, and for each all that a task alone has."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fieldbus.tags import Quality
from scheduler import Action, Scheduler, State, Task, TaskStatus
from scheduler.errors import TaskError
from scheduler.supervisor import Supervisor
from scheduler.task_block import Control
from scheduler.threads import TaskThread, shared
from tests.scheduler.fakes import EPOCH, PERIOD, Bench, FakeClock, FakeModel, bench, channel, spec
from tests.waiting import wait_for

Work = Callable[[int], int]
"""Number of a task's run -> how long it takes, ns."""


class Desk:
    """Tasks of one thread on one fake clock; each doubles its input, taking its time."""

    def __init__(self, *works: Work, priorities: Sequence[int] = (), **task: Any) -> None:
        self.clock = FakeClock()
        self.order: list[str] = []
        names = "abcdefgh"[: len(works)]
        self.benches: dict[str, Bench] = {}
        for number, (name, work) in enumerate(zip(names, works, strict=True)):
            made = bench(self._model(name, work), clock=self.clock, x=channel([f"x{name}"], "in"),
                         y=channel([f"y{name}"], "out", safe=-1.0), **task)  # fmt: skip
            priority = priorities[number] if priorities else 80
            built = dataclasses.replace(made.task, name=name, priority=priority)
            self.benches[name] = Bench(built, made.slot, self.clock, made.x, made.y)
        self.thread = TaskThread([one.runner for one in self.benches.values()])
        for one in self.benches.values():
            one.runner.thread = self.thread

    def _model(self, name: str, work: Work) -> Callable[..., None]:
        runs = iter(range(10**6))

        def compute(i: Any, o: Any) -> None:
            self.order.append(name)
            self.clock.now_ns += work(next(runs))
            o["y"][0, 0] = 2 * i["x"][0, -1]

        return compute

    def run(self, sleeps: int, before: Callable[[int], None] = lambda k: None) -> None:
        """Run until the thread has slept so often; `before(k)` is called in sleep k."""
        done = 0

        def on_sleep(until_ns: int) -> None:
            nonlocal done
            if done == sleeps or self.clock.failure:
                self.thread.runners[0].tell(Control.STOP)
                return
            for one in self.benches.values():
                one.put(done + 1)
            before(done)
            done += 1

        self.clock.on_sleep = on_sleep
        self.clock.now_ns += PERIOD // 2
        for one in self.benches.values():
            one.runner.memory.clear()
        self.thread.run_here()
        if self.clock.failure:
            raise self.clock.failure

    def __getitem__(self, name: str) -> Bench:
        return self.benches[name]


def at_once(run: int) -> int:
    return 0


def test_tasks_of_equal_core_period_and_priority_share_a_thread() -> None:
    """Of equal core, period and priority: one thread. Another of the three, or no core: another thread. A name: that one."""

    def groups(*more: dict[str, Any]) -> list[list[str]]:
        tasks = [Task(**{"name": str(k), "period_s": 0.001, "cpu": 1} | one) for k, one in enumerate(more)]
        return [[task.name for task in group] for group in shared(tasks)]

    assert groups({}, {}, {}) == [["0", "1", "2"]]
    assert groups({}, {"priority": 60}, {"period_s": 0.002}, {"cpu": 0}, {}) == [["0", "4"], ["1"], ["2"], ["3"]]
    assert groups({"cpu": None}, {"cpu": None}) == [["0"], ["1"]]
    assert groups({"thread": "t"}, {"thread": "t", "priority": 60}, {}, {"thread": "alone"}) == [
        ["0", "1"],
        ["2"],
        ["3"],
    ]
    assert groups({"cpu": None, "thread": "t"}, {"cpu": None, "thread": "t"}) == [["0", "1"]]


@pytest.mark.parametrize("other", [{"period_s": 0.002}, {"cpu": 1}])
def test_a_named_thread_has_one_period_and_one_core(other: dict[str, Any]) -> None:
    """Tasks of another period, or core, that name the same thread are refused with both names."""
    tasks = [
        Task(name="a", period_s=0.001, thread="t"),
        Task(**{"name": "b", "period_s": 0.001, "thread": "t"} | other),
    ]
    with pytest.raises(TaskError, match=r"'a' and 'b' name the same thread 't'"):
        Scheduler(tasks)


def test_at_each_tick_the_most_urgent_comes_first_and_each_has_its_own_times() -> None:
    """The second waits for the first: that is its wake-up, and its execution is its own."""
    desk = Desk(lambda run: 100_000, lambda run: 30_000, priorities=(60, 80))
    desk.run(4)
    assert desk.order == ["b", "a"] * 4
    a, b = (desk[name].runner.stats() for name in "ab")
    assert (a.cycles, a.missed, b.cycles, b.missed) == (4, 0, 4, 0)
    assert (b.wakeup.max_ns, b.execution.max_ns) == (0, 30_000)
    assert (a.wakeup.max_ns, a.execution.max_ns) == (30_000, 100_000)
    assert a.due_ns == b.due_ns == EPOCH + 4 * PERIOD


def test_one_that_is_late_delays_the_others_and_each_counts_its_own_missed_ticks() -> None:
    """The first takes 2.5 periods at its second tick: it misses two; the other, which wakes 2.5 periods late, serves the
    newest tick and misses two as well. After that both are on time, on the grid."""
    desk = Desk(lambda run: 5 * PERIOD // 2 if run == 1 else 0, at_once)
    desk.run(4)
    a, b = (desk[name].runner.stats() for name in "ab")
    assert (a.cycles, a.missed, a.overruns, a.overruns_in_a_row) == (4, 2, 1, 0)
    assert (b.cycles, b.missed, b.overruns, b.overruns_in_a_row) == (4, 2, 1, 0)
    assert b.wakeup.max_ns == 5 * PERIOD // 2
    assert a.due_ns == b.due_ns == EPOCH + 6 * PERIOD
    assert desk["b"].y.read().counter == 5


def test_a_task_that_still_runs_at_its_next_tick_leaves_that_tick_to_the_others() -> None:
    """Together they take longer than a period: the first misses nothing at its next tick, the second, which ended late, waits
    for the tick after that."""
    desk = Desk(lambda run: 8 * PERIOD // 10, lambda run: 4 * PERIOD // 10 if run == 0 else 0)
    desk.run(2)
    # tick 0: a 0..0.8, b 0.8..1.2. Tick 1 (at 1.2): a 1.2..2.0; b, due at 2, begins at 2.0 and is on time.
    a, b = (desk[name].runner.stats() for name in "ab")
    assert desk.order[:4] == ["a", "b", "a", "b"]
    assert (b.missed, b.overruns) == (1, 1)
    assert (a.missed, a.overruns) == (0, 0)
    assert a.wakeup.max_ns == 2 * PERIOD // 10


def test_the_watchdog_of_one_is_not_that_of_the_other() -> None:
    """Late cycles in a row of the second alone make its outputs safe; the first goes on."""
    desk = Desk(at_once, lambda run: 6 * PERIOD // 5 if run < 3 else 0, watchdog=3)
    states: list[tuple[Action, int]] = []
    desk.run(
        6, before=lambda k: states.append((desk["a"].runner.stats().action, desk["b"].runner.stats().watchdog_trips))
    )
    assert {action for action, _ in states} == {Action.LIVE}
    assert states[-1][1] == 1
    assert desk["a"].runner.stats().watchdog_trips == 0


def test_pause_is_of_one_task() -> None:
    """One that is paused ticks on, safe; the others compute."""
    desk = Desk(at_once, at_once)
    seen: list[tuple[float, float]] = []

    def before(k: int) -> None:
        seen.append((float(desk["a"].y.read().values[0]), float(desk["b"].y.read().values[0])))
        desk["b"].runner.tell(
            {1: Control.PAUSE, 3: Control.RUN}.get(k, Control(int(desk["b"].runner.memory.task["control"][0])))
        )

    desk.run(5, before)
    assert seen[1:] == [(2, 2), (4, -1), (6, -1), (8, 8)]
    assert desk["b"].runner.stats().missed == 0


def test_a_stop_ends_all_and_leaves_all_safe() -> None:
    """One that is told to stop ends its thread: outputs of all are safe and BAD, all are STOPPED."""
    desk = Desk(at_once, at_once, at_once)
    desk.run(3)
    for one in desk.benches.values():
        last = one.y.read()
        assert (last.values[0], last.quality, one.runner.state) == (-1.0, Quality.BAD, State.STOPPED)
        assert one.runner.stats().status == TaskStatus.STOPPED


def test_a_new_version_of_one_tasks_model_is_taken_at_its_tick() -> None:
    """The thread's others go on with theirs."""
    desk = Desk(at_once, at_once)

    def triple(i: Any, o: Any) -> None:
        o["y"][0, 0] = 3 * i["x"][0, 0]

    slot = desk["b"].slot
    assert slot is not None
    slot.offer(FakeModel([spec("x", 1, 1)], [spec("y", 1, 1)], triple), EPOCH + 2 * PERIOD)
    seen: list[tuple[float, float]] = []
    desk.run(
        4, before=lambda k: seen.append((float(desk["a"].y.read().values[0]), float(desk["b"].y.read().values[0])))
    )
    assert seen[1:] == [(2, 2), (4, 4), (6, 9)]


@pytest.mark.parametrize("hanging", ["a", "b", "c"])
def test_one_that_hangs_holds_the_others_so_all_lose_their_outputs(hanging: str) -> None:
    """The supervisor takes the outputs of all tasks of a thread in which one hangs: they are safe, BAD and HUNG; and when it
    comes back, nobody of them writes again, and the thread ends."""
    looked = False
    samples: dict[str, tuple[float, Quality, int]] = {}

    def work(name: str) -> Work:
        def hang(run: int) -> int:
            nonlocal looked
            if name == hanging and run == 2:
                supervisor = Supervisor([one.runner for one in desk.benches.values()], interval_s=0.05, hang_s=0.05)
                looked = True
                for _ in range(3):
                    for one in desk.benches.values():
                        supervisor.look(one.runner)
                for other, one in desk.benches.items():
                    sample = one.y.read()
                    samples[other] = (float(sample.values[0]), sample.quality, sample.counter)
                    assert one.runner.state == State.HUNG
            return 0

        return hang

    desk = Desk(*(work(name) for name in "abc"))
    desk.run(10)
    assert looked
    assert {sample[:2] for sample in samples.values()} == {(-1.0, Quality.BAD)}
    for name, one in desk.benches.items():
        assert one.y.read().counter == samples[name][2]
        assert one.runner.stats().status == TaskStatus.HUNG


def test_a_scheduler_runs_tasks_of_one_core_in_one_thread() -> None:
    """Three tasks of one core, two of them of equal priority: two threads, named after their most urgent tasks; all tick."""
    tasks = [
        Task(name=name, period_s=0.001, cpu=0, priority=priority)
        for name, priority in (("a", 80), ("b", 80), ("c", 70))
    ]
    with Scheduler(tasks) as scheduler:
        names = {thread.name for thread in threading.enumerate() if thread.name in ("rt-a", "rt-b", "rt-c")}
        assert names == {"rt-a", "rt-c"}
        wait_for(lambda: min(s.cycles for s in scheduler.stats().values()) > 10)
    assert {s.state for s in scheduler.stats().values()} == {State.STOPPED}
