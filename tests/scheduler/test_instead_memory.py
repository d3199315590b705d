"""Monitor, fallback and restored states with models that are real: their versions, their states, a trial that the monitor ends."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import rt_engine
from rt_engine import contract
from rt_engine.change import Verdict
from rt_engine.errors import InterfaceError
from scheduler import Envelope, Fallback, Guard, Input, Monitor, OnLate, Output, Task, TaskStatus
from scheduler.instead_memory import measured_ns
from scheduler.runner import TaskRunner
from scheduler.task_block import MOST_WRONG
from tests.counting import least
from tests.scheduler.fakes import ANY_AGE, PERIOD, Bench, FakeClock, channel
from tests.scheduler.models import scale
from tests.scheduler.test_instead import given, statuses
from tests.scheduler.test_memory_native import ABSURD, filtered, remembering
from tests.scheduler.test_scheduler import fast_clock
from tests.scheduler.versions import Trial, Versions, tells

INF = math.inf


def one_bench(slot: rt_engine.ModelSlot, **more: Any) -> Bench:
    """x -> the slot's model -> y, float32[1, 1]."""
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
    entries = {"inputs": (Input(tensor="x", channel=x),), "outputs": (Output(tensor="y", channel=y),)}
    task = Task(name="t", model=slot, period_s=PERIOD / 1e9, **(entries | {"guard": ANY_AGE} | more))  # type: ignore[arg-type]
    return Bench(task, slot, FakeClock(), x, y)  # type: ignore[arg-type]


def trained(factor: float, low: float, high: float) -> rt_engine.Model:
    """factor * x, trained with x from low to high."""
    model = scale(factor)
    statistics = contract.Statistics("x", 100, ((low + high) / 2,), (1.0,), (low,), (high,))
    model._contract = (contract.Contract(statistics=(statistics,)),)
    return model


# --- the last good state ------------------------------------------------------------------------------------------------


def test_the_last_good_state_is_restored_in_the_tick_in_which_it_was_lost() -> None:
    """h = h / 2 + x * x: the absurd sample's cycle is held, the next goes on from the state before it."""
    b = remembering(on_bad_state="restore")
    b.run(5, lambda k: b.put([2, 2, ABSURD, 2, 2][k], 0))
    assert b.values() == [4, 6, 6, 7, 7.5]
    assert statuses(b)[2] == TaskStatus.BAD_STATE
    assert (b.ticks[-1].stats.state_restores, b.ticks[-1].stats.state_resets) == (1, 0)


def test_a_state_that_is_lost_again_and_again_begins_anew() -> None:
    """Nine times restored, the tenth time reset."""
    b = remembering(on_bad_state="restore")
    b.run(MOST_WRONG + 2, lambda k: b.put(ABSURD if 1 <= k <= MOST_WRONG else 2, 0))
    assert (b.ticks[-1].stats.state_restores, b.ticks[-1].stats.state_resets) == (MOST_WRONG - 1, 1)
    assert b.values()[-1] == 4


# --- versions -----------------------------------------------------------------------------------------------------------


def test_a_fallback_slot_is_updated_while_it_does_not_compute() -> None:
    """Its versions are taken at every tick."""
    simple = rt_engine.ModelSlot(scale(10.0))
    monitor = Monitor(model=rt_engine.ModelSlot(scale(1.0)), limit=5.0)
    b = one_bench(rt_engine.ModelSlot(scale(2.0)), monitor=monitor, fallback=Fallback(use=simple))
    assert given(b, 1, 9, 1) == [2, 90, 2]
    simple.update(scale(20.0))
    assert given(b, 1, 9, 1) == [2, 180, 2]
    assert b.runner.slots == (b.slot, monitor.model, simple)


def test_an_updated_model_brings_its_own_envelope() -> None:
    """What was far out for the first version is within what the second was trained with; without statistics it is refused."""
    slot = rt_engine.ModelSlot(trained(2.0, 0.0, 4.0))
    b = one_bench(slot, monitor=Monitor(model=Envelope(), limit=1.5), fallback=Fallback(use="safe"))
    assert given(b, 4, 5, 6, 2) == [8, 10, -1, 4]
    monitor = b.ticks[2].stats.monitor
    assert monitor is not None
    assert (monitor.value, monitor.speaks, monitor.worst) == (2.0, True, "x[0]")
    slot.update(trained(3.0, 0.0, 8.0))
    assert given(b, 4, 5, 6, 2) == [12, 15, 18, 6]
    with pytest.raises(InterfaceError, match="carries no statistics"):
        slot.update(scale(4.0))
    assert given(b, 2) == [6]


def test_a_state_that_is_watched_is_wanted_of_every_version() -> None:
    """The monitor sees the state as the model has left it, by the name of its input; a version without it is refused."""
    node = helper.make_node("Identity", ["h_in"], ["score"])
    h, score = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("h_in", "score"))
    graph = helper.make_graph([node], "watch", [h], [score])
    watching = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    b = remembering()
    task = replace(b.task, monitor=Monitor(model=watching, limit=5.0), fallback=Fallback(use="safe"))
    b = Bench(task, b.slot, FakeClock(), b.x, b.y)
    b.run(3, lambda k: b.put(2, 0))
    assert b.values() == [4, -1, -1]
    assert [t.stats.monitor.value for t in b.ticks if t.stats.monitor] == [4, 6, 7]
    stateless = _stateless(b.slot.model)  # type: ignore[union-attr]
    with pytest.raises(InterfaceError, match=r"watches the state h_in: float32\[1\]; the new version has none"):
        b.slot.update(stateless)  # type: ignore[union-attr]


