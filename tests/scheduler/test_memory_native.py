"""What a task remembers: kept sound, put back where it began by itself, from outside, or by a cell of an input channel."""

import math
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from fieldbus.tags import Quality
from scheduler import Action, Guard, Input, Output, Scheduler, Task, TaskStatus, Trigger
from scheduler.controllers import pid
from scheduler.errors import TaskError
from scheduler.task_block import MOST_WRONG
from tests.scheduler.fakes import PERIOD, Bench, FakeClock, bench, channel, step_of
from tests.scheduler.test_scheduler import wait_for

ABSURD, INF = 3e38, math.inf


def filtered(initial: float = 0.0) -> rt_engine.Model:
    """h = 0.5 h + x * x, and y = h / (1 + h): finite where h is, NaN where h is infinite."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Mul", ["h_in", "half"], ["kept"]),
        helper.make_node("Add", ["square", "kept"], ["h_out"]),
        helper.make_node("Add", ["h_out", "one"], ["more"]),
        helper.make_node("Div", ["h_out", "more"], ["y"]),
        helper.make_node("Sign", ["h_out"], ["sign"]),
    ]
    ends = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        for name in ("x", "h_in", "y", "h_out", "sign")
    }
    constants = [numpy_helper.from_array(np.array([v], np.float32), n) for n, v in (("half", 0.5), ("one", 1.0))]
    graph = helper.make_graph(
        nodes, "filtered", [ends["x"], ends["h_in"]], [ends["y"], ends["h_out"], ends["sign"]], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return rt_engine.load(model, state={"h_out": "h_in"}, initial={"h_in": np.array([initial], np.float32)})


def remembering(output: str = "h_out", reset: Trigger | None = None, **more: Any) -> Bench:
    """A task x -> filtered -> one of its outputs, cycle by cycle."""
    x, y = channel(["x", "reset"], "in"), channel(["y"], "out", safe=-1.0)
    guard = Guard(max_age_s=INF, **more)
    slot = rt_engine.ModelSlot(filtered())
    task = Task(
        name="t",
        model=slot,
        period_s=PERIOD / 1e9,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor=output, channel=y),),
        guard=guard,
        reset=Trigger(channel=x, cell=1) if reset is None else reset,
    )
    return Bench(task, slot, FakeClock(), x, y)  # type: ignore[arg-type]


def given(b: Bench, *samples: float, triggers: tuple[float, ...] = ()) -> list[float]:
    """What is published for these samples."""
    told = dict(enumerate(triggers))
    b.run(len(samples), lambda k: b.put(samples[k], told.get(k, 0.0)))
    return b.values()


def test_a_state_that_became_infinite_begins_anew_in_the_next_cycle() -> None:
    """One absurd sample: the outputs of its cycle are held, and all that come after are right."""
    b = remembering()
    assert given(b, 2, 2, ABSURD, 2, 2) == [4, 6, 6, 4, 6]
    during, after = b.ticks[2].stats, b.ticks[4].stats
    assert (during.status, during.action, during.state_resets) == (TaskStatus.BAD_STATE, Action.HOLD, 1)
    assert b.ticks[2].sample.quality == Quality.STALE
    assert (after.status, after.state_resets, after.held) == (0, 1, 1)


@pytest.mark.parametrize(
    ("policy", "published", "status"),
    [
        ("hold", [4, 4, 4, 4], TaskStatus.BAD_STATE),
        ("safe", [4, -1, -1, -1], TaskStatus.BAD_STATE),
        ("pass", [4, 4, 4, 4], TaskStatus.NAN_OUTPUT),
    ],
)
def test_other_policies_wait_for_a_reset(policy: str, published: list[float], status: TaskStatus) -> None:
    """Held, or safe, until somebody resets; where it may pass, the infinite output is still judged by `on_nan`."""
    b = remembering(on_bad_state=policy)
    assert given(b, 2, ABSURD, 2, 2) == published
    stats = b.ticks[-1].stats
    assert (stats.status, stats.state_resets) == (status, 0)


@pytest.mark.parametrize(("on_nan", "published"), [("hold", 4), ("safe", -1), ("pass", 4)])
def test_an_infinite_output_is_judged_too(on_nan: str, published: float) -> None:
    """The stricter of the two policies counts; the state is reset with each."""
    b = remembering(on_nan=on_nan)
    assert given(b, 2, ABSURD, 2) == [4, published, 4]
    assert b.ticks[-1].stats.state_resets == 1


def test_a_sound_output_of_an_infinite_state_is_held() -> None:
    """The sign of infinity is a number, and is not trusted."""
    b = remembering("sign")
    given(b, 2, ABSURD, 2)
    assert [tick.stats.status for tick in b.ticks] == [0, TaskStatus.BAD_STATE, 0]


def test_a_model_without_state_has_nothing_to_reset() -> None:
    """However often it gives NaN."""

    def compute(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["y"][0, 0] = math.nan

    b = bench(compute)
    b.run(3 * MOST_WRONG, lambda k: b.put(1.0))
    assert b.ticks[-1].stats.state_resets == 0


def negative() -> Bench:
    """h = h + x, y = log(h): NaN from the first sum below 0 on, while h is finite."""
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "h_in", "y", "h_out")}
    nodes = [helper.make_node("Add", ["x", "h_in"], ["h_out"]), helper.make_node("Log", ["h_out"], ["y"])]
    graph = helper.make_graph(nodes, "negative", [ends["x"], ends["h_in"]], [ends["y"], ends["h_out"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    slot = rt_engine.ModelSlot(rt_engine.load(model, state={"h_out": "h_in"}))
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
    task = Task(
        name="t",
        model=slot,
        period_s=PERIOD / 1e9,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor="y", channel=y),),
        guard=Guard(max_age_s=INF),
    )
    return Bench(task, slot, FakeClock(), x, y)  # type: ignore[arg-type]


def test_outputs_that_are_nan_again_and_again_reset_the_state() -> None:
    """A state can be finite and useless: after ten cycles in a row it begins anew, and not before."""
    b = negative()
    b.run(MOST_WRONG + 3, lambda k: b.put(-1000.0 if k == 1 else 1.0))
    resets = [tick.stats.state_resets for tick in b.ticks]
    assert resets == [0] * MOST_WRONG + [1] * 3
    assert b.values()[MOST_WRONG + 1 :] == pytest.approx([0.0, math.log(2)])


def test_a_step_that_gives_nan_again_and_again_is_reset() -> None:
    """Its own state is NaN, the model's numbers are sound: it begins anew, as at the start; nothing of the model's is lost."""
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)

    def add(inputs: Any, outputs: Any, state: int) -> int:
        memory = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_double * 1).from_address(state))
        memory[0] += math.nan if inputs[0] == 7 else inputs[0]
        outputs[0] = memory[0]
        return 0

    task = Task(
        name="t", period_s=PERIOD / 1e9, inputs=(Input(tensor=None, channel=x),),
        outputs=(Output(tensor=None, channel=y),), guard=Guard(max_age_s=INF), step=step_of(add, 8),
    )  # fmt: skip
    b = Bench(task, None, FakeClock(), x, y)
    b.run(MOST_WRONG + 3, lambda k: b.put(7 if k == 1 else 1))
    assert b.values() == [1] * (MOST_WRONG + 1) + [1, 2]
    assert b.ticks[-1].stats.state_resets == 1


# --- holding ends ---------------------------------------------------------------------------------------------------------


def test_a_hold_ends_after_its_time() -> None:
    """Four cycles of hold at most: then the safe values, until outputs are live again; the next hold has its whole time."""
    b = bench(guard=Guard(max_age_s=INF, max_hold_s=4 * PERIOD / 1e9))
    samples = [1, *[math.nan] * 6, 1, math.nan, math.nan]
    b.run(len(samples), lambda k: b.put(samples[k]))
    assert b.values() == [2, 2, 2, 2, 2, -1, -1, 2, 2, 2]
    stats = b.ticks[-1].stats
    assert (stats.held, stats.safe) == (6, 2)


@pytest.mark.parametrize(
    ("guard", "more"),
    [({"on_bad_input": "hold"}, {}), ({"on_bad_state": "hold"}, {}), ({}, {"overrun": "hold"})],
)
def test_every_hold_ends(guard: dict[str, Any], more: dict[str, Any]) -> None:
    """Whatever it is for: a bad input, a bad state, late cycles."""
    if "on_bad_state" in guard:
        b = remembering(**guard, max_hold_s=2 * PERIOD / 1e9)
        assert given(b, 2, ABSURD, 2, 2, 2) == [4, 4, 4, -1, -1]
        return
    clock = FakeClock()

    def late(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["y"][0, 0] = 2 * i["x"][0, -1]
        if more and clock.now_ns > 1_001_000_000:
            clock.now_ns += 3 * PERIOD // 2

    b = bench(late, guard=Guard(max_age_s=INF, max_hold_s=2 * PERIOD / 1e9, **guard), clock=clock, watchdog=0, **more)
    b.run(5, lambda k: b.put(2, quality=Quality.BAD if guard and k else Quality.GOOD))
    assert b.values()[0] == 4
    assert b.values()[-1] == -1
    assert 4 in b.values()[1:3]


def test_a_hold_without_an_end() -> None:
    b = bench(guard=Guard(max_age_s=INF, max_hold_s=INF))
    b.run(30, lambda k: b.put(math.nan if k else 1))
    assert set(b.values()) == {2}


def test_a_hold_of_no_time_is_safe_at_once_after_its_first_cycle() -> None:
    b = bench(guard=Guard(max_age_s=INF, max_hold_s=0))
    b.run(3, lambda k: b.put(math.nan if k else 1))
    assert b.values() == [2, 2, -1]


# --- asked for ------------------------------------------------------------------------------------------------------------


def test_the_rising_edge_of_a_cell_resets() -> None:
    """Once, in the cycle that sees it; while it stays, and when it falls, nothing happens."""
    b = remembering()
    assert given(b, 2, 2, 2, 2, 2, 2, triggers=(0, 0, 1, 1, 0, 5)) == [4, 6, 4, 6, 7, 4]
    assert [tick.stats.state_resets for tick in b.ticks] == [0, 0, 1, 1, 1, 2]


def test_a_cell_that_is_not_0_at_the_start_resets_nothing() -> None:
    b = remembering()
    assert given(b, 2, 2, 2, triggers=(1, 1, 1)) == [4, 6, 7]
    assert b.ticks[-1].stats.state_resets == 0


@pytest.mark.parametrize("strange", ["nan", "bad"])
def test_what_is_no_value_is_no_edge(strange: str) -> None:
    """A NaN, or a value of bad quality: the next good one is compared with the last good one."""
    b = remembering(on_bad_input="run")
    marks = [1.0, math.nan if strange == "nan" else 0.0, 1.0, 0.0, 1.0]

    def before(k: int) -> None:
        b.put(2, marks[k], quality=Quality.BAD if k == 1 and strange == "bad" else Quality.GOOD)

    b.run(5, before)
    assert [tick.stats.state_resets for tick in b.ticks] == [0, 0, 0, 0, 1]


def test_a_channel_of_its_own_resets_too() -> None:
    """It is no input: nothing of it reaches the model; but where it is bad, the task's inputs are."""
    own = channel(["reset"], "in")
    b = remembering(reset=Trigger(channel=own))
    levels = [0, 0, 1, 0]

    def before(k: int) -> None:
        b.put(2, 0)
        own.write([levels[k]], Quality.BAD if k == 3 else Quality.GOOD, b.clock.now_ns)

    b.run(4, before)
    assert b.values() == [4, 6, 4, -1]
    assert b.ticks[-1].stats.status == TaskStatus.BAD_INPUT


