"""Models as one block of Structured Text compute what the engine computes."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import rt_engine
from plc_bindings.errors import BindingError, ExportError
from plc_bindings.st.inline import inline_block
from plc_bindings.st.inline_writer import number
from rt_engine.ops.packing import tree_layouts
from tests import ROOT
from tests.plc_bindings.st.evaluator import Program
from tests.plc_bindings.st.inlined import Inlined, graph, mlp, same

GOLDEN = ROOT / "tests" / "exporters" / "golden"
TOO_LARGE = "policy-slow"  # it is in the demo to be refused
DEMO = [path for path in sorted((ROOT / "station" / "demo" / "data").glob("*.onnx")) if path.stem != TOO_LARGE]
F32 = np.float32

EXACT = """
    lightgbm_missing lightgbm_regressor_regression sklearn_boosting_regressor sklearn_extra_trees_classes
    sklearn_forest_binary sklearn_forest_classes sklearn_forest_float64 sklearn_forest_names sklearn_forest_outputs
    sklearn_forest_regressor sklearn_forest_zipmap sklearn_tree_binary sklearn_tree_classes sklearn_tree_regressor
    xgboost_missing xgboost_regressor_regression sklearn_standard_scaler sklearn_binarizer sklearn_imputer
""".split()  # noqa: SIM905 (a page of names reads better than a page of quotes)
"""Comparisons, and sums in the same order: the same bits."""
CLOSE = """
    lightgbm_classifier_classes sklearn_boosting_binary sklearn_columns sklearn_hist_classes sklearn_kmeans sklearn_lda
    sklearn_kmeans_float64 sklearn_linear_regression sklearn_linear_svc sklearn_linear_svr sklearn_logistic_binary
    sklearn_logistic_classes sklearn_minmax_clip_ridge sklearn_mlp_classifier_binary sklearn_mlp_classifier_classes
    sklearn_mlp_classifier_float64 sklearn_mlp_classifier_tanh sklearn_mlp_regressor_logistic sklearn_mlp_regressor_relu
    sklearn_normalizer_l1 sklearn_normalizer_l2 sklearn_pca_whiten sklearn_polynomial sklearn_qda sklearn_robust_scaler
    sklearn_sgd_log sklearn_stacking sklearn_union xgboost_classifier_classes torch_batch_norm_mlp_dynamo
    torch_classifier_script torch_layer_norm_dynamo torch_linear_on_3d_script torch_log_classifier_dynamo torch_mlp_celu_dynamo
    torch_mlp_elu_script torch_mlp_gelu_dynamo torch_mlp_gelu_tanh_dynamo torch_mlp_hardsigmoid_script torch_mlp_hardswish_dynamo
    torch_mlp_hardtanh_script torch_mlp_leaky_relu_dynamo torch_mlp_mish_dynamo torch_mlp_prelu_channels_dynamo
    torch_mlp_relu6_script torch_mlp_selu_dynamo torch_mlp_silu_dynamo torch_mlp_softplus_script torch_mlp_softsign_dynamo
    torch_policy_odd_widths_dynamo torch_residual_script torch_static_batch_7_dynamo torch_two_inputs_dynamo
    torch_fn_arg_script torch_fn_min_max_clip_dynamo torch_fn_powers_script torch_fn_reduce_dynamo torch_fn_softmax_dynamo
    torch_fn_slice_script torch_fn_triangles_dynamo torch_fn_logic_script torch_fn_compare_script torch_rnn_dynamo
    sklearn_adaboost sklearn_gaussian_nb_names sklearn_mixture sklearn_voting sklearn_bins torch_fn_cast_script torch_fn_norms_dynamo
