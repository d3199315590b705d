"""Output channels whose taps at the ends of the kernel are zero, computed without those."""

import numpy as np
import pytest
from onnx import helper

import rt_engine
from tests.rt_engine.ops.test_convolutions import convolved, libraries, model_of


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("addend", [False, True])
def test_columns_whose_last_taps_are_zero_are_computed_without_those(images, addend):
    """Half of the channels have 1x2 of 2x2 taps: a quarter of the work goes; values, addend, limits and all widths' bits stay."""
    rng = np.random.default_rng(images)
    x, w = (rng.standard_normal(s, dtype=np.float32) for s in ((images, 64, 9, 9), (64, 64, 2, 2)))
    z, b = rng.standard_normal((images, 64, 8, 8), dtype=np.float32), rng.standard_normal(64, dtype=np.float32)
    w[16:48, :, 1] = 0
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"])]
    nodes += [helper.make_node("Add", ["c", "z"], ["a"])] if addend else []
    nodes.append(helper.make_node("Relu", ["a" if addend else "c"], ["y"]))
    feeds = {"x": x, **({"z": z} if addend else {})}
    model = model_of(nodes, x, {"w": w, "b": b}, z.shape, inputs=list(feeds.items())[1:])
    assert sum(one.macs for one in rt_engine.load(model).report().nodes) == images * 64 * 64 * 64 * 3
    right = convolved(x, w, b, [1, 1], [1, 1], [0] * 4, 1) + (z if addend else 0)
    results = [rt_engine.load(model, library=kernels).run(feeds)[0] for kernels in libraries()]
    np.testing.assert_allclose(results[0], np.maximum(right, 0), atol=1e-4)
    assert len({y.tobytes() for y in results}) == 1


@pytest.mark.parametrize("seed", range(12))
def test_any_zeros_of_weights_leave_the_values(seed):
    """Any columns may have any taps, or none."""
    rng = np.random.default_rng(seed)
    x, w = (
        rng.standard_normal((1, 48, 7, 6)),
        rng.standard_normal((56, 48, 3, 2)) * (rng.random((7, 1, 3, 2)) < 0.3).repeat(8, 0),
    )
    b, pads = rng.standard_normal(56), [1, 0, 1, 1]
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads)
    right = convolved(x, w, b, [1, 1], [1, 1], pads, 1)
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-11)):
        constants = {"w": w.astype(dtype), "b": b.astype(dtype)}
        got = rt_engine.load(model_of([node], x.astype(dtype), constants, right.shape)).run({"x": x.astype(dtype)})[0]
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance)
