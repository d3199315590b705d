"""ONNX's Backend API."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rt_engine import backend
from rt_engine.errors import InputError, UnsupportedModelError
from rt_engine.ops import find


def reshape_model():
    """y = Reshape(x, shape + 0): the shape comes from an input, through another node."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["shape", "zero"], ["sum"]),
            helper.make_node("Reshape", ["x", "sum"], ["y"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["k"])],
        [onnx.numpy_helper.from_array(np.zeros(1, np.int64), "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_inputs_that_decide_a_shape_are_constants():
    """Directly or through other nodes; what is only read for its shape is not."""
    assert backend.constant_inputs(reshape_model()) == {"shape"}


def test_a_model_is_compiled_for_each_set_of_shapes():
    """One prepared model runs with inputs of several shapes; outputs come in order and by name."""
    prepared = backend.prepare(reshape_model(), "CPU")
    for shape in ((2, 3), (4, 1)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        outputs = prepared.run([x, np.array([x.size])])
        assert np.array_equal(outputs[0], x.ravel())
        assert np.array_equal(outputs["y"], x.ravel())
    assert len(prepared._compiled) == 2


def test_inputs_are_counted_and_named():
    """A wrong number of inputs is said with their names."""
    with pytest.raises(InputError, match="2 inputs \\(x, shape\\), got 1"):
        backend.prepare(reshape_model()).run([np.zeros((1, 1), np.float32)])
    with pytest.raises(InputError, match="shape"):
        backend.prepare(reshape_model()).run({"x": np.zeros((1, 1), np.float32)})


def test_run_node():
    """One node, of an opset."""
    node = helper.make_node("Add", ["a", "b"], ["c"])
    a, b = np.float32([1, 2]), np.float32([3, 4])
    assert np.array_equal(backend.run_node(node, [a, b])[0], a + b)
    assert np.array_equal(backend.run_node(node, [a, b], opset_version=14).c, a + b)


def test_is_compatible():
    """A model with an unknown operator is not; one whose shapes are open may be."""
    node = helper.make_node("RegexFullMatch", ["s"], ["y"], pattern="a")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("s", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert not backend.is_compatible(model)
    assert backend.is_compatible(reshape_model())
    assert not backend.is_compatible(reshape_model(), "CUDA")
    with pytest.raises(UnsupportedModelError):
        backend.run_model(model, [np.array(["a"])])


def test_devices():
    """There is the CPU."""
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(ValueError, match="CUDA"):
        backend.prepare(reshape_model(), "CUDA")


def test_operators_are_found_by_version():
    """An operator that is new in some opset is not found in older ones."""
    assert find("", "Slice", 9) is not find("", "Slice", 10)
    assert find("", "NoSuchOperator", 20) is None
