"""Helpers of a task: the same numbers, whoever works on them; and what a task says that cannot have them."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rt_engine
from rt_engine.kernels.interface.record import ARENA_HEADER
from scheduler import Input, Output, Scheduler, Task, TaskStatus
from scheduler.clock import Clock
from scheduler.errors import TaskError
from scheduler.helpers import TaskHelpers
from scheduler.rights import Grant
from tests.scheduler.fakes import ANY_AGE, channel
from tests.scheduler.models import scale, wide
from tests.waiting import is_once, wait_for


def expected(model: rt_engine.Model, x: float) -> float:
    (y,) = model.run({"x": np.full((1, 1), x, np.float32)})
    return float(y[0, 0])


def made(model: Any, **more: Any) -> tuple[Task, Any, Any]:
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
    x.write([1.5])
    more = {"name": "t", "period_s": 0.01, "threads": 2, "guard": ANY_AGE} | more
    task = Task(model=model, inputs=(Input(tensor="x", channel=x),), outputs=(Output(tensor="y", channel=y),), **more)
    return task, x, y


def test_a_task_with_helpers_publishes_the_numbers_of_one_core_through_an_update() -> None:
    """The new version has the same helpers; they end with the task."""
    first, second = wide(), wide(0.5)
    assert is_once(lambda: has_no_late_helper(first, second))


def has_no_late_helper(first: rt_engine.Model, second: rt_engine.Model) -> bool:
    """The numbers are right whether or not; one is late where the machine takes its core away in the middle of a piece."""
    slot = rt_engine.ModelSlot(first)
    task, _, y = made(slot, threads=3)
    with Scheduler([task]) as scheduler:
        team = scheduler._runners["t"]._helpers.team  # type: ignore[union-attr]
        wait_for(lambda: sum(team.stats().done) > 0)
        names = {thread.name for thread in threading.enumerate()}
        assert {"rt-t", "rt-t-0"} <= names
        wait_for(lambda: scheduler.stats()["t"].status == TaskStatus.OK)
        wait_for(lambda: y.read().values[0] == expected(first, 1.5))
        scheduler.update(slot, second, timeout_s=30.0)
        wait_for(lambda: y.read().values[0] == expected(second, 1.5))
        reader = slot.readers[0]
        assert int(reader.context._arena.view(ARENA_HEADER)["spare"][0, 0]) == team.address
        stats = scheduler.stats()["t"]
    assert stats.barrier is not None
    wait_for(lambda: not any(thread.name.startswith("rt-t") for thread in threading.enumerate()))
    with scheduler:  # and once more
        wait_for(lambda: scheduler.stats()["t"].cycles > 3)
    return stats.helpers_late == 0


def test_pieces_of_helpers_that_do_not_come_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task does them itself, to the same numbers."""
    monkeypatch.setattr("scheduler.helpers.TaskHelpers.start", lambda self: None)
    model = wide()
    task, _, y = made(model)
    with Scheduler([task]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].pieces_taken_back > 0)
        wait_for(lambda: y.read().values[0] == expected(model, 1.5))
        stats = scheduler.stats()["t"]
        assert stats.helpers_late == 0 and stats.barrier is not None and stats.barrier.count == 0


def test_a_short_model_stays_on_one_core() -> None:
    """No record of it fans out."""
    task, _, y = made(scale(3))
    with Scheduler([task]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 3 and y.read().values[0] == 4.5)
        assert scheduler._runners["t"]._helpers.team.stats().fan_outs == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("more", [{}, {"slice_s": 0.005}])
def test_a_model_that_is_too_short_for_the_distance_of_its_cores_stays_on_one(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, float]
) -> None:
    """Whole and in slices; and the rights of its task say so."""
    monkeypatch.setattr("scheduler.helpers.farthest_ns", lambda one, others: 1e5)
    model = wide()
    task, _, y = made(model, **more)
    with Scheduler([task]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 3 and y.read().values[0] == expected(model, 1.5))
        assert scheduler._runners["t"]._helpers.team.stats().fan_outs == 0  # type: ignore[union-attr]
        (told,) = [grant for grant in scheduler.rights if grant.name == "helpers of task t"]
        assert (
            "takes 100,000 ns to a helper's core and back" in told.why
            and "share a last-level cache" in told.how_to_grant
        )