""".split()  # noqa: SIM905 (a page of names reads better than a page of quotes)
REFUSED = {
    "sklearn_svc_rbf_binary": "svm",
    "sklearn_knn": "control flow",
    "sklearn_ordinal": "lookup",
    "torch_gru_script": "gru_f32",
    "torch_multihead_dynamo": "both computed",
    "torch_float64_gelu_script": "only there for float32",
    "torch_fn_order_script": "topk",
}
"""Golden model -> why."""


def compared(inlined: Inlined, rounds: int = 6):
    """(what the block gives, what the engine gives) for random inputs, one of them with NaN."""
    rng = np.random.default_rng(3)
    for i in range(rounds):
        feeds = inlined.random(rng)
        if i == rounds - 1:
            for x in feeds.values():
                if x.dtype.kind == "f":
                    x.reshape(-1)[rng.integers(x.size)] = np.nan
        yield from zip(inlined.run(feeds), inlined.model.run(feeds), strict=True)


@pytest.mark.parametrize("name", EXACT)
def test_trees_and_scalers_give_the_same_bits(name):
    """Models that only compare, add, subtract and multiply; NaN too."""
    for got, want in compared(Inlined(GOLDEN / f"{name}.onnx"), rounds=12):
        assert same(got, want), (got, want)


@pytest.mark.parametrize("name", ["sklearn_boosting_regressor", "xgboost_missing"])
def test_full_trees_are_written_without_what_fills_them(name, monkeypatch):
    """The block is the one that linked trees make."""
    full = Inlined(GOLDEN / f"{name}.onnx")
    monkeypatch.setattr(tree_layouts, "_MOST_FLAT", 0)
    linked = Inlined(GOLDEN / f"{name}.onnx")
    assert "trees_flat" in full.model.program.kernels and "trees_f32" in linked.model.program.kernels
    assert full.block.text == linked.block.text


@pytest.mark.parametrize("name", CLOSE)
def test_other_models_agree_to_rounding(name):
    """Labels are the same; numbers to 1e-5 of the largest in float32, 1e-12 in float64; NaN where the engine has NaN."""
    for got, want in compared(Inlined(GOLDEN / f"{name}.onnx")):
        if want.dtype.kind != "f":
            assert same(got, want)
            continue
        assert np.array_equal(np.isnan(got), np.isnan(want))
        if np.isnan(want).all():
            continue
        tolerance = 1e-5 if want.dtype == F32 else 1e-12
        assert np.nanmax(abs(got.astype(np.float64) - want)) <= tolerance * np.nanmax(abs(want))


@pytest.mark.parametrize("path", DEMO, ids=lambda p: p.stem)
def test_models_of_the_demo(path):
    """The policies and the anomaly detector."""
    for got, want in compared(Inlined(path), rounds=3):
        assert np.allclose(got, want, rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_is_refused_with_reason(name):
    """Node, operator, why, and what helps; nothing else is computed quietly."""
    with pytest.raises(ExportError, match=REFUSED[name]) as caught:
        inline_block(GOLDEN / f"{name}.onnx")
    text = str(caught.value)
    assert f"{name}.onnx cannot be inlined:\n  - " in text and ";" in text


@pytest.mark.slow
def test_all_golden_models_agree_or_are_refused():
    """Nothing in between: no other error, no other numbers."""
    inlined, refused = 0, {}
    for path in sorted(GOLDEN.glob("*.onnx")):
        try:
            made = Inlined(path)
        except ExportError as error:
            refused[path.name] = str(error)
            continue
        inlined += 1
        for got, want in compared(made, rounds=2):
            tolerance = {"float32": 1e-5, "float64": 1e-12}.get(want.dtype.name, 0.0)
            off = np.nan_to_num(abs(got.astype(np.float64) - want)).max(initial=0)
            assert off <= tolerance * np.nan_to_num(abs(want.astype(np.float64))).max(initial=0), path.name
    assert inlined > 220
    assert [name for name, why in refused.items() if f"{name} cannot be inlined:\n  - " not in why] == []


def naive(weights, biases, x, relu):
    """The documented order: from the bias, over k in rising order, product and sum rounded to float32."""
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        total = b.copy()
        for k in range(w.shape[0]):
            total = total + w[k] * x[k]
        x = np.where(total < 0, F32(0), total) if relu and i < len(weights) - 1 else total
    return x


@given(widths=st.lists(st.integers(1, 37), min_size=2, max_size=4), seed=st.integers(0, 2**32 - 1), relu=st.booleans())
@settings(max_examples=25, deadline=None)
def test_random_networks_are_summed_as_documented(widths, seed, relu):
    """Bit for bit the naive sums, for odd sizes too; and as far from the engine as two orders of rounding can be."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s).astype(F32) for s in pairwise(widths)]
    biases = [rng.normal(size=w.shape[1]).astype(F32) for w in weights]
    inlined = Inlined(mlp(weights, biases, "Relu" if relu else None))
    feeds = inlined.random(rng)
    (got,), (engine,) = inlined.run(feeds), inlined.model.run(feeds)
    assert same(got[0], naive(weights, biases, feeds["x"][0], relu))
    size = np.abs(feeds["x"][0]).astype(np.float64)
    for w, b in zip(weights, biases, strict=True):
        size = size @ abs(w) + abs(b)
    assert (abs(got[0].astype(np.float64) - engine[0]) <= 2 * sum(w + 1 for w in widths) * 2.0**-24 * size).all()


