"""Ensembles of trees as the kernels walk them (`kernels.trees`): checked and packed when the model is loaded. Pure NumPy.

    attributes -> Ensemble (branches as ONNX says them) -> cuts (one comparison of integers each)
               -> Forest (groups of 8 trees) -> Packed (laid out: `tree_layouts`)

A reference is the number of a node, or for a leaf -1 minus its number. A cut sends keys above its threshold to `high`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.ops.packing.tree_layouts import GROUP, Forest, laid_out

Ints = NDArray[np.int64]

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)
"""Numbers of the modes, as the operator TreeEnsemble has them."""
DEEPEST = 4096
"""Branches on a path; a tree that is deeper is refused, as is a loop."""
MOST_LEAF_BYTES = 1 << 29
_ROOM_BEHIND = 64


class BadTrees(ValueError):
    """The trees contradict themselves."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees as ONNX describes them. All arrays but `roots` and `leaves` have one entry per branch."""

    feature: Ints
    mode: Ints
    split: NDArray[Any]
    """Thresholds; their type is the type that the file compares in."""
    members: dict[int, NDArray[Any]]
    """Branch of mode MEMBER -> the values that go to its true side."""
    missing: NDArray[np.bool_]
    """Does NaN go to the true side, whatever the mode says?"""
    true: Ints
    false: Ints
    roots: Ints
    leaves: NDArray[Any]
    """[leaf, target]: the weights."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The operands of a record: see `kernels.trees`."""

    nodes: NDArray[Any]
    groups: Ints
    leaves: NDArray[Any]
    copies: int
    form: str
    """Which of the formats of `kernels.trees`."""
    inside: bool
    """Is the only target's weight in the leaf's threshold, and no row in `leaves`?"""
    steps: int
    """Branches that are decided for one row."""


