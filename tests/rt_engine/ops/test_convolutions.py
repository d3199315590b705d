"""Convolutions and poolings: random geometry against a naive twin, what the layout pass leaves, lanes, borders, refusals."""

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.compiler import compile_model
from rt_engine.errors import EngineError, UnsupportedModelError
from rt_engine.ops import convolve
from rt_engine.ops.window import Window
from rt_engine.ops.winograd import scheme_for
from rt_engine.program.rtp_writer import to_bytes
from rt_native.errors import UnsupportedCpu
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host


def model_of(nodes, x, constants, shape, outputs=("y",), inputs=()):
    """A model with input x (and others), float32 or float64, opset 18."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    values = [helper.make_tensor_value_info("x", kind, x.shape)]
    values += [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs]
    made = [helper.make_tensor_value_info(n, kind, [f"{n}{i}" for i in range(len(shape))]) for n in outputs]
    weights = [numpy_helper.from_array(v, n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", values, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def convolved(x, w, b, strides, dilations, pads, group):
    """The twin: a convolution of any rank in float64, straight from its definition."""
    rank = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    columns = w.shape[0] // group
    y = np.zeros((x.shape[0], w.shape[0], *out))
    for g in range(group):
        part = x[:, g * w.shape[1] : (g + 1) * w.shape[1]]
        rows = slice(g * columns, (g + 1) * columns)
        for tap in np.ndindex(*w.shape[2:]):
            at = tuple(
                slice(t * d, t * d + (o - 1) * s + 1, s)
                for t, d, o, s in zip(tap, dilations, out, strides, strict=True)
            )
            y[:, rows] += np.einsum(
                "nc...,mc->nm...", part[(slice(None), slice(None), *at)], w[(rows, slice(None), *tap)]
            )
    return y + b.reshape(1, -1, *[1] * rank)


def random_layer(rng):
    """(x, w, b, attributes) of a convolution of any kind."""
    rank = int(rng.choice([1, 2, 2, 3]))
    kind = rng.choice(["any", "depthwise", "deep", "few outputs", "3x3", "line"])
    group, inputs, columns = int(rng.integers(1, 4)), int(rng.integers(1, 12)), int(rng.integers(1, 40))
    if kind == "depthwise":
        group, inputs, columns = int(rng.integers(2, 90)), 1, 1
    elif kind == "deep":
        group, inputs, columns = 1, int(rng.integers(60, 300)), int(rng.integers(1, 150))
    elif kind == "few outputs":
        group, inputs, columns = 1, 8 * int(rng.integers(1, 5)), int(rng.integers(1, 4))
    kernel = [int(k) for k in rng.integers(1, 5, rank)]
    strides, dilations = ([int(v) for v in rng.integers(1, 3, rank)] for _ in range(2))
    pads = [int(p) for p in rng.integers(0, 3, 2 * rank)]
    if kind == "3x3":
        rank, group, inputs, columns = 2, 1, int(8 * rng.integers(2, 5)), int(8 * rng.integers(1, 9))
        kernel, strides, dilations, pads = [3, 3], [1, 1], [1, 1], [int(p) for p in rng.integers(0, 2, 4)]
    elif kind == "line":
        group, inputs, columns = 1, int(16 * rng.integers(1, 4)), int(rng.integers(16, 80))
        kernel, strides, dilations, pads = [int(rng.choice([3, 5]))], [1], [1], [int(p) for p in rng.integers(0, 3, 2)]
        rank = 1
    size = [int(rng.integers((k - 1) * d + 1, 17)) for k, d in zip(kernel, dilations, strict=True)]
    w = rng.standard_normal((group * columns, inputs, *kernel))
    x = rng.standard_normal((int(rng.integers(1, 3)), group * inputs, *size))
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    return x, w, rng.standard_normal(group * columns), attributes


WIDE = [
    ([8, 8], [3, 3], [12, 12], [12] * 4),
    ([8, 8], [3, 3], [5, 9], [5, 9, 5, 9]),
    ([8, 8], [3, 3], [4, 4], [4] * 4),
    ([9, 7], [3, 3], [3, 2], [3, 2, 3, 2]),
    ([4], [5], [3], [6, 6]),
    ([3, 3], [5, 2], [2, 7], [4, 7, 4, 0]),
    ([2], [9], [1], [8, 0]),
    ([1, 4], [1, 3], [1, 9], [5, 9, 0, 9]),
]


@pytest.mark.parametrize("group", [1, 3, 24])
@pytest.mark.parametrize(("size", "kernel", "dilations", "pads"), WIDE)
def test_taps_that_see_padding_only_change_nothing(size, kernel, dilations, pads, group):
    """A dilation that reaches beyond the image: the taps there are left out, the numbers stay."""
    rng, rank = np.random.default_rng(len(size)), len(size)
    x, w = rng.standard_normal((2, 24, *size)), rng.standard_normal((24, 24 // group, *kernel))
    attributes = {"strides": [1] * rank, "dilations": dilations, "pads": pads, "group": group}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
        b = rng.standard_normal(24)
        constants = {"w": w.astype(dtype), "b": b.astype(dtype)}
        right = convolved(x.astype(dtype), constants["w"], constants["b"], **attributes)
        got = rt_engine.load(model_of([node], x.astype(dtype), constants, right.shape)).run({"x": x.astype(dtype)})[0]
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("addend", [False, True])
def test_parts_that_see_different_taps_are_computed_from_those(addend):
    """Dilation 4 on 8x8: four parts of four taps. An addend and limits stay; the bits are those of a batch, which is not split."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 24, 8, 8), dtype=np.float32), rng.standard_normal((40, 24, 3, 3), dtype=np.float32)
    z, b = rng.standard_normal((1, 40, 8, 8), dtype=np.float32), rng.standard_normal(40, dtype=np.float32)
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], dilations=[4, 4], pads=[4] * 4)]
    nodes += [helper.make_node("Add", ["c", "z"], ["a"])] if addend else []
    nodes.append(helper.make_node("Relu", ["a" if addend else "c"], ["y"]))
    results = []
    for images in (1, 2):
        feeds = {"x": np.repeat(x, images, 0), **({"z": np.repeat(z, images, 0)} if addend else {})}
        more = list(feeds.items())[1:]
        model = rt_engine.load(model_of(nodes, feeds["x"], {"w": w, "b": b}, (images, 40, 8, 8), inputs=more))
        results.append(model.run(feeds)[0][0])
        macs = sum(one.macs for one in model.report().nodes)
        assert macs == images * 64 * 24 * 40 * (4 if images == 1 else 9)
    right = convolved(x, w, b, [1, 1], [4, 4], [4] * 4, 1) + (z if addend else 0)
    np.testing.assert_allclose(results[0], np.maximum(right, 0)[0], atol=1e-4)
    assert (results[0] == results[1]).all()


