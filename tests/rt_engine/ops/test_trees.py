"""Ensembles of trees: ONNX Runtime's results, also exactly at the thresholds, and hostile trees refused when loaded."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import InvalidModelError, UnsupportedModelError
from rt_engine.ops.packing import tree_layouts, trees
from tests.rt_engine.ops.forests import (
    MODES,
    ensemble_model,
    every_width,
    leaf_weights,
    on_thresholds,
    random_nodes,
)

onnxruntime.set_default_logger_severity(4)
VALUES = np.array([-1.5, -0.1, 0.0, 0.1, 0.7, 3.0])
TYPES = (np.float32, np.float64)


def reference(model, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def assert_agrees(model, x):
    got = rt_engine.load(model, shapes={"x": x.shape}).run({"x": x})
    for ours, theirs in zip(got, reference(model, x), strict=True):
        if ours.dtype == np.int64:
            assert np.array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("mode", [*MODES, "mixed"])
@pytest.mark.parametrize("missing", [False, True])
def test_every_mode_exactly_at_the_thresholds(mode, missing, dtype):
    """Thresholds, their neighbours, zeros, infinities and NaN go where ONNX Runtime sends them."""
    rng = np.random.default_rng(5)
    nodes = random_nodes(rng, 11, 5, 4, MODES if mode == "mixed" else (mode,), VALUES.astype(np.float32), missing)
    model = ensemble_model("target", nodes, leaf_weights(rng, nodes, [0], -1), 4, 1, dtype, n_targets=1)
    assert_agrees(model, on_thresholds(rng, VALUES.astype(np.float32), 200, 4, dtype, nan=True))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3, 20])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_aggregate(aggregate, targets, dtype):
    """Folds over trees, with base values, for one target, few and many."""
    rng = np.random.default_rng(targets)
    nodes = random_nodes(rng, 9, 4, 5, MODES[:1], VALUES.astype(np.float32), False)
    weights = leaf_weights(rng, nodes, list(range(targets)), -1)
    base = rng.normal(size=targets).astype(np.float32).tolist()
    options = {"n_targets": targets, "aggregate_function": aggregate, "base_values": base}
    model = ensemble_model("target", nodes, weights, 5, targets, dtype, **options)
    assert_agrees(model, on_thresholds(rng, VALUES.astype(np.float32), 30, 5, dtype, nan=False))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("case", ["three", "first of two", "second of two"])
def test_classifiers(case, low, transform):
    """Labels and full scores of three classes, and of two with weights for one of them."""
    if case != "three" and transform == "PROBIT":
        return
    rng = np.random.default_rng(3)
    used = {"three": [0, 1, 2], "first of two": [0], "second of two": [1]}[case]
    labels = [5, 9, 2] if case == "three" else [5, 9]
    nodes = random_nodes(rng, 6, 4, 3, ("BRANCH_LT",), VALUES.astype(np.float32), True)
    weights = leaf_weights(rng, nodes, used, low)
    if transform == "PROBIT":
        weights["weights"] = (np.abs(weights["weights"]) / 7).tolist()
    options = {"classlabels_int64s": labels, "post_transform": transform}
    model = ensemble_model("class", nodes, weights, 3, len(labels), **options)
    assert_agrees(model, on_thresholds(rng, VALUES.astype(np.float32), 60, 3, np.float32, nan=True))


def test_two_classes_with_weights_for_both_have_the_label_of_the_larger_score():
    """As ONNX's reference says; ONNX Runtime gives 1 or 0 there, whatever the labels are."""
    rng = np.random.default_rng(2)
    nodes = random_nodes(rng, 3, 3, 2, MODES[:1], VALUES.astype(np.float32), False)
    model = ensemble_model("class", nodes, leaf_weights(rng, nodes, [0, 1], 0), 2, 2, classlabels_int64s=[5, 9])
    x = on_thresholds(rng, VALUES, 40, 2, np.float32, nan=False)
    label, scores = rt_engine.load(model, shapes={"x": x.shape}).run({"x": x})
    assert np.array_equal(scores, reference(model, x)[1])
    assert np.array_equal(label, np.array([5, 9])[scores.argmax(axis=1)])


