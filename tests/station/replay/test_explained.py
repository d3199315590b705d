"""One cycle of a recording is explained with what the model saw, and remembered, then."""

from dataclasses import replace

import numpy as np
import pytest

import rt_engine
from fieldbus.tags import Quality
from rt_engine import ModelSlot
from rt_engine.errors import RecordingError
from scheduler import Input, Output, Task
from station.replay.elements import labels_of_task
from station.replay.explained import explained, see
from tests.rt_engine.explain import models
from tests.scheduler.fakes import ANY_AGE, channel
from tests.scheduler.recorded import run

W = np.array([[1.0], [-2.0], [0.5], [4.0], [0.25], [-1.0]])
"""Weights of three samples of two tags."""


def windowed() -> Task:
    """The last three samples, every second cycle, of two tags, one of them scaled, in one row."""
    x, y = channel(["speed", "level"], "in"), channel(["valve"], "out")
    inputs = (
        Input(tensor="x", channel=x, cell=0, window=3, stride=2, spacing=2),
        Input(tensor="x", channel=x, index=1, cell=1, window=3, stride=2, spacing=2, scale=10.0, offset=1.0),
    )
    outputs = (Output(tensor="y", channel=y, scale=100.0, offset=50.0, low=-1e9, high=1e9),)
    slot = ModelSlot(rt_engine.load(models.linear(W, np.zeros(1))))
    return Task(name="t", model=slot, period_s=0.001, inputs=inputs, outputs=outputs, guard=ANY_AGE)


def recurrent() -> Task:
    """A model with states, fed by one channel."""
    model = rt_engine.load(models.lstm(), state={"h_out": "h", "c_out": "c"})
    x, y = channel(["a", "b", "c"], "in"), channel(["p", "q"], "out")
    inputs, outputs = Input(tensor="x", channel=x, count=3), Output(tensor="y", channel=y, count=2)
    return Task(name="t", model=ModelSlot(model), period_s=0.001, inputs=(inputs,), outputs=(outputs,), guard=ANY_AGE)


def numbers(k, live) -> None:
    live.put(*np.random.default_rng(k).normal(size=sum(c.cells for c in live.inputs)))


def test_elements_are_tags_at_samples():
    """With units and scales; the newest sample has no age."""
    labels = labels_of_task(windowed())
    assert [str(labels["x"][i]) for i in range(6)] == [
        *("speed at t-4", "level at t-4", "speed at t-2", "level at t-2", "speed", "level"),
    ]
    assert (labels["x"][1].scale, labels["x"][1].offset, labels["y"][0].scale) == (10.0, 1.0, 100.0)


@pytest.mark.parametrize("last", [59, 41, 40])
def test_a_window_is_as_it_was(last):
    """Values of the last cycles, scaled; also where the cycle has a checkpoint itself; slopes in the units of tags."""
    recorded = run(windowed(), 60, numbers)
    records = recorded.records[40 : last + 1]
    task = windowed()
    _, found, facts = explained(task, {1: task.model.model}, recorded.layout, records, recorded.checkpoints)
    values = recorded.layout.values(recorded.records, 0)
    (x,) = (t for t in found.tensors if t.name == "x")
    rows = [
        values[last - last % 2 - age] * [1, 10] + [0, 1] for age in (4, 2, 0)
    ]  # of the newest sample, which is one in two
    np.testing.assert_allclose(x.values, np.concatenate(rows)[None], rtol=1e-6)
    influence = found.influence
    names = [str(s.label) for s in influence.sources]
    assert influence.slopes[0, names.index("level at t-2")] == pytest.approx(4.0 * 10 * 100, rel=1e-3)
    assert influence.sources[names.index("speed")].value == pytest.approx(values[last - last % 2, 0], rel=1e-6)
    assert influence.targets[0].value == pytest.approx(recorded.layout.raw(records)[-1, 0], rel=1e-6)
    assert "median" in influence.method
    assert ("this run", "the same bits as in the cycle") in facts
    assert dict(facts)["cycle"].startswith(f"#{last}, tick ")


