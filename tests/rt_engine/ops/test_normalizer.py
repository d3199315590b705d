"""Normalizer against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import rt_engine


@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
def test_a_row_of_zeros_stays_as_it_is(norm):
    """And every other row is divided by its norm."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 5]) for name in ("x", "y")]
    node = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm=norm)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=opsets, ir_version=8)
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    x[1] = 0
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(rt_engine.load(model).run({"x": x})[0], session.run(None, {"x": x})[0], rtol=1e-6)
