"""If over tensors whose length is only known at run time. ONNX Runtime is the oracle."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError
from tests import need
from tests.rt_engine.passes.test_lengths import CONSTANTS, FLOAT, INT64, VALUES, chosen, model, node, peer, same

NOTHING = np.zeros(0, np.float32)


def branch(nodes: list[onnx.NodeProto], given: Any = None, kind: int = FLOAT) -> onnx.GraphProto:
    """A branch that gives r: of these nodes, or a constant."""
    read = {name for n in nodes for name in n.input} & CONSTANTS.keys()
    known = {f"inner_{k}": np.asarray(CONSTANTS[k]) for k in read} | ({} if given is None else {"r": given})
    made = [node("Constant", [], [k], value=numpy_helper.from_array(v)) for k, v in known.items()]
    for n in nodes:
        made.append(onnx.NodeProto.FromString(n.SerializeToString()))
        for i, name in enumerate(n.input):
            made[-1].input[i] = f"inner_{name}" if name in read else name
    return helper.make_graph(made, "b", [], [helper.make_tensor_value_info("r", kind, None)])


def choice(empty: Any, nodes: list[onnx.NodeProto], ask: list[onnx.NodeProto] | None = None) -> list[onnx.NodeProto]:
    """X[x > t] -> v; y = empty if v.numel() == 0 else what the nodes make of it."""
    ask = ask or [node("Size", ["v"], ["n"]), node("Equal", ["n", "zero"], ["is"])]
    made = node("If", ["is"], ["y"], then_branch=branch([], empty), else_branch=branch(nodes))
    return [*VALUES, *ask, made]


SHAPED = [
    node("Shape", ["v"], ["s"]),
    node("ReduceProd", ["s"], ["n"], keepdims=0),
    node("Equal", ["n", "zero"], ["e"]),
    node("Cast", ["e"], ["is"], to=TensorProto.BOOL),
]
AGREE: dict[str, tuple[Any, list[onnx.NodeProto], int]] = {
    "offsets": (NOTHING, [node("ReduceMax", ["v"], ["peak"], keepdims=0), node("Add", ["v", "peak"], ["r"])], 1),
    "selected": (NOTHING, [node("Greater", ["v", "half"], ["c"]), node("Compress", ["v", "c"], ["r"], axis=0)], 1),
    "put_together": (NOTHING, [node("Neg", ["v"], ["w"]), node("Concat", ["v", "w"], ["r"], axis=0)], 1),
    "number": (np.float32(7), [node("ReduceMax", ["v"], ["r"], keepdims=0)], 0),
}


@pytest.mark.parametrize("ask", [None, SHAPED], ids=["size", "shape"])
@pytest.mark.parametrize("name", AGREE)
def test_both_branches_give_the_same_where_the_length_is_0(name, ask):
    """Nothing of nothing; and a number of nothing is chosen at run time."""
    empty, nodes, rank = AGREE[name]
    proto = model(choice(empty, nodes, ask), {"x": (FLOAT, [40]), "t": (FLOAT, [1])}, rank=rank)
    same(proto, chosen((40,)))


DIFFER: dict[str, tuple[Any, list[onnx.NodeProto], int]] = {
    "more_than_nothing": (np.ones(2, np.float32), [node("Neg", ["v"], ["r"])], 1),
    "longer": (NOTHING, [node("Concat", ["v", "seven"], ["r"], axis=0)], 1),
    "the_last": (np.array([7], np.float32), [node("Gather", ["v", "back1"], ["r"])], 1),
    "the_best": (np.zeros(5, np.float32), [node("TopK", ["v", "five"], ["r", "j"], axis=0)], 1),
    "pairs": (np.zeros((0, 2), np.float32), [node("Expand", ["v1", "n_2"], ["r"])], 2),
}
"""What does not do for both: it gives something else, or a status, where the length is 0."""
ASK = {
    "equal": [node("Equal", ["n", "zero"], ["is"])],
    "not_more": [node("Greater", ["n", "zero"], ["some"]), node("Not", ["some"], ["is"])],
    "less": [node("Less", ["n", "one"], ["is"])],
    "at_least": [node("GreaterOrEqual", ["zero", "n"], ["is"])],
}


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("name", DIFFER)
def test_one_of_two_branches_runs(name, ask):
    """The result is as long as the longer one can be, and its count is that of the branch that ran."""
    empty, nodes, rank = DIFFER[name]
    shape = [
        node("Unsqueeze", ["v", "at1"], ["v1"]),
        node("Shape", ["v"], ["w"]),
        node("Concat", ["w", "at2"], ["n_2"], axis=0),
        node("Size", ["v"], ["n"]),
    ]
    proto = model(choice(empty, nodes, [*shape, *ASK[ask]]), {"x": (FLOAT, [40]), "t": (FLOAT, [1])}, rank=rank)
    same(proto, chosen((40,)))


def either(then: list[onnx.NodeProto], other: list[onnx.NodeProto], behind: list[onnx.NodeProto]) -> onnx.ModelProto:
    """X[x > t] -> v; r = one or the other, by an input; y is what is behind."""
    made = node("If", ["c"], ["r"], then_branch=branch(then), else_branch=branch(other))
    inputs = {"x": (FLOAT, [40]), "t": (FLOAT, [1]), "c": (TensorProto.BOOL, [1])}
    return model([*VALUES, made, *behind], inputs)


def test_a_length_that_both_branches_keep_stays_that_length():
    """So that what is made of it stands beside what it was made of; a length that one of them changes is another one."""
    kept = [node("Neg", ["v"], ["r"])], [node("Abs", ["v"], ["r"])]
    proto = either(*kept, [node("Add", ["r", "v"], ["y"])])
    same(proto, [{**feed, "c": np.array([c])} for feed in chosen((40,)) for c in (True, False)])
    cut = [node("Slice", ["v", "at0", "five"], ["r"])]
    same(
        either(kept[0], cut, [node("Concat", ["r", "seven"], ["y"], axis=0)]),
        [{**feed, "c": np.array([c])} for feed in chosen((40,)) for c in (True, False)],
    )
    with pytest.raises(UnsupportedModelError, match="two lengths that are only known at run time meet here"):
        rt_engine.load(either(kept[0], cut, [node("Add", ["r", "v"], ["y"])]))


def test_a_branch_that_is_known_keeps_the_outputs_name():
    """What comes of its nodes has the name that the file gives."""
    proto = either([node("Neg", ["v"], ["r"])], [node("Abs", ["v"], ["r"])], [])
    proto.graph.output[0].name = "r"
    loaded = rt_engine.load(proto, values={"c": [True]})
    assert [spec.name for spec in loaded.outputs] == ["r", "r_count"] and loaded.counts == {"r": ("r_count", 0)}


def test_branches_of_other_sizes_without_a_length():
    """Shapes that differ along one axis are a length."""
    two = [node("Constant", [], ["r"], value=numpy_helper.from_array(np.ones(2, np.float32)))]
    proto = either(two, [node("Neg", ["x"], ["r"])], [node("Identity", ["r"], ["y"])])
    same(proto, [{**feed, "c": np.array([c])} for feed in chosen((40,)) for c in (True, False)])


def test_of_branches_of_other_ranks_the_one_that_changes_nothing_stays():
    """As in skl2onnx's KNNImputer, whose other branch nothing behind it takes: who takes it gets a status."""
    column = [node("Unsqueeze", ["v", "at1"], ["r"])]
    proto = either(column, [node("Identity", ["v"], ["r"])], [node("Add", ["r", "v"], ["y"])])
    loaded = rt_engine.load(proto)
    assert "gives tensors of another rank" in loaded.notes[0]
    for feed in chosen((40,)):
        y, n = loaded.run({**feed, "c": np.array([False])})
        np.testing.assert_array_equal(y[: int(n)], 2 * feed["x"][feed["x"] > feed["t"]])
        with pytest.raises(RunError, match="IMPOSSIBLE_BRANCH"):
            loaded.run({**feed, "c": np.array([True])})
    with pytest.raises(UnsupportedModelError, match="has another type or rank"):
        rt_engine.load(either(column, [node("Neg", ["v"], ["r"])], [node("Identity", ["r"], ["y"])]))


