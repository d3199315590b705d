"""Support vector machines: ONNX Runtime's labels and scores."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import rt_engine
from rt_engine.errors import UnsupportedModelError
from tests.rt_engine.ops.forests import every_width

onnxruntime.set_default_logger_severity(4)
FEATURES = 5
KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def model_of(op_type, outputs, **attributes):
    node = helper.make_node(op_type, ["x"], [name for name, _, _ in outputs], domain="ai.onnx.ml", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])
    results = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    graph = helper.make_graph([node], "svm", [x], results)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def classifier(kernel, per_class, probable, seed=0, **changes):
    """A machine with random vectors and coefficients."""
    rng = np.random.default_rng(seed)
    classes, count = len(per_class), sum(per_class)
    pairs = classes * (classes - 1) // 2
    attributes = {
        "classlabels_ints": [7 * i + 3 for i in range(classes)],
        "vectors_per_class": per_class,
        "support_vectors": rng.normal(size=count * FEATURES).tolist(),
        "coefficients": rng.normal(size=(classes - 1) * count).tolist(),
        "rho": (0.1 * rng.normal(size=pairs)).tolist(),
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.5, 3.0],
    }
    if probable:
        attributes |= {"prob_a": (-rng.random(pairs) - 0.2).tolist(), "prob_b": rng.normal(size=pairs).tolist()}
    columns = classes if probable or classes == 2 else pairs
    outputs = [("label", TensorProto.INT64, ["batch"]), ("scores", TensorProto.FLOAT, ["batch", columns])]
    return model_of("SVMClassifier", outputs, **attributes | changes)


def inputs(rows=40):
    return np.random.default_rng(9).normal(size=(rows, FEATURES)).astype(np.float32)


def run_both(model, x):
    theirs = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )
    return rt_engine.load(model, shapes={"x": x.shape}).run({"x": x}), theirs


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("probable", [False, True])
@pytest.mark.parametrize("per_class", [[3, 4], [5, 1, 2], [30, 41, 17, 9]])
def test_classifiers(kernel, probable, per_class):
    """Every kernel, two classes and more, decisions and coupled probabilities."""
    (label, scores), (their_label, their_scores) = run_both(classifier(kernel, per_class, probable), inputs())
    assert np.array_equal(label, their_label)
    np.testing.assert_allclose(scores, their_scores, rtol=2e-4, atol=2e-5 * np.abs(their_scores).max())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 64, 65])
def test_regressors(kernel, one_class, count):
    """Support vectors or, without, a linear model; a one-class machine says its side."""
    if count == 0 and kernel != "LINEAR":
        return
    rng = np.random.default_rng(count)
    attributes = {
        "n_supports": count,
        "support_vectors": rng.normal(size=count * FEATURES).tolist(),
        "coefficients": rng.normal(size=count or FEATURES).tolist(),
        "rho": [0.25],
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.5, 2.0],
        "one_class": one_class,
    }
    if not count:
        del attributes["support_vectors"]
    model = model_of("SVMRegressor", [("y", TensorProto.FLOAT, ["batch", 1])], **attributes)
    (ours,), (theirs,) = run_both(model, inputs())
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_bits_do_not_depend_on_the_lane_width(kernel):
    """Sums over features and vectors have one order; the functions are our own."""
    x, model = inputs(), classifier(kernel, [30, 41, 17], True)
    results = {
        tuple(y.tobytes() for y in rt_engine.load(model, shapes={"x": x.shape}, library=kernels).run({"x": x}))
        for kernels in every_width("svm")
    }
    assert len(results) == 1


def test_probabilities_sum_to_one_for_extreme_decisions():
    """Decisions far from zero saturate; nothing becomes NaN."""
    x = 1e3 * inputs()
    label, scores = rt_engine.load(classifier("LINEAR", [3, 4, 5], True), shapes={"x": x.shape}).run({"x": x})
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert np.isin(label, [3, 10, 17]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"support_vectors": [1.0, 2.0]},
        {"coefficients": [1.0]},
        {"rho": [1.0]},
        {"vectors_per_class": [3, -4, 5]},
        {"vectors_per_class": [12]},
        {"prob_a": [1.0], "prob_b": [1.0]},
        {"kernel_type": "MAGIC"},
        {"kernel_params": [1.0]},
        {"classlabels_ints": [1]},
    ],
)
def test_attributes_that_do_not_fit_are_refused(changes):
    with pytest.raises(UnsupportedModelError):
        rt_engine.load(classifier("RBF", [3, 4, 5], False, **changes))