def test_string_labels_become_indices():
    """The label is the place in the list of names."""
    rng = np.random.default_rng(2)
    nodes = random_nodes(rng, 3, 3, 2, MODES[:1], VALUES.astype(np.float32), False)
    weights = leaf_weights(rng, nodes, [0, 1, 2], 0)
    model = ensemble_model("class", nodes, weights, 2, 3, classlabels_strings=["red", "green", "blue"])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    x = on_thresholds(rng, VALUES, 40, 2, np.float32, nan=False)
    label, _ = rt_engine.load(model, shapes={"x": x.shape}).run({"x": x})
    assert label.dtype == np.int64
    assert [["red", "green", "blue"][i] for i in label] == reference(model, x)[0].tolist()


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("targets", [1, 2])
def test_every_layout_gives_the_same_bits(depth, targets, monkeypatch):
    """Full trees, and linked nodes of 8 and of 16 bytes: the same decisions and sums."""
    rng = np.random.default_rng(depth)
    nodes = random_nodes(rng, 19, depth, 4, MODES[:4], VALUES.astype(np.float32), True)
    weights = leaf_weights(rng, nodes, list(range(targets)), -1)
    model = ensemble_model("target", nodes, weights, 4, targets, n_targets=targets)
    x = on_thresholds(rng, VALUES.astype(np.float32), 50, 4, np.float32, nan=True)
    models = [rt_engine.load(model, shapes={"x": x.shape})]
    for limit in ("_MOST_FLAT", "_MOST_NARROW"):
        monkeypatch.setattr(tree_layouts, limit, 4)
        models.append(rt_engine.load(model, shapes={"x": x.shape}))
    assert [m.program.kernels[-1] for m in models] == ["trees_flat", "trees_f32", "trees_f32_big"]
    assert len({m.run({"x": x})[0].tobytes() for m in models}) == 1


@pytest.mark.parametrize(
    ("depth", "features", "kernel"), [(6, 256, "trees_flat"), (6, 257, "trees_f32"), (7, 9, "trees_f32")]
)
def test_what_is_too_large_for_full_trees_is_linked(depth, features, kernel):
    """More than 6 branches on a path, or more keys than a byte can name."""
    rng = np.random.default_rng(4)
    nodes = random_nodes(rng, 5, depth, features, MODES[:1], VALUES.astype(np.float32), False)
    model = ensemble_model("target", nodes, leaf_weights(rng, nodes, [0], -1), features, 1, n_targets=1)
    x = on_thresholds(rng, VALUES.astype(np.float32), 20, features, np.float32, nan=True)
    assert rt_engine.load(model, shapes={"x": x.shape}).program.kernels == (kernel,)
    assert_agrees(model, x)


def test_bits_do_not_depend_on_the_lane_width():
    """Sums over trees have one order."""
    rng = np.random.default_rng(8)
    nodes = random_nodes(rng, 30, 4, 20, MODES[:1], VALUES.astype(np.float32), True)
    model = ensemble_model("target", nodes, leaf_weights(rng, nodes, list(range(7)), -1), 20, 7, n_targets=7)
    x = on_thresholds(rng, VALUES.astype(np.float32), 20, 20, np.float32, nan=True)
    feeds, shapes = {"x": x}, {"x": x.shape}
    results = {rt_engine.load(model, shapes=shapes, library=k).run(feeds)[0].tobytes() for k in every_width("trees")}
    assert len(results) == 1


def test_keys_have_the_order_of_the_numbers():
    """Larger numbers have larger keys, both zeros have one, and NaN has room above and below."""
    for dtype in TYPES:
        info = np.finfo(dtype)
        values = np.array(
            [-np.inf, info.min, -1, -info.tiny, -info.smallest_subnormal, 0, info.smallest_subnormal, 1, np.inf]
        )
        keys = trees.keys_of(values.astype(dtype))
        assert (np.diff(keys.astype(object)) > 0).all()
        assert trees.keys_of(np.array([-0.0, 0.0], dtype)).tolist() == [keys[5]] * 2
        assert keys[0] > 1 and int(keys[-1]) < 2 ** (8 * values.astype(dtype).itemsize) - 1


