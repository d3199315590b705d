"""Small models that tests explain: made here, so that every number in them is known."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def constant(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    """Normal numbers, the same ones each time."""
    values = np.random.default_rng([seed, len(name), *name.encode()]).normal(size=shape).astype(np.float32) / 2
    return numpy_helper.from_array(values, name)


def model(
    nodes: list[Any], inputs: dict[str, list[int]], outputs: dict[str, list[int]], *constants: Any, checked: bool = True
) -> onnx.ModelProto:
    """A model whose inputs and outputs are float32."""
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "g", *ends, list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if checked:
        onnx.checker.check_model(made)
    return made


def linear(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """y = x @ weights + bias, x one row."""
    rows, columns = weights.shape
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="only")]
    pairs = (("w", weights), ("b", bias))
    arrays = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in pairs]
    return model(nodes, {"x": [1, rows]}, {"y": [1, columns]}, *arrays)


def mlp() -> onnx.ModelProto:
    """Two layers; `pre`, `act` and `mm` are inside."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["pre"], name="fc1"),
        helper.make_node("Tanh", ["pre"], ["act"], name="tanh"),
        helper.make_node("MatMul", ["act", "w2"], ["mm"], name="fc2"),
        helper.make_node("Add", ["mm", "b2"], ["y"], name="add"),
    ]
    arrays = constant("w1", 4, 8), constant("b1", 8), constant("w2", 8, 2), constant("b2", 2)
    return model(nodes, {"x": [1, 4]}, {"y": [1, 2]}, *arrays)


def cnn() -> onnx.ModelProto:
    """A convolution, which works channels last, a pooling, a layer."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="sigmoid"),
        helper.make_node("MaxPool", ["s"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "w2"], ["y"], name="fc"),
    ]
    return model(nodes, {"x": [1, 3, 8, 8]}, {"y": [1, 2]}, constant("w", 4, 3, 3, 3), constant("w2", 64, 2))


def lstm() -> onnx.ModelProto:
    """One cell whose state goes from run to run."""
    inputs = ["x", "w", "r", "", "", "h", "c"]
    nodes = [
        helper.make_node("LSTM", inputs, ["Y", "h_out", "c_out"], hidden_size=5, name="lstm"),
        helper.make_node("Squeeze", ["h_out"], ["s"], name="squeeze"),
        helper.make_node("MatMul", ["s", "w2"], ["y"], name="fc"),
    ]
    state = {"h": [1, 1, 5], "c": [1, 1, 5]}
    outputs = {"y": [2], "h_out": [1, 1, 5], "c_out": [1, 1, 5]}
    arrays = constant("w", 1, 20, 3), constant("r", 1, 20, 5), constant("w2", 5, 2)
    return model(nodes, {"x": [1, 1, 3], **state}, outputs, *arrays)


def counting() -> onnx.ModelProto:
    """A loop that doubles x five times."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["v", "v"], ["twice"], name="double"),
            helper.make_node("Identity", ["cond"], ["go"], name="go"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [3]),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, [3]),
        ],
    )
    nodes = [helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(np.array(5), "trips")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def choosing() -> onnx.ModelProto:
    """y = (2x)[i]: an index that is too large ends it."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"], name="add"),
        helper.make_node("Gather", ["twice", "i"], ["y"], name="choose"),
    ]
    made = model(nodes, {"x": [3], "i": [1]}, {"y": [1]}, checked=False)
    made.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    return made