def _stateless(model: Any) -> rt_engine.Model:
    """The same inputs and outputs, without state."""
    nodes = [helper.make_node("Identity", ["x"], [spec.name]) for spec in model.outputs]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    ends = [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, list(s.shape)) for s in model.outputs]
    graph = helper.make_graph(nodes, "stateless", [x], ends)
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def test_a_version_is_measured_and_begins_as_new_after_that() -> None:
    """What it needs is positive; its state and outputs are as they were."""
    context = remembering().slot.model.context()  # type: ignore[union-attr]
    assert measured_ns(context) > 0
    assert (context.state["h_in"][0], context.outputs["y"][0]) == (0, 0)


def test_on_late_measures_what_its_model_needs() -> None:
    slot = rt_engine.ModelSlot(scale(2.0))
    b = one_bench(slot, on_late=OnLate(model=rt_engine.ModelSlot(scale(10.0))))
    b.clock.latency_ns = PERIOD - 1  # one nanosecond is left
    assert given(b, 1, 1) == [10, 10]


# --- a trial ------------------------------------------------------------------------------------------------------------


def test_a_monitor_that_speaks_ends_a_trial() -> None:
    """In that tick the old version's outputs are published, as if it had been alone; the verdict says why."""

    def high(run: Any) -> None:
        tells(run)
        if run.version == 2 and run.count == 3:
            run.free[0] = 9

    node = helper.make_node("Identity", ["free"], ["score"])
    free, score = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("free", "score"))
    graph = helper.make_graph([node], "watch", [free], [score])
    watching = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    more = {"monitor": Monitor(model=watching, limit=5.0), "fallback": Fallback(use="safe")}
    trial, alone = Trial(Versions(tells, high), **more), Trial(Versions(tells), **more)
    trial.run(10, {2: "trial"})
    alone.run(10)
    bad_at = 2 + 3
    assert trial.values()[bad_at:] == alone.values()[bad_at:]
    assert all(value > 2000 for value in trial.values()[2:bad_at])
    assert trial.change is not None
    assert trial.change.fate is not None
    assert (trial.change.fate.verdict, trial.change.fate.task) == (Verdict.MONITOR, "a")
    s = trial.runners[0].stats()
    assert (s.safe, s.fallbacks, s.monitor_verdicts) == (0, 0, 0)


def test_the_monitor_may_distrust_the_old_version_too() -> None:
    """Where the inputs are to blame, both are condemned: the fallback's outputs in that very tick."""
    node = helper.make_node("Identity", ["x"], ["score"])
    x, score = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "score"))
    graph = helper.make_graph([node], "watch", [x], [score])
    watching = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    trial = Trial(Versions(tells, tells), monitor=Monitor(model=watching, limit=5.0), fallback=Fallback(use="safe"))
    trial.run(8, {2: "trial"}, x=lambda k: 9.0 if k == 5 else 1.0)
    values = trial.values()
    assert values[5] == -1
    assert values[4] > 2000
    assert 1000 < values[6] < 2000
    assert np.isfinite(values).all()


def test_guards_of_a_task_stay(tmp_path: Any) -> None:
    """A task without any of these is as it was."""
    b = one_bench(rt_engine.ModelSlot(scale(2.0)), guard=Guard(max_age_s=INF))
    assert given(b, 1, math.nan, 2) == [2, 2, 4]
    assert b.ticks[-1].stats.monitor is None


def test_cycles_with_all_of_it_fault_never() -> None:
    """A monitor with a state of its own that speaks now and then, a fallback that blends, states kept for restoring, a smaller model:
    200,000 cycles without a page fault. (That nothing allocates is read from the object file: `tests/test_proofs.py`.)"""
    assert least(faults_with_all_of_it) == (0,)


def faults_with_all_of_it() -> tuple[int, ...]:
    """Page faults of a new task's thread in so many cycles."""
    nodes = [helper.make_node("Add", ["before", "x"], ["after"]), helper.make_node("Sin", ["after"], ["score"])]
    ends = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "before", "after", "score")}
    graph = helper.make_graph(nodes, "waves", [ends["x"], ends["before"]], [ends["score"], ends["after"]])
    waves = rt_engine.load(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), state={"after": "before"}
    )
    b = remembering(on_bad_state="restore")
    task = replace(
        b.task,
        monitor=Monitor(model=waves, limit=0.5),
        fallback=Fallback(use=rt_engine.ModelSlot(filtered()), blend_s=3 * PERIOD / 1e9),
        on_late=OnLate(model=rt_engine.ModelSlot(filtered()), needs_s=1e-6),
        reset=None,
    )
    b.put(0.1, 0.0)
    clock, state = fast_clock()
    runner = TaskRunner(task, b.slot, clock)  # type: ignore[arg-type]
    count = 200_000
    state[:] = 1, count + 1, runner.memory.address
    runner.start(lambda: None)
    assert runner.join(60)
    s = runner.stats()
    assert (s.cycles, s.missed, s.smaller_models) == (count, 0, 0)
    assert 50_000 < s.fallbacks < 80_000
    assert s.monitor_verdicts > 1000
    return (s.page_faults,)
