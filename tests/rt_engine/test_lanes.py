"""The same bits for 4, 8 and 16 lanes, on random graphs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.run.native import library
from rt_native.errors import UnsupportedCpu
from rt_native.target import LANE_WIDTHS, host


def libraries():
    """A kernel library for every lane width that this processor has."""
    found = {}
    for lanes in LANE_WIDTHS:
        try:
            found[lanes] = library(host(lanes))
        except UnsupportedCpu:
            continue
    return found


LIBRARIES = libraries()
UNARY = (
    "Tanh",
    "Sigmoid",
    "Exp",
    "Sin",
    "Cos",
    "Softplus",
    "Elu",
    "Mish",
    "HardSwish",
    "Abs",
    "Neg",
    "Relu",
    "Erf",
    "Softsign",
    "Selu",
)
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Div")
REDUCE = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare")


@st.composite
def graphs(draw):
    """A random chain of layers on a [rows, columns] tensor, float32 or float64."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    onnx_type = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 70))
    shape = [rows, columns]
    nodes, weights, last = [], [], "x"

    def constant(value):
        weights.append(numpy_helper.from_array(np.asarray(value), f"c{len(weights)}"))
        return f"c{len(weights) - 1}"

    for i in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["linear", "unary", "binary", "softmax", "layer_norm", "transpose", "reduce"]))
        out = f"t{i}"
        if kind == "linear":
            width = draw(st.integers(1, 70))
            w = rng.standard_normal((shape[1], width)).astype(dtype)
            nodes.append(
                helper.make_node("Gemm", [last, constant(w), constant(rng.standard_normal(width).astype(dtype))], [out])
            )
            shape = [shape[0], width]
        elif kind == "unary":
            nodes.append(helper.make_node(draw(st.sampled_from(UNARY)), [last], [out]))
        elif kind == "binary":
            other = draw(st.sampled_from([shape, [1, shape[1]], [shape[0], 1], [1]]))
            nodes.append(
                helper.make_node(
                    draw(st.sampled_from(BINARY)), [last, constant(rng.standard_normal(other).astype(dtype))], [out]
                )
            )
        elif kind == "softmax":
            nodes.append(helper.make_node("Softmax", [last], [out], axis=draw(st.integers(0, 1))))
        elif kind == "layer_norm":
            nodes.append(
                helper.make_node(
                    "LayerNormalization", [last, constant(rng.standard_normal(shape[1]).astype(dtype))], [out]
                )
            )
        elif kind == "transpose":
            nodes.append(helper.make_node("Transpose", [last], [out], perm=[1, 0]))
            shape = shape[::-1]
        else:
            axis = draw(st.integers(0, 1))
            nodes.append(
                helper.make_node(
                    draw(st.sampled_from(REDUCE)), [last, constant(np.array([axis], np.int64))], [out], keepdims=1
                )
            )
            shape = [1 if a == axis else s for a, s in enumerate(shape)]
        last = out
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("x", onnx_type, [rows, columns])],
        [helper.make_tensor_value_info(last, onnx_type, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model, rng.standard_normal((rows, columns)).astype(dtype) * draw(st.sampled_from([1e-3, 1.0, 30.0]))


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="this processor has one lane width only")
@settings(max_examples=150)
@given(graphs())
def test_bits_do_not_depend_on_the_lane_width(example):
    """Random graphs give identical bits on every lane width."""
    model, x = example
    x = x.astype(x.dtype)
    results = {
        lanes: rt_engine.load(model, library=kernels).run({"x": x})[0].tobytes() for lanes, kernels in LIBRARIES.items()
    }
    assert len(set(results.values())) == 1


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="this processor has one lane width only")
def test_one_program_runs_on_every_lane_width():
    """The compiled program is the same bytes: only the kernels differ."""
    w = np.random.default_rng(0).standard_normal((33, 70)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [5, 33])],
        [helper.make_tensor_value_info("y", 1, [5, 70])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    programs = [rt_engine.load(model, library=kernels).program for kernels in LIBRARIES.values()]
    weights = [p.weights.view(np.uint8, 0, p.weights.nbytes).tobytes() for p in programs]
    assert len(set(weights)) == 1
    assert len({p.records.tobytes() for p in programs}) == 1
