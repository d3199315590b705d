"""Execution does not depend on the data: the same number of machine instructions for every input."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from benchmarks import instructions
from benchmarks.models import mlp

pytestmark = pytest.mark.skipif(not instructions.is_supported(), reason="single-stepping needs Linux on x86-64")


def counted(model, names=instructions.FEW):
    """Instructions by input; skips where the system lets no process trace another."""
    try:
        return instructions.count(rt_engine.load(model).context(), names)
    except RuntimeError as error:
        if "cannot be traced" in str(error):
            pytest.skip(str(error))
        raise


def graph(nodes, shape, out, weights=()):
    """A model of `nodes` from x to y."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", out))]
    arrays = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], arrays)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


MODELS = {
    "tanh": mlp([4, 16, 1], "Tanh"),
    "relu": mlp([5, 17, 3], "Relu"),
    "softmax": graph([helper.make_node("Softmax", ["x"], ["y"])], [1, 21], [1, 21]),
    "conv": graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MaxPool", ["b"], ["y"], kernel_shape=[2], strides=[2]),
        ],
        [1, 3, 12],
        [1, 5, 6],
        [("w", np.random.default_rng(0).standard_normal((5, 3, 3)))],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_count_does_not_depend_on_the_data(name):
    """Zeros, random numbers, denormals, and NaN, infinities and huge numbers among them."""
    counts = counted(MODELS[name])
    assert len(set(counts.values())) == 1, counts


def test_a_difference_would_be_seen():
    """A larger program has a larger count, exactly the same at every run."""
    small, large = (counted(mlp([4, n, 1], "Tanh"), ("zeros", "zeros")) for n in (16, 64))
    assert 100 < small["zeros"] < large["zeros"]
    assert counted(mlp([4, 16, 1], "Tanh"), ("zeros",)) == {"zeros": small["zeros"]}
