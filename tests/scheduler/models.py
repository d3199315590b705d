"""Small real models."""

from itertools import pairwise

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


def _model(nodes: list[onnx.NodeProto], ends: dict[str, list[int]], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Of float32 tensors; inputs are those of `ends` that no node makes."""
    made = {name for node in nodes for name in node.output}
    info = {name: helper.make_tensor_value_info(name, 1, shape) for name, shape in ends.items()}
    inputs, outputs = ([v for n, v in info.items() if (n in made) is is_out] for is_out in (False, True))
    initial = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, initial), opset_imports=opsets, ir_version=8
    )


def mlp(*widths: int, seed: int = 0) -> rt_engine.Model:
    """x [1, widths[0]] through layers with tanh between them: y [1, widths[-1]]."""
    random, nodes, weights, name = np.random.default_rng(seed), [], {}, "x"
    for k, (rows, columns) in enumerate(pairwise(widths)):
        weights[f"w{k}"] = random.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        weights[f"b{k}"] = random.normal(0, 0.1, columns).astype(np.float32)
        is_last = k == len(widths) - 2
        nodes.append(helper.make_node("Gemm", [name, f"w{k}", f"b{k}"], ["y" if is_last else f"g{k}"]))
        if not is_last:
            nodes.append(helper.make_node("Tanh", [f"g{k}"], [name := f"t{k}"]))
    return rt_engine.load(_model(nodes, {"x": [1, widths[0]], "y": [1, widths[-1]]}, weights))


def wide(factor: float = 1.0) -> rt_engine.Model:
    """x [1, 1] -> y [1, 1], by way of products that are worth several cores."""
    rng, size = np.random.default_rng(0), 160
    weights = {
        "many": rng.standard_normal((64, size)).astype(np.float32),
        **{f"w{i}": (factor * rng.standard_normal((size, size)) / 8).astype(np.float32) for i in range(4)},
    }
    nodes = [helper.make_node("Mul", ["x", "many"], ["t0"])]
    nodes += [helper.make_node("MatMul", [f"t{i}", f"w{i}"], [f"t{i + 1}"]) for i in range(4)]
    nodes.append(helper.make_node("ReduceMax", ["t4"], ["y"], keepdims=1))
    return rt_engine.load(_model(nodes, {"x": [1, 1], "y": [1, 1]}, weights))


def lstm(steps: int, features: int, hidden: int, outputs: int, seed: int = 0) -> rt_engine.Model:
    """x [steps, 1, features] -> y [1, outputs]; h and c are states."""
    random = np.random.default_rng(seed)
    shapes = {
        "W": (1, 4 * hidden, features),
        "R": (1, 4 * hidden, hidden),
        "B": (1, 8 * hidden),
        "V": (hidden, outputs),
    }
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["axes"] = np.array([0], np.int64)
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h_out", "c_out"], hidden_size=hidden),
        helper.make_node("Squeeze", ["h_out", "axes"], ["last"]),
        helper.make_node("MatMul", ["last", "V"], ["y"]),
    ]
    ends = {"x": [steps, 1, features], **{name: [1, 1, hidden] for name in ("h", "c")}, "y": [1, outputs]}
    ends |= {name: [1, 1, hidden] for name in ("h_out", "c_out")}
    return rt_engine.load(_model(nodes, ends, weights), state={"h_out": "h", "c_out": "c"})


def trees(features: int, count: int, depth: int, seed: int = 0) -> rt_engine.Model:
    """x [1, features] -> y [1, 1]: `count` full trees of random splits."""
    random, rows = np.random.default_rng(seed), 2**depth - 1
    at: dict[str, list[int] | list[float] | list[str]] = {
        "nodes_treeids": np.repeat(np.arange(count), 2 * rows + 1).tolist(),
        "nodes_nodeids": np.tile(np.arange(2 * rows + 1), count).tolist(),
        "nodes_featureids": random.integers(0, features, count * (2 * rows + 1)).tolist(),
        "nodes_values": random.normal(0, 1, count * (2 * rows + 1)).astype(np.float32).tolist(),
        "nodes_modes": (["BRANCH_LEQ"] * rows + ["LEAF"] * (rows + 1)) * count,
        "nodes_truenodeids": [2 * k + 1 if k < rows else 0 for _ in range(count) for k in range(2 * rows + 1)],
        "nodes_falsenodeids": [2 * k + 2 if k < rows else 0 for _ in range(count) for k in range(2 * rows + 1)],
        "target_treeids": np.repeat(np.arange(count), rows + 1).tolist(),
        "target_nodeids": np.tile(np.arange(rows, 2 * rows + 1), count).tolist(),
        "target_ids": [0] * (count * (rows + 1)),
        "target_weights": random.normal(0, 1, count * (rows + 1)).astype(np.float32).tolist(),
    }
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **at)
    return rt_engine.load(_model([node], {"x": [1, features], "y": [1, 1]}, {}))


def summing(factor: float, most: float = np.inf, state: str = "sum") -> rt_engine.Model:
    """A state `sum`, or by another name: sum + x, float32[1, 1]; y = factor * (sum + x), NaN where that sum is above `most`."""
    nodes = [
        helper.make_node("Add", [state, "x"], ["sum_out"]),
        helper.make_node("Sub", ["most", "sum_out"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Mul", ["sum_out", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "nothing"], ["y"]),
    ]
    numbers = {"most": min(most, 1e30), "zero": 0.0, "factor": factor}
    weights = {name: np.array([[value]], np.float32) for name, value in numbers.items()}
    ends = {name: [1, 1] for name in ("x", state, "y", "sum_out")}
    return rt_engine.load(_model(nodes, ends, weights), state={"sum_out": state})


def score(*shape: int) -> rt_engine.Model:
    """The largest |seen + x| of a state `seen` that forgets a fifth in each run: score [1, 1]."""
    rank = len(shape)
    nodes = [
        helper.make_node("Add", ["seen", "x"], ["both"]),
        helper.make_node("Mul", ["both", "keep"], ["seen_out"]),
        helper.make_node("Abs", ["both"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["most"], axes=list(range(rank)), keepdims=1),
        helper.make_node("Reshape", ["most", "one"], ["score"]),
    ]
    weights = {"keep": np.full([1] * rank, 0.8, np.float32), "one": np.array([1, 1], np.int64)}
    ends = {"x": list(shape), "seen": list(shape), "score": [1, 1], "seen_out": list(shape)}
    return rt_engine.load(_model(nodes, ends, weights), state={"seen_out": "seen"})
