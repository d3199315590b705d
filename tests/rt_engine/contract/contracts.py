"""Contracts and models to try them with."""

import numpy as np
from onnx import helper

from benchmarks.models import mlp
from rt_engine.contract import Contract, Element, Provenance, Statistics, TensorContract, TestVector

MODEL = mlp([4, 8, 2], "Tanh")
"""x [1, 4] -> y [1, 2]."""


def full() -> Contract:
    """Of MODEL, with everything that there is: two samples of two elements."""
    x = TensorContract("x", (Element("angle", "rad", low=-3.2, high=3.2), Element("speed", "rad/s", 0.1, 1.0)), 2, 5)
    y = TensorContract("y", (Element("torque", "Nm", 20.0, low=-20, high=20, clip=True, max_rate=100), Element("lamp")))
    statistics = Statistics(
        "x",
        1000,
        (0.0, 1.0),
        (1.0, 2.0),
        (-3.0, -4.0),
        (3.0, 5.0),
        {0.01: (-2.9, -3.5), 0.99: (2.9, 4.5)},
        ((1.0, 0.5), (0.5, 4.0)),
    )
    values = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    vectors = (TestVector({"x": values}, {"y": np.array([[0.5, -0.25]])}, 1e-6, 1e-5),)
    provenance = Provenance("pendulum", "3", "runs 12 to 40", "4f2a91c", "A. Miller", "2026-11-28")
    return Contract((x,), (y,), 50.0, "outside", {}, (statistics,), vectors, provenance)


def stateful():
    """y = x + h, n -> h; x, h, n, y [2]."""
    nodes = [helper.make_node("Add", ["x", "h"], ["n"]), helper.make_node("Identity", ["n"], ["y"])]
    ends = [helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "h", "n", "y")]
    graph = helper.make_graph(nodes, "g", ends[:2], ends[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