def ensemble(modes, splits, missing, dtype=F32):
    """One tree: a chain of branches on feature i, whose true side is a leaf."""
    count = len(modes)
    ids, kinds, true, false, values, tracks = [], [], [], [], [], []
    for i in range(count):
        ids += [2 * i, 2 * i + 1]
        kinds += [modes[i], "LEAF"]
        true, false = [*true, 2 * i + 1, 0], [*false, 2 * i + 2, 0]
        values, tracks = [*values, splits[i], 0.0], [*tracks, int(missing[i]), 0]
    ids.append(2 * count)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * len(ids),
        nodes_nodeids=ids,
        nodes_featureids=[f for i in range(count) for f in (i, 0)] + [0],
        nodes_modes=[*kinds, "LEAF"],
        nodes_values=[*map(float, values), 0.0],
        nodes_truenodeids=[*true, 0],
        nodes_falsenodeids=[*false, 0],
        nodes_missing_value_tracks_true=[*tracks, 0],
        target_treeids=[0] * (count + 1),
        target_nodeids=[*(2 * i + 1 for i in range(count)), 2 * count],
        target_ids=[0] * (count + 1),
        target_weights=[float(i + 1) for i in range(count + 1)],
    )
    return graph([node], {"x": [1, count]}, {"y": [1, 1]})


_EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    float("inf"),
    float("-inf"),
    float("nan"),
    1.1754944e-38,
    -1.1754944e-38,
    0.1,
    3.4028235e38,
]