def test_missing_values_come_from_the_nearest_rows():
    """A KNNImputer and what follows, as skl2onnx writes it: functions of another opset, an If for each column."""
    need.package("skl2onnx")
    from skl2onnx import to_onnx
    from sklearn.impute import KNNImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 3)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows = rows[~np.isnan(rows).all(axis=1)]
    pipeline = make_pipeline(KNNImputer(n_neighbors=2), LinearRegression()).fit(rows, np.arange(len(rows)))
    proto = to_onnx(pipeline, rows[:1])
    loaded, theirs = rt_engine.load(proto, shapes={"X": (4, 3)}), peer(proto)
    for feed in (rows[:4], rows[4:8], np.nan_to_num(rows[:4])):
        np.testing.assert_allclose(loaded.run({"X": feed})[0], theirs.run(None, {"X": feed})[0], rtol=1e-4)


def test_lists_of_the_same_lengths_stay_beside_each_other():
    """Boxes and scores of several levels, put together each on its own, have one length."""
    nodes = [
        *VALUES,
        node("Gather", ["found", "zero"], ["i"], axis=0),
        node("Cast", ["i"], ["f"], to=FLOAT),
        node("Concat", ["v", "seven", "v"], ["a"], axis=0),
        node("Concat", ["f", "seven", "f"], ["b"], axis=0),
        node("Add", ["a", "b"], ["y"]),
    ]
    same(model(nodes, {"x": (FLOAT, [40]), "t": (FLOAT, [1])}), chosen((40,)))


