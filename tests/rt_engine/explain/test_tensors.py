"""Every tensor of a run, as the model's file calls it, in its layout, with its own values."""

import numpy as np
import onnx
import pytest
from onnx import helper

import rt_engine
from rt_engine.explain import Statistics, explain
from tests import onnx_runtime
from tests.rt_engine.explain import models

CASES = {
    "mlp": (models.mlp, None),
    "cnn": (models.cnn, None),
    "lstm": (models.lstm, {"h_out": "h", "c_out": "c"}),
}


def every_value(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime has in every value of a model, by name."""
    told = onnx.ModelProto()
    told.CopyFrom(proto)
    known = {o.name for o in told.graph.output}
    names = [o for node in told.graph.node for o in node.output if o and o not in known]
    told.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnx_runtime.session(told, optimised=False)
    wanted = [o.name for o in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, feeds), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_what_onnx_runtime_has_there(case):
    """By name, in the file's layout, also where the program keeps channels last and where memory is used again."""
    make, state = CASES[case]
    proto = make()
    model = rt_engine.load(proto, state=state)
    rng = np.random.default_rng(1)
    feeds = {i.name: rng.normal(size=i.shape).astype(np.float32) for i in (*model.inputs, *model.state)}
    given = {name: feeds[name] for name in (s.name for s in model.state)}
    found = explain(model, {s.name: feeds[s.name] for s in model.inputs}, given, moving=False)
    wanted = every_value(proto, feeds)
    seen = [t for t in found.tensors if t.in_file and t.kind in ("tensor", "output")]
    assert {o.name for o in model.outputs} <= {t.name for t in seen} <= set(wanted)
    assert len(seen) > len(model.outputs) or case == "lstm"
    for tensor in seen:
        np.testing.assert_allclose(tensor.values, wanted[tensor.name], rtol=1e-4, atol=1e-5, err_msg=tensor.name)
    for name, value in feeds.items():
        np.testing.assert_array_equal(found.tensor(name).values, value)


@pytest.mark.parametrize("case", CASES)
def test_a_run_record_by_record_gives_the_bits_of_a_run(case):
    """Outputs and states."""
    make, state = CASES[case]
    model = rt_engine.load(make(), state=state)
    rng = np.random.default_rng(2)
    feeds = {s.name: rng.normal(size=s.shape).astype(np.float32) for s in (*model.inputs, *model.state)}
    context = model.context()
    context.inputs = {s.name: feeds[s.name] for s in model.inputs}
    context.restore({s.name: feeds[s.name] for s in model.state})
    context.run()
    found = explain(model, dict(context.inputs), {s.name: feeds[s.name] for s in model.state}, moving=False)
    for name, value in context.outputs.items():
        assert found.tensor(name).values.tobytes() == value.tobytes()


def test_a_loop_is_followed():
    """Its records run as often as it turns; each has its last value."""
    model = rt_engine.load(models.counting())
    x = np.array([1, 2, 3], np.float32)
    found = explain(model, {"x": x}, moving=False)
    np.testing.assert_array_equal(found.tensor("y").values, 32 * x)
    assert max(t.runs for t in found.tensors) == 5


def test_a_run_that_ends_with_a_status_shows_what_was_made_until_then():
    """And where it ended."""
    model = rt_engine.load(models.choosing())
    found = explain(model, {"x": np.ones(3, np.float32), "i": np.array([7])})
    assert found.status != 0
    assert found.ended_at == "choose"
    assert found.influence is None
    np.testing.assert_array_equal(found.tensor("twice").values, [2, 2, 2])


def test_statistics_leave_out_what_is_not_finite():
    """NaN and infinity are counted, zeros are a share of all."""
    found = Statistics.of(np.array([0, 1, -3, np.nan, np.inf, 0], np.float32))
    assert (found.least, found.greatest, found.mean) == (-3, 1, -0.5)
    assert found.deviation == pytest.approx(1.5)
    assert (found.zeros, found.nan, found.infinite) == (2 / 6, 1, 1)


def test_a_tensor_without_a_finite_element_has_no_least():
    """Nor mean."""
    found = Statistics.of(np.full(3, np.nan))
    assert (found.least, found.mean, found.nan) == (None, None, 3)


def test_the_input_of_a_user_whose_name_ends_as_a_twins_keeps_its_layout():
    """No operator of that model keeps channels last."""
    nodes = [
        helper.make_node("Relu", ["x"], ["h.last"], name="r"),
        helper.make_node("Exp", ["h.last"], ["y"], name="e"),
    ]
    model = rt_engine.load(models.model(nodes, {"x": [1, 2, 3]}, {"y": [1, 2, 3]}))
    found = explain(model, {"x": np.ones((1, 2, 3), np.float32)}, moving=False)
    named = [t for t in found.tensors if t.name.startswith("h")]
    assert all(t.name == "h.last" and t.shape == (1, 2, 3) for t in named)