@given(
    branches=st.lists(
        st.tuples(
            st.sampled_from(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]),
            st.sampled_from([0.0, 1.0, -1.0, 0.1]),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_every_way_to_branch(branches, data):
    """All modes, missing values on both sides, thresholds at zero, infinities and neighbours of zero as inputs: the same leaf."""
    inlined = Inlined(ensemble(*zip(*branches, strict=True)))
    for _ in range(4):
        x = data.draw(st.lists(st.sampled_from(_EDGES), min_size=len(branches), max_size=len(branches)))
        feeds = {"x": np.array([x], F32)}
        assert same(inlined.run(feeds)[0], inlined.model.run(feeds)[0])


def test_walk_of_a_tree_takes_as_long_for_every_input():
    """Its steps are the depth, whatever the input: the header says so."""
    block = Inlined(ensemble(["BRANCH_LEQ"] * 5, [0.5] * 5, [0] * 5)).block
    assert block.cost["steps of trees"] == 5 and "5 steps of trees" in block.text
    assert "EXIT" not in block.text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_literals_of_real_read_back_as_the_same_number(value):
    """Nine digits are enough; a point and digits behind it are always there; what is too small to be normal is zero."""
    text = number(F32(value), np.dtype(F32))
    assert F32(float(text)) == (F32(value) if abs(value) >= np.finfo(F32).tiny else 0) and abs(float(text)) <= float(
        np.finfo(F32).max
    )
    assert re.fullmatch(r"-?\d+\.\d+(E-?\d+)?", text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_literals_of_lreal_read_back_as_the_same_number(value):
    """Seventeen digits; what is too small to be normal is zero, as in the engine."""
    text = number(np.float64(value), np.dtype(np.float64))
    normal = abs(value) >= np.finfo(np.float64).tiny
    assert float(text) == (value if normal else 0) and re.fullmatch(r"-?\d+\.\d+(E-?\d+)?", text)


@pytest.mark.parametrize(
    ("constant", "why"),
    [
        (np.array([[1.0, np.inf, 2.0]], F32), "one of its constants of 'offsets' is inf"),
        (np.array(np.nan, F32), "one of its constants of 'offsets' is nan"),
    ],
)
def test_a_constant_that_cannot_be_written_is_named(constant, why):
    """Node, tensor, value."""
    nodes = [helper.make_node("Max", ["x", "offsets"], ["y"], name="highest")]
    model = graph(nodes, {"x": [1, 3]}, {"y": [1, 3]}, offsets=constant)
    with pytest.raises(ExportError, match=rf"highest \(Max\): {why}"):
        inline_block(model)


_LIMITS = np.finfo(np.float64)


@pytest.mark.parametrize(
    "value", [_LIMITS.max, _LIMITS.tiny, 1e-300, -1e-39, 3.5e38, -(2.0**1023), 2.0**-1022, 2.0**128]
)
def test_lreal_beyond_real_is_a_product_with_the_same_bits(value):
    """No compiler of matiec's family takes its literal: alone, and among others in an array, it is computed."""
    x = {"x": ([1, 3], TensorProto.DOUBLE)}
    nodes = [helper.make_node("Max", ["x", "c"], ["y"]), helper.make_node("Min", ["x", "d"], ["z"])]
    ends = {"y": ([1, 3], TensorProto.DOUBLE), "z": ([1, 3], TensorProto.DOUBLE)}
    inlined = Inlined(graph(nodes, x, ends, c=np.array([[1.0, value, 2.0]]), d=np.array(value)))
    assert too_wide(inlined.block.text) == [] and too_wide("x := 1.0E39;") and too_wide("x := 1.0E-39;")
    feeds = {"x": np.array([[-_LIMITS.max, -_LIMITS.max, _LIMITS.max]])}
    assert [same(g, w) for g, w in zip(inlined.run(feeds), inlined.model.run(feeds), strict=True)] == [True, True]


def too_wide(text: str) -> list[str]:
    """Literals that REAL does not reach."""
    single = np.finfo(np.float32)
    found = re.findall(r"(?<![\w.])\d+\.\d+(?:E[-+]?\d+)?", re.sub(r"\(\*.*?\*\)", "", text, flags=re.S))
    return [one for one in found if float(one) and not float(single.tiny) <= float(one) <= 3.4028236e38]


def table_of_errors() -> list[tuple[str, float, str]]:
    """(function, ulp, of what) of docs/st-inline.md."""
    page = (ROOT / "docs" / "st-inline.md").read_text()
    return [(n, float(u), of) for n, u, of in re.findall(r"^\| (\w+) \| ([\d.]+) \| (.+?) \|$", page, re.M)]


def _truth():
    from scipy import special

    def below(x, p, q=1.0):
        return q * np.where(x < 0, p * np.expm1(np.minimum(x, 0)), x)

    return {
        "tanh": ("Tanh", {}, np.tanh),
        "sigmoid": ("Sigmoid", {}, special.expit),
        "elu": ("Elu", {"alpha": 0.75}, lambda x: below(x, 0.75)),
        "selu": ("Selu", {}, lambda x: below(x, float(F32(1.6732632)), float(F32(1.0507010)))),
        "celu": ("Celu", {"alpha": 0.75}, lambda x: np.where(x < 0, 0.75 * np.expm1(np.minimum(x, 0) / 0.75), x)),
        "softplus": ("Softplus", {}, lambda x: np.logaddexp(0, x)),
        "mish": ("Mish", {}, lambda x: x * np.tanh(np.logaddexp(0, x))),
        "erf": ("Erf", {}, special.erf),
        "gelu": ("Gelu", {}, lambda x: x * special.ndtr(x)),
        "gelu_tanh": (
            "Gelu",
            {"approximate": "tanh"},
            lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        ),
        "softsign": ("Softsign", {}, lambda x: x / (1 + abs(x))),
        "hardsigmoid": ("HardSigmoid", {"alpha": 0.75, "beta": 0.25}, lambda x: np.clip(0.75 * x + 0.25, 0, 1)),
        "hardswish": ("HardSwish", {}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        "leakyrelu": ("LeakyRelu", {"alpha": 0.75}, lambda x: np.where(x < 0, 0.75 * x, x)),
    }


@pytest.mark.parametrize(("name", "bound", "of"), table_of_errors(), ids=lambda v: str(v))
def test_functions_are_as_exact_as_the_page_says(name, bound, of):
    """Against float64, with an EXP that is correctly rounded; and NaN gives NaN."""
    operator, attributes, truth = _truth()[name]
    spaced = [
        np.linspace(-20, 20, 1501),
        np.linspace(-1.5, 1.5, 1501),
        np.geomspace(1e-30, 86, 500),
        -np.geomspace(1e-30, 86, 500),
    ]
    x = np.append(np.unique(np.concatenate(spaced).astype(F32)), F32(np.nan))
    model = graph([helper.make_node(operator, ["x"], ["y"], **attributes)], {"x": [1, x.size]}, {"y": [1, x.size]})
    got = Inlined(model).run({"x": x[None]})[0][0].astype(np.float64)
    assert np.isnan(got[-1])
    x, got = x[:-1].astype(np.float64), got[:-1]
    want = truth(x)
    scale = {
        "the result": 0 * x,
        "x/2": abs(x) / 2,
        "x/32": abs(x) / 32,
        "the result, or 1/2 if that is larger": 0 * x + 0.5,
    }[of]
    unit = np.spacing(np.maximum(np.maximum(abs(want), scale), 2.0**-126).astype(F32)).astype(np.float64)
    worst = (abs(got - want) / unit).max()
    assert worst <= bound, worst
    assert worst > 0.4 * bound, f"the page could say {worst:.2f}"


def test_header_says_what_a_call_costs():
    """Multiply-adds and elementary functions, counted."""
    rng = np.random.default_rng(0)
    sizes = [5, 8, 7, 1]
    weights = [rng.normal(size=s).astype(F32) for s in pairwise(sizes)]
    block = inline_block(mlp(weights, [np.ones(w.shape[1], F32) for w in weights], "Tanh"), name="FB_Net")
    assert block.cost["multiply-adds"] == 5 * 8 + 8 * 7 + 7
    assert block.cost["elementary functions (EXP, LN, SQRT, SIN, COS)"] == 15
    assert "One call does 103 multiply-adds, 15 elementary functions" in block.text


def test_too_large_models_are_refused():
    """With what they have, what is allowed, and what helps; before and after lines are written."""
    for k, n in ((400, 400), (1000, 1000)):
        with pytest.raises(ExportError, match=r"too large to be inlined: it .*; at most 100,000 numbers .* server"):
            inline_block(mlp([np.ones((k, n), F32)], [np.ones(n, F32)], None))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_constants_that_cannot_be_written_are_refused(value):
    """Structured Text has no literal for infinity and NaN."""
    w = np.ones((3, 2), F32)
    w[1, 1] = value
    with pytest.raises(ExportError, match=r"(?s)cannot be inlined:.*cannot write"):
        inline_block(mlp([w], [np.ones(2, F32)], None))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("v", "V"), "knows no case"),
        (("rt_v", "y"), "the block's own"),
        (("FB_Test", "y"), "FB_Test"),
        (("x" * 60, "y"), "longer"),
    ],
)
def test_names_that_cannot_be_used_are_refused(names, why):
    """Case, the block's own names, the block's name, length."""
    model = graph([helper.make_node("Relu", [names[0]], [names[1]])], {names[0]: [1, 2]}, {names[1]: [1, 2]})
    with pytest.raises(BindingError, match=why):
        inline_block(model, name="FB_Test")


@pytest.mark.parametrize(
    ("nodes", "given", "taken", "why"),
    [
        ("BitCast", TensorProto.FLOAT, TensorProto.INT32, "are the same memory"),
        ("Cast", TensorProto.UINT32, TensorProto.FLOAT, "'x': elements of type uint32 are not inlined"),
    ],
)
def test_types_that_do_not_fit_are_refused(nodes, given, taken, why):
    """Bits of one type read as another; types that the block has not."""
    model = graph([helper.make_node(nodes, ["x"], ["y"], to=taken)], {"x": ([1, 2], given)}, {"y": ([1, 2], taken)})
    model.opset_import[0].version = 26 if nodes == "BitCast" else 20
    model.ir_version = 12
    with pytest.raises(ExportError, match=why):
        inline_block(model)


def test_outputs_that_are_the_same_or_pass_through():
    """An output that is an input, and two outputs that are one tensor, have their own variables."""
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Identity", ["x"], ["z"]),
        helper.make_node("Reshape", ["y", "shape"], ["w"]),
        helper.make_node("Cast", ["y"], ["b"], to=TensorProto.BOOL),
    ]
    ends = {"y": [1, 3], "z": [1, 3], "w": [3, 1], "b": ([1, 3], TensorProto.BOOL)}
    inlined = Inlined(graph(nodes, {"x": [1, 3]}, ends, shape=np.array([3, 1])))
    for got, want in compared(inlined):
        assert same(got, want)