def test_boxes_of_classes_are_suppressed_apart():
    """As torchvision writes batched_nms: an If on no boxes, offsets by class, and the best of what is left."""
    inside = [
        node("ReduceMax", ["boxes"], ["peak"], keepdims=0),
        node("Mul", ["labels", "peak"], ["o"]),
        node("Unsqueeze", ["o", "at1"], ["u"]),
        node("Add", ["boxes", "u"], ["p"]),
        node("Unsqueeze", ["p", "at0"], ["q"]),
        node("Unsqueeze", ["v", "at0"], ["s1"]),
        node("Unsqueeze", ["s1", "at0"], ["s2"]),
        node("NonMaxSuppression", ["q", "s2", "hundred", "half"], ["k"]),
        node("Gather", ["k", "at2"], ["g"], axis=1),
        node("Squeeze", ["g", "at1"], ["r"]),
    ]
    nodes = [
        *VALUES,
        node("Gather", ["found", "zero"], ["i"], axis=0),
        node("Mod", ["i", "at2"], ["label"]),
        node("Cast", ["label"], ["labels"], to=FLOAT),
        node("Gather", ["b", "i"], ["some"]),
        node("Shape", ["some"], ["shape"]),
        node("Gather", ["shape", "one"], ["width"]),
        node("Gather", ["shape", "zero"], ["number"]),
        node("Unsqueeze", ["number", "at0"], ["n1"]),
        node("Unsqueeze", ["width", "at0"], ["w1"]),
        node("Concat", ["n1", "w1"], ["to"], axis=0),
        node("Reshape", ["some", "to"], ["boxes"]),
        node("Size", ["boxes"], ["n"]),
        node("Equal", ["n", "zero"], ["is"]),
        node(
            "If",
            ["is"],
            ["kept"],
            then_branch=branch([], np.zeros(0, np.int64), INT64),
            else_branch=branch(inside, None, INT64),
        ),
        node("Slice", ["kept", "at0", "five"], ["few"]),
        node("Gather", ["boxes", "few"], ["y"]),
    ]
    rng = np.random.default_rng(2)
    corner = rng.random((40, 2)) * 20
    boxes = np.concatenate([corner, corner + rng.random((40, 2)) * 9], 1).astype(np.float32)
    proto = model(nodes, {"x": (FLOAT, [40]), "t": (FLOAT, [1]), "b": (FLOAT, [40, 4])}, rank=2)
    same(proto, [{**feed, "b": boxes} for feed in chosen((40,))])


def test_results_that_are_one_value_keep_their_names():
    """A list put together of one, and that one itself, are both results."""
    proto = model([*VALUES, node("Concat", ["v"], ["y"], axis=0)], {"x": (FLOAT, [40]), "t": (FLOAT, [1])})
    for name in ("v", "w"):
        proto.graph.output.append(helper.make_tensor_value_info(name, FLOAT, ["n"]))
    proto.graph.node.append(node("Concat", ["v"], ["w"], axis=0))
    names = [spec.name for spec in rt_engine.load(proto).outputs]
    assert names == ["y", "v", "w", "y_count", "v_count", "w_count"]
    same(proto, chosen((40,)))
