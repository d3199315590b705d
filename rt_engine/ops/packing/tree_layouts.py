"""Where the nodes of an ensemble of trees lie, group by group: linked or flat (`kernels.trees`). Pure NumPy.

A reference is the number of a branch, or for a leaf -1 minus its number.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.trees import FLAT_DEPTHS

Ints = NDArray[np.int64]

GROUP = 8
"""Trees that are walked at once."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees in groups of eight. The first six have one entry per branch."""

    key: Ints
    """Number of the key that is compared."""
    threshold: NDArray[np.uint64]
    low: Ints
    high: Ints
    """References: keys above the threshold go here."""
    level: Ints
    group: Ints
    """-1 where no tree reaches the branch."""
    roots: Ints
    """References, eight a group."""
    steps: Ints
    """Branches on the longest path of each group."""
    said: NDArray[Any]
    """What each leaf says: its weight's bits, or where its row begins. The last is for trees that only fill a group up."""
    keys: int
    """How many there are; the zero is behind them."""


@dataclass(frozen=True, slots=True)
class Laid:
    """The operands of a record that hold the trees."""

    nodes: NDArray[Any]
    groups: Ints
    """[group, 2]: where it begins in `nodes`, in bytes, and its steps."""
    form: str
    """Which of the formats of `kernels.trees`."""


def laid_out(forest: Forest, compares: np.dtype[Any]) -> Laid:
    """Flat where it is known how, else linked; `compares` is the type of the thresholds in the file."""
    single = compares == np.float32
    if single and forest.keys <= _MOST_FLAT and forest.steps.max() < FLAT_DEPTHS.stop:
        return _flat(forest)
    return _linked(forest, single)


