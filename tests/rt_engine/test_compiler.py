"""The recipe as a whole: its work grows with the file, not faster. Counted in lines of our own code that run, never in time."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from tests import ROOT

OURS = tuple(str(ROOT / room) for room in ("rt_engine", "rt_native"))
MOST = 2.3
"""Twice the file may take so many times the work; something quadratic with any weight takes more."""


def lines_run(function: Callable[[], object]) -> int:
    """How many lines of our code run in a call."""
    count = 0

    def inside(frame, event, argument):
        nonlocal count
        count += event == "line"
        return inside

    def entered(frame, event, argument):
        return inside if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def model(nodes, outputs, initializers=(), x=(4, 8)):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x))]
    tensors = [numpy_helper.from_array(array, name) for name, array in initializers]
    graph = helper.make_graph(nodes, "g", inputs, infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def many_outputs(n):
    """Everything lives to the end."""
    nodes = [helper.make_node("Sin", [f"v{i - 1}" if i else "x"], [f"v{i}"]) for i in range(n)]
    return model(nodes, {f"v{i}": [4, 8] for i in range(n)})


def far_skips(n):
    """The first half is read by the second, in the other order."""
    half = n // 2
    nodes = [helper.make_node("Sin", [f"v{i - 1}" if i else "x"], [f"v{i}"]) for i in range(half)]
    nodes += [helper.make_node("Add", [f"v{i - 1}", f"v{2 * half - i - 1}"], [f"v{i}"]) for i in range(half, 2 * half)]
    return model(nodes, {f"v{2 * half - 1}": [4, 8]})


def unnamed_layers(n):
    """Layers without names, whose constants are all called the same, with constants to fold."""
    nodes, constants, last = [], [], "x"
    for i in range(n // 4):
        constants += [(f"w{i}", np.eye(8, dtype=np.float32)), (f"c{i}", np.full(8, i, np.float32))]
        nodes += [
            helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]),
            helper.make_node("Exp", [f"c{i}"], [f"e{i}"]),
            helper.make_node("Add", [f"m{i}", f"e{i}"], [f"a{i}"]),
            helper.make_node("Relu", [f"a{i}"], [f"r{i}"]),
        ]
        last = f"r{i}"
    return model(nodes, {last: [4, 8]}, constants)


def tall_picture(n):
    """Convolutions that Winograd's algorithm cuts into many calls: about n of them."""
    w = np.ones((32, 32, 3, 3), np.float32)
    nodes = [helper.make_node("Conv", [x, "w"], [y], pads=[1] * 4) for x, y in (("x", "a"), ("a", "y"))]
    return model(nodes, {"y": [1, 32, n, 16]}, [("w", w)], x=(1, 32, n, 16))


def moved_integers(n):
    """Integers that go through transpositions, behind which they are dequantised and quantised again."""
    constants = [("s", np.float32(0.05)), ("z", np.int8(0)), ("w", np.ones((8, 8), np.int8))]
    nodes, last = [], "x"

    def node(op_type, *inputs, **attributes):
        nodes.append(helper.make_node(op_type, inputs, [f"v{len(nodes)}"], **attributes))
        return f"v{len(nodes) - 1}"

    for _ in range(n // 7):
        weights = node("DequantizeLinear", "w", "s", "z")
        for layer, rest in (("Transpose", ()), ("MatMul", (weights,))):
            last = node(layer, node("DequantizeLinear", node("QuantizeLinear", last, "s", "z"), "s", "z"), *rest)
    return model(nodes, {last: [8, 8]}, constants, x=(8, 8))


@pytest.mark.parametrize("make", [many_outputs, far_skips, unnamed_layers, tall_picture, moved_integers])
def test_loading_does_not_grow_faster_than_the_file(make):
    sizes = (1000, 2000) if make is tall_picture else (150, 300)
    rt_engine.load(make(8))  # what is imported or made once
    small, large = (lines_run(lambda n=n: rt_engine.load(make(n))) for n in sizes)
    assert large < MOST * small


def test_the_count_sees_what_grows_faster():
    """This guard can fail: a walk over all for each one is more than twice as many lines."""
    source = str(ROOT / "rt_engine" / "made_up.py")
    scope: dict[str, Callable[[int], None]] = {}
    exec(compile("def walk(n):\n for a in range(n):\n  for b in range(n):\n   a + b\n", source, "exec"), scope)
    small, large = (lines_run(lambda n=n: scope["walk"](n)) for n in (50, 100))
    assert large > 3 * small


def test_a_large_picture_is_compiled_to_a_program_that_is_right():
    """The calls of all blocks share their memory; the last block is smaller."""
    random = np.random.default_rng(0)
    w = random.standard_normal((16, 16, 3, 3)).astype(np.float32)
    made = model(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)], {"y": [1, 16, 61, 37]}, [("w", w)], (1, 16, 61, 37)
    )
    x = random.standard_normal((1, 16, 61, 37)).astype(np.float32)
    engine = rt_engine.load(made)
    assert (
        sum(k.startswith("winograd") and k.endswith("_in") for node in engine.program.nodes for k in node.kernels) > 2
    )
    wide = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    right = sum(
        np.einsum("mc,chw->mhw", w[:, :, i, j], wide[:, i : i + 61, j : j + 37]) for i in range(3) for j in range(3)
    )
    np.testing.assert_allclose(engine.run({"x": x})[0][0], right, atol=2e-3)
