"""Spatial operators over seeded random geometry, against ONNX Runtime."""

import numpy as np
import pytest

import rt_engine
from rt_engine.errors import UnsupportedModelError
from rt_engine.ops import conv_transpose, pool
from rt_engine.ops.pool import axis_by_axis
from rt_engine.passes import transposed
from tests.rt_engine.ops.spatial import agree, one_node, ours, theirs

SEEDS = range(12)


def _geometry(rng, rank):
    return {
        "kernel": rng.integers(1, 5, rank),
        "strides": rng.integers(1, 4, rank),
        "dilations": rng.integers(1, 3, rank),
    }


@pytest.mark.parametrize("constant_weights", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_conv_transpose(seed, constant_weights):
    """Any rank, groups, strides, dilations, pads, output_padding; weights constant or fed."""
    rng = np.random.default_rng(seed)
    rank, group, batch = rng.integers(1, 4), rng.choice([1, 1, 2, 3]), rng.integers(1, 3)
    g = _geometry(rng, rank)
    each, out = rng.integers(1, 6), rng.integers(1, 6)
    x = rng.standard_normal((batch, group * each, *rng.integers(2, 7, rank))).astype(np.float32)
    w = rng.standard_normal((group * each, out, *g["kernel"])).astype(np.float32)
    b = rng.standard_normal(group * out).astype(np.float32) if rng.integers(2) else None
    reach = (g["kernel"] - 1) * g["dilations"] + 1
    added = np.array([rng.integers(0, s) for s in g["strides"]])
    pads = np.array([rng.integers(0, (r + 1) // 2) for r in reach])
    inputs, constants = {"x": x}, {"w": w, "b": b}
    if not constant_weights:
        inputs, constants = {"x": x, "w": w, "b": b}, {}
    model = one_node(
        "ConvTranspose", inputs, constants, rank + 2, strides=g["strides"], dilations=g["dilations"],
        group=int(group), pads=[*pads, *pads], output_padding=added,
    )  # fmt: skip
    agree(model, inputs)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_conv_transpose_pads_itself(auto_pad):
    """auto_pad gives the shapes and numbers of ONNX Runtime."""
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((1, 3, 5, 4)).astype(np.float32)}
    constants = {"w": rng.standard_normal((3, 2, 3, 4)).astype(np.float32)}
    agree(one_node("ConvTranspose", inputs, constants, 4, strides=[2, 3], auto_pad=auto_pad), inputs)


FEW_CHANNELS = [
    {"kernel": (2, 2), "strides": (2, 2)},
    {"kernel": (4, 4), "strides": (2, 2), "pads": (1, 1)},
    {"kernel": (4, 4), "strides": (2, 2), "output_padding": (1, 0)},
    {"kernel": (2, 4), "strides": (1, 4), "pads": (0, 1)},
    {"kernel": (8,), "strides": (4,), "pads": (2,)},
    {"kernel": (2, 2, 2), "strides": (2, 2, 1)},
]


@pytest.mark.parametrize("case", FEW_CHANNELS)
@pytest.mark.parametrize(("batch", "outputs", "biased"), [(1, 1, True), (2, 3, False)])
def test_few_channels_are_computed_from_planes(case, batch, outputs, biased, monkeypatch):
    """The numbers of ONNX Runtime, and the bits that a convolution channels last gives."""
    rng = np.random.default_rng(outputs)
    kernel, rank = case["kernel"], len(case["kernel"])
    inputs = {"x": rng.standard_normal((batch, 9, 101, *(11, 5)[: rank - 1])).astype(np.float32)}
    w = rng.standard_normal((9, outputs, *kernel)).astype(np.float32)
    constants = {"w": w, "b": rng.standard_normal(outputs).astype(np.float32) if biased else None}
    pads, added = case.get("pads", (0,) * rank), case.get("output_padding", (0,) * rank)
    model = one_node(
        "ConvTranspose", inputs, constants, rank + 2, strides=case["strides"], pads=[*pads, *pads], output_padding=added
    )
    agree(model, inputs)
    assert "planes_f32" in rt_engine.load(model).program.kernels
    planar = ours(model, inputs)
    for module in (conv_transpose, transposed):
        monkeypatch.setattr(module, "planes_pay", lambda *_: False)
    assert "planes_f32" not in rt_engine.load(model).program.kernels
    assert planar.tobytes() == ours(model, inputs).tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_large_maximum_axis_by_axis_is_the_same_to_the_bit(seed, monkeypatch):
    """Also of NaN and of zeros with signs; SPPF of YOLO's heads is three of 5 x 5."""
    rng = np.random.default_rng(seed)
    rank, batch, channels = int(rng.integers(2, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 40))
    kernel, strides = rng.integers(3, 7, rank), rng.integers(1, 3, rank)
    pads = [int(rng.integers(0, k)) for k in kernel]
    x = rng.choice(np.array([-1.5, -0.0, 0.0, 2.0, np.nan], np.float32), (batch, channels, *rng.integers(7, 12, rank)))
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": [*pads, *pads]}
    model = one_node("MaxPool", {"x": x}, {}, rank + 2, **attributes)
    taken = []
    monkeypatch.setattr(pool, "axis_by_axis", lambda window: taken.append(axis_by_axis(window)) or taken[-1])
    apart = ours(model, {"x": x})
    assert len(taken[0]) == rank or strides.max() > 1
    monkeypatch.setattr(pool, "axis_by_axis", lambda window: [window])
    assert apart.tobytes() == ours(model, {"x": x}).tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_lp_pool(seed):
    """p from 1 to 3, strides and pads, both float types."""
    rng = np.random.default_rng(seed)
    rank = rng.integers(1, 4)
    g = _geometry(rng, rank)
    pads = np.array([rng.integers(0, k) for k in g["kernel"]])
    inputs = {"x": rng.standard_normal((2, 3, *rng.integers(5, 9, rank))).astype(np.float32)}
    p = int(rng.integers(1, 4))
    model = one_node(
        "LpPool",
        inputs,
        {},
        rank + 2,
        opset=18,
        kernel_shape=g["kernel"],
        strides=g["strides"],
        pads=[*pads, *pads],
        p=p,
    )
    agree(model, inputs)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int32, np.bool_])
@pytest.mark.parametrize("seed", range(5))
def test_pad(mode, dtype, seed):
    """Every mode and element size."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(3, 7, rng.integers(1, 5))
    least = 0 if mode != "constant" else -1
    pads = np.array([rng.integers(least, min(shape)) for _ in range(2 * len(shape))], np.int64)
    x = rng.integers(0, 2 if dtype is np.bool_ else 100, shape).astype(dtype)
    value = np.array(1, dtype) if mode == "constant" else None
    inputs = {"x": x}
    model = one_node("Pad", inputs, {"pads": pads, "value": value}, len(shape), opset=21, mode=mode)
    expected = x
    if (pads >= 0).all():
        widths = list(zip(pads[: len(shape)], pads[len(shape) :], strict=True))
        extra = {"constant_values": True} if mode == "constant" else {}
        expected = np.pad(x, widths, mode, **extra)
        np.testing.assert_array_equal(ours(model, inputs), expected)
    else:
        agree(model, inputs)


def test_pad_far_beyond_the_axis():
    """Wrapping and reflecting repeat as often as they must."""
    x = np.arange(3, dtype=np.float32)
    for mode in ("wrap", "reflect", "edge"):
        model = one_node("Pad", {"x": x}, {"pads": np.array([700, 500], np.int64)}, 1, opset=21, mode=mode)
        np.testing.assert_array_equal(ours(model, {"x": x}), np.pad(x, (700, 500), mode))


COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("seed", range(6))
def test_resize(mode, coordinates, seed):
    """Up and down, by sizes, both float types."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, *rng.integers(4, 12, 2))).astype(np.float32)
    sizes = np.array([2, 3, *rng.integers(2, 25, 2)], np.int64)
    extra = {"exclude_outside": int(rng.integers(2)), "cubic_coeff_a": -0.5} if mode == "cubic" else {}
    inputs, constants = {"x": x}, {"roi": None, "scales": None, "sizes": sizes}
    double = {"x": x.astype(np.float64)}
    rounding = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")[seed % 4]
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding, **extra}
    model = one_node("Resize", inputs, constants, 4, opset=19, **attributes)
    wide = ours(one_node("Resize", double, constants, 4, opset=19, **attributes), double)
    np.testing.assert_allclose(ours(model, inputs), wide, rtol=0, atol=1e-5)
    if mode != "nearest":
        agree(model, inputs, 3e-5)
        return
    a, b = ours(model, inputs), theirs(model, inputs)
    assert (a != b).mean() < 0.2  # where a coordinate is a tie in float64, ONNX Runtime rounds it in float32


