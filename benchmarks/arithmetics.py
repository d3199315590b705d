"""What processors without FMA pay: models on kernels for x86-64-v2, in both arithmetics, beside those for x86-64-v3.

    python -m benchmarks.arithmetics [SECONDS]      of each model and kind of kernels; by default one second

All on this machine, which has to have AVX2, in turns; a ratio is the median of the rounds'. So it compares instructions, not
processors: an Atom has other caches, fewer units and a lower clock. Needs scikit-learn and skl2onnx, no PyTorch; the first time it
compiles all kernels three times.
"""

import sys
from collections.abc import Iterator
from statistics import median

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from rt_engine import Model
from rt_engine.run.native import library
from rt_native.levels import EXACT, level
from rt_native.terminal import Column, Sheet, Terminal

LEVELS = ("x86-64-v3", "x86-64-v2", EXACT)
ROUNDS = 15


def convolutions(channels: int = 32, side: int = 32, layers: int = 4) -> onnx.ModelProto:
    """3 x 3 convolutions with Relu, of which every second halves the picture, and a linear layer: random weights."""
    rng, nodes, weights, last, before = np.random.default_rng(0), [], [], "x", 3
    for i in range(layers):
        w = (rng.standard_normal((channels, before, 3, 3)) / np.sqrt(9 * before)).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"w{i}"))
        stride = [1 + i % 2] * 2
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], pads=[1] * 4, strides=stride))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        last, before = f"r{i}", channels
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    weights.append(numpy_helper.from_array(rng.standard_normal((channels, 10)).astype(np.float32), "w"))
    nodes.append(helper.make_node("MatMul", ["flat", "w"], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "convolutions", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def recurrent(hidden: int = 64, inputs: int = 16, steps: int = 16, double: bool = False) -> onnx.ModelProto:
    """An LSTM over a window: random weights."""
    rng, kind = np.random.default_rng(0), np.float64 if double else np.float32
    type = TensorProto.DOUBLE if double else TensorProto.FLOAT
    arrays = {"w": rng.standard_normal((1, 4 * hidden, inputs)), "r": rng.standard_normal((1, 4 * hidden, hidden)) / 8}
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=hidden)
    x = helper.make_tensor_value_info("x", type, [steps, 1, inputs])
    y = helper.make_tensor_value_info("y", type, [1, 1, hidden])
    weights = [numpy_helper.from_array(a.astype(kind), n) for n, a in arrays.items()]
    graph = helper.make_graph([node], "recurrent", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def forest() -> onnx.ModelProto:
    """As scikit-learn exports it."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 16)).astype(np.float32)
    fitted = RandomForestClassifier(100, max_depth=8, random_state=0).fit(x, x[:, 0] + x[:, 1] * x[:, 2] > 0)
    shapes = [("x", FloatTensorType([1, 16]))]
    return to_onnx(fitted, initial_types=shapes, options={id(fitted): {"zipmap": False}}, target_opset=17)


def elementwise(operator: str, count: int = 4096) -> onnx.ModelProto:
    """One function of so many numbers."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [count]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], operator, ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def models() -> Iterator[tuple[str, Model]]:
    """(What it is, itself)."""
    yield "MLP 16-64-64-4, tanh", rt_engine.load(mlp((16, 64, 64, 4), "Tanh"))
    large = mlp((128, 512, 512, 64), "Relu")
    yield "MLP 128-512-512-64, relu", rt_engine.load(large)
    data = {"x": np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)}
    yield "the same, int8", rt_engine.load(rt_engine.quantize(large, data).model)
    yield "LSTM of 64, 16 steps", rt_engine.load(recurrent())
    yield "LSTM of 64, 16 steps, float64", rt_engine.load(recurrent(double=True))
    picture = convolutions()
    yield "4 convolutions of 32 channels, 32 x 32", rt_engine.load(picture)
    seen = {"x": np.random.default_rng(0).standard_normal((8, 1, 3, 32, 32)).astype(np.float32)}
    yield "the same, int8", rt_engine.load(rt_engine.quantize(picture, seen).model)
    yield "random forest, 100 trees of depth 8", rt_engine.load(forest())
    for operator in ("Tanh", "Exp", "Erf"):
        yield f"{operator} of 4,096", rt_engine.load(elementwise(operator))


def main(seconds: float) -> None:
    """The table."""
    kernels = [library(level(name).target) for name in LEVELS]
    numbers = (Column(name, right=True) for name in ("v3, us", "fast", "exact"))
    sheet = Sheet((Column("model"), *numbers))
    for title, model in models():
        contexts = [Model(model.program, model.name, made).context() for made in kernels]
        for context in contexts:
            for spec in model.inputs:
                context.inputs[spec.name][...] = np.random.default_rng(1).random(spec.shape).astype(spec.dtype)
        counts = [max(1, int(seconds / ROUNDS * 1e9 / np.median(context.measure(5)))) for context in contexts]
        rounds = [
            [float(np.median(context.measure(count))) for context, count in zip(contexts, counts, strict=True)]
            for _ in range(ROUNDS)
        ]
        fast, exact = (median(row[at] / row[0] for row in rounds) for at in (1, 2))
        sheet.add(title, f"{median(row[0] for row in rounds) / 1e3:,.2f}", f"{fast:.1f}x", f"{exact:.1f}x")
    Terminal().print(sheet)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
