"""Ensembles of trees as Structured Text: a walk through tables, as many steps for every input.

    WHILE rt_j < trees DO
        rt_n := roots[rt_j];
        WHILE rt_k < depths[rt_j] DO                       always as many steps as the tree is deep
            IF rt_x[features[rt_n]] <= thresholds[rt_n] THEN
                rt_n := children[rt_n];                    children are neighbours: the second is for larger values, and NaN
            ELSE
                rt_n := children[rt_n] + 1;
            END_IF;
        END_WHILE;
        rt_v := rt_v + thresholds[rt_n];                   of a leaf: its weight, or the row of `leaves` where its weights begin
    END_WHILE;

A leaf is its own child: its feature is the last element of rt_x, which is smaller than any threshold. Weights are summed in the order
of the engine's kernel (`rt_engine.kernels.trees`), so the sums have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plc_bindings.st.inline_kernels import kernel
from plc_bindings.st.inline_writer import Writer, place, type_of
from rt_engine.ops.base import Refusal
from rt_engine.ops.packing.tree_layouts import GROUP, linked_again
from rt_engine.program.calls import Buffer, Call

_SUM: Final = 0
_EXACT_IN_REAL: Final = 1 << 24


@dataclass(slots=True)
class Tables:
    """The trees, node by node: branches, and leaves that are their own children."""

    features: list[int]
    thresholds: list[Any]
    children: list[int]
    roots: list[int]
    depths: list[int]


def _values_of(keys: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers whose keys these are (`rt_engine.ops.packing.trees.keys_of`).

    What is denormal becomes what cuts zero and the normal numbers alike: the numbers below zero end at -tiny, and -0 is one of them.
    """
    bits = 8 * dtype.itemsize
    unsigned, sign = np.dtype(f"u{dtype.itemsize}"), 1 << (bits - 1)
    raw = keys.astype(unsigned)
    raw = np.where(raw & unsigned.type(sign), raw ^ unsigned.type(sign), ~raw)
    values = raw.view(dtype)
    smallest = np.finfo(dtype).tiny
    tiny = np.abs(values) < smallest
    return np.where(tiny & ~np.signbit(values), 0, np.where(tiny, -smallest, values)).astype(dtype)


def _tables(call: Call, writer: Writer, dtype: np.dtype[Any]) -> Tables:
    """The kernel's nodes without those that only fill groups up."""
    record = call.record
    groups, nodes, leaves = (writer.known_value(b) for b in (record.groups, record.nodes, record.leaves))
    assert groups is not None and nodes is not None and leaves is not None
    if call.kernel == "trees_flat":
        nodes, groups = linked_again(nodes, groups.reshape(-1, 2), record.features * record.copies)
    values = _values_of(nodes["threshold"], dtype)
    packed = _Packed(nodes, values, record.features * record.copies, bool(record.inside), dtype)
    tables = Tables([], [], [], [], [])
    for start, _ in groups.reshape(-1, 2):
        first = int(start) // nodes.itemsize
        for root in range(GROUP):
            if not packed.changes_nothing(first + root, leaves.reshape(-1), record.targets):
                packed.tree(tables, first, root)
    return tables


@dataclass(frozen=True, slots=True)
class _Packed:
    """Nodes as the kernel walks them; `zero` is the feature of leaves."""

    nodes: NDArray[Any]
    values: NDArray[Any]
    zero: int
    inside: bool
    dtype: np.dtype[Any]

    def changes_nothing(self, root: int, leaves: NDArray[Any], targets: int) -> bool:
        """Is it a single leaf whose weights are zero?"""
        if int(self.nodes["feature"][root]) != self.zero:
            return False
        weight = int(self.nodes["threshold"][root])
        return weight == 0 if self.inside else not leaves[weight : weight + targets].any()

    def tree(self, tables: Tables, first: int, root: int) -> None:
        """Append one tree, level by level; its nodes count from `first`."""
        tables.roots.append(len(tables.features))
        level, depth = [(self._append(tables, first + root), root)], 0
        while True:
            below = []
            for at, n in level:
                if tables.features[at] != self.zero:
                    child = int(self.nodes["child"][first + n])
                    tables.children[at] = len(tables.features)
                    below += [(self._append(tables, first + c), c) for c in (child, child + 1)]
            if not below:
                break
            level, depth = below, depth + 1
        tables.depths.append(depth)

    def _append(self, tables: Tables, n: int) -> int:
        at, feature, bits = len(tables.features), int(self.nodes["feature"][n]), self.nodes["threshold"][n]
        weight = bits.reshape(1).view(self.dtype)[0] if self.inside else self.dtype.type(int(bits))
        tables.features.append(feature)
        tables.thresholds.append(self.values[n] if feature != self.zero else weight)
        tables.children.append(at)
        return at


@kernel("trees_flat", "trees_f32", "trees_f32_big", "trees_f64")
def _trees(call: Call, writer: Writer) -> None:
    record = call.record
    x, out, targets, inside = record.x, record.out, record.targets, record.inside
    if record.rows != 1 or record.fold != _SUM:
        raise Refusal("trees are inlined for one row and for sums", "export with a batch of 1, aggregate SUM")
    leaves = writer.known_value(record.leaves)
    assert leaves is not None
    flat = leaves.reshape(-1)
    if flat.size >= _EXACT_IN_REAL:
        raise Refusal("it has too many leaves", "use fewer trees")
    tables = _tables(call, writer, x.dtype)
    writer.names[record.keys.storage] = _write_inputs(x, writer, tables, record.features, record.copies)
    v, n = writer.value("v", out.dtype), writer.local("n", "DINT")

    def chain(i: str) -> str:
        return v if inside else writer.element(out, i)

    with writer.loop("i", targets) as i:
        writer.line(f"{chain(i)} := 0.0;")
    if tables.roots:
        _walk(call, writer, tables, n, chain)
    base = writer.constant(flat[:targets].copy()) if flat[:targets].any() else ""
    divisor = record.divisor
    if not (inside or base or divisor != 1.0):
        return
    with writer.loop("i", targets) as i:
        text = (
            chain(i)
            if divisor == 1.0
            else f"{chain(i)} / {writer.literal(np.asarray(divisor, out.dtype)[()], out.dtype)}"
        )
        text = f"{text} + {base}[{i}]" if base else text
        writer.line(f"{writer.element(out, i)} := {text};", operations=1)