def _flat(forest: Forest) -> Laid:
    """Full trees (`kernels.parts.flat_trees`), each group in whole lines. Below a leaf that ends early no key is above `NEVER`."""
    steps = np.maximum(forest.steps, FLAT_DEPTHS.start)
    nbytes = -(-_FLAT_BYTES * GROUP * (1 << (steps - 1)) // _LINE) * _LINE
    starts = np.cumsum(nbytes) - nbytes
    nodes = np.zeros(nbytes.sum(), np.uint8)
    for depth in np.unique(steps):
        groups = np.flatnonzero(steps == depth)
        parts = [part.reshape(len(groups), -1).view(np.uint8) for part in _full(forest, groups, int(depth))]
        rows = np.concatenate(parts, axis=1)
        nodes[starts[groups][:, None] + np.arange(rows.shape[1])] = rows
    return Laid(nodes, np.stack([starts, steps], axis=1), "flat")


def _full(forest: Forest, groups: Ints, depth: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Thresholds, keys and last branches of full trees: [group, tree, 2 ** (depth - 1)] each, the last of four numbers."""
    threshold, key, low, high = (
        np.append(column, last) for column, last in
        ((forest.threshold, np.uint64(NEVER)), (forest.key, 0), (forest.low, 0), (forest.high, 0))
    )  # fmt: skip
    refs = forest.roots.reshape(-1, GROUP)[groups][..., None]
    thresholds = np.zeros((len(groups), GROUP, 1 << (depth - 1)), "<u4")
    keys = np.zeros(thresholds.shape, np.uint8)
    for level in range(depth):
        these, inner = slice(1 << level, 2 << level), refs >= 0
        branch = np.where(inner, refs, -1)
        children = [np.where(inner, side[branch], refs) for side in (low, high)]
        if level < depth - 1:
            thresholds[..., these], keys[..., these] = threshold[branch], key[branch]
            refs = np.stack(children, axis=-1).reshape(len(groups), GROUP, -1)
    said = (forest.said[-1 - leaf].astype(np.uint64) for leaf in children)
    last = np.stack([threshold[branch], key[branch].astype(np.uint64), *said], axis=-1)
    return thresholds, keys, last.astype("<u4")


def linked_again(nodes: NDArray[Any], groups: Ints, zero: int) -> tuple[NDArray[Any], Ints]:
    """The nodes of a flat ensemble, linked and without those that nothing reaches, and its groups. `zero` is the key of leaves."""
    found: list[tuple[int, int, int, int]] = []
    table = []
    for start, depth in groups.tolist():
        first, width = len(found), 1 << (depth - 1)
        ends = np.cumsum([0, 4 * GROUP * width, GROUP * width, 16 * GROUP * width]) + start
        thresholds, keys, last = (nodes[a:b] for a, b in pairwise(ends))
        thresholds, keys = thresholds.view("<u4").reshape(GROUP, width), keys.reshape(GROUP, width)
        last = last.view("<u4").reshape(GROUP, width, 4)
        said = last[..., 2:].reshape(GROUP, 2 * width)
        thresholds = np.concatenate([thresholds, last[..., 0]], axis=1)
        keys = np.concatenate([keys, last[..., 1]], axis=1)
        waiting = [(tree, 1) for tree in range(GROUP)]
        for tree, n in waiting:
            while n < 2 * width and thresholds[tree, n] == NEVER:
                n *= 2
            if n < 2 * width:
                found.append((int(thresholds[tree, n]), 0, int(keys[tree, n]), len(waiting)))
                waiting += [(tree, 2 * n), (tree, 2 * n + 1)]
            else:
                found.append((int(said[tree, n - 2 * width]), 0, zero, len(found) - first))
        table.append((first * _NODES["f32_big"].itemsize, depth))
    return np.array(found, _NODES["f32_big"]), np.array(table, np.int64)


def _linked(forest: Forest, single: bool) -> Laid:
    pair, slots = _places(forest)
    form = "f64"
    if single:
        form = "f32_big" if forest.keys >= _MOST_NARROW or slots.max() > _MOST_NARROW else "f32"
    starts = np.cumsum(slots) - slots
    branch = np.flatnonzero(forest.group >= 0)
    at = starts[forest.group[branch]] + pair[branch]
    refs = np.full(slots.sum(), -len(forest.said), np.int64)
    refs[(starts[:, None] + np.arange(GROUP)).ravel()] = forest.roots
    refs[at], refs[at + 1] = forest.low[branch], forest.high[branch]
    nodes = np.zeros(len(refs), _NODES[form])
    inner = refs >= 0
    reached = refs[inner]
    nodes["threshold"][inner], nodes["feature"][inner] = forest.threshold[reached], forest.key[reached]
    nodes["child"][inner] = pair[reached]
    nodes["threshold"][~inner], nodes["feature"][~inner] = forest.said[-1 - refs[~inner]], forest.keys
    nodes["child"][~inner] = (np.arange(len(refs)) - np.repeat(starts, slots))[~inner]
    return Laid(nodes, np.stack([starts * nodes.itemsize, forest.steps], axis=1), form)


def _places(forest: Forest) -> tuple[Ints, Ints]:
    """(place of every branch's two children in its group, places in each group).

    A path touches few cache lines when two levels lie together: the children of a branch at every other level, and theirs,
    are one block of 2, 4 or 6 places, so that the deepest leaves are in a block with their parents. Eight places are a line:

        roots | 6 2 | 6 2 | ... | 4 4 | ... | 2 2 2 2 | ...
    """
    level, group, steps = forest.level, forest.group, forest.steps
    owner = np.arange(len(level))  # the branch in whose block the children of a branch lie
    order = np.zeros(len(level), np.int64)  # 0 the first pair of a block, 1 and 2 those below
    begins = (level + steps[group]) % 2 == 0
    for number, children in ((1, forest.low), (2, forest.high)):
        parents = np.flatnonzero(begins & (children >= 0))
        below = children[parents]
        fits = ~begins[below] & (order[below] == 0)
        owner[below[fits]] = parents[fits]
        order[below[fits]] = number
    members = np.bincount(owner, minlength=len(level))  # a child with two parents has the last one
    rank = np.zeros(len(level), np.int64)
    by_block = np.lexsort((order, owner))
    rank[by_block] = np.arange(len(level)) - np.repeat(np.cumsum(members) - members, members)
    start = np.zeros(len(level), np.int64)
    slots = np.full(len(steps), GROUP, np.int64)
    for g, blocks in enumerate(_blocks_by_group(level, group, owner, len(steps))):
        pairs = members[blocks]
        free: list[Ints] = []  # places where blocks of one pair fit
        end = GROUP
        for size, per_line in ((3, 1), (2, 2)):
            chosen = blocks[pairs == size]
            start[chosen] = end + np.arange(len(chosen)) * (GROUP // per_line)
            lines = -(-len(chosen) // per_line)
            if size == 3:
                free.append(end + GROUP * np.arange(lines) + 6)
            elif len(chosen) % 2:
                free.append(end + GROUP * lines - np.array([4, 2]))
            end += GROUP * lines
        single = blocks[pairs == 1]
        holes = np.concatenate(free)[: len(single)]
        rest = len(single) - len(holes)
        start[single] = np.concatenate([holes, end + 2 * np.arange(rest)])
        slots[g] = end + GROUP * -(-rest // 4)
    return start[owner] + 2 * rank, slots


def _blocks_by_group(level: Ints, group: Ints, owner: Ints, groups: int) -> list[Ints]:
    """The branches that begin a block, of each group, those near the roots first."""
    first = np.flatnonzero((owner == np.arange(len(owner))) & (group >= 0))
    first = first[np.lexsort((level[first], group[first]))]
    return np.split(first, np.searchsorted(group[first], np.arange(1, groups)))


NEVER = (1 << 32) - 1
"""A threshold that no key is above."""
_MOST_FLAT = 256
_FLAT_BYTES, _LINE = 4 + 1 + 16, 64
_MOST_NARROW = 1 << 16
_NODES = {
    "f32": np.dtype([("threshold", "<u4"), ("feature", "<u2"), ("child", "<u2")]),
    "f32_big": np.dtype([("threshold", "<u4"), ("spare", "<u4"), ("feature", "<u4"), ("child", "<u4")]),
    "f64": np.dtype([("threshold", "<u8"), ("feature", "<u4"), ("child", "<u4")]),
}
