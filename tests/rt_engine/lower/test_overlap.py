"""A convolution whose output lies over its input gives the same bits as one that has memory of its own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import rt_engine
import rt_engine.lower.assemble
from rt_engine.lower.plan import plan
from rt_engine.run.native import KERNELS
from rt_native.errors import UnsupportedCpu
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host

MODULES = (*(f"rt_engine.kernels.{name}" for name in ("conv", "winograd", "movement")), "rt_engine.run.executor_native")


def libraries():
    """The kernels of convolutions for every lane width that this processor has."""
    found = [KERNELS]
    for lanes in LANE_WIDTHS:
        try:
            target = host(lanes)
        except UnsupportedCpu:
            continue
        if lanes != KERNELS.target.lanes:
            found.append(Library(f"overlap-{lanes}", MODULES, target))
    return found


def chain(channels, sizes, kernels, strides, dtype):
    """Convolutions one after the other over a picture."""
    rng = np.random.default_rng(0)
    nodes, weights, last, height = [], [], "x", sizes[0]
    for i, ((k, n), kernel, stride) in enumerate(zip(pairwise(channels), kernels, strides, strict=True)):
        w = rng.standard_normal((n, k, *kernel)).astype(dtype)
        weights.append(numpy_helper.from_array(w, f"w{i}"))
        pads = [kernel[0] // 2, kernel[1] // 2] * 2
        out = f"t{i}" if i < len(kernels) - 1 else "y"
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [out], strides=[stride, 1], pads=pads))
        last = out
        height = (height + 2 * (kernel[0] // 2) - kernel[0]) // stride + 1
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shapes = (("x", [1, channels[0], *sizes]), ("y", [1, channels[-1], height, sizes[1]]))
    ends = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def without_overlaps(calls, *rest):
    """The plan of calls none of which may overlap."""
    return plan([replace(call, overlap=None) for call in calls], *rest)


@settings(max_examples=60)
@given(
    channels=st.lists(st.integers(1, 36), min_size=4, max_size=6),
    sizes=st.tuples(st.integers(3, 40), st.integers(1, 6)),
    kernels=st.lists(st.sampled_from([(1, 1), (3, 1), (5, 1), (3, 3), (9, 1), (1, 3)]), min_size=5, max_size=5),
    strides=st.lists(st.sampled_from([1, 1, 2]), min_size=5, max_size=5),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_overlaps_change_no_bit(channels, sizes, kernels, strides, dtype):
    """Any chain, any lane width; and no run changes what the next one gives."""
    many = len(channels) - 1
    model = chain(channels, sizes, kernels[:many], strides[:many], dtype)
    x = np.random.default_rng(1).standard_normal((1, channels[0], *sizes)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rt_engine.lower.assemble, "plan", without_overlaps)
        expected = rt_engine.load(model).run({"x": x})[0].tobytes()
    for kernels_of_width in LIBRARIES:
        context = rt_engine.load(model, library=kernels_of_width).context()
        for _ in range(2):
            context.inputs["x"] = x
            context.run()
            assert context.outputs["y"].tobytes() == expected


LIBRARIES = libraries()


def test_overlaps_save_memory():
    """A narrow layer that widens: the arena has hardly more than its output."""
    model = chain([18, 18, 30, 8], (129, 1), [(5, 1)] * 3, [1] * 3, np.float32)
    loaded = rt_engine.load(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rt_engine.lower.assemble, "plan", without_overlaps)
        apart = rt_engine.load(model)
    assert loaded.report().arena_bytes < apart.report().arena_bytes - 4000
    assert loaded.report().arena_bytes >= loaded.report().arena_lower_bound
