"""Slopes are derivatives, effects are what an input's value did: on models for which both are known."""

import numpy as np
import pytest

import rt_engine
from rt_engine.contract import Contract, Element, Statistics, TensorContract, attach
from rt_engine.errors import InputError
from rt_engine.explain import Base, Label, explain, influence
from tests.rt_engine.explain import models

W = np.array([[1.5, -2.0], [0.25, 0.0], [-0.75, 4.0]])
B = np.array([0.5, -1.0])
X = np.array([[0.3, -1.2, 2.0]], np.float32)


def test_the_slopes_of_a_linear_model_are_its_weights():
    """A row for each output."""
    found = explain(rt_engine.load(models.linear(W, B)), {"x": X}).influence
    np.testing.assert_allclose(found.slopes, W.T, atol=2e-5)


def test_the_effects_of_a_linear_model_are_weight_times_distance_and_add_up():
    """To y(x) - y(base), which is `together`."""
    base = Base({"x": np.array([[0.1, 0.2, 0.3]])}, {}, "what was said")
    found = explain(rt_engine.load(models.linear(W, B)), {"x": X}, base=base).influence
    distance = X.astype(np.float64) - base.values["x"]
    np.testing.assert_allclose(found.effects, W.T * distance, atol=1e-5)
    np.testing.assert_allclose(found.effects.sum(axis=1), found.together, atol=1e-5)
    assert "what was said" in found.method


def test_slopes_and_effects_of_a_network_are_those_of_numpy():
    """Two layers with tanh between, in float64."""
    proto = models.mlp()
    w1, b1, w2, b2 = (np.asarray(models.numpy_helper.to_array(t), np.float64) for t in proto.graph.initializer)
    x = np.array([[0.2, -0.4, 0.9, 0.1]], np.float32)

    def run(row):
        return np.tanh(row @ w1 + b1) @ w2 + b2

    hidden = np.tanh(x.astype(np.float64) @ w1 + b1)
    derivative = (w1 * (1 - hidden**2)) @ w2
    found = explain(rt_engine.load(proto), {"x": x}).influence
    np.testing.assert_allclose(found.slopes, derivative.T, atol=2e-4)
    for i in range(4):
        without = x.copy()
        without[0, i] = 0
        np.testing.assert_allclose(found.effects[:, i], (run(x) - run(without))[0], atol=1e-5)
    np.testing.assert_allclose(found.together, (run(x) - run(0 * x))[0], atol=1e-5)


def test_the_input_that_did_most_comes_first():
    """By the size of its effect, not by its slope."""
    found = explain(rt_engine.load(models.linear(W, B)), {"x": X}).influence
    assert [found.ranked(t, 3) for t in (0, 1)] == [[2, 0, 1], [2, 0, 1]]


def test_a_state_is_a_source_and_is_replaced_by_its_initial_value():
    """As it was before the run."""
    model = rt_engine.load(models.lstm(), state={"h_out": "h", "c_out": "c"})
    x, c = np.ones((1, 1, 3), np.float32), np.full((1, 1, 5), 0.5, np.float32)
    found = explain(model, {"x": x}, {"c": c}).influence
    names = [str(s.label) for s in found.sources]
    assert "c[2]" in names and "h[4]" in names
    fresh = model.run({"x": x})[0]
    for element in range(5):
        moved = c.copy()
        moved[0, 0, element] = 0
        column = names.index(f"c[{element}]")
        wanted = model.run({"x": x, "c": c})[0] - model.run({"x": x, "c": moved})[0]
        np.testing.assert_allclose(found.effects[:2, column], wanted, atol=1e-7)
    assert np.abs(found.effects[:2, names.index("h[0]")]).max() == 0  # it is at its initial value
    assert not np.allclose(fresh, model.run({"x": x, "c": c})[0])


def test_units_are_those_of_tags():
    """element = value * scale + offset at the input, value = element * scale + offset at the output."""
    labels = {
        "x": {0: Label("speed", "m/s", 10.0, 1.0), 1: Label("speed", "m/s", 10.0, 1.0, age=1)},
        "y": {0: Label("valve", "%", 100.0, 50.0)},
    }
    model = rt_engine.load(models.linear(W, B))
    plain = explain(model, {"x": X}).influence
    found = explain(model, {"x": X}, labels=labels).influence
    assert [str(s.label) for s in found.sources] == ["speed", "speed at t-1", "x[2]"]
    assert str(found.targets[0].label) == "valve"
    assert found.sources[0].value == pytest.approx((X[0, 0] - 1) / 10)
    np.testing.assert_allclose(found.slopes[0, :2], plain.slopes[0, :2] * 10 * 100, rtol=1e-4)
    np.testing.assert_allclose(found.effects[0], plain.effects[0] * 100, rtol=1e-6)
    assert found.tags == ("speed",)
    np.testing.assert_allclose(found.tag_effects[0, 0], found.effects[0, :2].sum(), rtol=1e-5)


def test_a_contract_says_names_units_base_and_step(tmp_path):
    """The mean of the training data, and a share of its deviation."""
    parts = (
        TensorContract("x", (Element("speed", "m/s"),), window=3),
        TensorContract("y", (Element("valve", "%"), Element("pump", "rpm"))),
    )
    statistics = Statistics("x", 100, (0.5,), (2.0,), (-3.0,), (3.0,))
    contract = Contract(inputs=parts[:1], outputs=parts[1:], statistics=(statistics,))
    proto = models.linear(W, B)
    attach(proto, contract)
    found = explain(rt_engine.load(proto), {"x": X}).influence
    assert [str(s.label) for s in found.sources] == ["speed at t-2", "speed at t-1", "speed"]
    assert [s.base for s in found.sources] == [0.5] * 3
    assert {s.step for s in found.sources} == {2.0**-5}
    assert [t.label.unit for t in found.targets] == ["%", "rpm"]
    assert "training" in found.method
    np.testing.assert_allclose(found.effects, W.T * (X - 0.5), atol=1e-5)


def test_only_wanted_outputs_are_looked_at():
    """By tensor, by element; what is not there is said with what is."""
    model = rt_engine.load(models.linear(W, B))
    assert len(explain(model, {"x": X}, outputs=["y"]).influence.targets) == 2
    assert len(explain(model, {"x": X}, outputs=["y[1]"]).influence.targets) == 1
    with pytest.raises(InputError, match=r"no output is called speed; there is y\[0\], y\[1\]"):
        explain(model, {"x": X}, outputs=["speed"])


def test_a_nan_has_an_effect_but_no_slope():
    """What it did is what replacing it undoes."""
    x = X.copy()
    x[0, 1] = np.nan
    found = explain(rt_engine.load(models.linear(W, B)), {"x": x}).influence
    assert np.isnan(found.slopes[:, 1]).all()
    assert found.ranked(0, 1) == [1]


def test_many_elements_are_replaced_in_blocks(monkeypatch):
    """Squares of an image, which cover it once."""
    monkeypatch.setattr(influence, "MOST_SOURCES", 16)
    model = rt_engine.load(models.cnn())
    x = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)
    found = explain(model, {"x": x}).influence
    assert sorted(i for s in found.sources for i in s.indices) == list(range(x.size))
    assert len(found.sources) == 16
    assert "neighbours" in found.method
    without = x.copy()
    without[..., 0:2, 2:4] = 0
    column = [str(s.label) for s in found.sources].index("x[.., 0:2, 2:4]")
    wanted = model.run({"x": x})[0] - model.run({"x": without})[0]
    np.testing.assert_allclose(found.effects[:, column], wanted[0], atol=1e-6)