def test_casts_to_integers_are_those_of_the_engine():
    """Toward zero, cut to the limits, NaN is 0."""
    model = graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32)],
        {"x": [1, 9]},
        {"y": ([1, 9], TensorProto.INT32)},
    )
    inlined = Inlined(model)
    feeds = {"x": np.array([[2.5, -2.5, 0.9, -0.9, 3e9, -3e9, np.nan, np.inf, 2147483520]], F32)}
    assert same(inlined.run(feeds)[0], inlined.model.run(feeds)[0])


@pytest.mark.parametrize(
    "row", [[1e4, 0, 0], [-np.inf, 0, 1], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1], [-200, -201, -200]]
)
def test_log_sum_exp_of_extremes(row):
    """Nothing overflows on the way; infinities and NaN are the engine's."""
    model = graph(
        [helper.make_node("ReduceLogSumExp", ["x", "axes"], ["y"])], {"x": [1, 3]}, {"y": [1, 1]}, axes=np.array([1])
    )
    inlined = Inlined(model)
    feeds = {"x": np.array([row], F32)}
    assert np.allclose(inlined.run(feeds)[0], inlined.model.run(feeds)[0], rtol=1e-6, equal_nan=True)


def test_the_program_of_the_page_runs():
    """With the demo's policy: its force is the engine's."""
    (shown,) = re.findall(r"```iecst\n(.*?)```", (ROOT / "docs" / "st-inline.md").read_text(), re.S)
    policy = next(path for path in DEMO if path.stem == "policy-v1")
    program = Program(inline_block(policy, name="FB_policy").text, shown).new("PRG_Axis")
    program()
    (force,) = rt_engine.load(policy).run({"observation": np.array([[0.1, 0, 0, 0, 0, 0, 0]], F32)})
    assert program.rForce == pytest.approx(force[0, 0], rel=1e-5) and program.rForce != 0


