"""ONNX's own node tests, for every operator that we have."""

import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test import loader

import rt_engine
from rt_engine.errors import UnsupportedModelError
from rt_engine.ops import find, operators

CONSTANT_INPUTS = {
    "Reshape": (1,),
    "Expand": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "ConstantOfShape": (0,),
    "Dropout": (1, 2),
    "Clip": (1, 2),
    "BatchNormalization": (1, 2, 3, 4),
    **{
        f"Reduce{kind}": (1,)
        for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")
    },
}
"""Inputs that act as shapes, axes or limits: in these tests they are bound as constants."""

_TRAINING = "training is not what a controller does"
EXCLUDED: dict[str, str] = {
    "test_batchnorm_example_training_mode": _TRAINING,
    "test_batchnorm_epsilon_training_mode": _TRAINING,
}
"""Case -> why we do not run it. An excluded case that passes fails the run."""


@cache
def cases() -> dict[str, Any]:
    """Name -> node case, for every one whose operators we have, with tensors in and out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX divides by zero to make its cases
        loaded = loader.load_model_tests(kind="node")
    for case in loaded:
        for tensors in case.data_sets[0]:
            tensors[:] = [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in tensors]
    return {
        case.name: case
        for case in loaded
        if all((n.domain, n.op_type) in operators() for n in case.model.graph.node)
        and all(isinstance(v, np.ndarray) and v.dtype != object for v in (*case.data_sets[0][0], *case.data_sets[0][1]))
    }


def bound(model: onnx.ModelProto, inputs: list[np.ndarray]) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model with shape-like inputs as constants; and what is left to feed."""
    names = [i.name for i in model.graph.input]
    constants = {
        node.input[index]
        for node in model.graph.node
        for index in CONSTANT_INPUTS.get(node.op_type, ())
        if index < len(node.input) and node.input[index]
    }
    feeds = {}
    for name, value in zip(names, inputs, strict=True):
        if name in constants:
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        else:
            feeds[name] = value
    return model, feeds


def check(case: Any) -> None:
    """Run a case and compare, to the tolerance of ONNX's own runner."""
    inputs, expected_outputs = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model, feeds = bound(model, inputs)
    shapes = {name: value.shape for name, value in feeds.items()}
    outputs = rt_engine.load(model, shapes=shapes).run(feeds)
    for ours, expected in zip(outputs, expected_outputs, strict=True):
        assert ours.dtype == expected.dtype
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", cases())
def test_case(name):
    """The outputs are ONNX's own; or the model is refused at load, with the reason that `EXCLUDED` gives."""
    if name not in EXCLUDED:
        check(cases()[name])
        return
    with pytest.raises(UnsupportedModelError):
        check(cases()[name])


def test_every_exclusion_names_a_case():
    """No exclusion outlives its case."""
    assert set(EXCLUDED) <= set(cases())


def test_operators_are_found_by_version():
    """An operator that is new in some opset is not found in older ones."""
    assert find("", "Slice", 9) is not find("", "Slice", 10)
    assert find("", "NoSuchOperator", 20) is None
