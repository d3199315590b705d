"""Random ensembles of trees as ONNX models, inputs that stand exactly on their thresholds, kernels of every lane width."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rt_native.errors import UnsupportedCpu
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TYPES = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}
Array = npt.NDArray[Any]


def random_nodes(
    rng: np.random.Generator,
    trees: int,
    depth: int,
    features: int,
    modes: tuple[str, ...],
    values: Array,
    missing: bool,
) -> dict[str, list[Any]]:
    """Attributes of the nodes; a branch may end early."""
    names = ("treeids", "nodeids", "featureids", "values", "truenodeids", "falsenodeids", "modes")
    nodes: dict[str, list[Any]] = {name: [] for name in (*names, "missing_value_tracks_true")}

    def grow(tree: int, level: int) -> int:
        place = sum(t == tree for t in nodes["treeids"])
        leaf = level == depth or (level > 0 and rng.random() < 0.2)
        row = (
            tree,
            place,
            0 if leaf else int(rng.integers(features)),
            0.0 if leaf else values[rng.integers(len(values))],
            0,
            0,
            "LEAF" if leaf else str(rng.choice(modes)),
        )
        for name, item in zip(names, row, strict=True):
            nodes[name].append(item)
        nodes["missing_value_tracks_true"].append(int(missing and not leaf and rng.random() < 0.5))
        here = len(nodes["treeids"]) - 1
        if not leaf:
            nodes["truenodeids"][here] = grow(tree, level + 1)
            nodes["falsenodeids"][here] = grow(tree, level + 1)
        return place

    for tree in range(trees):
        grow(tree, 0)
    return nodes


def leaf_weights(
    rng: np.random.Generator, nodes: dict[str, list[Any]], targets: list[int], low: float
) -> dict[str, list[Any]]:
    """A weight for each of `targets` in each leaf, from `low` to 1."""
    leaves = [i for i, mode in enumerate(nodes["modes"]) if mode == "LEAF"]
    rows = [(nodes["treeids"][i], nodes["nodeids"][i], target) for i in leaves for target in targets]
    return {
        "treeids": [r[0] for r in rows],
        "nodeids": [r[1] for r in rows],
        "ids": [r[2] for r in rows],
        "weights": rng.uniform(low, 1, len(rows)).astype(np.float32).tolist(),
    }


def ensemble_model(
    kind: str,
    nodes: dict[str, list[Any]],
    weights: dict[str, list[Any]],
    features: int,
    outputs: int,
    dtype: Any = np.float32,
    version: int = 3,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one TreeEnsembleRegressor (kind `target`) or TreeEnsembleClassifier (kind `class`)."""
    given = {f"nodes_{k}": v for k, v in nodes.items()} | {f"{kind}_{k}": v for k, v in weights.items()} | attributes
    if dtype is np.float64 and version >= 3:
        for name in ("nodes_values", f"{kind}_weights", "base_values"):
            if name in given:
                array = np.array(given.pop(name), np.float64)
                given[f"{name}_as_tensor"] = numpy_helper.from_array(array, name)
    name = "TreeEnsembleRegressor" if kind == "target" else "TreeEnsembleClassifier"
    rows = ["batch", outputs]
    results = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows)]
    if kind == "class":
        results = [helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]), *results]
    node = helper.make_node(name, ["x"], [r.name for r in results], domain="ai.onnx.ml", **given)
    x = helper.make_tensor_value_info("x", TYPES[dtype], ["batch", features])
    graph = helper.make_graph([node], "trees", [x], results)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def on_thresholds(rng: np.random.Generator, values: Array, rows: int, features: int, dtype: Any, nan: bool) -> Array:
    """Rows of thresholds, of their neighbours, and of special numbers."""
    values = values.astype(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, 1e30, *([np.nan] if nan else [])]
    pool = np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf), special])
    return pool[rng.integers(len(pool), size=(rows, features))].astype(dtype)


def every_width(*kernels: str) -> list[Library]:
    """Libraries of some modules of kernels, for every lane width that this processor has."""
    modules = (*(f"rt_engine.kernels.{name}" for name in kernels), "rt_engine.run.executor_native")
    found = []
    for lanes in LANE_WIDTHS:
        try:
            found.append(Library("kernels", modules, host(lanes)))
        except UnsupportedCpu:
            continue
    return found