def test_only_taps_that_see_the_image_are_multiplied():
    """3x3 with dilation 12 on 8x8 is 1x1."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 16, 8, 8), dtype=np.float32), rng.standard_normal((32, 16, 3, 3), dtype=np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], dilations=[12, 12], pads=[12] * 4)
    report = rt_engine.load(model_of([node], x, {"w": w}, (1, 32, 8, 8))).report()
    assert sum(one.macs for one in report.nodes) == 64 * 16 * 32


@pytest.mark.parametrize("seed", range(60))
def test_convolution_equals_its_twin(seed):
    """Any rank, groups, strides, dilations, paddings; constant or computed weights; float32 and float64."""
    rng = np.random.default_rng(seed)
    dtype = np.float64 if seed % 7 == 0 else np.float32
    x, w, b, attributes = random_layer(rng)
    x, w, b = (a.astype(dtype) for a in (x, w, b))
    expected = convolved(x, w, b, **attributes)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    if seed % 5 == 0:
        model = model_of([node], x, {}, expected.shape, inputs=(("w", w), ("b", b)))
        got = rt_engine.load(model).run({"x": x, "w": w, "b": b})[0]
    else:
        got = rt_engine.load(model_of([node], x, {"w": w, "b": b}, expected.shape)).run({"x": x})[0]
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(got, expected, rtol=0, atol=scale * (1e-12 if dtype == np.float64 else 1e-5))


@pytest.mark.parametrize("seed", range(12))
def test_everything_around_a_convolution_becomes_part_of_it(seed):
    """Pad, BatchNormalization, Mul, Add of a constant, residual Add, Relu or Clip: one node is left, and the numbers agree."""
    rng = np.random.default_rng(seed)
    channels = int(rng.choice([5, 16, 24]))
    x = rng.standard_normal((1, channels, 9, 7)).astype(np.float32)
    w = (rng.standard_normal((channels, channels, 3, 3)) / 10).astype(np.float32)
    rows = {n: rng.uniform(0.5, 1.5, channels).astype(np.float32) for n in ("scale", "shift", "mean", "var")}
    column = rng.standard_normal((1, channels, 1, 1)).astype(np.float32)
    end = helper.make_node("Relu", ["r"], ["y"])
    if seed % 2:
        end = helper.make_node("Clip", ["r", "low", "high"], ["y"])
    nodes = [
        helper.make_node("Relu", ["x"], ["x1"]),
        helper.make_node("Pad", ["x1", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", *rows], ["n"]),
        helper.make_node("Mul", ["column", "n"], ["m"]),
        helper.make_node("Sub", ["m", "column"], ["a"]),
        helper.make_node("Add", ["x1", "a"], ["r"]),
        end,
    ]
    limits = {"low": np.float32(-0.2), "high": np.float32(0.9)}
    constants = {"w": w, "column": column, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), **rows, **limits}
    model = model_of(nodes, x, constants, x.shape)
    program = compile_model(model)
    assert [n.operator for n in program.nodes] == ["Relu", "Transpose", "ConvLast", "Transpose"]
    expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(rt_engine.load(model).run({"x": x})[0], expected, rtol=1e-4, atol=1e-5)


def test_layout_is_carried_through_a_network():
    """Concat, Pad, poolings, reductions, element-wise operators and Flatten follow; one Transpose is left, at the start."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 9, 12, 10)).astype(np.float32)
    constants = {
        "w1": rng.standard_normal((16, 9, 3, 3)).astype(np.float32),
        "w2": rng.standard_normal((8, 16, 1, 1)).astype(np.float32),
        "slope": rng.standard_normal((16, 1, 1)).astype(np.float32),
        "fc": rng.standard_normal((24 * 6 * 5, 7)).astype(np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2"], ["d"]),
        helper.make_node("ReduceMean", ["c", "axes"], ["e"]),
        helper.make_node("Sigmoid", ["e"], ["f"]),
        helper.make_node("Mul", ["c", "f"], ["g"]),
        helper.make_node("Concat", ["g", "d"], ["h"], axis=1),
        helper.make_node("AveragePool", ["h"], ["i"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["i"], ["j"]),
        helper.make_node("MatMul", ["j", "fc"], ["y"]),
    ]
    model = model_of(nodes, x, constants, (1, 7))
    program = compile_model(model)
    assert [n.operator for n in program.nodes].count("Transpose") == 1
    expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(rt_engine.load(model).run({"x": x})[0], expected, rtol=1e-4, atol=1e-4)


def test_values_that_are_outputs_or_are_reshaped_keep_onnx_layout():
    """A value that is a graph output, and one that an operator without a layout rule reads, are turned back."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 4, 6, 5)).astype(np.float32)
    w = rng.standard_normal((3, 4, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 2, 3, 1]),
    ]
    model = model_of(nodes, x, {"w": w, "shape": np.array([2, 3, 12])}, (1, 1, 1, 1), outputs=("y", "r"))
    model.graph.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, ["a", "b", "c"]))
    expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    for got, want in zip(rt_engine.load(model).run({"x": x}), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_an_image_that_exporters_feed_channels_last_is_not_moved():
    """NHWC input, Transpose, Conv, Transpose: what TensorFlow's exporter writes needs no Transpose at all."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, 8, 8, 12)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "w"], ["b"]),
        helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 1]),
    ]
    model = model_of(nodes, x, {"w": rng.standard_normal((16, 12, 3, 3)).astype(np.float32)}, (1, 6, 6, 16))
    assert [n.operator for n in compile_model(model).nodes] == ["ConvLast"]
    expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(rt_engine.load(model).run({"x": x})[0], expected, rtol=1e-4, atol=1e-4)


