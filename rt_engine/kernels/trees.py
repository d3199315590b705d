"""Ensembles of decision trees, eight trees at a time, in a number of steps that depends on the ensemble alone.

    trees_<format>     record: `interface.trees`

A feature becomes an unsigned integer, its key, that is in the same order: every way to branch is then one comparison of
integers, and missing values (NaN) have a place in the order: above all numbers in the first copy, below them in the second.

    keys   features | the features once more, if copies = 2 | zero; then, 64 bytes aligned, chains: targets
    walk   node = child[node] + (threshold[node] < key[feature[node]])       as often as the deepest tree of its group asks
    leaf   its feature is the zero behind the keys, so it is its own child; its threshold says where its row of `leaves` begins,
           or, if inside = 1, its bits are the weight for the only target
    fold   chain[t] = chain[t] + leaves[row + t], tree after tree (or the smaller, or the larger)
    out    chain[t] / divisor + base[t]; the first row of `leaves` is the base

A node's two children are neighbours, the one for larger keys second. `groups` is int64 [groups, 2]: the group's first node in
`nodes` (in bytes), its steps. The roots of a group are its first eight nodes; children count from the group's first node.

    format   x, leaves, out   threshold   feature, child   node        for
    f32      float32          u32         u16               8 bytes    groups of up to 65,536 nodes
    f32_big  float32          u32         u32              16 bytes
    f64      float64          u64         u32              16 bytes
    flat     float32          trees of up to 6 branches a path and 256 keys, as full ones: `parts.flat_trees`

Reading a row of leaves reads whole vectors: 64 bytes lie behind the last. Fold: 0 sum, 1 smallest, 2 largest; of the last two,
a chain that met no leaf is infinite and counts as zero.
"""

from typing import Any

from numba import int64

from rt_engine.kernels.interface.trees import TREES
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.flat_trees import walk_flat
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline, load_i64, load_u16, load_u32, load_u64, store_i32, store_i64
from rt_native.vector import (
    BYTES,
    absolute,
    bits,
    select,
    splat_i32x,
    splat_i64x,
    store_first_i32x,
    store_first_i64x,
)

_SUM, _SMALLEST, _LARGEST = 0, 1, 2
_INFINITY = float("inf")
_FEW = 4
"""Up to so many targets are folded one by one: a whole vector would touch two cache lines."""


def _make_step(key: int, node: int, load_key: Any, load_index: Any) -> Any:
    """One level down one tree: the number of a node -> that of its child. Feature and child are the node's last fields."""
    index = node // 4
    feature_at = node - 2 * index

    @inline
    def step(base, keys, n):
        at = base + node * n
        x = load_key(keys + key * int64(load_index(at + feature_at)))
        return int64(load_index(at + feature_at + index)) + int64(load_key(at) < x)

    return step


def _make_keys(of: Element) -> Any:
    """keys(x, count, to, missing): write the keys of `count` neighbouring features."""
    single = of is F32
    splat, store_first = (splat_i32x, store_first_i32x) if single else (splat_i64x, store_first_i64x)
    top = of.vector.bits - 1
    sign, magnitude = -(1 << top), (1 << top) - 1
    infinity = 0x7F800000 if single else 0x7FF0000000000000
    lanes, nbytes, load_first = of.lanes, of.nbytes, of.load_first

    @inline
    def keys(x, count, to, missing):
        done = 0
        while done < count:
            left = min(count - done, lanes)
            b = bits(load_first(x + nbytes * done, left))
            b = select(b == splat(sign), splat(0), b)  # -0 is 0
            ordered = b ^ ((b >> splat(top)) & splat(magnitude)) ^ splat(sign)
            ordered = select((b & splat(magnitude)) > splat(infinity), splat(missing), ordered)
            store_first(to + nbytes * done, ordered, left)
            done += left

    return keys


def _make_fold(of: Element) -> Any:
    load, store = of.load_vector, of.store_vector

    @inline
    def smaller(c, leaf):
        return select(leaf < c, leaf, c)

    @inline
    def larger(c, leaf):
        return select(leaf > c, leaf, c)

    @inline
    def fold_8(how, chain, a0, a1, a2, a3, a4, a5, a6, a7):
        """Fold eight rows of leaves, a vector of each, into the chain at an address."""
        c = load(chain)
        if how == _SUM:
            c = c + load(a0) + load(a1) + load(a2) + load(a3) + load(a4) + load(a5) + load(a6) + load(a7)
        elif how == _SMALLEST:
            c = smaller(smaller(smaller(smaller(c, load(a0)), load(a1)), load(a2)), load(a3))
            c = smaller(smaller(smaller(smaller(c, load(a4)), load(a5)), load(a6)), load(a7))
        else:
            c = larger(larger(larger(larger(c, load(a0)), load(a1)), load(a2)), load(a3))
            c = larger(larger(larger(larger(c, load(a4)), load(a5)), load(a6)), load(a7))
        store(chain, c)

    return fold_8