def test_single_values_are_no_arrays():
    """One input and one output are REAL."""
    model = graph([helper.make_node("Tanh", ["x"], ["y"])], {"x": [1, 1]}, {"y": [1, 1]})
    text = inline_block(model, name="FB_T").text
    assert "    x : REAL;" in text and "    y : REAL;" in text and "ARRAY" not in text


@pytest.mark.parametrize("name", ["sklearn_mlp_classifier_tanh", "sklearn_forest_names", "torch_mlp_gelu_dynamo"])
def test_portable_text_keeps_to_what_all_compilers_take(name):
    """Named types at the interface, short lines, no pragmas, no `//`, exponents behind a point, no repetition counts."""
    block = inline_block(GOLDEN / f"{name}.onnx")
    code = re.sub(r"\(\*.*?\*\)", "", block.text, flags=re.S)
    interface = code[code.index("VAR_INPUT") : code.index("VAR CONSTANT")]
    assert "ARRAY" not in interface and not re.search(r"[{}^]|//|__", code)
    assert not re.search(r"(?<![.\d])\d+E", code) and "](" not in code and not re.search(r"\d\(", code)
    assert max(map(len, block.text.splitlines())) <= 135
    assert block.text.isascii() and re.search(r"\bEND_IF(?!;)", code) is None
    assert not re.search(r"\bFOR\b", code) and too_wide(code) == []