MODULES = (
    *(f"rt_engine.kernels.{name}" for name in ("conv", "depthwise", "winograd", "movement", "picture")),
    *("rt_engine.run.executor_native", "rt_engine.run.slot_native"),
)
"""What convolutions need; a whole library for each width would take long to compile."""


def libraries():
    """A kernel library for every lane width that this processor has."""
    found = []
    for lanes in LANE_WIDTHS:
        try:
            found.append(Library("kernels", MODULES, host(lanes)))
        except UnsupportedCpu:
            continue
    return found


@pytest.mark.parametrize("seed", range(10))
def test_bits_do_not_depend_on_the_lane_width(seed):
    """Product, depthwise, dot and Winograd kernels give identical bits on every lane width."""
    x, w, b, attributes = random_layer(np.random.default_rng(100 + seed))
    x, w, b = (a.astype(np.float32) for a in (x, w, b))
    shape = convolved(x, w, b, **attributes).shape
    model = model_of([helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)], x, {"w": w, "b": b}, shape)
    results = {rt_engine.load(model, library=kernels).run({"x": x})[0].tobytes() for kernels in libraries()}
    assert len(results) == 1


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "strides", "pads"),
    [
        (3, (96, 96), (3, 3), (2, 2), (1, 1, 1, 1)),
        (1, (7, 50), (4, 4), (3, 2), (0, 1, 2, 2)),
        (4, (9, 60), (2, 7), (1, 2), (1, 3, 0, 3)),
        (2, (11, 33), (1, 3), (2, 2), (0, 0, 0, 1)),
        (3, (2, 131), (5, 3), (2, 2), (3, 1, 3, 1)),
        (1, (37, 33), (34, 3), (1, 2), (0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("limited", [False, True])
def test_a_picture_is_read_as_it_lies(channels, size, kernel, strides, pads, limited, monkeypatch):
    """The sum of the definition, the same bits on every lane width and as the way of all other shapes; NaN and -0 as well."""
    rng = np.random.default_rng(channels + size[1])
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, channels, *size), (8, channels, *kernel)))
    b, attributes = rng.standard_normal(8).astype(np.float32), {"strides": strides, "pads": pads, "dilations": (1, 1)}
    expected = convolved(x, w, b, group=1, **attributes)
    x[0, -1, -1, -1], w[2], b[2] = np.nan, -0.0, -0.0
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], **attributes)]
    nodes.append(helper.make_node("Relu" if limited else "Identity", ["c"], ["y"]))
    model = model_of(nodes, x, {"w": w, "b": b}, expected.shape)
    results = [rt_engine.load(model, library=kernels).run({"x": x})[0] for kernels in libraries()]
    assert "picture_f32" in rt_engine.load(model).program.kernels
    monkeypatch.setattr(convolve, "picture_pays", lambda *_: False)
    usual = rt_engine.load(model)
    assert "picture_f32" not in usual.program.kernels
    assert {y.tobytes() for y in results} == {usual.run({"x": x})[0].tobytes()}
    same = np.isfinite(results[0]) & (np.arange(8) != 2)[None, :, None, None]
    assert same.sum() > expected.size // 2
    wanted = np.maximum(expected, 0) if limited else expected
    np.testing.assert_allclose(results[0][same], wanted[same], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "strides"), [((600, 1), (1, 2)), ((3, 3), (100_000, 2))])
