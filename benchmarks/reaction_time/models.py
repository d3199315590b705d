"""What the stations compute: y = 0.5 * x + 0.25, for four floats a device; and the same with a table of 500 MB beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOATS: Final = 4
LARGE_BYTES: Final = 500_000_000


def save(path: Path, table_bytes: int = 0, floats: int = FLOATS) -> Path:
    """The model, as ONNX. A table costs a cycle nothing but one row of it, which is looked up and is zero."""
    constants: dict[str, NDArray[np.generic]] = {
        "half": np.full(1, 0.5, np.float32),
        "quarter": np.full((1, floats), 0.25, np.float32),
    }
    nodes = [helper.make_node("Mul", ["x", "half"], ["halved"])]
    if not table_bytes:
        nodes += [helper.make_node("Add", ["halved", "quarter"], ["y"])]
    else:
        rows = np.zeros((table_bytes // (4 * floats), floats), np.float32)
        rows[1:] = np.arange(1, len(rows), dtype=np.float32)[:, np.newaxis]
        constants |= {"rows": rows, "none": np.zeros(1, np.float32), "shape": np.array([1], np.int64)}
        constants |= {"begin": np.array([0, 0], np.int64), "end": np.array([1, 1], np.int64)}
        nodes += [
            helper.make_node("Add", ["halved", "quarter"], ["sum"]),
            helper.make_node("Slice", ["x", "begin", "end"], ["first"]),
            helper.make_node("Reshape", ["first", "shape"], ["flat"]),
            helper.make_node("Mul", ["flat", "none"], ["zero"]),
            helper.make_node("Cast", ["zero"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["rows", "index"], ["row"]),
            helper.make_node("Add", ["sum", "row"], ["y"]),
        ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, floats]) for name in "xy")
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "follow", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
