"""Lengths that are only known at run time: a bound and a count; what is behind a count changes nothing. ONNX Runtime is the oracle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import RunError, ShapeBindingError, UnsupportedModelError
from rt_engine.program.counts import cut
from rt_engine.program.rtp_writer import to_bytes

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node
CONSTANTS: dict[str, Any] = {
    "zero": np.array(0),
    "one": np.array(1),
    "minus": np.array(-1),
    "hundred": np.array(100),
    "at0": np.array([0]),
    "back1": np.array([-1]),
    "at1": np.array([1]),
    "at2": np.array([2]),
    "front": np.array([-(2**63) + 1]),
    "back7": np.array([-7]),
    "back2": np.array([-2]),
    "five": np.array([5]),
    "end": np.array([2**62]),
    "flat": np.array([-1]),
    "column": np.array([-1, 1]),
    "pairs": np.array([-1, 2]),
    "back": np.array([-1, 1, 6]),
    "two_three": np.array([2, 3]),
    "half": np.float32(0.5),
    "seven": np.array([7], np.float32),
    "ramp": np.arange(80, dtype=np.float32),
    "weights": np.arange(12, dtype=np.float32).reshape(6, 2),
    "kernel": np.arange(6, dtype=np.float32).reshape(2, 1, 3),
    "ones": np.ones(6, np.float32),
    "onoff": np.array([0, 1], np.float32),
}


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[int]]],
    rank: int = 1,
    kind: int = FLOAT,
    more: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """Of these nodes, which give y, on the constants that they read."""
    read = {name for n in nodes for name in n.input} - inputs.keys()
    constants = [
        numpy_helper.from_array(np.asarray(v), k) for k, v in (CONSTANTS | dict(more or {})).items() if k in read
    ]
    ends = [helper.make_tensor_value_info(name, *end) for name, end in inputs.items()]
    result = helper.make_tensor_value_info("y", kind, [f"d{i}" for i in range(rank)])
    graph = helper.make_graph(nodes, "g", ends, [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def peer(proto: onnx.ModelProto) -> Any:
    """ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def same(proto: onnx.ModelProto, feeds: list[dict[str, Any]], bounds: Mapping[str, int] | None = None) -> None:
    """Every output, cut at its count, is ONNX Runtime's; what that refuses has a status here."""
    ours, theirs = rt_engine.load(proto, bounds=bounds), peer(proto)
    for feed in feeds:
        try:
            expected = theirs.run(None, feed)
        except Exception:
            with pytest.raises(RunError):
                ours.run(feed)
            continue
        outputs = ours.run(feed)
        found = cut(ours.counts, [spec.name for spec in ours.outputs], outputs)
        for got, want in zip(found.values(), expected, strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        for spec, array in zip(ours.outputs, outputs, strict=True):
            if spec.name in ours.counts:
                count, axis = ours.counts[spec.name]
                number = int(outputs[[s.name for s in ours.outputs].index(count)])
                assert not np.take(array, np.arange(number, array.shape[axis]), axis).any()


def chosen(shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Inputs with none, some and all of them above the threshold."""
    rng = np.random.default_rng(0)
    return [
        {"x": rng.standard_normal(shape).astype(np.float32), "t": np.array([t], np.float32)} for t in (-9, 0.3, 1, 9)
    ]


VALUES = [
    node("Greater", ["x", "t"], ["m"]),
    node("NonZero", ["m"], ["found"]),
    node("Transpose", ["found"], ["places"]),
    node("GatherND", ["x", "places"], ["v"]),
]
PLACES = [node("Gather", ["found", "zero"], ["i"], axis=0)]
SHAPE = [node("Shape", ["v"], ["s"])]
OF_VALUES = {
    "itself": [node("Identity", ["v"], ["y"])],
    "arithmetic": [node("Add", ["v", "half"], ["a"]), node("Exp", ["a"], ["y"])],
    "where": [node("Greater", ["v", "half"], ["c"]), node("Where", ["c", "v", "half"], ["y"])],
    "softmax": [node("Softmax", ["v"], ["y"], axis=0)],
    "log_softmax": [node("LogSoftmax", ["v"], ["y"], axis=0)],
    "cumsum": [node("CumSum", ["v", "zero"], ["y"], reverse=1)],
    "topk_min": [*SHAPE, node("Min", ["s", "five"], ["k"]), node("TopK", ["v", "k"], ["y", "j"], axis=0)],
    "topk_reduced": [
        *SHAPE,
        node("Concat", ["s", "five"], ["c"], axis=0),
        node("ReduceMin", ["c"], ["k"], axes=[0], keepdims=1),
        node("TopK", ["v", "k"], ["w", "j"], axis=0),
        node("Gather", ["v", "j"], ["y"]),
    ],
    "topk_smallest": [*SHAPE, node("TopK", ["v", "s"], ["y", "j"], axis=0, largest=0)],
    "topk_constant": [node("TopK", ["v", "five"], ["y", "j"], axis=0)],
    "slice_end": [node("Slice", ["v", "at0", "five"], ["y"])],
    "slice_start": [node("Slice", ["v", "at2", "end"], ["y"])],
    "slice_negative": [node("Slice", ["v", "at1", "back2"], ["y"])],
    "slice_last": [node("Slice", ["v", "back7", "end"], ["y"])],
    "slice_last_but": [node("Slice", ["v", "back7", "back2"], ["y"])],
    "slice_last_to": [node("Slice", ["v", "back7", "five"], ["y"])],
    "slice_flipped": [
        node("Slice", ["v", "back1", "front", "at0", "back1"], ["w"]),
        node("Add", ["w", "v"], ["y"]),
    ],
    "slice_from_a_length": [*SHAPE, node("Slice", ["x", "s", "end"], ["y"])],
    "slice_behind_another": [
        node("Greater", ["v", "half"], ["c"]),
        node("Compress", ["v", "c"], ["w"], axis=0),
        node("Shape", ["w"], ["k"]),
        node("Slice", ["v", "k", "end"], ["y"]),
    ],
    "concat": [node("Neg", ["v"], ["w"]), node("Concat", ["seven", "v", "w", "seven"], ["y"], axis=0)],
    "indices": [*PLACES, node("Add", ["i", "minus"], ["j"]), node("Gather", ["ramp", "j"], ["y"])],
    "elements": [*PLACES, node("GatherElements", ["x", "i"], ["y"], axis=0)],
    "filled": [*SHAPE, node("ConstantOfShape", ["s"], ["c"]), node("Add", ["c", "v"], ["y"])],
    "expand": [*SHAPE, node("Expand", ["seven", "s"], ["y"])],
    "tile": [*SHAPE, node("Tile", ["ones", "s"], ["y"])],
    "range": [
        node("Size", ["v"], ["n"]),
        node("Range", ["zero", "n", "one"], ["r"]),
        node("Cast", ["r"], ["y"], to=FLOAT),
    ],
    "again": [node("Greater", ["v", "half"], ["c"]), node("Compress", ["v", "c"], ["y"], axis=0)],
    "divided": [
        *PLACES,
        node("Add", ["i", "one"], ["j"]),
        node("Div", ["hundred", "j"], ["q"]),
        node("Cast", ["q"], ["y"], to=FLOAT),
    ],
}
TO_ONE = {
    "last": [node("Gather", ["v", "minus"], ["y"])],
    "shape": [node("Size", ["v"], ["n"]), node("Cast", ["n"], ["y"], to=FLOAT)],
    "argmax": [node("ArgMax", ["v"], ["a"], axis=0, keepdims=0), node("Cast", ["a"], ["y"], to=FLOAT)],
    "argmin": [node("ArgMin", ["v"], ["a"], axis=0, keepdims=0), node("Cast", ["a"], ["y"], to=FLOAT)],
    **{
        kind: [node("Exp", ["v"], ["e"]), node(kind, ["e"], ["y"], keepdims=0)]
        for kind in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp", "ReduceMean")
    },
}


@pytest.mark.parametrize("name", OF_VALUES)
def test_values_that_are_chosen(name):
    """x[x > t] and what follows."""
    proto = model([*VALUES, *OF_VALUES[name]], {"x": (FLOAT, [40]), "t": (FLOAT, [1])})
    same(proto, chosen((40,)))


@pytest.mark.parametrize("name", TO_ONE)
def test_what_reads_the_whole_length_reads_no_more(name):
    """What is behind the count does not count."""
    proto = model([*VALUES, *TO_ONE[name]], {"x": (FLOAT, [40]), "t": (FLOAT, [1])}, rank=0)
    same(proto, chosen((40,)))


ROWS = [
    node("ReduceMax", ["x"], ["best"], axes=[1], keepdims=0),
    node("Greater", ["best", "t"], ["m"]),
    node("NonZero", ["m"], ["found"]),
    node("Squeeze", ["found", "at0"], ["i"]),
    node("Gather", ["x", "i"], ["v"]),
]
OF_ROWS = {
    "softmax": [node("Softmax", ["v"], ["y"], axis=1)],
    "softmax_over": [node("Softmax", ["v"], ["y"], axis=0)],
    "gemm": [node("Gemm", ["v", "weights"], ["y"])],
    "contracted": [node("Transpose", ["v"], ["w"]), node("MatMul", ["w", "v"], ["y"])],
    "split": [node("Split", ["v"], ["a", "b"], axis=1), node("Sub", ["a", "b"], ["y"])],
    "norm": [node("LayerNormalization", ["v", "ones"], ["y"], axis=-1)],
    "flat": [node("Reshape", ["v", "flat"], ["f"]), node("Reshape", ["f", "pairs"], ["y"])],
    "slice": [node("Slice", ["v", "at1", "five", "at1"], ["y"])],
    "last": [node("Slice", ["v", "back7", "end", "at0"], ["y"])],
    "transposed": [
        node("Transpose", ["v"], ["w"]),
        node("Shape", ["w"], ["s"]),
        node("Slice", ["s", "at1", "at2"], ["k"]),
        node("TopK", ["w", "k"], ["y", "j"], axis=1),
    ],
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_rows_that_are_chosen(name):
    """x[max(x, 1) > t] and what follows."""
    proto = model([*ROWS, *OF_ROWS[name]], {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2)
    same(proto, chosen((30, 6)))


CLASSICAL: dict[str, dict[str, Any]] = {
    "Scaler": {"offset": [0.5] * 6, "scale": [2.0] * 6},
    "Normalizer": {"norm": "L1"},
    "LinearRegressor": {"coefficients": [float(i) for i in range(12)], "targets": 2, "intercepts": [1.0, 2.0]},
}


@pytest.mark.parametrize("name", CLASSICAL)
def test_rows_of_classical_models(name):
    """Each row is a sample; a Compress whose condition is known, behind it, is no length."""
    nodes = [
        *ROWS,
        node("Compress", ["v", "all_columns"], ["w"], axis=1),
        helper.make_node(name, ["w"], ["z"], domain="ai.onnx.ml", **CLASSICAL[name]),
        node("Compress", ["z", "first_column"], ["y"], axis=1),
    ]
    columns = {"all_columns": np.ones(6, bool), "first_column": np.array([True, False])}
    proto = model(nodes, {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2, more=columns)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    same(proto, chosen((30, 6)))
    plain = model([node("Compress", ["x", "all_columns"], ["y"], axis=1)], {"x": (FLOAT, [30, 6])}, 2, more=columns)
    assert [spec.name for spec in rt_engine.load(plain).outputs] == ["y"]


OF_ONNX_RUNTIME = {
    "QuickGelu": ["v"],
    "Gelu": ["v"],
    "FastGelu": ["v"],
    "BiasGelu": ["v", "ones"],
    "SkipLayerNormalization": ["v", "v", "ones"],
    "FusedMatMul": ["v", "weights"],
}


@pytest.mark.parametrize("name", OF_ONNX_RUNTIME)
def test_operators_of_onnx_runtime_keep_the_length(name):
    """Also those that become operators of this engine."""
    nodes = [*ROWS, helper.make_node(name, OF_ONNX_RUNTIME[name], ["y"], domain="com.microsoft")]
    proto = model(nodes, {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    same(proto, chosen((30, 6)))


def test_a_shape_with_a_length_in_it():
    """Shape -> Gather -> Unsqueeze -> Concat -> Reshape, and a convolution of the items."""
    nodes = [
        *ROWS,
        node("Shape", ["v"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "at0"], ["u"]),
        node("Concat", ["u", "two_three"], ["to"], axis=0),
        node("Reshape", ["v", "to"], ["r"]),
        node("Reshape", ["r", "back"], ["c"]),
        node("Conv", ["c", "kernel"], ["y"]),
    ]
    same(model(nodes, {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=3), chosen((30, 6)))


@pytest.mark.parametrize("op", ["TopK", "Slice"])
def test_a_number_that_is_an_input(op):
    """k, or an end, at run time; one that asks for more than there is has a status, as ONNX Runtime refuses it."""
    if op == "TopK":
        nodes = [node("TopK", ["x", "k"], ["y", "j"], axis=0)]
    else:
        nodes = [node("Slice", ["x", "at0", "k"], ["y"])]
    rng = np.random.default_rng(1)
    feeds = [{"x": rng.standard_normal((9, 2)).astype(np.float32), "k": np.array([k])} for k in (0, 3, 9, 10)]
    same(model(nodes, {"x": (FLOAT, [9, 2]), "k": (INT64, [1])}, rank=2), feeds)


def boxes(images: int, classes: int, n: int, seed: int, coarse: bool, centres: bool) -> dict[str, Any]:
    """Boxes and scores; coarse ones have equal scores and overlaps that are exactly at the limit."""
    rng = np.random.default_rng(seed)
    centre, size = rng.random((images, n, 2)) * 20, rng.random((images, n, 2)) * 6
    corners = np.concatenate([centre, size] if centres else [centre - size / 2, centre + size / 2], 2)
    scores = rng.random((images, classes, n))
    if coarse:
        corners, scores = np.round(corners), np.round(scores * 8) / 8
    return {"b": corners.astype(np.float32), "s": scores.astype(np.float32)}


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(
    ("images", "classes", "n", "most", "overlap", "lowest"),
    [(1, 1, 50, 10, 0.3, 0.2), (2, 3, 77, 200, 0.5, None), (1, 5, 130, 100, 1 / 3, 0.25), (1, 2, 9, 0, 0.5, 0.1)],
)
def test_non_max_suppression(images, classes, n, most, overlap, lowest, coarse, centres):
    """The boxes that ONNX Runtime keeps, in its order."""
    limits = {"most": np.array([most]), "overlap": np.array([overlap], np.float32)}
    if lowest is not None:
        limits["lowest"] = np.array([lowest], np.float32)
    nodes = [node("NonMaxSuppression", ["b", "s", *limits], ["y"], center_point_box=int(centres))]
    proto = model(
        nodes, {"b": (FLOAT, [images, n, 4]), "s": (FLOAT, [images, classes, n])}, rank=2, kind=INT64, more=limits
    )
    same(proto, [boxes(images, classes, n, seed, coarse, centres) for seed in range(4)])


def test_a_bound_of_the_user_holds_and_more_is_a_status():
    """By the name of an output, or of the dimension that the file gives it; not a shorter answer."""
    proto = model([node("NonZero", ["x"], ["y"])], {"x": (FLOAT, [6])}, rank=2, kind=INT64)
    for name in ("y", "d1"):
        bounded = rt_engine.load(proto, bounds={name: 3})
        assert bounded.outputs[0].shape == (1, 3)
        places, count = bounded.run({"x": np.array([0, 2, 0, 0, 1, 0], np.float32)})
        assert (places.tolist(), int(count)) == ([[1, 4, 0]], 2)
        with pytest.raises(RunError, match="larger than its bound"):
            bounded.run({"x": np.ones(6, np.float32)})
    assert bounded.counts == {"y": ("y_count", 1)}
    assert any("'y_count' says how many" in note for note in bounded.notes)


def test_a_bound_that_nothing_needs_is_an_error():
    """A name that is wrong is not silently without effect."""
    proto = model([node("NonZero", ["x"], ["y"])], {"x": (FLOAT, [6])}, rank=2, kind=INT64)
    with pytest.raises(ShapeBindingError, match="no length that needs the bound 'z'"):
        rt_engine.load(proto, bounds={"z": 3})


def test_a_program_keeps_its_counts():
    """As bytes too."""
    proto = model([node("NonZero", ["x"], ["y"])], {"x": (FLOAT, [6])}, rank=2, kind=INT64)
    assert rt_engine.load(to_bytes(rt_engine.load(proto).program)).counts == {"y": ("y_count", 1)}


REFUSED = {
    "two_lengths": [*ROWS, node("Transpose", ["v"], ["w"]), node("MatMul", ["v", "w"], ["y"])],
    "einsum": [*ROWS, node("Einsum", ["v"], ["y"], equation="ij->j")],
    "scatter": [*VALUES, *PLACES, node("ScatterElements", ["x", "i", "ramp"], ["y"])],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_proven_is_refused_by_name(name):
    """Where, of which length, and what helps."""
    shape = [30, 6] if name in ("two_lengths", "einsum") else [40]
    proto = model(REFUSED[name], {"x": (FLOAT, shape), "t": (FLOAT, [1])})
    with pytest.raises(UnsupportedModelError, match=r"at most \d+\) is only known at run time, and \w+ over it"):
        rt_engine.load(proto)