def test_a_picture_of_few_lines_needs_little(kernel, strides):
    """Neither a window nor a step of very many lines asks for more memory than the picture and its weights explain."""
    x, w = np.zeros((1, 1, kernel[0] + 3, 32), np.float32), np.zeros((8, 1, *kernel), np.float32)
    shape = (1, 8, 3 // strides[0] + 1, (32 - kernel[1]) // 2 + 1)
    program = rt_engine.load(
        model_of([helper.make_node("Conv", ["x", "w"], ["y"], strides=strides)], x, {"w": w}, shape)
    ).program
    assert program.arena_nbytes + len(to_bytes(program)) < 16 * (x.nbytes + w.nbytes) + 10_000


def test_layers_without_a_name_are_called_by_their_outputs():
    """In the list of what a program computes, as in a refusal: not all alike, by an operator that no file has."""
    x, w = np.zeros((1, 2, 12, 12), np.float32), np.zeros((5, 2, 3, 3), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["made"]),
        helper.make_node("MaxPool", ["made"], ["half"], kernel_shape=(2, 2), strides=(2, 2)),
        helper.make_node("MaxPool", ["half"], ["y"], kernel_shape=(2, 2)),
    ]
    program = rt_engine.load(model_of(nodes, x, {"w": w}, (1, 5, 4, 4))).program
    assert [node.name for node in program.nodes[:3]] == ["made", "half", "y"]
    nodes[0].attribute.append(helper.make_attribute("strides", (1 << 40, 1)))
    with pytest.raises(UnsupportedModelError) as refused:
        rt_engine.load(model_of(nodes[:1], x, {"w": w}, (1, 5, 1, 10), outputs=("made",)))
    assert [reason.node for reason in refused.value.reasons] == ["made"]