def _make_walk(of: Element, node: int) -> Any:
    """walk(base, steps, keys): the addresses of what the eight leaves say at which a group ends. Of nodes of so many bytes."""
    load_key, load_index = load_u32 if of is F32 else load_u64, load_u16 if node == 8 else load_u32
    step = _make_step(of.nbytes, node, load_key, load_index)

    @inline
    def walk(base, steps, keys):
        n0, n1, n2, n3, n4, n5, n6, n7 = 0, 1, 2, 3, 4, 5, 6, 7
        for _ in range(steps):
            n0, n1, n2, n3 = step(base, keys, n0), step(base, keys, n1), step(base, keys, n2), step(base, keys, n3)
            n4, n5, n6, n7 = step(base, keys, n4), step(base, keys, n5), step(base, keys, n6), step(base, keys, n7)
        n0, n1, n2, n3 = base + node * n0, base + node * n1, base + node * n2, base + node * n3
        return n0, n1, n2, n3, base + node * n4, base + node * n5, base + node * n6, base + node * n7

    return walk


def _make(suffix: str, of: Element, walk: Any) -> None:
    load_key, store_key = (load_u32, store_i32) if of is F32 else (load_u64, store_i64)
    write_keys, fold_8 = _make_keys(of), _make_fold(of)
    element, lanes, splat, scalar, load, store = of.nbytes, of.lanes, of.splat, of.scalar, of.load, of.store
    load_vector, load_first, store_vector, store_first = of.load_vector, of.load_first, of.store_vector, of.store_first

    @inline
    def row(leaves, said):
        """Address of the leaf's row."""
        return leaves + element * int64(load_key(said))

    @inline
    def group(base, steps, keys, leaves, chains, targets, how, inside):
        """Walk down eight trees and fold their leaves."""
        a0, a1, a2, a3, a4, a5, a6, a7 = walk(base, steps, keys)
        if inside:
            c = load(chains) + load(a0) + load(a1) + load(a2) + load(a3)
            store(chains, c + load(a4) + load(a5) + load(a6) + load(a7))
            return
        a0, a1, a2, a3 = row(leaves, a0), row(leaves, a1), row(leaves, a2), row(leaves, a3)
        a4, a5, a6, a7 = row(leaves, a4), row(leaves, a5), row(leaves, a6), row(leaves, a7)
        if how == _SUM and targets <= _FEW:
            for t in range(targets):
                b = element * t
                c = load(chains + b) + load(a0 + b) + load(a1 + b) + load(a2 + b) + load(a3 + b)
                store(chains + b, c + load(a4 + b) + load(a5 + b) + load(a6 + b) + load(a7 + b))
            return
        for v in range((targets + lanes - 1) // lanes):
            b = BYTES * v
            fold_8(how, chains + b, a0 + b, a1 + b, a2 + b, a3 + b, a4 + b, a5 + b, a6 + b, a7 + b)

    @inline
    def finish(chains, leaves, out, targets, divisor, how):
        """Divide and add the base; whole vectors come from the chains, only the targets are written."""
        done = 0
        while done < targets:
            left = min(targets - done, lanes)
            c = load_vector(chains + element * done)
            if how != _SUM:
                c = select(absolute(c) == splat(scalar(_INFINITY)), splat(scalar(0.0)), c)
            base = load_first(leaves + element * done, left)
            store_first(out + element * done, c / splat(divisor) + base, left)
            done += left

    @kernel("trees_" + suffix, TREES)
    def trees(record):
        x, groups, nodes = record.x, record.groups, record.nodes
        leaves, out, keys = record.leaves, record.out, record.keys
        features, count, targets = record.features, record.count, record.targets
        how, copies, inside = record.fold, record.copies, record.inside
        divisor = scalar(record.divisor)
        zero = keys + element * features * copies
        chains = (zero + element + BYTES - 1) // BYTES * BYTES
        vectors = (targets + lanes - 1) // lanes
        neutral = scalar(0.0)
        if how == _SMALLEST:
            neutral = scalar(_INFINITY)
        if how == _LARGEST:
            neutral = scalar(-_INFINITY)
        for _ in range(record.rows):
            write_keys(x, features, keys, -1)
            if copies == 2:
                write_keys(x, features, keys + element * features, 0)
            store_key(zero, 0)
            for v in range(vectors):
                store_vector(chains + BYTES * v, splat(neutral))
            entry = groups
            for _ in range(count):
                start, steps = nodes + load_i64(entry), load_i64(entry + 8)
                group(start, steps, keys, leaves, chains, targets, how, inside)
                entry += 16
            finish(chains, leaves, out, targets, divisor, how)
            x += element * features
            out += element * targets
        return 0


_make("f32", F32, _make_walk(F32, 8))
_make("f32_big", F32, _make_walk(F32, 16))
_make("f64", F64, _make_walk(F64, 16))
_make("flat", F32, walk_flat)
