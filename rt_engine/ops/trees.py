"""Ensembles of decision trees of ai.onnx.ml, with full scores.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html, ..._TreeEnsembleClassifier.html, ..._TreeEnsembleRegressor.html

Where ONNX is vague (one score for two classes, base values of classifiers) the results are ONNX Runtime's.
"""

from math import inf, prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.trees import TREES
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.packing.trees import MEMBER, MODES, BadTrees, Ensemble, pack
from rt_engine.ops.scores import ML, classes_of, label, post_transform
from rt_engine.program.calls import Buffer

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
_SUM, _SMALLEST, _LARGEST = 0, 1, 2
_FOLDS = {"SUM": (_SUM, 0.0), "AVERAGE": (_SUM, 0.0), "MIN": (_SMALLEST, inf), "MAX": (_LARGEST, -inf)}
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def _ints(node: Node, name: str) -> NDArray[np.int64]:
    return np.asarray(node.attr(name, []), np.int64)


def _numbers(node: Node, name: str) -> NDArray[Any]:
    """Floats, or the tensor of the same name that newer versions have for float64."""
    tensor = node.attr(f"{name}_as_tensor")
    return np.asarray(node.attr(name, []), F32) if tensor is None else np.asarray(tensor).reshape(-1)


def _same_length(node: Node, names: tuple[str, ...], arrays: list[NDArray[Any]]) -> None:
    lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
    node.require(
        len(set(lengths.values())) == 1,
        "its attributes have different lengths: " + ", ".join(f"{n} {k}" for n, k in lengths.items()),
        "export the model again",
    )


def _by_nodes(node: Node, kind: str, targets: int) -> Ensemble:
    """The trees of TreeEnsembleClassifier (kind `class`) and TreeEnsembleRegressor (`target`)."""
    names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    tree, number, feature, true, false = columns = [_ints(node, f"nodes_{n}") for n in names]
    values, modes = _numbers(node, "nodes_values"), list(node.attr("nodes_modes", []))
    _same_length(node, (*names, "values", "modes"), [*columns, values, np.asarray(modes)])
    node.require(len(tree) > 0, "it has no nodes", "export the model again")
    missing = _ints(node, "nodes_missing_value_tracks_true")
    missing = missing if missing.size else np.zeros(len(tree), np.int64)
    _same_length(node, ("treeids", "missing_value_tracks_true"), [tree, missing])
    unknown = sorted({str(m) for m in modes} - set(_MODE))
    node.require(not unknown, f"its branches have the unknown modes {unknown}", "export the model again")
    code = np.array([_MODE[m] for m in modes], np.int64)
    is_leaf = code == _LEAF
    place = _places(node, tree, number)
    reference = np.where(is_leaf, -np.cumsum(is_leaf), np.cumsum(~is_leaf) - 1)
    branch = np.flatnonzero(~is_leaf)
    on_true, on_false = (reference[place(tree[branch], side[branch])] for side in (true, false))
    first = np.unique(tree, return_index=True)[1]
    leaves = _leaf_weights(node, kind, targets, place, reference, int(is_leaf.sum()))
    return Ensemble(
        feature[branch],
        code[branch],
        values[branch],
        {},
        missing[branch] == 1,
        on_true,
        on_false,
        reference[np.sort(first)],
        leaves.astype(values.dtype),
    )


_LEAF = len(MODES) + 1
_MODE = {**{m: i for i, m in enumerate(MODES[:MEMBER])}, "LEAF": _LEAF}