def _walk(call: Call, writer: Writer, tables: Tables, n: str, chain: Callable[[str], str]) -> None:
    """All trees, and the sums of their leaves."""
    record = call.record
    x, targets, inside = record.x, record.targets, record.inside
    integers = {
        name: writer.constant(np.array(getattr(tables, name), np.int32)) for name in ("features", "children", "depths")
    }
    roots, thresholds = (
        writer.constant(np.array(values, dtype))
        for values, dtype in ((tables.roots, np.dtype(np.int32)), (tables.thresholds, x.dtype))
    )
    names = {**integers, "n": n, "k": writer.local("k", "DINT"), "x": writer.names[record.keys.storage]}
    weights = "" if inside else writer.constant(_finite(writer, record.leaves, tables, targets))
    with writer.loop("j", len(tables.roots)) as j:
        writer.line(f"{n} := {roots}[{j}];")
        writer.block(_WALK, {**names, "thresholds": thresholds, "j": j})
        if inside:
            writer.line(f"{chain('0')} := {chain('0')} + {thresholds}[{n}];", operations=1)
        else:
            writer.line(f"{n} := {type_of(x.dtype)}_TO_DINT({thresholds}[{n}]);")
            with writer.loop("i", targets) as i:
                writer.line(f"{chain(i)} := {chain(i)} + {weights}[{place((n, 1), (i, 1))}];", operations=1)
    writer.cost["tree_steps"] += sum(tables.depths)


_WALK: Final = """
$k := 0;
WHILE $k < $depths[$j] DO
    IF $x[$features[$n]] <= $thresholds[$n] THEN
        $n := $children[$n];
    ELSE
        $n := $children[$n] + 1;
    END_IF;
    $k := $k + 1;
END_WHILE;
"""


def _write_inputs(x: Buffer, writer: Writer, tables: Tables, features: int, copies: int) -> str:
    """The array of what is compared; gives its name.

    features | those again, with the smallest number for NaN, if copies = 2 | what leaves compare | 0 for NaN, 1 for numbers, if asked
    """
    largest, zero = writer.literal(np.finfo(x.dtype).max, x.dtype), features * copies
    clamp, asked = _mend_thresholds(tables, x.dtype, features, zero)
    name = writer.local("x", f"ARRAY [0..{zero + features * asked}] OF {type_of(x.dtype)}")
    with writer.loop("i", features) as i:
        given, own = writer.element(x, i), f"{name}[{i}]"
        writer.line(f"{own} := {given};", operations=1)
        if clamp:
            writer.block(f"IF {given} > {largest} THEN\n    {own} := {largest};\nEND_IF;", {})
        if copies == 2:
            second = f"{name}[{place((i, 1), features)}]"
            writer.line(f"{second} := {own};", operations=1)
            writer.block(f"IF {given} <> {given} THEN\n    {second} := -{largest};\nEND_IF;", {})
        if asked:
            third = f"{name}[{place((i, 1), zero + 1)}]"
            writer.line(f"{third} := 1.0;", operations=1)
            writer.block(f"IF {given} <> {given} THEN\n    {third} := 0.0;\nEND_IF;", {})
    writer.line(f"{name}[{zero}] := -{largest};")
    return name


def _mend_thresholds(tables: Tables, dtype: np.dtype[Any], features: int, zero: int) -> tuple[bool, bool]:
    """Thresholds that are no numbers; gives whether +inf is cut to the largest number, and whether a branch asks for NaN alone."""
    largest = np.finfo(dtype).max
    clamp = asked = taken = False
    for at, (feature, threshold) in enumerate(zip(tables.features, tables.thresholds, strict=True)):
        if feature == zero:
            continue
        if np.isnan(threshold) and np.signbit(threshold) and feature >= features:  # the lowest key: only NaN is there
            asked, tables.features[at], tables.thresholds[at] = True, zero + 1 + feature - features, dtype.type(0.5)
        elif threshold == np.inf:
            clamp, tables.thresholds[at] = True, largest
        elif not np.isfinite(threshold):
            raise Refusal("a threshold is -inf or NaN, which Structured Text cannot write", "train the model again")
        taken |= bool(threshold == largest)
    if clamp and taken:
        raise Refusal("its thresholds are both +inf and the largest number", "train the model again")
    return clamp, asked


def _finite(writer: Writer, leaves: Buffer, tables: Tables, targets: int) -> NDArray[Any]:
    """The rows of `leaves` that leaves point at."""
    known = writer.known_value(leaves)
    assert known is not None
    ends = [t for n, (t, c) in enumerate(zip(tables.thresholds, tables.children, strict=True)) if c == n]
    flat = known.reshape(-1)[: int(max(ends)) + targets].copy()
    if not np.isfinite(flat).all():
        raise Refusal("a weight is infinite or NaN", "train the model again")
    return flat