def test_types_of_long_names_are_numbered():
    """Compilers begin to refuse names of 64 characters; names that differ in a leading `_` have types of their own."""
    long = "observation_" * 3 + "x"
    model = graph(
        [helper.make_node("Add", [long, f"_{long}"], ["y"])], {long: [1, 2], f"_{long}": [1, 2]}, {"y": [1, 2]}
    )
    text = inline_block(model, name="FB_" + "a" * 40).text
    names = re.findall(r"^    (T_\w+) : ARRAY", text, re.M)
    assert len(names) == len(set(names)) == 3 and max(map(len, names)) <= 48


@pytest.mark.parametrize("operator", ["HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid", "Softmax", "Softsign"])
def test_functions_that_are_there_for_float64_lose_no_digits(operator):
    ends = {name: ([41], TensorProto.DOUBLE) for name in "xy"}
    inlined = Inlined(graph([helper.make_node(operator, ["x"], ["y"])], {"x": ends["x"]}, {"y": ends["y"]}))
    feeds = {"x": np.linspace(-4, 4, 41)}
    assert np.allclose(inlined.run(feeds)[0], inlined.model.run(feeds)[0], rtol=1e-13, atol=1e-15)


def test_types_are_called_like_nothing_else():
    """Not like a tensor; nor with two underscores in a row, which is no identifier; nor the block like its own variables."""
    ends = {"x": [1, 4], "T_2nd_x": [1, 4]}
    model = graph([helper.make_node("Add", list(ends), ["y"])], ends, {"y": [1, 4]})
    text = inline_block(model, name="2nd").text
    declared = re.findall(r"^    (\w+) : ", text, re.M)
    assert len({name.lower() for name in declared}) == len(declared) == 7 and "__" not in text
    with pytest.raises(ExportError, match="begin with rt_"):
        inline_block(model, name="RT_v")


def test_class_names_are_in_the_header():
    """A label is an index; the comment says what it counts."""
    text = inline_block(GOLDEN / "sklearn_forest_names.onnx").text
    header = text.split("FUNCTION_BLOCK")[0]
    assert "output 'label' is an index, not a string" in " ".join(header.split())


def test_many_class_names_make_many_lines():
    """Compilers limit lines."""
    names = [f"class number {i}" for i in range(300)]
    classify = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_strings=names,
        coefficients=[1.0] * 600,
        intercepts=[0.0] * 300,
    )
    model = graph([classify], {"x": [1, 2]}, {"label": ([1], TensorProto.STRING), "scores": [1, 300]})
    text = inline_block(model).text
    assert max(map(len, text.split("\n"))) < 130 and all(name in " ".join(text.split()) for name in names)


def test_blark_reads_the_block_for_twincat(tmp_path):
    """Another parser, for TwinCAT's dialect and its files."""
    import blark.parse

    w = np.array([[0.5, -1.5], [0.25, 1e-8], [3.0, 7.0]], F32)
    block = inline_block(mlp([w, w.T.copy()], [np.ones(2, F32), np.ones(3, F32)], "Tanh"), "twincat", "FB_Net")
    file, text = block.file
    (tmp_path / file).write_text(text)
    assert file == "FB_Net.TcPOU"
    results = list(blark.parse.parse(tmp_path / file))
    assert results and all(result.exception is None for result in results)


def test_blocks_of_zeros_are_written_out():
    """Weights that the engine keeps as their blocks are whole again in the block, to rounding."""
    rng = np.random.default_rng(3)
    w = (rng.standard_normal((64, 70)) * np.repeat(rng.random((64, 5)) < 0.2, 16, axis=1)[:, :70]).astype(np.float32)
    made = Inlined(mlp([w], [rng.standard_normal(70).astype(np.float32)], None))
    assert "sparse_f32" in made.model.program.kernels
    feeds = made.random(rng)
    np.testing.assert_allclose(made.run(feeds)[0], made.model.run(feeds)[0], rtol=1e-4, atol=1e-4)