def test_a_reset_from_outside_is_done_in_the_next_cycle() -> None:
    """Whatever the policy; a pause keeps it from nothing."""
    b = remembering(on_bad_state="hold")

    def before(k: int) -> None:
        b.put(ABSURD if k == 1 else 2, 0)
        if k == 3:
            b.runner.memory.task["reset_state"] = 1

    b.run(5, before)
    assert b.values() == [4, 4, 4, 4, 6]
    assert [tick.stats.status for tick in b.ticks] == [0, TaskStatus.BAD_STATE, TaskStatus.BAD_STATE, 0, 0]
    assert b.ticks[-1].stats.state_resets == 1


def test_a_step_is_reset_with_the_model() -> None:
    """A PID begins without a jump from what is published, as after every interruption."""
    x, y = channel(["x", "reset"], "in"), channel(["y"], "out", safe=0.0)
    task = Task(
        name="t", period_s=PERIOD / 1e9, inputs=(Input(tensor=None, channel=x),),
        outputs=(Output(tensor=None, channel=y),), guard=Guard(max_age_s=INF),
        step=pid(gain=0.5, integral_s=0.02, setpoint=3.0), reset=Trigger(channel=x, cell=1),
    )  # fmt: skip
    b = Bench(task, None, FakeClock(), x, y)
    b.run(20, lambda k: b.put(1.0, 1.0 if k == 10 else 0.0))
    values = b.values()
    assert b.ticks[-1].stats.state_resets == 1
    assert values[10] == pytest.approx(values[9])
    assert values[9] > values[8]
    assert values[19] > values[10]


