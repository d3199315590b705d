"""Perceptrons with random weights, made without any framework: what tests run. What speed is measured on is in `zoo`."""

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


def mlp(widths: Sequence[int], activation: str, batch_norm: bool = False, seed: int = 0) -> onnx.ModelProto:
    """A perceptron in float32: Gemm (+ BatchNormalization) + activation per hidden layer, Gemm at the end.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: ONNX operator.
    """
    rng = np.random.default_rng(seed)
    nodes, weights, last = [], {}, "x"

    def constant(name: str, value: np.ndarray) -> str:
        weights[name] = value.astype(np.float32)
        return name

    layers = len(widths) - 1
    for i, (k, n) in enumerate(itertools.pairwise(widths)):
        w = constant(f"w{i}", rng.standard_normal((n, k)) / np.sqrt(k))
        b = constant(f"b{i}", rng.standard_normal(n) * 0.1)
        out = "y" if i == layers - 1 else f"h{i}"
        nodes.append(helper.make_node("Gemm", [last, w, b], [out], transB=1, name=f"gemm{i}"))
        last = out
        if i == layers - 1:
            break
        if batch_norm:
            statistics = [
                constant(f"scale{i}", rng.uniform(0.5, 1.5, n)),
                constant(f"shift{i}", rng.standard_normal(n) * 0.1),
                constant(f"mean{i}", rng.standard_normal(n) * 0.1),
                constant(f"variance{i}", rng.uniform(0.5, 1.5, n)),
            ]
            nodes.append(helper.make_node("BatchNormalization", [last, *statistics], [f"n{i}"], name=f"norm{i}"))
            last = f"n{i}"
        nodes.append(helper.make_node(activation, [last], [f"a{i}"], name=f"act{i}"))
        last = f"a{i}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", widths[0]])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", widths[-1]])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