@pytest.mark.parametrize("scale", [2.0, 3.0, 0.5])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(scale, mode):
    """Opset 9, and Resize of opset 10, whole scales."""
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((1, 2, 8, 6)).astype(np.float32)}
    constants = {"scales": np.array([1, 1, scale, scale], np.float32)}
    agree(one_node("Resize", inputs, constants, 4, opset=10, mode=mode), inputs)
    if scale >= 1:
        agree(one_node("Upsample", inputs, constants, 4, opset=9, mode=mode), inputs)


@pytest.mark.parametrize("opset", [10, 13, 19])
def test_a_size_is_multiplied_in_float32(opset):
    """12 * 0.5833333 is 7 in ONNX Runtime and in Keras, whose scale is 7 / 12; the exact product is just below."""
    inputs = {"x": np.random.default_rng(0).standard_normal((1, 2, 12, 7)).astype(np.float32)}
    scales = np.array([1, 1, 7 / 12, 8 / 7], np.float32)
    constants = {"scales": scales} if opset == 10 else {"roi": np.zeros(0, np.float32), "scales": scales}
    model = one_node("Resize", inputs, constants, 4, opset=opset, mode="linear")
    assert ours(model, inputs).shape == (1, 2, 7, 8)
    agree(model, inputs)


def test_corners_of_a_length_that_is_no_whole_number_are_noted():
    """ONNX puts them where the whole length ends, ONNX Runtime and PyTorch where what was made of it does."""
    inputs, attributes = {"x": np.arange(7, dtype=np.float32).reshape(1, 1, 7, 1)}, {"mode": "linear"}
    corners = {**attributes, "coordinate_transformation_mode": "align_corners"}
    for scale, how, noted in ((1.5, corners, 1), (2, corners, 0), (1.5, attributes, 0)):
        constants = {"roi": None, "scales": np.array([1, 1, scale, 1], np.float32)}
        model = one_node("Resize", inputs, constants, 4, opset=19, **how)
        notes = rt_engine.load(model).notes
        assert ["align_corners" in note for note in notes] == [True] * noted
        if how is corners:
            assert ours(model, inputs)[0, 0, -1, 0] == pytest.approx(9 * 6 / 9.5 if noted else 6, abs=0.01)