def test_a_scheduler_resets_one_task_or_all() -> None:
    """Running or not; a task without a state has nothing to reset, and counts nothing. A new start begins anew, too."""
    slot = rt_engine.ModelSlot(filtered(initial=3))
    x, y = channel(["x"], "in"), channel(["y"], "out")
    x.write([2.0], Quality.GOOD, 0)
    tasks = [
        Task(name="with", model=slot, period_s=0.001, inputs=(Input(tensor="x", channel=x),),
             outputs=(Output(tensor="h_out", channel=y),), guard=Guard(max_age_s=INF)),
        Task(name="without", period_s=0.001),
    ]  # fmt: skip
    scheduler = Scheduler(tasks)
    with scheduler:
        wait_for(lambda: scheduler.stats()["with"].cycles > 5)
        scheduler.reset_state("with")
        wait_for(lambda: scheduler.stats()["with"].state_resets == 1)
        scheduler.reset_state()
        wait_for(lambda: scheduler.stats()["with"].state_resets == 2)
        begun = scheduler.stats()["with"].cycles
        wait_for(lambda: scheduler.stats()["with"].cycles > begun + 5)  # it goes towards 8 by halves
        assert scheduler.stats()["without"].state_resets == 0
    (reader,) = slot.readers
    assert reader.context.state["h_in"][0] > 7
    scheduler.reset_state("with")
    assert scheduler.stats()["with"].state_resets == 3
    assert reader.context.state["h_in"][0] == 3
    reader.context.state["h_in"][0] = INF
    with scheduler:
        wait_for(lambda: scheduler.stats()["with"].cycles > 5)
    assert scheduler.stats()["with"].state_resets == 0
    scheduler.close()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"guard": Guard(on_bad_state="zero")},
            "guard.on_bad_state is 'zero'; it can be reset, restore, hold, safe, pass",
        ),  # type: ignore[arg-type]
        ({"guard": Guard(max_hold_s=-1)}, "max_hold_s -1 must be 0 or more"),
        ({"guard": Guard(max_hold_s=math.nan)}, "max_hold_s nan must be 0 or more"),
    ],
)
def test_a_wrong_guard_is_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Task(name="t", period_s=0.001, **more)


def test_a_cell_that_is_not_there_is_named() -> None:
    own = channel(["reset"], "in")
    task = Task(name="t", period_s=0.001, reset=Trigger(channel=own, cell=1))
    with pytest.raises(TaskError, match="task 't', reset: cell 1 of channel 'reset', which has 1"):
        Scheduler([task])


def test_a_channel_has_one_reader_also_for_resets() -> None:
    own = channel(["reset"], "in")
    tasks = [Task(name=name, period_s=0.001, reset=Trigger(channel=own)) for name in ("a", "b")]
    with pytest.raises(TaskError, match="channel 'reset' is read by tasks 'a' and 'b'"):
        Scheduler(tasks)
