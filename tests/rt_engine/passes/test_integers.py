"""Dynamically quantised models: MatMulInteger and ConvInteger with constant weights are products of bytes, exactly."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import rt_engine

TYPES = helper.np_dtype_to_tensor_dtype
GENERAL = {"matmul_i32", "sub_int"}


def integer_model(op_type, x, w, zx, zw, shape, scale=None, **attributes):
    """A product of x by constant weights; the zero point of x is fed; with a scale, Cast and Mul behind it."""
    constants = {"w": w, **({} if zw is None else {"zw": zw}), **({} if scale is None else {"s": scale})}
    names = ["x", "w", "" if zx is None else "zx", "" if zw is None else "zw"]
    nodes = [helper.make_node(op_type, names, ["y" if scale is None else "sums"], name="product", **attributes)]
    if scale is not None:
        nodes += [
            helper.make_node("Cast", ["sums"], ["real"], to=T.FLOAT),
            helper.make_node("Mul", ["real", "s"], ["y"]),
        ]
    fed = {"x": x, **({} if zx is None else {"zx": zx})}
    inputs = [helper.make_tensor_value_info(n, TYPES(v.dtype), v.shape) for n, v in fed.items()]
    output = helper.make_tensor_value_info("y", T.INT32 if scale is None else T.FLOAT, shape)
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), fed


def windows_summed(x, w, strides, dilations, pads, group):
    """The twin: a convolution of int64, from its definition; padding is zero."""
    rank = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out), np.int64)
    columns = w.shape[0] // group
    for tap in np.ndindex(*w.shape[2:]):
        at = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilations, out, strides, strict=True)
        )
        seen = x[(slice(None), slice(None), *at)]
        for g in range(group):
            rows, inputs = slice(g * columns, (g + 1) * columns), slice(g * w.shape[1], (g + 1) * w.shape[1])
            y[:, rows] += np.einsum("nc...,mc->nm...", seen[:, inputs], w[(rows, slice(None), *tap)])
    return y


LAYERS = {
    "dense": ((2, 6, 9, 8), (20, 6, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "planar": ((1, 3, 9, 8), (8, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "one tap": ((2, 12, 4, 5), (17, 12, 1, 1), {}),
    "depthwise": ((2, 20, 7, 8), (20, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 20}),
    "depthwise, narrow": ((1, 5, 6, 8), (5, 1, 3, 2), {"pads": [1, 0, 1, 1], "group": 5}),
    "groups": ((1, 8, 5, 6), (6, 4, 3, 3), {"pads": [1, 1, 1, 1], "group": 2}),
    "line": ((1, 10, 30), (9, 10, 5), {"pads": [4, 4], "dilations": [2]}),
    "beyond the image": ((1, 8, 4, 4), (16, 8, 3, 3), {"pads": [9, 5, 9, 5], "dilations": [9, 5]}),
}


@pytest.mark.parametrize("weights", ["int8", "uint8 with 128", "uint8 with 120", "uint8 with 3"])
@pytest.mark.parametrize("layer", LAYERS)
def test_convolutions_are_exact_whatever_the_zero_points(layer, weights):
    """Padding is the zero point of x; weights that less theirs are no bytes are still exact; nothing is done in general integers."""
    x_shape, w_shape, attributes = LAYERS[layer]
    rng, rank = np.random.default_rng(len(layer)), len(x_shape) - 2
    whole = {"strides": [1] * rank, "dilations": [1] * rank, "pads": [0] * 2 * rank, "group": 1, **attributes}
    for dtype, zero in ((np.uint8, 100), (np.int8, -7), (np.uint8, None)):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max + 1, x_shape).astype(dtype)
        w = np.clip(rng.normal(0, 40, w_shape).round(), -127, 127).astype(np.int16)
        zw = None if weights == "int8" else np.uint8(weights.split()[-1])
        stored = w.astype(np.int8) if zw is None else np.clip(w + int(zw), 0, 255).astype(np.uint8)
        if zw is not None:
            stored[0].flat[0] = 255
        zx = None if zero is None else np.array(zero, dtype)
        right = windows_summed(
            x.astype(np.int64) - (zero or 0), stored.astype(np.int64) - (0 if zw is None else int(zw)), **whole
        )
        for scale in (None, np.float32(0.013)):
            model, fed = integer_model("ConvInteger", x, stored, zx, zw, right.shape, scale, **whole)
            loaded = rt_engine.load(model)
            expected = right if scale is None else right.astype(np.float32) * scale
            np.testing.assert_array_equal(loaded.run(fed)[0], expected)
            assert not GENERAL & set(loaded.program.kernels)


@pytest.mark.parametrize("shape", [(24, 64, 128), (1, 37, 19), (5, 3, 16), (7, 130, 70)])
@pytest.mark.parametrize("spread", [0, 3, 60])
def test_products_with_a_zero_point_per_column_are_exact(shape, spread):
    """A few weights beyond a byte, or most of them: the same integers."""
    m, k, n = shape
    rng = np.random.default_rng(k)
    x, zx = rng.integers(0, 256, (m, k)).astype(np.uint8), np.array(91, np.uint8)
    w = rng.integers(0, 256, (k, n)).astype(np.uint8)
    zw = (128 + rng.integers(-spread, spread + 1, n)).astype(np.uint8)
    right = (x.astype(np.int64) - 91) @ (w.astype(np.int64) - zw.astype(np.int64))
    for scale in (None, np.float32(0.5), rng.uniform(0.1, 1, n).astype(np.float32)):
        model, fed = integer_model("MatMulInteger", x, w, zx, zw, (m, n), scale)
        loaded = rt_engine.load(model)
        expected = right if scale is None else right.astype(np.float32) * scale
        np.testing.assert_array_equal(loaded.run(fed)[0], expected)
        assert not GENERAL & set(loaded.program.kernels)


def dynamic_network(rng):
    """What onnxruntime's quantize_dynamic makes of convolutions, one depthwise, one residual."""
    nodes, constants, x = [], {}, "x"
    for name, (m, c, k), group in (("a", (8, 3, 3), 1), ("b", (8, 1, 3), 8), ("c", (8, 8, 1), 1), ("d", (8, 8, 3), 1)):
        w, zero = rng.integers(0, 256, (m, c, k, k)).astype(np.uint8), np.uint8(rng.integers(110, 140))
        constants |= {f"{name}.w": w, f"{name}.zw": zero, f"{name}.sw": np.float32(0.004)}
        constants[f"{name}.b"] = rng.standard_normal((1, m, 1, 1), dtype=np.float32)
        nodes += [
            helper.make_node("DynamicQuantizeLinear", [x], [f"{name}.q", f"{name}.s", f"{name}.z"]),
            helper.make_node("Mul", [f"{name}.s", f"{name}.sw"], [f"{name}.scale"]),
            helper.make_node(
                "ConvInteger",
                [f"{name}.q", f"{name}.w", f"{name}.z", f"{name}.zw"],
                [f"{name}.i"],
                pads=[k // 2] * 4,
                group=group,
            ),
            helper.make_node("Cast", [f"{name}.i"], [f"{name}.f"], to=T.FLOAT),
            helper.make_node("Mul", [f"{name}.f", f"{name}.scale"], [f"{name}.r"]),
            helper.make_node("Add", [f"{name}.r", f"{name}.b"], [f"{name}.y"]),
            helper.make_node("Relu", [f"{name}.y"], [f"{name}.o"]),
        ]
        x = f"{name}.o"
    nodes.append(helper.make_node("Add", [x, "b.o"], ["y"]))
    ends = [helper.make_tensor_value_info(n, T.FLOAT, [1, c, 9, 10]) for n, c in (("x", 3), ("y", 8))]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_dynamically_quantised_network_stays_channels_last():
    """ONNX Runtime's numbers; between its convolutions nothing is transposed."""
    rng = np.random.default_rng(3)
    model, x = dynamic_network(rng), rng.standard_normal((1, 3, 9, 10), dtype=np.float32)
    onnx.checker.check_model(model)
    loaded = rt_engine.load(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    right = session.run(None, {"x": x})[0]
    np.testing.assert_allclose(loaded.run({"x": x})[0], right, rtol=1e-5, atol=1e-4 * np.abs(right).max())
    nodes = [n.operator for n in loaded.report().nodes]
    assert nodes.count("QConv") == 4 and nodes.count("Transpose") <= 1
    assert not GENERAL & set(loaded.program.kernels)


@pytest.mark.parametrize(("rows", "is_float"), [(513, True), (514, True), (515, False)])
def test_shares_of_a_zero_point_are_exact_at_the_end_of_float32(rows, is_float):
    """255 times the sum of a column: below 2^24 float32 has every integer, from there on general integers are multiplied."""
    w = np.full((rows, 3), -128, np.int8)
    w[0] = [-128, -127, 1]
    model, fed = integer_model("MatMulInteger", np.full((2, rows), 254, np.uint8), w, np.uint8(255), None, [2, 3])
    loaded = rt_engine.load(model)
    assert ("mul_int" not in loaded.program.kernels) == is_float
    assert (loaded.run(fed)[0] == -w.astype(np.int64).sum(0)).all()