def newer(x_type, **attributes):
    node = helper.make_node("TreeEnsemble", ["x"], ["scores"], domain="ai.onnx.ml", **attributes)
    x, y = (helper.make_tensor_value_info(n, x_type, ["batch", k]) for n, k in (("x", 2), ("scores", 2)))
    graph = helper.make_graph([node], "trees", [x], [y])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def members_model(dtype, missing=0):
    return newer(
        TensorProto.FLOAT if dtype is np.float32 else TensorProto.DOUBLE,
        n_targets=2,
        aggregate_function=1,
        post_transform=0,
        tree_roots=[0],
        nodes_featureids=[0, 1, 0],
        nodes_modes=numpy_helper.from_array(np.array([6, 0, 6], np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array([0, 0.5, 0], dtype)),
        nodes_truenodeids=[1, 0, 2],
        nodes_trueleafs=[0, 1, 1],
        nodes_falsenodeids=[2, 1, 3],
        nodes_falseleafs=[0, 1, 1],
        nodes_missing_value_tracks_true=[missing, 0, 0],
        leaf_targetids=[0, 1, 0, 1],
        leaf_weights=numpy_helper.from_array(np.array([1, 10, 100, 1000], dtype)),
        membership_values=numpy_helper.from_array(np.array([1.5, 3, 7, np.nan, -2, 0, np.nan], dtype)),
    )


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("missing", [0, 1])
def test_membership(dtype, missing):
    """Members, their neighbours and NaN: who is in the set goes to the true side."""
    members = np.array([1.5, 3, 7], dtype)
    pool = np.concatenate([members, np.nextafter(members, 9), np.nextafter(members, -9), [-2, 0, -0.0, 9, np.nan]])
    x = np.stack([pool, np.linspace(0, 1, len(pool))], axis=1).astype(dtype)
    expected = np.zeros((len(x), 2))
    for row, (a, b) in zip(expected, x, strict=True):
        if a in members or (missing and np.isnan(a)):
            leaf = (0, 1) if b <= 0.5 else (1, 10)
        else:
            leaf = (0, 100) if a in (-2, 0) else (1, 1000)
        row[leaf[0]] = leaf[1]
    (got,) = rt_engine.load(members_model(dtype, missing), shapes={"x": x.shape}).run({"x": x})
    assert np.array_equal(got, expected)


def stump(**changes):
    attributes = {
        "nodes_treeids": [0, 0, 0, 0, 0],
        "nodes_nodeids": [0, 1, 2, 3, 4],
        "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_values": [0.5, 0.5, 0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 3, 0, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0],
        "target_treeids": [0, 0, 0],
        "target_nodeids": [2, 3, 4],
        "target_ids": [0, 0, 0],
        "target_weights": [1.0, 2.0, 3.0],
        "n_targets": 1,
    } | changes
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k]) for n, k in (("x", 2), ("y", 1)))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(helper.make_graph([node], "t", [x], [y]), opset_imports=opsets, ir_version=9)


def test_the_stump_runs():
    assert rt_engine.load(stump()).run({"x": np.array([[0.0, 9.0]], np.float32)})[0].item() == 3.0


