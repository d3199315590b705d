"""Small real models."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

import rt_engine


def scale(factor: float, width: int = 1) -> rt_engine.Model:
    """y = factor * x, float32[1, width]."""
    return rt_engine.load(scale_file(factor, width))


def scale_file(factor: float, width: int = 1) -> onnx.ModelProto:
    """The same, not loaded."""
    weights = [numpy_helper.from_array(np.eye(width, dtype=np.float32) * factor, "w")]
    x, y = (helper.make_tensor_value_info(name, 1, [1, width]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