def test_resize_of_integers():
    """Nearest moves any type; cubic of integers is refused."""
    x = np.arange(12, dtype=np.int32).reshape(1, 1, 3, 4)
    constants = {"roi": None, "scales": np.array([1, 1, 2, 2], np.float32)}
    model = one_node("Resize", {"x": x}, constants, 4, opset=19, mode="nearest")
    np.testing.assert_array_equal(ours(model, {"x": x})[0, 0], x[0, 0].repeat(2, 0).repeat(2, 1))
    with pytest.raises(UnsupportedModelError, match="cast to float32"):
        ours(one_node("Resize", {"x": x}, constants, 4, opset=19, mode="cubic"), {"x": x})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_antialias_of_integers_is_refused(dtype):
    """ONNX Runtime rounds there where it cuts off otherwise, and negative int8 become 0: no result would be the expected one."""
    x = np.arange(48, dtype=dtype).reshape(1, 1, 6, 8)
    constants = {"roi": None, "scales": np.array([1, 1, 0.5, 0.5], np.float32)}
    with pytest.raises(
        UnsupportedModelError, match=rf"{np.dtype(dtype)} with antialias is not supported.*cast to float32"
    ):
        ours(one_node("Resize", {"x": x}, constants, 4, opset=19, mode="linear", antialias=1), {"x": x})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