def wide_layer(channels, outputs, size):
    """A 3x3 layer that tiles of 4x4 outputs pay for: x, w, bias."""
    rng = np.random.default_rng(channels + size[0])
    x = np.maximum(rng.standard_normal((1, channels, *size)), 0).astype(np.float32)
    w = (rng.standard_normal((outputs, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
    return x, w, rng.standard_normal(outputs).astype(np.float32)


def same_on_all_widths(model, feeds, expected):
    """The result is within the rounding errors of tiles, and has the same bits on every lane width."""
    results = [rt_engine.load(model, library=kernels).run(feeds)[0] for kernels in libraries()]
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=5e-6 * np.abs(expected).max())
    assert len({y.tobytes() for y in results}) == 1


@pytest.mark.parametrize(
    ("channels", "outputs", "size", "dilations"),
    [
        *((*of, [1, 1]) for of in ((16, 16, (32, 32)), (37, 45, (15, 19)), (64, 64, (12, 9)))),
        *((32, 32, (33, 22), dilations) for dilations in ([2, 2], [3, 1], [2, 3])),
    ],
)
@pytest.mark.parametrize("residual", [False, True])
def test_tiles_of_4x4_outputs_equal_the_sum(channels, outputs, size, dilations, residual):
    """Borders within a tile, phases of a dilated window, tails of vectors, an addend and clipping."""
    x, w, b = wide_layer(channels, outputs, size)
    attributes = {"dilations": dilations, "pads": 2 * dilations}
    nodes, inputs, feeds = [helper.make_node("Conv", ["x", "w", "b"], ["c"], **attributes)], (), {"x": x}
    expected = convolved(x, w, b, strides=[1, 1], group=1, **attributes)
    if residual:
        z = np.random.default_rng(9).standard_normal(expected.shape).astype(np.float32)
        nodes.append(helper.make_node("Add", ["c", "z"], ["s"]))
        inputs, feeds["z"], expected = (("z", z),), z, expected + z
    nodes.append(helper.make_node("Relu", ["s" if residual else "c"], ["y"]))
    model = model_of(nodes, x, {"w": w, "b": b}, expected.shape, inputs=inputs)
    assert "winograd_four_in" in compile_model(model).kernels
    same_on_all_widths(model, feeds, np.maximum(expected, 0))


@pytest.mark.parametrize("dilation", [1, 4, 7])
def test_lines_of_a_dilated_window_are_tiles_too(dilation):
    """As temporal convolutional networks have them."""
    rng = np.random.default_rng(dilation)
    x, b = rng.standard_normal((1, 32, 150)).astype(np.float32), rng.standard_normal(40).astype(np.float32)
    w = (rng.standard_normal((40, 32, 3)) / 10).astype(np.float32)
    attributes = {"dilations": [dilation], "pads": [2 * dilation, 0]}
    expected = convolved(x, w, b, strides=[1], group=1, **attributes)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    model = model_of([node], x, {"w": w, "b": b}, expected.shape)
    assert "winograd_line_in" in compile_model(model).kernels
    same_on_all_widths(model, {"x": x}, expected)


@pytest.mark.parametrize(
    ("channels", "size", "dilation", "kernel"),
    [
        (128, 28, 1, "winograd_four"),
        (256, 14, 1, "winograd_four"),
        (256, 7, 1, "winograd"),  # the weights of 4x4 outputs come from far, for 4 tiles
        (512, 7, 1, "winograd"),
        (512, 2, 1, None),
        (64, 32, 2, "winograd_four"),
        (64, 8, 6, None),  # every output sees a part of the taps, which are summed by themselves
    ],
)
def test_an_algorithm_is_chosen_by_its_shape(channels, size, dilation, kernel):
    """By what it multiplies, and where its weights come from."""
    sizes, pair = (size, size), (dilation, dilation)
    scheme = scheme_for(Window(sizes, (3, 3), (1, 1), pair, pair, sizes), channels, channels, np.dtype(np.float32))
    assert (scheme.kernel if scheme else None) == kernel


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(5, 5, 3, 3), (16, 16, 3, 3), (8, 1, 3, 3), (6, 1, 3, 3)])
def test_nan_and_inf_reach_their_windows_only(value, shape):
    """One bad pixel spoils the outputs that see it (by tiles: their tile), no others, run after run."""
    rng = np.random.default_rng(3)
    outputs, inputs = shape[:2]
    group = outputs if inputs == 1 else 1
    x = rng.standard_normal((1, inputs * group, 14, 14)).astype(np.float32)
    w = rng.standard_normal(shape).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], group=group)
    model = rt_engine.load(model_of([node], x, {"w": w}, x.shape))
    clean = model.run({"x": x})[0]
    assert np.isfinite(clean).all()
    bad = x.copy()
    bad[0, -1, 13, 13] = value
    spoiled = model.run({"x": bad})[0]
    assert not np.isfinite(spoiled[0, -1, 13, 13])
    assert np.array_equal(spoiled[:, :, :10, :10], clean[:, :, :10, :10])
    assert np.array_equal(model.run({"x": x})[0], clean)