def _places(node: Node, tree: NDArray[np.int64], number: NDArray[np.int64]) -> Any:
    """(tree ids, node ids) -> positions in the attributes.

    Raises:
        Refusal: there is no such node, or it is there twice.
    """
    trees, numbers = np.unique(tree), np.unique(number)

    def code(t: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for both; -1 where one of them is nowhere."""
        i, j = (
            np.minimum(np.searchsorted(known, wanted), len(known) - 1) for known, wanted in ((trees, t), (numbers, n))
        )
        return np.where((trees[i] == t) & (numbers[j] == n), i * len(numbers) + j, -1)

    codes = code(tree, number)
    order = np.argsort(codes)
    ordered = codes[order]
    node.require(bool((np.diff(ordered) > 0).all()), "two nodes have the same number in one tree", "export it again")

    def find(t: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = code(t, n)
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        lost = np.flatnonzero(ordered[at] != wanted)
        if lost.size:
            where = f"tree {t[lost[0]]} refers to its node {n[lost[0]]}, which is not there"
            node.require(False, where, "export the model again")
        return order[at]

    return find


def _leaf_weights(
    node: Node, kind: str, targets: int, place: Any, reference: NDArray[np.int64], leaves: int
) -> NDArray[Any]:
    """[leaf, target], zero where the model gives none."""
    names = tuple(f"{kind}_{n}" for n in ("treeids", "nodeids", "ids", "weights"))
    tree, number, target = (_ints(node, n) for n in names[:3])
    weights = _numbers(node, names[3])
    _same_length(node, names, [tree, number, target, weights])
    node.require(
        target.size == 0 or (target.min() >= 0 and target.max() < targets),
        f"a weight is for a target outside of 0 to {targets - 1}",
        "export the model again",
    )
    at = -1 - reference[place(tree, number)]
    node.require((at >= 0).all(), "a branch has a weight", "export the model again")
    return _dense(node, leaves, targets, at, target, weights)


def _dense(
    node: Node,
    leaves: int,
    targets: int,
    at: NDArray[np.int64],
    target: NDArray[np.int64],
    weights: NDArray[Any],
) -> NDArray[Any]:
    """[leaf, target]. A weight that is repeated for the only target counts once, as in ONNX Runtime: skl2onnx numbers leaves so."""
    most = 1 << 27
    node.require(leaves * targets <= most, f"{leaves:,} leaves of {targets:,} targets are too many", "use fewer trees")
    flat = at * targets + target
    dense = np.full(leaves * targets, _neutral(node), np.float64)
    dense[flat] = weights
    once = len(np.unique(flat)) == len(flat) or (targets == 1 and bool((dense[flat] == weights).all()))
    node.require(once, "a leaf has two weights for one target", "add them up")
    return dense.reshape(leaves, targets)


def _aggregate(node: Node) -> str:
    given = node.attr("aggregate_function", "SUM")
    if isinstance(given, int):
        node.require(0 <= given < len(_AGGREGATES), f"aggregate function {given} is unknown", "use SUM")
        return _AGGREGATES[given]
    node.require(given in _FOLDS, f"aggregate function {given} is unknown", "use SUM")
    return str(given)


def _neutral(node: Node) -> float:
    return _FOLDS[_aggregate(node)][1]


def _features(x: Buffer) -> int:
    return x.shape[-1] if x.shape else 1


def _rows(x: Any) -> int:
    return prod(x.shape[:-1])


def _evaluate(node: Node, build: Builder, ensemble: Ensemble, base: NDArray[Any], out: Buffer) -> None:
    """Scores of every target, before any transform."""
    x, aggregate = node.x, _aggregate(node)
    node.require(len(x.shape) in (1, 2), f"its input has {len(x.shape)} dimensions", "feed [rows, features]")
    fold, neutral = _FOLDS[aggregate]
    try:
        packed = pack(ensemble, _features(x), base, neutral)
    except BadTrees as error:
        node.require(False, f"its trees cannot be run: {error}", "export the model again")
        return
    dtype = packed.leaves.dtype
    x = converted(build, x, dtype)
    targets = ensemble.leaves.shape[1]
    work = build.temporary(np.uint8, (dtype.itemsize * (_features(x) * packed.copies + 1 + targets) + 128,))
    divisor = len(ensemble.roots) if aggregate == "AVERAGE" else 1
    record = TREES(
        x=x, groups=build.constant(packed.groups), nodes=build.constant(packed.nodes), leaves=build.constant(packed.leaves),
        out=out, keys=work, rows=_rows(x), features=_features(x), count=len(packed.groups), targets=targets, fold=fold,
        copies=packed.copies, inside=packed.inside, divisor=divisor,
    )  # fmt: skip
    build.call(f"trees_{packed.form}", record)


def _targets(node: ir.Node) -> int:
    attribute = node.attributes.get("n_targets")
    return int(attribute.value) if attribute is not None else 1


def _with_x_type(node: Node, ensemble: Ensemble) -> Ensemble:
    """The trees in float64 where the input is."""
    if node.x.dtype != F64 or ensemble.split.dtype == F64:
        return ensemble
    members = {branch: m.astype(F64) for branch, m in ensemble.members.items()}
    e = ensemble
    return Ensemble(
        e.feature, e.mode, e.split.astype(F64), members, e.missing, e.true, e.false, e.roots, e.leaves.astype(F64)
    )


def _base(node: Node, targets: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Base values of a regressor: one per target, or one for the only target."""
    base = _numbers(node, "base_values")
    node.require(base.size in (0, targets), f"{base.size} base values for {targets} targets", "export the model again")
    return np.asarray(base, dtype) if base.size else np.zeros(targets, dtype)


@operator(
    "TreeEnsembleRegressor", domain=ML, since=1, infer=lambda node, inputs: [(F32, (_rows(inputs[0]), _targets(node)))]
)
def tree_ensemble_regressor(node: Node, build: Builder) -> None:
    """The fold of all trees per target, plus base values, transformed."""
    targets = _targets(node.ir)
    node.require(targets > 0, f"n_targets is {targets}", "export the model again")
    ensemble = _with_x_type(node, _by_nodes(node, "target", targets))
    transform = str(node.attr("post_transform", "NONE"))
    if targets == 1 and transform != "PROBIT":
        transform = "NONE"
    _finish(node, build, ensemble, _base(node, targets, ensemble.leaves.dtype), transform)


def _finish(node: Node, build: Builder, ensemble: Ensemble, base: NDArray[Any], transform: str) -> None:
    """Evaluate, transform, convert to the type of the output."""
    y, dtype = node.y, ensemble.leaves.dtype
    plain = transform == "NONE" and dtype == y.dtype
    scores = y if plain else build.temporary(dtype, (_rows(node.x), ensemble.leaves.shape[1]))
    _evaluate(node, build, ensemble, base, scores)
    if not plain:
        scores = converted(build, scores, y.dtype, y if transform == "NONE" else None)
        post_transform(node, build, transform, scores, y)


@operator(
    "TreeEnsemble",
    domain=ML,
    since=5,
    infer=lambda node, inputs: [(inputs[0].dtype, (_rows(inputs[0]), _targets(node)))],
)
def tree_ensemble(node: Node, build: Builder) -> None:
    """The newer form: branches and leaves apart, tests for membership."""
    targets = _targets(node.ir)
    node.require(targets > 0, f"n_targets is {targets}", "export the model again")
    node.require_type(node.x, (F32, F64))
    transform = int(node.attr("post_transform", 0))
    node.require(0 <= transform < len(_TRANSFORMS), f"post_transform {transform} is unknown", "use 0")
    name = _TRANSFORMS[transform]
    if targets == 1 and name != "PROBIT":
        name = "NONE"
    ensemble = _with_x_type(node, _by_branches(node, targets))
    _finish(node, build, ensemble, np.zeros(targets, ensemble.leaves.dtype), name)


def _by_branches(node: Node, targets: int) -> Ensemble:
    names = ("nodes_featureids", "nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids", "nodes_falseleafs")
    feature, true, true_leaf, false, false_leaf = columns = [_ints(node, n) for n in names]
    mode, split = np.asarray(node.attr("nodes_modes"), np.int64), np.asarray(node.attr("nodes_splits"))
    _same_length(node, (*names, "nodes_modes", "nodes_splits"), [*columns, mode, split])
    missing = _ints(node, "nodes_missing_value_tracks_true")
    missing = missing if missing.size else np.zeros(len(feature), np.int64)
    _same_length(node, ("nodes_featureids", "nodes_missing_value_tracks_true"), [feature, missing])
    target, weights = _ints(node, "leaf_targetids"), np.asarray(node.attr("leaf_weights"))
    _same_length(node, ("leaf_targetids", "leaf_weights"), [target, weights])
    count = len(target)
    node.require(
        count == 0 or (target.min() >= 0 and target.max() < targets),
        f"a weight is for a target outside of 0 to {targets - 1}",
        "export the model again",
    )
    for side in (true, false):
        node.require(side.size == 0 or side.min() >= 0, "a child has a negative number", "export the model again")
    roots = _ints(node, "tree_roots")
    node.require(
        roots.size > 0 and roots.min() >= 0 and roots.max() < len(feature),
        "a root is not among the nodes",
        "export the model again",
    )
    return Ensemble(
        feature,
        mode,
        split,
        _members(node, mode),
        missing == 1,
        np.where(true_leaf != 0, -1 - true, true),
        np.where(false_leaf != 0, -1 - false, false),
        roots,
        _dense(node, count, targets, np.arange(count), target, weights).astype(split.dtype),
    )


def _members(node: Node, mode: NDArray[np.int64]) -> dict[int, NDArray[Any]]:
    """The sets of `membership_values`, one per branch that asks for one; NaN stands behind each."""
    branches = np.flatnonzero(mode == MEMBER)
    given = node.attr("membership_values")
    values = np.zeros(0, F32) if given is None else np.asarray(given).reshape(-1)
    sets = [part[~np.isnan(part)] for part in np.split(values, np.flatnonzero(np.isnan(values)))]
    if not sets[-1].size:  # what is behind the last NaN
        sets.pop()
    node.require(
        len(sets) == len(branches),
        f"{len(sets)} sets of members for {len(branches)} branches that ask for one",
        "export the model again",
    )
    node.require(all(s.size for s in sets), "a set of members is empty", "export the model again")
    return {int(b): s for b, s in zip(branches, sets, strict=True)}


def _classifier_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    rows = _rows(inputs[0])
    return [(np.dtype(np.int64), (rows,)), (F32, (rows, len(classes_of(node))))]


_NO_CLASSES = (
    "CatBoost writes a regression of several numbers (MultiRMSE, MultiQuantile) so: train one regressor for each number"
)


@operator("TreeEnsembleClassifier", domain=ML, since=1, infer=_classifier_types)
def tree_ensemble_classifier(node: Node, build: Builder) -> None:
    """Scores of every class, and the label of the best.

    Two classes with weights for one of them only: the score s is of the second class, and the label is the second where
    s > 0.5 if no weight is negative, else where s > 0. If the weights are for the first class, the scores are (1 - s, s) if
    no weight is negative, else (-s, s), or with LOGISTIC the logistic function of (-s, s). If they are for the second
    class, the scores are (0, s), transformed.
    """
    classes = classes_of(node.ir)
    helps = "train with two classes or more" if len(classes) else _NO_CLASSES
    node.require(len(classes) > 1, f"it has {len(classes)} class labels", helps)
    ensemble = _with_x_type(node, _by_nodes(node, "class", len(classes)))
    used, base = np.unique(_ints(node, "class_ids")), _numbers(node, "base_values")
    transform = str(node.attr("post_transform", "NONE"))
    if len(classes) == 2 and len(used) == 1:
        _one_score(node, build, ensemble, int(used[0]), base, transform)
        return
    node.require(
        base.size in (0, len(classes)), f"{base.size} base values for {len(classes)} classes", "export it again"
    )
    base = np.asarray(base, ensemble.leaves.dtype) if base.size else np.zeros(len(classes), ensemble.leaves.dtype)
    scores = build.temporary(ensemble.leaves.dtype, node.output(1).shape)
    _evaluate(node, build, ensemble, base, scores)
    label(build, scores, classes, node.y)
    post_transform(node, build, transform, converted(build, scores, F32), node.output(1))


def _one_score(node: Node, build: Builder, e: Ensemble, used: int, base: NDArray[Any], transform: str) -> None:
    """Two classes, weights for one of them."""
    node.require(base.size <= 1, "two base values, but weights for one class only", "export it with one base value")
    node.require(
        base.size == 0 or used == 0, "a base value of the first class, but no weights for it", "export it again"
    )
    node.require(
        transform != "PROBIT" and _aggregate(node) == "SUM",
        f"post_transform {transform} of one score for two classes has no meaning",
        "export with NONE or LOGISTIC",
    )
    weights = _numbers(node, "class_weights")
    positive = bool((weights >= 0).all())
    e = Ensemble(
        e.feature, e.mode, e.split, e.members, e.missing, e.true, e.false, e.roots, e.leaves[:, used : used + 1].copy()
    )
    dtype = e.leaves.dtype
    score, both = build.temporary(dtype, (_rows(node.x), 1)), build.temporary(dtype, node.output(1).shape)
    _evaluate(node, build, e, np.asarray(base, dtype) if base.size else np.zeros(1, dtype), score)
    if used == 1:
        pair = "zero"
    else:
        pair = "opposite" if transform == "LOGISTIC" or not positive else "complement"
        transform = "LOGISTIC" if transform == "LOGISTIC" else "NONE"
    label(build, score, classes_of(node.ir), node.y, 0.5 if positive else 0.0, both, pair)
    post_transform(node, build, transform, converted(build, both, F32), node.output(1))
