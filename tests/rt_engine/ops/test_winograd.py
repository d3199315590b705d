"""Winograd's tiles: rounding errors against the bounds of docs/numerics.md, what huge inputs do, and their weights."""

import re

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
import rt_engine.compiler
import rt_engine.ops.winograd
from rt_engine.ops.winograd import SQUARES, Scheme, transformed
from tests import ROOT

NUMERICS = (ROOT / "docs" / "numerics.md").read_text()


def layer(w, x):
    """A 3x3 convolution as wide as its input, loaded."""
    shapes = {"x": x.shape, "y": (1, w.shape[0], *x.shape[2:])}
    x_info, y_info = (helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "g", [x_info], [y_info], [numpy_helper.from_array(w, "w")])
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def summed(w, x):
    """The twin: the sum over taps and channels in float64."""
    size, wide = x.shape[2], np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(np.einsum("mc,nchw->nmhw", w[:, :, i, j], wide[:, :, i : i + size, j : j + size]) for i, j in taps)


def documented(channels):
    """The bound of docs/numerics.md, as a share of the greatest output."""
    row = re.search(rf"^\| {channels} \| ([\d.e-]+) \|", NUMERICS, re.MULTILINE)
    assert row, f"docs/numerics.md says nothing about {channels} channels"
    return float(row[1])


@pytest.mark.parametrize("power", [1, 5])
@pytest.mark.parametrize(("channels", "outputs", "size"), [(64, 64, 24), (256, 256, 12), (1024, 64, 12)])
def test_errors_are_as_the_page_says(channels, outputs, size, power):
    """Tiles of 4x4 outputs, whose errors are the largest; evenly spread inputs, and some that stand out."""
    rng = np.random.default_rng(channels)
    w = (rng.standard_normal((outputs, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
    x = (rng.standard_normal((1, channels, size, size)) ** power).astype(np.float32)
    model, right = layer(w, x), summed(w, x)
    assert any("winograd_four_in" in node.kernels for node in model.program.nodes)
    error = np.abs(model.run({"x": x})[0] - right).max() / np.abs(right).max()
    assert documented(channels) / 20 < error <= documented(channels)


def test_inputs_up_to_3e36_overflow_in_no_tile():
    """Whatever their signs; what is ten times larger does."""
    rng = np.random.default_rng(1)
    w = (rng.standard_normal((32, 32, 3, 3)) / 1e5).astype(np.float32)
    signs = np.sign(rng.standard_normal((1, 32, 24, 24))).astype(np.float32)
    model = layer(w, signs)
    assert np.isfinite(model.run({"x": signs * np.float32(3e36)})[0]).all()
    assert not np.isfinite(model.run({"x": signs * np.float32(3e37)})[0]).all()


@pytest.mark.parametrize(
    ("scheme", "taps"), [(SQUARES[0], (3, 3)), (SQUARES[1], (3, 3)), (Scheme("line", (6,), (2,), 17), (5,))]
)
def test_transformed_weights_do_not_depend_on_how_the_weights_lie(scheme, taps):
    """The order of the sum is that of the taps, whichever of the axes is innermost in memory."""
    w = np.random.default_rng(0).standard_normal((*taps, 1, 139)).astype(np.float32)
    taps_last = np.moveaxis(np.ascontiguousarray(np.moveaxis(w, (-2, -1), (0, 1))), (0, 1), (-2, -1))
    assert transformed(w, scheme).tobytes() == transformed(taps_last, scheme).tobytes()


def test_a_large_picture_has_a_bounded_number_of_blocks(monkeypatch):
    """Their size changes no bit, and no program that is millions of records."""
    rng = np.random.default_rng(2)
    w, x = (rng.standard_normal(shape).astype(np.float32) for shape in ((32, 32, 3, 3), (1, 32, 96, 96)))
    many = layer(w, x)
    monkeypatch.setattr(rt_engine.ops.winograd, "MOST_BLOCKS", 2)
    few = layer(w, x)
    assert len(many.program.records) > 3 * 8 and len(few.program.records) <= 3 * 2 + 2
    assert many.run({"x": x})[0].tobytes() == few.run({"x": x})[0].tobytes()


def test_blocks_are_not_counted_as_if_each_touched_the_whole_picture(monkeypatch):
    """A layer of 1x16x2000x2000 was refused as one that would take very long."""
    x = np.ones((1, 16, 256, 256), np.float32)
    monkeypatch.setattr(rt_engine.compiler, "MOST_IN_A_RUN", 32 * x.size)
    assert len(layer(np.ones((16, 16, 3, 3), np.float32), x).program.records) > 3 * 16
