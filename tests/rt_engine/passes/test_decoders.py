"""Chains of operators that enlarge an image, channels last inside, against ONNX Runtime."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from tests.rt_engine.ops.spatial import agree


def _decoder(rank, group, resized):
    """Conv, ConvTranspose, BatchNormalization, Relu, Resize or ConvTranspose, Clip; and what is fed."""
    rng = np.random.default_rng(rank + group)
    weights, nodes = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(value, name))
        return name

    def normal(name, *shape):
        return constant(name, rng.standard_normal(shape).astype(np.float32))

    space, kernel = (6, 5)[:rank], (4, 3)[:rank]
    three = (3,) * rank
    nodes.append(helper.make_node("Conv", ["x", normal("w0", 8, 4, *three)], ["a"], pads=[1] * 2 * rank))
    nodes.append(
        helper.make_node(
            "ConvTranspose", ["a", normal("w1", 8, 6 // group, *kernel), normal("b1", 6)], ["b"], strides=[2] * rank,
            pads=[1] * 2 * rank, group=group,
        )
    )  # fmt: skip
    norm = [normal(f"n{i}", 6) for i in range(3)] + [constant("v", rng.uniform(0.5, 2, 6).astype(np.float32))]
    nodes.append(helper.make_node("BatchNormalization", ["b", *norm], ["c"]))
    nodes.append(helper.make_node("Relu", ["c"], ["d"]))
    if resized:
        scales = constant("scales", np.array([1, 1, *(2, 3)[:rank]], np.float32))
        nodes.append(helper.make_node("Resize", ["d", "", scales], ["e"], mode="linear"))
    else:
        nodes.append(helper.make_node("ConvTranspose", ["d", normal("w2", 6, 1, *three)], ["e"], strides=[3] * rank))
    low, high = constant("low", np.array(-1, np.float32)), constant("high", np.array(2, np.float32))
    nodes.append(helper.make_node("Clip", ["e", low, high], ["y"]))
    shape = (1, 4, *space)
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (rank + 2))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model, {"x": rng.standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("resized", [True, False])
def test_decoder(rank, group, resized):
    """The numbers of ONNX Runtime; normalisation and clipping have become part of the convolutions."""
    model, feeds = _decoder(rank, group, resized)
    agree(model, feeds)
    kernels = {kernel for node in rt_engine.load(model).program.nodes for kernel in node.kernels}
    assert not kernels & {"scale_shift_f32", "relu_f32"}


def test_each_phase_is_computed_from_its_own_taps():
    """3x3 with stride 2: the four phases have 1, 2, 2 and 4 taps, 9 in all; an activation stays part of them."""
    rng = np.random.default_rng(0)
    w = numpy_helper.from_array(rng.standard_normal((32, 16, 3, 3)).astype(np.float32), "w")
    x = rng.standard_normal((1, 32, 8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["a"], strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x.shape), ("y", [None] * 4))]
    graph = helper.make_graph(nodes, "decoder", ends[:1], ends[1:], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    agree(model, {"x": x})
    nodes_of = rt_engine.load(model).report().nodes
    assert sum(one.macs for one in nodes_of) == 64 * 9 * 32 * 16
    assert not any("relu_f32" in one.kernels for one in nodes_of)
