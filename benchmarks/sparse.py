"""Weights that are mostly zero: a dense network and a transformer, pruned in blocks of 1 x 16, against our own dense kernel.

    python -m benchmarks.sparse            80 % and 90 % of the blocks are zero; also how it depends on the share of blocks left

Both products give the same bits for finite inputs, which is looked at first. They are timed in turns, in one process.
"""

import argparse
import itertools
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.ops import sparse
from rt_native.terminal import Column, Sheet, Terminal

ROUNDS = 15
Weights = Callable[[int, int], NDArray[np.float32]]


def pruned(zero: float, width: int = sparse.BLOCK) -> Weights:
    """Random weights whose blocks of 1 x `width` are zero with that probability."""
    rng = np.random.default_rng(0)

    def made(k: int, n: int) -> NDArray[np.float32]:
        kept = np.repeat(rng.random((k, -(-n // width))) >= zero, width, axis=1)[:, :n]
        scale = (k * max(1 - zero, 0.05)) ** -0.5
        return (rng.standard_normal((k, n)) * scale * kept).astype(np.float32)

    return made


class _Graph:
    """Nodes and weights of a model with one input and one output."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.nodes, self.values = weights, list[onnx.NodeProto](), list[onnx.TensorProto]()

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value: object, dtype: type = np.float32) -> str:
        self.values.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(self.values)}"))
        return self.values[-1].name

    def linear(self, x: str, k: int, n: int) -> str:
        y = self.node("MatMul", x, self.constant(self.weights(k, n)))
        return self.node("Add", y, self.constant(np.full(n, 0.1)))

    def model(self, y: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        nodes = [*self.nodes, helper.make_node("Identity", [y], ["y"])]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], self.values)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def dense_network(weights: Weights, sizes: tuple[int, ...] = (512, 1024, 1024, 512)) -> onnx.ModelProto:
    """A dense network with Relu, for one sample."""
    graph, y = _Graph(weights), "x"
    for k, n in itertools.pairwise(sizes):
        y = graph.node("Relu", graph.linear(y, k, n))
    return graph.model(y, (1, sizes[0]))


def transformer(weights: Weights, layers: int = 2, steps: int = 32, wide: int = 256, heads: int = 4) -> onnx.ModelProto:
    """Encoder layers: attention and two dense layers, four times as wide, each with a normalisation."""
    graph, y = _Graph(weights), "x"

    def normalised(x: str) -> str:
        return graph.node("LayerNormalization", x, graph.constant(np.ones(wide)), graph.constant(np.zeros(wide)))

    split, joined = (graph.constant(s, np.int64) for s in ([1, steps, heads, wide // heads], [1, steps, wide]))
    scale = graph.constant((wide // heads) ** -0.5)
    for _ in range(layers):
        q, k, v = (graph.node("Reshape", graph.linear(y, wide, wide), split) for _ in range(3))
        q, v = (graph.node("Transpose", z, perm=[0, 2, 1, 3]) for z in (q, v))
        scores = graph.node("Mul", graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 2, 3, 1])), scale)
        seen = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), v)
        seen = graph.node("Reshape", graph.node("Transpose", seen, perm=[0, 2, 1, 3]), joined)
        y = normalised(graph.node("Add", y, graph.linear(seen, wide, wide)))
        inner = graph.node("Relu", graph.linear(y, wide, 4 * wide))
        y = normalised(graph.node("Add", y, graph.linear(inner, 4 * wide, wide)))
    return graph.model(y, (1, steps, wide))


def times(model: onnx.ModelProto, count: int = 40) -> tuple[float, float, float]:
    """Microseconds with the dense product and with the one that skips blocks, and the median ratio of the rounds."""
    source = model.SerializeToString()
    contexts = []
    for densest in (-1.0, 1.0):
        with patch.object(sparse, "DENSEST", densest):
            contexts.append(rt_engine.load(source).context())
    (name,) = contexts[0].inputs
    x = np.random.default_rng(1).standard_normal(contexts[0].inputs[name].shape)
    for context in contexts:
        context.inputs[name] = x
        context.run()
    assert np.array_equal(contexts[0].outputs["y"], contexts[1].outputs["y"])
    rounds = np.array([[np.median(context.measure(count)) for context in contexts] for _ in range(ROUNDS)]) / 1000
    return float(np.median(rounds[:, 0])), float(np.median(rounds[:, 1])), float(np.median(rounds[:, 0] / rounds[:, 1]))


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(prog="python -m benchmarks.sparse", description=__doc__).parse_args()
    columns = (
        Column("model"),
        Column("zero", right=True),
        *(Column(c, right=True) for c in ("dense", "sparse", "ratio")),
    )
    sheet = Sheet(columns, title="Microseconds, one thread")
    for title, make in (("dense 512-1024-1024-512", dense_network), ("transformer, 2 layers, 32 x 256", transformer)):
        for zero, width in ((0.3, 16), (0.5, 16), (0.8, 16), (0.9, 16), (0.8, 8), (0.9, 8)):
            dense, few, ratio = times(make(pruned(zero, width)))
            sheet.add(title, f"{zero:.0%} in 1x{width}", f"{dense:.1f}", f"{few:.1f}", f"{ratio:.2f}x")
    Terminal().print(sheet)


if __name__ == "__main__":
    main()