@pytest.mark.parametrize("channels", [1, 3, 8, 16, 21, 64])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pooling_equals_the_reference(channels, operator):
    """Tails of vectors, padding, ceil_mode; NaN wins in a maximum."""
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, channels, 11, 9)).astype(np.float32)
    attributes = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}
    model = model_of([helper.make_node(operator, ["x"], ["y"], **attributes)], x, {}, x.shape)
    expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    loaded = rt_engine.load(model)
    np.testing.assert_allclose(loaded.run({"x": x})[0], expected, rtol=1e-6, atol=1e-6)
    x[0, 0, 5, 3] = np.nan
    assert np.isnan(loaded.run({"x": x})[0][0, 0]).any()
    assert not np.isnan(loaded.run({"x": x})[0][1]).any()


@pytest.mark.parametrize("taps", [1, 3])
def test_the_addend_may_be_what_the_convolution_reads(taps):
    """Sigmoid, then x + conv(x): the sum is not written over x while windows still read it."""
    rng = np.random.default_rng(taps)
    x = rng.standard_normal((1, 24, 3, 5)).astype(np.float32)
    w = rng.standard_normal((24, 24, taps, taps)).astype(np.float32)
    pads = [taps // 2] * 4
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["c"], pads=pads),
        helper.make_node("Add", ["a", "c"], ["y"]),
    ]
    a = 1 / (1 + np.exp(-x.astype(np.float64)))
    expected = a + convolved(a, w, np.zeros(24), [1, 1], [1, 1], pads, 1)
    got = rt_engine.load(model_of(nodes, x, {"w": w}, x.shape)).run({"x": x})[0]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("opset", [11, 18, 22])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_a_window_that_begins_behind_the_input_is_left_out(operator, opset):
    """With `ceil_mode`, in every opset: the fifth window of two would begin at pixel 7 of 7."""
    x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}
    model = model_of([helper.make_node(operator, ["x"], ["y"], **attributes)], x, {}, x.shape)
    model.opset_import[0].version = opset
    y = rt_engine.load(model).run({"x": x})[0]
    assert y.shape == (1, 1, 4, 4)
    np.testing.assert_allclose(y, onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0], rtol=1e-6)


def test_window_table():
    """Taps in the padding are -1; strides and dilations are in the table."""
    window = Window(size=(4,), kernel=(2,), strides=(2,), dilations=(3,), begin=(1,), out=(2,))
    assert window.table().tolist() == [[-1, 2], [1, -1]]
    assert window.pads()


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [0, 1]},
        {"pads": [-1, 0, 0, 0]},
        {"pads": [1, 1]},
        {"dilations": [1]},
        {"group": 3},
        {"group": 0},
        {"kernel_shape": [5, 5]},
        {"pads": [1 << 40, 0, 0, 0]},
    ],
)
def test_attributes_that_do_not_fit_are_refused(attributes):
    """At load, with one of our errors."""
    x, w = np.zeros((1, 4, 6, 6), np.float32), np.zeros((4, 4, 3, 3), np.float32)
    model = model_of([helper.make_node("Conv", ["x", "w"], ["y"], **attributes)], x, {"w": w}, (1, 4, 4, 4))
    with pytest.raises(EngineError):
        rt_engine.load(model)