def test_what_came_while_an_input_was_bad_is_not_usual():
    """Before its device answers a channel is 0, which says nothing of the tag."""

    def late(k, live):
        live.put(*([0.0, 0.0] if k < 30 else [5.0, 7.0]), quality=Quality.BAD if k < 30 else Quality.GOOD)

    recorded, task = run(windowed(), 60, late), windowed()
    _, found, _ = explained(task, {1: task.model.model}, recorded.layout, recorded.records, recorded.checkpoints)
    bases = {str(source.label): source.base for source in found.influence.sources}
    assert (bases["speed"], bases["level"]) == (5.0, 7.0)
    assert "in 30 cycles of the recording in which it was good" in found.influence.method


@pytest.mark.parametrize("last", [59, 41, 40, 19])
def test_states_are_those_before_the_cycle(last):
    """As a model that has run through all cycles before has them."""
    recorded = run(recurrent(), 60, numbers)
    first = last // 20 * 20
    task = recurrent()
    model = task.model.model
    seen = see(task, {1: model}, recorded.layout, recorded.records[first : last + 1], recorded.checkpoints)
    context = model.context()
    for values in recorded.layout.values(recorded.records, 0)[:last]:
        context.inputs["x"] = values.astype(np.float32).reshape(1, 1, 3)
        context.run()
    for name, value in context.save().items():
        np.testing.assert_array_equal(seen.state[name], value)
    _, found, facts = explained(
        task, {1: model}, recorded.layout, recorded.records[first : last + 1], recorded.checkpoints
    )
    assert ("this run", "the same bits as in the cycle") in facts
    assert {s.tensor for s in found.influence.sources} == {"x", "h", "c"}


def test_states_that_were_reset_in_the_cycle_are_said():
    """The model began it with the initial ones."""

    def before(k, live):
        numbers(k, live)
        if k == 30:
            live.runner.memory.task["reset_state"] = 1

    recorded = run(recurrent(), 40, before)
    task = recurrent()
    at = int(np.flatnonzero(recorded.records["flags"] & 1)[0])
    records = recorded.records[20 : at + 1]
    _, found, facts = explained(task, {1: task.model.model}, recorded.layout, records, recorded.checkpoints)
    assert "states" in dict(facts)
    assert not found.tensor("h").values.any()
    assert ("this run", "the same bits as in the cycle") in facts


def test_a_cycle_in_which_no_model_ran_is_refused():
    """With its status."""

    def before(k, live):
        if k != 30:
            numbers(k, live)
        else:
            live.put(np.nan, 0.0, 0.0)

    recorded = run(recurrent(), 40, before)
    task = recurrent()
    with pytest.raises(RecordingError, match="did not run in this cycle"):
        see(task, {1: task.model.model}, recorded.layout, recorded.records[20:31], recorded.checkpoints)


def test_a_cycle_that_cannot_be_repeated_is_refused():
    """Without a checkpoint; or when it is not as recorded."""
    recorded = run(recurrent(), 60, numbers)
    task = recurrent()
    model = {1: task.model.model}
    with pytest.raises(RecordingError, match="checkpoint"):
        see(task, model, recorded.layout, recorded.records[45:50], recorded.checkpoints)
    changed = recorded.records[40:50].copy()
    recorded.layout.raw(changed)[-1, 0] += 1
    with pytest.raises(RecordingError, match="not as recorded"):
        see(task, model, recorded.layout, changed, recorded.checkpoints)


def test_a_task_without_a_model_is_refused():
    recorded = run(recurrent(), 40, numbers)
    with pytest.raises(RecordingError, match="no model"):
        see(replace(recurrent(), model=None), {}, recorded.layout, recorded.records[20:30], recorded.checkpoints)
    with pytest.raises(RecordingError, match="no model"):
        explained(replace(recurrent(), model=None), {}, recorded.layout, recorded.records[20:30], recorded.checkpoints)
