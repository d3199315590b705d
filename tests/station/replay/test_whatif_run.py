"""A model with states in the place of another: what it begins with."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import rt_engine
from scheduler import Input, Output, Task
from scheduler.replay import Piece
from station.replay.outputs import outputs_of
from station.replay.whatif import Terms
from station.replay.whatif_run import Subject, are_alike, what_if
from tests.scheduler.fakes import ANY_AGE, channel
from tests.scheduler.recorded import run


def adder(state="before", size=1, sign="Add"):
    """y = the sum of all x until now; its state of so many elements under that name."""
    nodes = [
        helper.make_node(sign, [state, "x"], ["after"]),
        helper.make_node("ReduceSum", ["after"], ["y"], keepdims=0),
    ]
    shapes = {"x": [size], state: [size], "after": [size], "y": []}
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(nodes, "g", [ends["x"], ends[state]], [ends["y"], ends["after"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return rt_engine.load(model, state={"after": state})


OLD = adder()


def task(model=OLD):
    x, y = channel(["a"], "in"), channel(["p"], "out")
    return Task(
        name="t",
        model=rt_engine.ModelSlot(model),
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor="y", channel=y),),
        guard=ANY_AGE,
    )


@pytest.fixture(scope="module")
def recorded():
    """100 cycles of ones, a checkpoint before every 20th: the sums are 1, 2, 3, ..."""
    mine = task()
    return run(mine, 100, lambda k, live: live.put(1.0), slot=mine.model)


def compared(recorded, new, pieces):
    mine = task(new)
    ticks = recorded.records["tick_ns"]
    terms = Terms("t", mine.period_ns, int(ticks[0]), int(ticks[-1]), outputs_of(mine, None, None, {}))
    return what_if(Subject(mine, recorded.layout, (1,), OLD), new, terms, pieces)


def cut(recorded, first, last, goes_on=False):
    return Piece(recorded.records[first:last], recorded.checkpoints, goes_on)


def test_states_of_the_same_kind_begin_as_recorded(recorded):
    """From a checkpoint in the middle on; and they go on as the new model's own, whatever later checkpoints say."""
    at = int(recorded.checkpoints["number"][2] - recorded.records["number"][0])
    found = compared(recorded, adder(sign="Sub"), [cut(recorded, at, 100)])
    assert found.notes == ("its states are those of the old model: they begin as recorded, and go on as its own",)
    assert found.outputs[0].largest == 2.0 * (100 - at)  # one counts down from where the other counts up


@pytest.mark.parametrize("state", ["other", "before"])
def test_states_of_another_kind_begin_fresh_behind_every_gap(recorded, state):
    """Of another name but the same size too: the numbers would mean something else."""
    new = adder(state) if state == "other" else adder(state, sign="Add")
    is_fresh = not are_alike(OLD, new)
    first, second, third = (int(n - recorded.records["number"][0]) for n in recorded.checkpoints["number"][1:4])
    found = compared(recorded, new, [cut(recorded, first, second), cut(recorded, third, 100)])
    assert is_fresh == (state == "other")
    assert found.cycles == second - first + 100 - third
    assert found.outputs[0].largest == (third if is_fresh else 0.0)
    assert any("begin fresh" in note for note in found.notes) == is_fresh


def test_what_could_not_be_run_is_told(recorded):
    """Before the first checkpoint nothing is known of what the task remembered."""
    first = int(recorded.checkpoints["number"][1] - recorded.records["number"][0])
    found = compared(recorded, OLD, [cut(recorded, first - 3, 100)])
    assert found.cycles == 100 - first
    assert found.notes[-1].startswith(
        "3 cycles of the recording cannot be run again: what the task remembered is not known"
    )


def test_a_time_is_kept_after_the_piece_in_which_it_is_over(recorded):
    pieces = [cut(recorded, 0, 50), cut(recorded, 50, 100, goes_on=True)]
    mine = task(OLD)
    ticks = recorded.records["tick_ns"]
    terms = Terms("t", mine.period_ns, int(ticks[0]), int(ticks[-1]), outputs_of(mine, None, None, {}))
    found = what_if(Subject(mine, recorded.layout, (1,), OLD), OLD, terms, pieces, most_s=0.0)
    assert found.cycles == 50
    assert np.isfinite(found.seconds)