def test_linear_resize_of_integers(dtype, coordinates):
    """What float32 gives, cut off; ONNX Runtime's is one away where its own float32 is on the other side of a whole number."""
    rng = np.random.default_rng(0)
    for scales in ((2, 2), (2.5, 1.5), (0.5, 1.75), (1, 1)):
        x = rng.integers(np.iinfo(np.int8).min if dtype != np.uint8 else 0, 128, (1, 3, 8, 12)).astype(dtype)
        constants = {"roi": None, "scales": np.array([1, 1, *scales], np.float32)}
        attributes = {"opset": 19, "mode": "linear", "coordinate_transformation_mode": coordinates}
        wide = {"x": x.astype(np.float32)}
        model = one_node("Resize", {"x": x}, constants, 4, **attributes)
        found = ours(model, {"x": x})
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.trunc(ours(one_node("Resize", wide, constants, 4, **attributes), wide)))
        difference = np.abs(found.astype(int) - theirs(model, {"x": x}))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_normalisations(seed):
    """Instance, group, LRN and Lp normalisation."""
    rng = np.random.default_rng(seed)
    dtype = np.float32 if seed % 3 else np.float64
    channels = int(rng.choice([2, 4, 6]))
    x = rng.standard_normal((2, channels, *rng.integers(1, 40, 2))).astype(dtype) + dtype(3)
    scale, bias = (rng.standard_normal(channels).astype(dtype) for _ in range(2))
    inputs = {"x": x}
    if dtype is np.float32:
        agree(one_node("InstanceNormalization", inputs, {"s": scale, "b": bias}, 4), inputs)
        agree(one_node("LRN", inputs, {}, 4, size=3, alpha=0.5, beta=float(rng.choice([0.75, 0.6])), bias=1.5), inputs)
    agree(one_node("LpNormalization", inputs, {}, 4, axis=int(rng.integers(4)), p=int(rng.integers(1, 3))), inputs)
    model = one_node("GroupNormalization", inputs, {"s": scale, "b": bias}, 4, num_groups=2)
    agree(model, inputs, 3e-5)
    groups = x.reshape(2, 2, -1).astype(np.float64)
    groups = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)
    expected = groups.reshape(x.shape) * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(ours(model, inputs), expected, rtol=0, atol=3e-5)


def test_lp_normalization_of_zeros():
    """0 / 0 is 0, as ONNX says."""
    x = np.zeros((2, 3), np.float32)
    assert not ours(one_node("LpNormalization", {"x": x}, {}, 2), {"x": x}).any()


