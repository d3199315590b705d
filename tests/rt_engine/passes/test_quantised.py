"""Quantised models on integer kernels: against the float computation that the file describes, and ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import rt_engine
from rt_engine.passes import tables
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host
from tests.onnx_runtime import session


class Graph:
    """Builds a QDQ model, node by node."""

    def __init__(self, seed=0):
        self.nodes, self.constants, self.count = [], [], 0
        self.rng = np.random.default_rng(seed)

    def constant(self, array):
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"c{self.count}"))
        return f"c{self.count}"

    def node(self, op_type, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(op_type, inputs, [f"v{self.count}"], name=f"n{self.count}", **attributes))
        return f"v{self.count}"

    def qdq(self, x, scale, zero):
        names = self.constant(np.float32(scale)), self.constant(zero)
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *names), *names)

    def weights(self, shape, axis, dtype=np.int8, per_channel=True, zero=0):
        """DequantizeLinear of constant weights; gives its name and the scales."""
        info = np.iinfo(dtype)
        values = self.rng.integers(max(info.min, -127), info.max + 1, shape).astype(dtype)
        scale = self.rng.uniform(1e-3, 4e-3, shape[axis] if per_channel else ()).astype(np.float32)
        zeros = np.full(scale.shape, zero, dtype)
        extra = {"axis": axis} if per_channel else {}
        name = self.node("DequantizeLinear", *map(self.constant, (values, scale, zeros)), **extra)
        return name, scale

    def bias(self, count, scale):
        values = self.rng.integers(-3000, 3000, count).astype(np.int32)
        scale = np.broadcast_to(scale, count).astype(np.float32)
        return self.node("DequantizeLinear", *map(self.constant, (values, scale, np.zeros(count, np.int32))), axis=0)

    def model(self, shape, y, out_shape, x="x"):
        ends = [helper.make_tensor_value_info(n, T.FLOAT, s) for n, s in ((x, shape), (y, out_shape))]
        graph = helper.make_graph(self.nodes, "g", ends[:1], ends[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def unfused(model, x):
    """Every Q and DQ as it stands in the file."""
    return session(model, optimised=False).run(None, {"x": x})[0]


def check(model, x, step, kernels=(), exact=0.99):
    """At most one quantisation step away, and nearly everywhere none."""
    onnx.checker.check_model(model, full_check=True)
    loaded = rt_engine.load(model)
    got, expected = loaded.run({"x": x})[0], unfused(model, x)
    away = np.abs(got - expected) / step
    assert away.max(initial=0) < 1.001
    assert (away < 0.001).mean() >= exact
    for kernel in kernels:
        assert kernel in loaded.program.kernels
    assert not any(name.startswith(("gemm", "conv", "depthwise")) for name in loaded.program.kernels)
    return loaded


KINDS = [(np.int8, -7), (np.uint8, 131), (np.int8, 0)]


@pytest.mark.parametrize(("dtype", "zero"), KINDS)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("form", ["gemm", "gemm-relu", "matmul", "matmul-add"])
def test_products(dtype, zero, per_channel, form):
    """Gemm, MatMul, with a bias and an activation, become one qgemm."""
    g = Graph(3)
    x = g.qdq("x", 0.02, dtype(zero))
    flipped = form.startswith("gemm")
    w, scale = g.weights((37, 50) if flipped else (50, 37), 0 if flipped else 1, per_channel=per_channel)
    if flipped:
        y = g.node("Gemm", x, w, g.bias(37, 0.02 * scale), transB=1)
    else:
        y = g.node("MatMul", x, w)
        y = g.node("Add", y, g.constant(g.rng.standard_normal(37).astype(np.float32))) if form == "matmul-add" else y
    y = g.node("Relu", y) if form == "gemm-relu" else y
    y = g.qdq(y, 0.05, dtype(zero))
    model = g.model((5, 50), y, (5, 37))
    loaded = check(model, g.rng.standard_normal((5, 50)).astype(np.float32), 0.05, ("qgemm",))
    assert loaded.program.weight_nbytes < 37 * 64 + 4 * 64 * 4 + 2000


CONVS = [
    (8, 12, (3, 3), {"pads": [1, 1, 1, 1]}),
    (3, 16, (3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
    (1, 10, (5, 4), {"pads": [2, 1, 2, 1]}),
    (16, 17, (1, 1), {}),
    (16, 8, (1, 1), {"strides": [2, 2]}),
    (5, 7, (3, 2), {"dilations": [2, 2]}),
    (3, 8, (3, 3), {"pads": [1, 1, 1, 2], "strides": [1, 2]}),
    (6, 4, (3, 3), {"pads": [1, 1, 1, 2]}),
    (12, 12, (3, 3), {"group": 12, "pads": [1, 1, 1, 1]}),
    (40, 40, (3, 3), {"group": 40, "strides": [2, 1], "pads": [1, 1, 1, 1]}),
    (70, 70, (2, 3), {"group": 70}),
    (70, 70, (7, 9), {"group": 70, "pads": [3, 4, 3, 4]}),
    (24, 24, (9, 9), {"group": 24, "pads": [4, 4, 4, 4]}),
    (24, 24, (3, 3), {"group": 24, "strides": [8, 8]}),
    (8, 12, (3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    (64, 64, (3, 3), {"group": 64, "pads": [1, 1, 1, 1]}),
    (16, 16, (3, 3), {"group": 16, "pads": [1, 1, 1, 2]}),
    (130, 130, (3, 3), {"group": 130, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (33, 33, (4, 3), {"group": 33, "strides": [1, 2]}),
    (16, 16, (3, 4), {"group": 16, "strides": [2, 1]}),
    (48, 48, (3, 3), {"group": 48, "dilations": [2, 2], "strides": [2, 4], "pads": [2, 2, 2, 2]}),
]


@pytest.mark.parametrize("case", CONVS, ids=str)
@pytest.mark.parametrize(("dtype", "zero"), KINDS[:2])
def test_convolutions(case, dtype, zero):
    """Dense, grouped, depthwise; strides, dilations and padding, which is the zero point."""
    channels, outputs, kernel, attributes = case
    g = Graph(5)
    x = g.qdq("x", 0.02, dtype(zero))
    group = attributes.get("group", 1)
    w, scale = g.weights((outputs, channels // group, *kernel), 0)
    y = g.node("Conv", x, w, g.bias(outputs, 0.02 * scale), **attributes)
    y = g.qdq(g.node("Relu", y), 0.02, dtype(np.iinfo(dtype).min))
    shape = (2, channels, 9, 11)
    model = g.model(shape, y, None)
    model = onnx.shape_inference.infer_shapes(model)
    check(model, g.rng.standard_normal(shape).astype(np.float32), 0.02, exact=0.995)


def test_residual_network():
    """Convolution, MaxPool, a sum, an average, a product: integers from the first to the last."""
    g = Graph(7)
    x = g.qdq("x", 0.02, np.int8(3))
    w, s = g.weights((16, 3, 3, 3), 0)
    a = g.qdq(g.node("Relu", g.node("Conv", x, w, g.bias(16, 0.02 * s), pads=[1, 1, 1, 1])), 0.01, np.int8(-128))
    a = g.qdq(g.node("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), 0.01, np.int8(-128))
    w, s = g.weights((16, 16, 3, 3), 0)
    b = g.qdq(g.node("Conv", a, w, g.bias(16, 0.01 * s), pads=[1, 1, 1, 1]), 0.03, np.int8(5))
    c = g.qdq(g.node("Relu", g.node("Add", a, b)), 0.02, np.int8(-128))
    d = g.node("Flatten", g.node("GlobalAveragePool", c))
    d = g.qdq(d, 0.01, np.int8(-128))
    w, s = g.weights((10, 16), 0)
    y = g.qdq(g.node("Gemm", d, w, g.bias(10, 0.01 * s), transB=1), 0.01, np.int8(0))
    model = g.model((1, 3, 12, 12), y, (1, 10))
    check(model, g.rng.standard_normal((1, 3, 12, 12)).astype(np.float32), 0.01, ("qconv", "qadd", "qgemm"), 0.8)


def test_a_sum_has_the_bits_of_its_parts():
    """DQ, Add, Q one after the other give the very same numbers."""
    g = Graph(9)
    a = g.qdq("x", 0.013, np.uint8(100))
    b = g.qdq(g.node("Mul", "x", g.constant(np.float32(1.7))), 0.021, np.int8(11))
    y = g.qdq(g.node("Add", a, b), 0.0317, np.int8(-9))
    model = g.model((1, 7777), y, (1, 7777))
    x = g.rng.standard_normal((1, 7777)).astype(np.float32)
    assert (rt_engine.load(model).run({"x": x})[0] == unfused(model, x)).all()


@pytest.mark.filterwarnings("error::RuntimeWarning:rt_engine")
@pytest.mark.parametrize(("low", "high"), [(5.5, 9.0), (-9.0, -5.5), (-0.3, 9.0), (0.0, np.finfo(np.float32).max)])
@pytest.mark.parametrize(("dtype", "zero"), KINDS[:2])
def test_limits_beyond_the_type_are_the_types(dtype, zero, low, high):
    """A Clip between an operator and its QuantizeLinear may leave nothing of what the type can hold but its end."""
    g = Graph(15)
    x, limits = g.qdq("x", 0.02, dtype(zero)), [g.constant(np.float32(limit)) for limit in (low, high)]
    w, _ = g.weights((16, 16), 1)
    parts = g.node("Add", x, g.qdq(g.node("Exp", "x"), 0.03, dtype(zero))), g.node("MatMul", x, w)
    y = g.node("Concat", *(g.qdq(g.node("Clip", part, *limits), 0.02, dtype(zero)) for part in parts), axis=1)
    model = onnx.shape_inference.infer_shapes(g.model((5, 16), y, (5, 32)))
    check(model, g.rng.standard_normal((5, 16)).astype(np.float32), 0.02, ("qadd", "qgemm"))


@pytest.mark.parametrize("function", ["Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Clip", "Relu"])
@pytest.mark.parametrize(("dtype", "zero"), KINDS[:2])
def test_functions_are_tables(function, dtype, zero):
    """A function between DQ and Q is looked up, and gives the bits of the float computation."""
    g = Graph(13)
    x = g.qdq("x", 0.03, dtype(zero))
    limits = (g.constant(np.float32(-0.7)), g.constant(np.float32(2.1))) if function == "Clip" else ()
    y = g.qdq(g.node(function, x, *limits), 0.011, dtype(zero))
    model = g.model((3, 300), y, (3, 300))
    values = (3 * g.rng.standard_normal((3, 300))).astype(np.float32)
    loaded = rt_engine.load(model)
    assert "lookup_1" in loaded.program.kernels
    away = np.abs(loaded.run({"x": values})[0] - unfused(model, values))
    assert (away < 1e-6).mean() > 0.98 and away.max() < 0.0111


def test_parts_and_pools_stay_bytes():
    """Concat with one scale, Slice and MaxPool with padding move bytes."""
    g = Graph(17)
    x = g.qdq("x", 0.02, np.int8(3))
    w, s = g.weights((9, 3, 3, 3), 0)
    a = g.qdq(g.node("Conv", x, w, g.bias(9, 0.02 * s), pads=[1, 1, 1, 1]), 0.03, np.int8(4))
    b = g.qdq(g.node("MaxPool", a, kernel_shape=[3, 2], strides=[1, 1], pads=[1, 0, 1, 1]), 0.03, np.int8(4))
    y = g.qdq(g.node("Concat", a, b, axis=1), 0.03, np.int8(4))
    ends = [g.constant(np.array([v])) for v in (2, 16, 1)]
    y = g.qdq(g.node("Slice", y, *ends), 0.03, np.int8(4))
    model = onnx.shape_inference.infer_shapes(g.model((1, 3, 8, 9), y, None))
    loaded = check(model, g.rng.standard_normal((1, 3, 8, 9)).astype(np.float32), 0.03, ("qconv", "qmax_pool"))
    assert "pool_f32" not in loaded.program.kernels


def test_weights_with_a_wide_zero_point_stay_exact():
    """uint8 weights are fused, also where their difference to the zero point fits no byte."""
    for zero in (128, 3, 121):
        g = Graph(11)
        x = g.qdq("x", 0.02, np.uint8(120))
        w, _ = g.weights((20, 9), 1, np.uint8, per_channel=False, zero=zero)
        y = g.qdq(g.node("MatMul", x, w), 0.05, np.uint8(90))
        model = g.model((4, 20), y, (4, 9))
        values = g.rng.standard_normal((4, 20)).astype(np.float32)
        loaded = rt_engine.load(model)
        assert "gemm_f32" not in loaded.program.kernels and {"qgemm", "qconv"} & set(loaded.program.kernels)
        assert np.abs(loaded.run({"x": values})[0] - unfused(model, values)).max() < 0.0501


@pytest.mark.parametrize("constant_weights", [True, False])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_qlinear_operators(constant_weights, dtype):
    """QLinearConv and QLinearMatMul give ONNX Runtime's integers, with weights known at load or fed."""
    rng, info = np.random.default_rng(2), np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (1, 6, 7, 8)).astype(dtype)
    reach = (
        127 if constant_weights else 63
    )  # weights that are fed: two products of more saturate in ONNX Runtime without VNNI
    w = rng.integers(-reach, reach + 1, (5, 6, 3, 3)).astype(np.int8)
    names = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"]
    values = [
        x, np.float32(0.02), dtype(9), w, rng.uniform(1e-3, 3e-3, 5).astype(np.float32), np.zeros(5, np.int8),
        np.float32(0.4), dtype(30), rng.integers(-999, 999, 5).astype(np.int32),
    ]  # fmt: skip
    fed = {"x": x} if constant_weights else {"x": x, "w": w}
    node = helper.make_node("QLinearConv", names, ["y"], pads=[1, 0, 1, 2], strides=[1, 2])
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in fed.items()
    ]
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), (1, 5, 7, 4))
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, values, strict=True) if n not in fed]
    graph = helper.make_graph([node], "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (ours,) = rt_engine.load(model).run(fed)
    theirs = session(model).run(None, fed)[0]
    assert ours.dtype == theirs.dtype and (ours == theirs).all()


def test_operator_format_of_onnx_runtime():
    """QLinearAdd, QLinearMul, QLinearConcat, QLinearSigmoid, QLinearGlobalAveragePool, QGemm become standard ones."""
    rng = np.random.default_rng(8)
    constants, nodes = {}, []

    def known(name, value):
        constants[name] = np.asarray(value)
        return name

    def params(name, scale, zero, dtype=np.uint8):
        return [known(f"{name}.s", np.float32(scale)), known(f"{name}.z", dtype(zero))]

    def add(op_type, inputs, name, **attributes):
        nodes.append(helper.make_node(op_type, inputs, [name], name=name, domain="com.microsoft", **attributes))
        return name

    x = params("x", 0.02, 128)
    add("QLinearAdd", ["x", *x, "x", *x, *params("a", 0.04, 120)], "a")
    add("QLinearMul", ["a", *params("a", 0.04, 120), "x", *x, *params("m", 0.1, 100)], "m")
    add("QLinearSigmoid", ["m", *params("m", 0.1, 100), *params("i", 1 / 256, 0)], "i")
    add(
        "QLinearConcat",
        [*params("c", 0.03, 90), "a", *params("a", 0.04, 120), "i", *params("i", 1 / 256, 0)],
        "c",
        axis=1,
    )
    add("QLinearGlobalAveragePool", ["c", *params("c", 0.03, 90), *params("g", 0.02, 100)], "g", channels_last=0)
    nodes.append(helper.make_node("Flatten", ["g"], ["f"]))
    w = [known("w", rng.integers(-127, 128, (5, 8)).astype(np.int8)), *params("w", 0.01, 0, np.int8)]
    bias = known("b", rng.integers(-500, 500, 5).astype(np.int32))
    add("QGemm", ["f", *params("g", 0.02, 100), *w, bias, *params("y", 0.02, 110)], "y", transB=1)
    ends = [helper.make_tensor_value_info(n, T.UINT8, s) for n, s in (("x", (1, 4, 6, 6)), ("y", (1, 5)))]
    tensors = [numpy_helper.from_array(v, n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    values = rng.integers(0, 256, (1, 4, 6, 6)).astype(np.uint8)
    (ours,) = rt_engine.load(model).run({"x": values})
    theirs = session(model).run(None, {"x": values})[0]
    assert ours.dtype == theirs.dtype and np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("zero", [None, "known", "fed"])
def test_integer_products_with_constant_weights(dtype, zero):
    """MatMulInteger gives NumPy's integers; the zero point may be computed, as in dynamically quantised models."""
    rng, info = np.random.default_rng(6), np.iinfo(dtype)
    a, za = rng.integers(info.min, info.max + 1, (2, 3, 45)).astype(dtype), np.array(17, dtype)
    b, zb = rng.integers(100, 160, (45, 19)).astype(np.uint8), np.full(19, 128, np.uint8)
    feeds = {"a": a, **({"za": za} if zero == "fed" else {})}
    constants = {"b": b, "zb": zb, **({"za": za} if zero == "known" else {})}
    node = helper.make_node("MatMulInteger", ["a", "b", "za" if zero else "", "zb"], ["y"])
    types = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info(n, types(v.dtype), v.shape) for n, v in feeds.items()]
    output = helper.make_tensor_value_info("y", T.INT32, (2, 3, 19))
    graph = helper.make_graph(
        [node], "g", inputs, [output], [numpy_helper.from_array(v, n) for n, v in constants.items()]
    )
    loaded = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    (y,) = loaded.run(feeds)
    wide = a.astype(np.int64) - (17 if zero else 0)
    assert "qgemm" in loaded.program.kernels
    assert (y == wide @ (b.astype(np.int64) - 128)).all()


def bytes_model(rng):
    """uint8 in and out: convolutions dense, with few channels and depthwise, then a product."""
    values, nodes, x = {}, [], "x"

    def layer(op_type, x, w, name, **attributes):
        given = {
            f"{name}sx": np.float32(0.02), f"{name}zx": np.uint8(120), f"{name}w": w,
            f"{name}sw": np.float32(0.01), f"{name}zw": np.int8(0), f"{name}sy": np.float32(0.05), f"{name}zy": np.uint8(99),
        }  # fmt: skip
        values.update(given)
        nodes.append(helper.make_node(op_type, [x, *given], [f"{name}y"], **attributes))
        return f"{name}y"

    def w(*shape):
        return rng.integers(-127, 128, shape).astype(np.int8)

    x = layer("QLinearConv", x, w(8, 3, 3, 3), "a", pads=[1, 1, 1, 1], strides=[1, 2])
    x = layer("QLinearConv", x, w(8, 1, 3, 3), "b", pads=[1, 1, 1, 1], group=8)
    x = layer("QLinearConv", x, w(8, 1, 3, 3), "h", pads=[1, 1, 1, 1], group=8, strides=[2, 2])
    x = layer("QLinearConv", x, w(100, 8, 2, 3), "c")
    x = layer("QLinearConv", x, w(100, 1, 3, 3), "i", pads=[1, 1, 1, 1], group=100)
    x = layer("QLinearConv", x, w(100, 1, 3, 2), "d", group=100, strides=[2, 2])
    x = layer("QLinearConv", x, w(37, 100, 1, 1), "e")
    nodes.append(helper.make_node("Flatten", [x], ["f"]))
    x = layer("QLinearMatMul", "f", w(37 * 2 * 3, 21), "g")
    ends = [helper.make_tensor_value_info(n, T.UINT8, s) for n, s in (("x", (1, 3, 11, 32)), (x, (1, 21)))]
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("lanes", [w for w in LANE_WIDTHS if w <= host().lanes])
def test_the_same_integers_on_every_lane_width(lanes):
    """VNNI, vpmaddwd on 8 and on 4 lanes: ONNX Runtime's integers, all of them."""
    names = ("movement", "qgemm", "qconv", "qdepthwise", "quantise")
    modules = (*(f"rt_engine.kernels.{name}" for name in names), "rt_engine.run.executor_native")
    rng = np.random.default_rng(4)
    model, x = bytes_model(rng), rng.integers(0, 256, (1, 3, 11, 32)).astype(np.uint8)
    ours = rt_engine.load(model, library=Library(f"test-quantised-{lanes}", modules, host(lanes)))
    assert {"qconv", "qdepthwise", "qgemm"} <= set(ours.program.kernels)
    theirs = session(model).run(None, {"x": x})[0]
    assert (ours.run({"x": x})[0] == theirs).all()


BEYOND = {
    "qconv": ([3, 16, 3, 3], {}),
    "no tiles": ([32, 32, 3, 3], {}),
    "qdepthwise": ([64, 1, 3, 3], {"group": 64}),
    "qdepthwise side by side": ([8, 1, 3, 3], {"group": 8, "strides": [2, 2]}),
    "qgemm": ([20, 16, 1, 1], {}),
}


@pytest.mark.parametrize("case", BEYOND)
def test_sums_beyond_every_integer_are_the_ends_of_the_type(case):
    """A result's scale of 1e-9: products with it are beyond 32 bits, whichever kernel makes them."""
    (outputs, channels, *taps), attributes = BEYOND[case]
    w = np.full((outputs, channels, *taps), 100, np.int8)
    w[1::2] = -100
    given = {
        "sx": np.float32(2),
        "zx": np.uint8(0),
        "w": w,
        "sw": np.float32(1),
        "zw": np.int8(0),
        "sy": np.float32(1e-9),
        "zy": np.uint8(7),
    }
    node = helper.make_node("QLinearConv", ["x", *given], ["y"], pads=[taps[0] // 2] * 4, **attributes)
    shape = (1, channels * attributes.get("group", 1), 16, 16)
    ends = [helper.make_tensor_value_info("x", T.UINT8, shape), helper.make_tensor_value_info("y", T.UINT8, [None] * 4)]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in given.items()]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], constants)
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    (y,) = model.run({"x": np.full(shape, 200, np.uint8)})
    assert (y[:, ::2] == 255).all()
    assert (y[:, 1::2] == 0).all()


def test_a_zero_point_may_be_left_out_and_indices_of_a_pool_be_read():
    """QuantizeLinear with `output_dtype` int8, DequantizeLinear without zero point; MaxPool with both outputs."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"], output_dtype=T.INT8),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["y", "i"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    ends = [helper.make_tensor_value_info(n, t, [1, 2, s, s]) for n, t, s in (("x", 1, 6), ("y", 1, 3), ("i", 7, 3))]
    scale = numpy_helper.from_array(np.float32(0.05), "scale")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype(np.float32)
    peer = session(model)
    for ours, theirs in zip(rt_engine.load(model).run({"x": x}), peer.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def silu_of_parts(g, x, q):
    """x * Sigmoid(x), quantised on the way as ONNX Runtime's quantiser does."""
    return g.node("Mul", x, q(g.node("Sigmoid", x), 1 / 255, 0))


def hard_swish_of_parts(g, x, q):
    """x * Clip(x + 3, 0, 6) / 6, as tf2onnx writes it."""
    limits = g.constant(np.float32(0)), g.constant(np.float32(6))
    moved = g.node("Clip", g.node("Add", g.constant(np.float32([[3]])), x), *limits)
    return g.node("Div", g.node("Mul", moved, x), g.constant(np.float32(6)))


COMPOSED = {
    "silu": silu_of_parts,
    "hard swish": hard_swish_of_parts,
    "x * HardSigmoid(x)": lambda g, x, q: g.node("Mul", q(g.node("HardSigmoid", x, alpha=1 / 6), 1 / 255, 0), x),
    "gelu": lambda g, x, q: g.node("Mul", x, g.node("Erf", g.node("Mul", x, g.constant(np.float32(0.7))))),
    "three steps": lambda g, x, q: q(
        g.node("Tanh", q(g.node("Abs", q(g.node("Neg", x), 0.03, 7)), 0.02, 3)), 0.01, 100
    ),
    "another scale": lambda g, x, q: x,
}


@pytest.mark.parametrize("function", COMPOSED)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_functions_of_one_tensor_are_one_table(function, dtype):
    """However many nodes there are, and quantised tensors between them: the bits of the nodes, by one lookup."""
    g, shift = Graph(19), 0 if dtype is np.uint8 else -128
    x = g.qdq("x", 0.03, dtype(120 + shift))
    y = COMPOSED[function](g, x, lambda v, scale, zero: g.qdq(v, scale, dtype(zero + shift)))
    model = g.model((3, 300), g.qdq(y, 0.021, dtype(90 + shift)), (3, 300))
    values = (3 * g.rng.standard_normal((3, 300))).astype(np.float32)
    loaded = rt_engine.load(model)
    operators = [node.operator for node in loaded.report().nodes]
    assert operators.count("Lookup") == 1 and not {"Mul", "Sigmoid", "Add", "Tanh"} & set(operators)
    away = np.abs(loaded.run({"x": values})[0] - unfused(model, values))
    assert (away < 1e-6).mean() > 0.98 and away.max() < 0.0211


def test_a_tensor_on_the_way_that_others_read_is_a_table_too():
    """Sigmoid, which others read, and x * Sigmoid, both of x; not what has an operand of another tensor, or of another shape."""
    g = Graph(20)
    x, z = g.qdq("x", 0.03, np.uint8(120)), g.qdq(g.node("Transpose", "x", perm=[1, 0]), 0.03, np.uint8(120))
    s = g.qdq(g.node("Sigmoid", x), 1 / 255, np.uint8(0))
    p = g.qdq(g.node("Mul", x, s), 0.02, np.uint8(14))
    wide = g.qdq(g.node("Mul", x, g.constant(np.float32(np.arange(5)))), 0.1, np.uint8(100))
    y = g.node("Sum", s, p, z, wide, g.qdq(g.node("Mul", p, z), 0.05, np.uint8(100)))
    model = g.model((5, 5), y, (5, 5))
    values = g.rng.standard_normal((5, 5)).astype(np.float32)
    loaded = rt_engine.load(model)
    assert [node.operator for node in loaded.report().nodes].count("Lookup") == 2
    np.testing.assert_allclose(loaded.run({"x": values})[0], unfused(model, values), atol=1e-5)


def test_a_long_chain_is_several_tables(monkeypatch):
    """A function of more nodes than MOST_NODES begins anew at a quantised tensor."""
    monkeypatch.setattr(tables, "MOST_NODES", 5)
    g = Graph(21)
    x = g.qdq("x", 0.03, np.uint8(120))
    for step in range(8):
        x = g.qdq(g.node("Tanh" if step % 2 else "Neg", x), 0.02, np.uint8(128))
    model = g.model((4, 50), x, (4, 50))
    values = g.rng.standard_normal((4, 50)).astype(np.float32)
    loaded = rt_engine.load(model)
    assert 1 < [node.operator for node in loaded.report().nodes].count("Lookup") < 5
    np.testing.assert_allclose(loaded.run({"x": values})[0], unfused(model, values), atol=1e-6)
