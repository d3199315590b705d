"""Models of several kinds, and the bits that Python gets for them."""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from rt_engine import Model
from tests import ROOT
from tests.rt_engine.quantization.test_quantizer import DATA, network

GOLDEN = ROOT / "tests" / "exporters" / "golden"


def policy(seed: int = 0) -> Model:
    """A perceptron 16-64-64-4."""
    return rt_engine.load(mlp((16, 64, 64, 4), "Tanh", seed=seed))


def lstm(hidden: int = 8, state: str = "h") -> Model:
    """One step of an LSTM per run, with its states in the context; `state` is the name of the first."""
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((1, 4 * hidden, 4)), "r": rng.standard_normal((1, 4 * hidden, hidden)) / 4}
    inputs = {"x": (1, 1, 4), state: (1, 1, hidden), "c": (1, 1, hidden)}
    outputs = {"y": (1, 1, 1, hidden), "h2": (1, 1, hidden), "c2": (1, 1, hidden)}
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "w", "r", "", "", state, "c"], [*outputs], hidden_size=hidden)],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    start = {state: np.full((1, 1, hidden), 0.25, np.float32)}
    return rt_engine.load(model, state={"h2": state, "c2": "c"}, initial=start)


def _quantised() -> Model:
    return rt_engine.load(rt_engine.quantize(network(), {"x": DATA}).model)


MODELS: dict[str, Callable[[], Model]] = {
    "mlp": policy,
    "trees": lambda: rt_engine.load(GOLDEN / "sklearn_forest_regressor.onnx"),
    "lstm": lstm,
    "int8-cnn": _quantised,
    "if": lambda: rt_engine.load(GOLDEN / "torch_cond_dynamo.onnx"),
}
"""Kind -> its maker."""


def cycles(model: Model, count: int, seed: int = 0) -> tuple[bytes, bytes]:
    """(inputs of so many runs in a row, what Python's context gives for them), in the order of the signature."""
    rng, context = np.random.default_rng(seed), model.context()
    inputs, outputs = b"", b""
    for _ in range(count):
        for spec in model.inputs:
            context.inputs[spec.name][...] = np.asarray(rng.standard_normal(spec.shape) * 2).astype(spec.dtype)
            inputs += context.inputs[spec.name].tobytes()
        context.run()
        outputs += b"".join(y.tobytes() for y in context.outputs.values())
    return inputs, outputs
