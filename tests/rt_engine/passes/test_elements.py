"""Operators say themselves that they work element by element; the passes for layout and for bytes rely on it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.ops import operators
from rt_engine.ops.base import RT_DOMAIN, Elements
from rt_engine.ops.unary import FUNCTIONS

OF_ONE = {
    *(
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "HardSigmoid",
        "HardSwish",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
    ),
    *(
        "Clip",
        "Mish",
        "Gelu",
        "Swish",
        "Erf",
        "Exp",
        "Log",
        "Sqrt",
        "Abs",
        "Neg",
        "Sign",
        "Reciprocal",
        "Floor",
        "Ceil",
    ),
    *("Round", "Not", "Cast", "Sin", "Cos"),
}
OF_SEVERAL = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "PRelu", "Where"),
    *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"),
}


def names(domain: str, elements: Elements) -> set[str]:
    """Of the operators of a domain whose results are made of such elements."""
    return {name for (where, name), found in operators().items() if where == domain and found[0].elements is elements}


def test_these_work_element_by_element():
    assert names("", Elements.ONE) == OF_ONE
    assert names("", Elements.SEVERAL) == OF_SEVERAL
    assert names(RT_DOMAIN, Elements.ONE) == {"Silu", "Swish", "GeluErf", "GeluTanh", "Mish", "FlipSign", "Lookup"}
    assert names(RT_DOMAIN, Elements.SEVERAL) == {"QAdd"}


def test_every_function_with_a_kernel_is_of_one_element():
    """So one that is added to `ops.unary` keeps its layout, and becomes a table where it is quantised."""
    assert len(FUNCTIONS) > 20
    assert set(FUNCTIONS) <= names("", Elements.ONE)


def model(nodes: list[onnx.NodeProto], opset: int = 17, **constants: np.ndarray) -> onnx.ModelProto:
    """A graph from x [1, 3, 8, 8] to y [1, 8, 8, 8] with constants."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, 8, 8]) for n, c in (("x", 3), ("y", 8))]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


WEIGHTS = np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float32)
CONV = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1])
ROW = np.random.default_rng(2).standard_normal(8).astype(np.float32)


def result(proto: onnx.ModelProto) -> np.ndarray:
    context = rt_engine.load(proto).context()
    context.inputs["x"][...] = np.random.default_rng(3).standard_normal((1, 3, 8, 8))
    context.run()
    return context.outputs["y"].copy()


@pytest.mark.parametrize(("operator", "attributes"), [("Add", {"broadcast": 1, "axis": 1}), ("PRelu", {})])
def test_an_operand_at_an_axis_is_not_element_by_element(operator, attributes):
    """Before opset 7 a row lies at an axis, which a convolution in front of it may not move."""
    front = [CONV, helper.make_node("Relu", ["c"], ["r"])]
    old = model([*front, helper.make_node(operator, ["r", "b"], ["y"], **attributes)], 6, w=WEIGHTS, b=ROW)
    new = model([*front, helper.make_node(operator, ["r", "b"], ["y"])], w=WEIGHTS, b=ROW.reshape(8, 1, 1))
    assert result(old).tobytes() == result(new).tobytes()


FUNCTION = helper.make_node("Softsign", ["c"], ["s"])
BETWEEN = model(
    [CONV, FUNCTION, helper.make_node("Conv", ["s", "v"], ["y"])],
    w=WEIGHTS,
    v=np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1),
)
QUANTISED = model(
    [
        helper.make_node("Conv", ["x", "w"], ["f"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["f", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["c"]),
        FUNCTION,
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["t"]),
        helper.make_node("DequantizeLinear", ["t", "scale", "zero"], ["y"]),
    ],
    w=WEIGHTS,
    scale=np.array(0.02, np.float32),
    zero=np.array(100, np.uint8),
)


def test_what_an_operator_says_of_itself_is_all_that_the_passes_ask(monkeypatch):
    """Saying it: no transposition for it, and a table between quantised tensors; the bits are the same without."""
    models = (BETWEEN, QUANTISED)
    said, bits = [rt_engine.load(proto).program for proto in models], [result(proto).tobytes() for proto in models]
    (found,) = operators()["", "Softsign"]
    monkeypatch.setitem(operators(), ("", "Softsign"), [replace(found, elements=None)])
    silent = [rt_engine.load(proto).program for proto in models]
    assert [result(proto).tobytes() for proto in models] == bits
    assert len(said[0].records) < len(silent[0].records)
    assert ["softsign_f32" in program.kernels for program in (said[1], silent[1])] == [False, True]