def test_a_helper_never_shares_the_core_of_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none for it, it is not started, and that is said."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    task, _, _ = made(wide(), cpu=0)
    with Scheduler([task]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].pieces_taken_back > 0)
        assert not any(thread.name.startswith("rt-t-") for thread in threading.enumerate())
        assert any("0 of 1 helpers have a core beside the tasks'" in grant.why for grant in scheduler.rights)


def test_a_helper_stays_off_the_cores_of_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would spin there; where it may not choose, as its core is named, the check asks."""
    asked: list[set[int]] = []
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    monkeypatch.setattr("os.sched_setaffinity", lambda pid, cpus: asked.append(set(cpus)))
    one, _, _ = made(wide(), cpu=0)
    two, _, _ = made(wide(), name="u", cpu=1, threads=1)
    with Scheduler([one, two]):
        pass
    assert {2} in asked and not any(1 in cpus for cpus in asked if len(cpus) > 1)


def test_a_task_of_the_lowest_priority_says_that_its_helpers_have_none() -> None:
    task, _, _ = made(wide(), priority=1)
    with Scheduler([task]) as scheduler:
        assert any("a helper one less, which is none" in grant.why for grant in scheduler.rights)


class OneCore:
    """A computer that leaves the process core 0 and has isolated others; `run` is where each helper went."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, granted: bool = True) -> None:
        self.run: list[int] = []
        clock = Clock(now=1, sleep=2)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
        monkeypatch.setattr("os.sched_setaffinity", lambda pid, cpus: None)
        for name in ("use_exact_timers", "use_fifo"):
            monkeypatch.setattr(f"scheduler.helpers.{name}", lambda *of, name=name: Grant(name, True, ""))
        monkeypatch.setattr("scheduler.helpers.use_cpu", lambda cpu: Grant(f"core {cpu}", granted, ""))
        monkeypatch.setattr("scheduler.helpers.system_clock", lambda: clock)
        self.needed: list[str] = []
        helps = SimpleNamespace(
            need=self.needed.extend, function=lambda name: lambda team, number: self.run.append(number)
        )
        monkeypatch.setattr("scheduler.helpers.KERNELS", helps)
        self.helpers = TaskHelpers(made(None, cpu=0, threads=3, helper_cpus=(2, 3))[0], clock)
        assert "help_task" in self.needed, "compiled before there is a thread that would give the compiler its priority"
        self.helpers.start()
        self.helpers.stop()


def test_a_core_that_is_named_may_be_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is none of those that the process was given; where it is refused, nobody spins on the task's core."""
    found = OneCore(monkeypatch)
    assert sorted(found.run) == [0, 1]
    assert [grant.name for grant in found.helpers.grants if grant.name.startswith("core")] == ["core 2", "core 3"]
    refused = OneCore(monkeypatch, granted=False)
    assert refused.run == [] and not any(g.granted for g in refused.helpers.grants if g.name.startswith("core"))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"threads": 0}, "threads 0 is not in 1 to 8"),
        ({"threads": 9}, "threads 9 is not in 1 to 8"),
        ({"helper_cpus": (1, 2)}, "helper_cpus [1, 2]: 2 threads have 1 helpers, so name 1 cores, or none"),
        ({"threads": 3, "helper_cpus": (1, 1)}, "helper_cpus [1, 1] names a core twice"),
        ({"cpu": 1, "helper_cpus": (1,)}, "names core 1, on which the task itself runs; give the helper another"),
    ],
)
def test_what_cannot_be(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskError) as raised:
        made(None, **keys)
    assert words in str(raised.value)


@pytest.mark.parametrize("other", [{"cpu": 3}, {"threads": 2, "helper_cpus": (3,)}])
def test_a_helper_has_its_core_for_itself(other: dict[str, Any]) -> None:
    model = wide()
    one, _, _ = made(model, cpu=0, helper_cpus=(3,))
    two, _, _ = made(model, name="u", **{"threads": 1} | other)
    with pytest.raises(TaskError, match=r"task 't': helper_cpus \[3\] names core 3, which task 'u' uses"):
        Scheduler([one, two])