def keys_of(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Unsigned integers in the order of the values (float32 or float64); -0 is 0."""
    bits = 8 * values.dtype.itemsize
    raw = (values + values.dtype.type(0)).view(f"u{values.dtype.itemsize}").astype(np.uint64)
    sign = np.uint64(1 << (bits - 1))
    keys: NDArray[np.uint64] = np.where(raw & sign, ~raw & np.uint64((1 << bits) - 1), raw | sign)
    return keys


@dataclass(frozen=True, slots=True)
class _Cuts:
    feature: Ints
    threshold: NDArray[np.uint64]
    low: Ints
    high: Ints
    missing_is_low: NDArray[np.bool_]


def _cuts(e: Ensemble) -> _Cuts:
    """Every branch as one comparison with a key; a test for equality or membership becomes a small tree of them."""
    keys = keys_of(e.split)
    below = np.isin(e.mode, (LT, GTE))
    true_is_low = np.isin(e.mode, (LEQ, LT))
    missing_is_true = e.missing | (e.mode == NEQ)
    cuts = _Cuts(
        e.feature.copy(),
        keys - below.astype(np.uint64),
        np.where(true_is_low, e.true, e.false),
        np.where(true_is_low, e.false, e.true),
        missing_is_true == true_is_low,
    )
    sets = np.flatnonzero(e.mode >= EQ)
    return _with_sets(cuts, e, sets, missing_is_true) if sets.size else cuts


def _with_sets(cuts: _Cuts, e: Ensemble, sets: Ints, missing_is_true: NDArray[np.bool_]) -> _Cuts:
    """Replace tests for membership: the keys of the members cut the numbers into regions that are in or out by turns."""
    columns: list[list[Any]] = [
        list(c) for c in (cuts.feature, cuts.threshold, cuts.low, cuts.high, cuts.missing_is_low)
    ]
    for branch in map(int, sets):
        inside, outside = int(e.true[branch]), int(e.false[branch])
        if e.mode[branch] == NEQ:
            inside, outside = outside, inside
        members = keys_of(e.members[branch] if e.mode[branch] == MEMBER else e.split[branch : branch + 1])
        at, regions = _regions([int(k) for k in np.unique(members)], inside, outside)
        missing = int(e.true[branch] if missing_is_true[branch] else e.false[branch])
        low = missing != outside
        if low:
            at, regions = [0, *at], [missing, *regions]
        _search(columns, branch, at, regions, int(e.feature[branch]), low)
    types = (np.int64, np.uint64, np.int64, np.int64, np.bool_)
    return _Cuts(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))


def _regions(keys: Sequence[int], inside: int, outside: int) -> tuple[list[int], list[int]]:
    """(cuts, what lies between them): one more region than cuts."""
    at: list[int] = []
    regions = [outside]
    for key in keys:
        if at and at[-1] == key - 1:  # neighbours
            at[-1] = key
            continue
        at += [key - 1, key]
        regions += [inside, outside]
    return at, regions


def _search(columns: list[list[Any]], where: int, at: list[int], regions: list[int], feature: int, low: bool) -> None:
    """Put a balanced search over the regions in the place of branch `where`, with new branches at the end."""
    middle = len(at) // 2

    def side(cuts: list[int], parts: list[int]) -> int:
        if not cuts:
            return parts[0]
        for column in columns:
            column.append(0)
        place = len(columns[0]) - 1
        _search(columns, place, cuts, parts, feature, low)
        return place

    row = (
        feature,
        at[middle],
        side(at[:middle], regions[: middle + 1]),
        side(at[middle + 1 :], regions[middle + 1 :]),
        low,
    )
    for column, value in zip(columns, row, strict=True):
        column[where] = value


def _levels(low: Ints, high: Ints) -> Ints:
    """Of every branch, how many branches lie above it on the longest path.

    Raises:
        BadTrees: a loop, or a path longer than `DEEPEST`.
    """
    count = len(low)
    level = np.full(count, -1, np.int64)
    both = np.concatenate([low, high])
    above = np.bincount(both[both >= 0], minlength=count)
    front = np.flatnonzero(above == 0)
    for depth in range(DEEPEST):
        if not front.size:
            break
        level[front] = depth
        children = np.concatenate([low[front], high[front]])
        children = children[children >= 0]
        np.subtract.at(above, children, 1)
        children = np.unique(children)
        front = children[above[children] == 0]
    if (level < 0).any():
        raise BadTrees(f"its branches form a loop, or a path of more than {DEEPEST:,} branches")
    return level


def _trees(low: Ints, high: Ints, level: Ints, roots: Ints) -> Ints:
    """The tree of every branch; -1 where no tree reaches it."""
    tree = np.full(len(low), -1, np.int64)
    is_branch = roots >= 0
    if len(np.unique(roots[is_branch])) < is_branch.sum():
        raise BadTrees("two trees have the same root")
    tree[roots[is_branch]] = np.flatnonzero(is_branch)
    order = np.argsort(level, kind="stable")
    for front in np.split(order, np.flatnonzero(np.diff(level[order])) + 1) if len(order) else ():
        front = front[tree[front] >= 0]
        for children in (low[front], high[front]):
            inner = children >= 0
            tree[children[inner]] = tree[front[inner]]
    reached = tree >= 0
    for children in (low, high):
        inner = reached & (children >= 0)
        if (tree[children[inner]] != tree[inner]).any():
            raise BadTrees("two trees share a branch")
    return tree


def _check(e: Ensemble, features: int) -> None:
    branches = len(e.feature)
    if branches and (e.feature.min() < 0 or e.feature.max() >= features):
        wrong = e.feature[(e.feature < 0) | (e.feature >= features)][0]
        raise BadTrees(f"it branches on feature {wrong} of {features}")
    for name, refs in (("true", e.true), ("false", e.false), ("root", e.roots)):
        if refs.size and (refs.max() >= branches or refs.min() < -len(e.leaves)):
            raise BadTrees(f"a {name} reference points at a node that is not there")
    if np.isnan(e.split[e.mode != MEMBER]).any():
        raise BadTrees("a threshold is NaN")
    if e.mode.size and not (e.mode.min() >= 0 and e.mode.max() <= MEMBER):
        raise BadTrees("a branch has a mode that ONNX does not know")


def pack(e: Ensemble, features: int, base: NDArray[Any], neutral: float) -> Packed:
    """Lay the trees out in groups of eight.

    Args:
        e: the trees.
        features: columns of the input.
        base: what every target gets at the end.
        neutral: the weight that changes no target: of trees that only fill a group up.

    Raises:
        BadTrees: indices out of range, a loop, NaN as a threshold.
    """
    _check(e, features)
    cuts = _cuts(e)
    level = _levels(cuts.low, cuts.high)
    tree = _trees(cuts.low, cuts.high, level, e.roots)
    targets = e.leaves.shape[1]
    if (len(e.leaves) + 2) * targets * e.leaves.itemsize > MOST_LEAF_BYTES:
        raise BadTrees(f"{len(e.leaves):,} leaves of {targets:,} targets are more than {MOST_LEAF_BYTES:,} bytes")
    branch = np.flatnonzero(tree >= 0)
    depths = np.zeros(max(-(-len(e.roots) // GROUP), 1) * GROUP, np.int64)
    np.maximum.at(depths, tree[branch], level[branch] + 1)
    order, steps = _order(depths)
    roots = np.full(len(order), -len(e.leaves) - 1, np.int64)  # trees that only fill the last group up
    roots[: len(e.roots)] = e.roots
    roots = roots[order]
    group = np.full(len(tree), -1, np.int64)
    group[branch] = np.argsort(order)[tree[branch]] // GROUP
    copies = 2 if cuts.missing_is_low[branch].any() else 1
    weights = np.concatenate([e.leaves, np.full((1, targets), neutral, e.leaves.dtype)])
    inside = targets == 1 and neutral == 0
    said = weights[:, 0].view(f"u{weights.itemsize}") if inside else np.arange(1, len(weights) + 1) * targets
    rows = base.reshape(1, -1) if inside else np.concatenate([base.reshape(1, -1), weights])
    rows = np.concatenate([rows.ravel(), np.zeros(_ROOM_BEHIND // rows.itemsize)]).astype(e.leaves.dtype)
    keys = cuts.feature + features * cuts.missing_is_low
    forest = Forest(keys, cuts.threshold, cuts.low, cuts.high, level, group, roots, steps, said, features * copies)
    laid = laid_out(forest, e.split.dtype)
    return Packed(laid.nodes, laid.groups, rows, copies, laid.form, inside, int(steps.sum()) * GROUP)


def _order(depths: Ints) -> tuple[Ints, Ints]:
    """(the trees in the order in which they are walked and summed, steps of each group).

    That is the model's order, unless sorting by depth saves more than an eighth of the steps: a group walks as far as its
    deepest tree.
    """
    usual = depths.reshape(-1, GROUP).max(axis=1)
    order = np.argsort(depths, kind="stable")
    steps = depths[order].reshape(-1, GROUP).max(axis=1)
    return (order, steps) if steps.sum() < 0.875 * usual.sum() else (np.arange(len(depths)), usual)
