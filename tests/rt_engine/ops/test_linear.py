"""Products with a known side: packed when the model is loaded, in every form, with the right numbers."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine

ENSEMBLES = [
    ((5, 1, 200), (5, 200, 34)),
    ((3, 5, 2, 20), (5, 20, 7)),
    ((2, 3, 4, 1, 9), (3, 4, 9, 33)),
    ((4, 6, 8), (1, 8, 3)),
    ((6, 8), (3, 8, 5)),
    ((8,), (3, 8, 5)),
]
TURNED = [
    ((40, 30), (30, 1)),
    ((40, 30), (30, 3)),
    ((3, 40, 30), (3, 30, 1)),
    ((3, 40, 30), (3, 30, 2)),
    ((40, 30), (30,)),
]


def product(a, b, constant):
    """A MatMul of these, one of them an initializer."""
    arrays = {"a": a, "b": b}
    shape = np.matmul(a, b).shape
    free = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in arrays.items() if n != constant]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    graph = helper.make_graph([node], "g", free, [out], [numpy_helper.from_array(arrays[constant], constant)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def check(a_shape, b_shape, constant):
    """Right numbers, and nothing is packed when it runs."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(a_shape, dtype=np.float32), rng.standard_normal(b_shape, dtype=np.float32)
    model = rt_engine.load(product(a, b, constant))
    feed = {"a": a} if constant == "b" else {"b": b}
    np.testing.assert_allclose(model.run(feed)[0], np.matmul(a, b), rtol=1e-4, atol=1e-5)
    assert not any("pack_f32" in node.kernels for node in model.report().nodes)


@pytest.mark.parametrize(("a", "b"), ENSEMBLES)
def test_constant_matrices_are_packed_at_load(a, b):
    """A batch of constant right sides, repeated over more leading axes or not."""
    check(a, b, "b")


@pytest.mark.parametrize(("a", "b"), TURNED)
def test_a_constant_left_side_meets_few_columns_turned(a, b):
    """W @ x: the vectors go along W's rows."""
    check(a, b, "a")


def test_a_gemm_of_a_turned_left_side_packs_its_constant_at_load():
    """transA keeps a Gemm from being a linear layer, and its right side is known all the same."""
    rng = np.random.default_rng(1)
    a, w = rng.standard_normal((6, 4), dtype=np.float32), rng.standard_normal((9, 6), dtype=np.float32)
    node = helper.make_node("Gemm", ["a", "w"], ["y"], transA=1, transB=1)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("a", a.shape), ("y", (4, 9)))]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(w, "w")])
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    np.testing.assert_allclose(model.run({"a": a})[0], a.T @ w.T, rtol=1e-4, atol=1e-5)
    assert not any("pack_f32" in one.kernels for one in model.report().nodes)