def test_a_repeated_weight_of_the_only_target_counts_once():
    """As in ONNX Runtime; skl2onnx repeats a leaf's number for each class (`decision_leaf`)."""
    repeated = stump(
        target_treeids=[0] * 4, target_nodeids=[2, 3, 4, 4], target_ids=[0] * 4, target_weights=[1.0, 2.0, 3.0, 3.0]
    )
    feeds = {"x": np.array([[0.0, 9.0]], np.float32)}
    session = onnxruntime.InferenceSession(repeated.SerializeToString())
    assert rt_engine.load(repeated).run(feeds)[0] == session.run(None, feeds)[0] == 3.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "loop"),
        ({"nodes_truenodeids": [1, 1, 0, 0, 0]}, "loop"),
        ({"nodes_truenodeids": [1, 77, 0, 0, 0]}, "node 77, which is not there"),
        ({"nodes_falsenodeids": [2, -1, 0, 0, 0]}, "node -1, which is not there"),
        ({"nodes_featureids": [0, 2, 0, 0, 0]}, "feature 2 of 2"),
        ({"nodes_featureids": [0, -1, 0, 0, 0]}, "feature -1 of 2"),
        ({"nodes_values": [0.5, float("nan"), 0.0, 0.0, 0.0]}, "threshold is NaN"),
        ({"nodes_values": [0.5, 0.5]}, "different lengths"),
        ({"nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "OAK"]}, "unknown modes"),
        ({"nodes_nodeids": [0, 1, 2, 3, 3]}, "same number"),
        ({"target_ids": [0, 0, 1]}, "outside of 0 to 0"),
        ({"target_ids": [0, 0, -1]}, "outside of 0 to 0"),
        ({"target_nodeids": [2, 3, 9]}, "node 9, which is not there"),
        ({"target_nodeids": [2, 3, 1]}, "a branch has a weight"),
        ({"target_nodeids": [2, 3, 3]}, "two weights"),
        ({"n_targets": 1 << 40}, "targets are too many|shape"),
        ({"n_targets": -1}, "n_targets|shape|-1"),
        ({"base_values": [1.0, 2.0]}, "2 base values for 1 target"),
        ({"aggregate_function": "MEDIAN"}, "MEDIAN"),
        ({"post_transform": "SQUASH"}, "SQUASH"),
    ],
)
def test_hostile_trees_are_refused(changes, words):
    """With the reason; nothing hangs, nothing is read out of bounds."""
    if "post_transform" in changes:
        changes = changes | {"n_targets": 2}
    with pytest.raises((UnsupportedModelError, InvalidModelError), match=words):
        rt_engine.load(stump(**changes))


def test_a_classifier_without_classes_names_who_writes_it():
    """CatBoost, for a regression of several numbers; ONNX Runtime refuses it too."""
    proto = stump()
    (node,) = proto.graph.node
    node.op_type = "TreeEnsembleClassifier"
    node.output.append("scores")
    for attribute in list(node.attribute):
        if attribute.name == "n_targets":
            node.attribute.remove(attribute)
        attribute.name = attribute.name.replace("target_", "class_")
    with pytest.raises(UnsupportedModelError, match="it has 0 class labels; CatBoost writes"):
        rt_engine.load(proto)


def test_a_tree_that_is_too_deep_is_refused():
    """A chain of branches costs its length in every run."""
    depth = trees.DEEPEST + 1
    count = 2 * depth + 1
    with pytest.raises(UnsupportedModelError, match="4,096 branches"):
        rt_engine.load(
            stump(
                nodes_treeids=[0] * count,
                nodes_nodeids=list(range(count)),
                nodes_featureids=[0] * count,
                nodes_values=[0.5] * count,
                nodes_modes=["BRANCH_LEQ"] * depth + ["LEAF"] * (depth + 1),
                nodes_truenodeids=[*range(1, depth), 2 * depth] + [0] * (depth + 1),
                nodes_falsenodeids=[*range(depth, 2 * depth)] + [0] * (depth + 1),
                target_treeids=[0] * (depth + 1),
                target_nodeids=[*range(depth, count)],
                target_ids=[0] * (depth + 1),
                target_weights=[1.0] * (depth + 1),
            )
        )


def test_branches_may_share_a_child():
    """As exporters write tests for several values: it costs no more memory, and the longest path counts."""
    model = stump(nodes_truenodeids=[1, 3, 0, 0, 0], nodes_falsenodeids=[4, 4, 0, 0, 0])
    got = [rt_engine.load(model).run({"x": np.array([x], np.float32)})[0].item() for x in ([0, 0], [0, 1], [1, 0])]
    assert got == [2.0, 3.0, 3.0]