@pytest.mark.parametrize(("mode", "rank"), [("linear", 2), ("nearest", 2), ("cubic", 2), ("linear", 3), ("nearest", 3)])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_grid_sample(mode, padding, corners, rank):
    """Inside and far outside of the image."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, *(5, 7, 4)[:rank])).astype(np.float32)
    grid = rng.uniform(-2.5, 2.5, (2, *(6, 5, 3)[:rank], rank)).astype(np.float32)
    inputs = {"x": x, "grid": grid}
    model = one_node(
        "GridSample", inputs, {}, rank + 2, opset=20, mode=mode, padding_mode=padding, align_corners=corners
    )
    agree(model, inputs, 1e-4)


def test_grid_sample_of_any_position():
    """NaN and infinite positions read nothing but the image."""
    x = np.ones((1, 1, 3, 3), np.float32)
    grid = np.array([np.nan, 0, np.inf, 0, -np.inf, 3e38, -3e38, 1e10], np.float32).reshape(1, 1, 4, 2)
    for mode in ("linear", "nearest", "cubic"):
        for padding in ("zeros", "border", "reflection"):
            inputs = {"x": x, "grid": grid}
            model = one_node("GridSample", inputs, {}, 4, opset=20, mode=mode, padding_mode=padding)
            assert np.isfinite(ours(model, inputs)).all()


@pytest.mark.parametrize("seed", range(6))
def test_deform_conv(seed):
    """Groups, offset groups, mask and bias."""
    rng = np.random.default_rng(seed)
    group, shifts = int(rng.choice([1, 2])), int(rng.choice([1, 2]))
    stride, dilation = rng.integers(1, 3, 2)
    x = rng.standard_normal((2, 4, 8, 7)).astype(np.float32)
    w = rng.standard_normal((6, 4 // group, 3, 2)).astype(np.float32)
    reach = (np.array([3, 2]) - 1) * dilation + 1
    out = (np.array([8, 7]) + 2 - reach) // stride + 1
    offset = rng.uniform(-2, 2, (2, shifts * 12, *out)).astype(np.float32)
    bias = rng.standard_normal(6).astype(np.float32) if seed % 2 else None
    mask = rng.uniform(0, 1, (2, shifts * 6, *out)).astype(np.float32) if seed % 3 else None
    inputs = {"x": x, "w": w, "offset": offset, "b": bias, "mask": mask}
    model = one_node(
        "DeformConv", inputs, {}, 4, opset=19, group=group, offset_group=shifts, pads=[1] * 4,
        strides=[int(stride)] * 2, dilations=[int(dilation)] * 2,
    )  # fmt: skip
    agree(model, inputs)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align(mode, samples):
    """Against ONNX Runtime; an item that does not exist is a status."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 9, 8)).astype(np.float32)
    corners = np.sort(rng.uniform(-2, 18, (5, 2, 2)), axis=1).reshape(5, 4).astype(np.float32)
    items = np.array([0, 1, 1, 0, 1], np.int64)
    inputs = {"x": x, "rois": corners, "items": items}
    model = one_node(
        "RoiAlign", inputs, {}, 4, opset=16, mode=mode, sampling_ratio=samples, spatial_scale=0.5, output_height=3,
        output_width=2,
    )  # fmt: skip
    if mode == "avg":  # ONNX Runtime warns that its max is not what others compute
        agree(model, inputs)
    with pytest.raises(Exception, match="OUT_OF_RANGE"):
        ours(model, {**inputs, "items": np.array([0, 1, 2, 0, 1], np.int64)})


def test_max_roi_pool():
    """Against ONNX Runtime."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 9, 8)).astype(np.float32)
    rois = np.array([[0, 1, 1, 12, 9], [1, 0, 3, 7, 15], [1, 5, 5, 5, 5]], np.float32)
    inputs = {"x": x, "rois": rois}
    agree(one_node("MaxRoiPool", inputs, {}, 4, opset=11, pooled_shape=[2, 3], spatial_scale=0.5), inputs)


def test_max_unpool():
    """Against ONNX Runtime; an index outside is a status, and nothing is written there."""
    x, index = np.array([[[[5, 6], [7, 8]]]], np.float32), np.array([[[[5, 7], [13, 15]]]], np.int64)
    inputs = {"x": x, "i": index}
    model = one_node("MaxUnpool", inputs, {}, 4, kernel_shape=[2, 2], strides=[2, 2])
    agree(model, inputs)
    with pytest.raises(Exception, match="OUT_OF_RANGE"):
        ours(model, {"x": x, "i": index + 1})


@pytest.mark.parametrize("seed", range(6))
def test_col2im(seed):
    """Blocks that overlap, with strides, dilations and pads."""
    rng = np.random.default_rng(seed)
    block, strides, dilations = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(1, 3, 2)
    pads, image = rng.integers(0, 2, 2), rng.integers(7, 10, 2)
    grid = (image + 2 * pads - dilations * (block - 1) - 1) // strides + 1
    inputs = {"x": rng.standard_normal((2, 3 * block.prod(), grid.prod())).astype(np.float32)}
    constants = {"image": image.astype(np.int64), "block": block.astype(np.int64)}
    model = one_node(
        "Col2Im", inputs, constants, 4, opset=18, strides=strides, dilations=dilations, pads=[*pads, *pads]
    )
    agree(model, inputs)


@pytest.mark.parametrize("block", [2, 3])
def test_depth_and_space(block):
    """There and back."""
    x = np.arange(2 * 18 * 36 * 4, dtype=np.float32).reshape(2, 36, 6, 12)
    agree(one_node("SpaceToDepth", {"x": x}, {}, 4, opset=13, blocksize=block), {"x": x})
    for mode in ("DCR", "CRD"):
        agree(one_node("DepthToSpace", {"x": x}, {}, 4, opset=13, blocksize=block, mode=mode), {"x": x})
