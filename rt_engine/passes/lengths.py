"""Lengths that are only known at run time: a bound in the shape, a count beside the tensor.

    NonZero(x [4, 5])   ->   FoundNonZero: indices [2, 20], count []         along[indices] = Along(1, Length(count, 20))

`passes.following` walks through the graph with this table; docs/adr/0034 says why.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

import onnx_ir as ir


@dataclass(frozen=True, slots=True, eq=False)
class Length:
    """count * factor elements, at most `bound`; `count` is an int64 scalar."""

    count: ir.Value
    bound: int
    factor: int = 1

    def same(self, other: "Length") -> bool:
        """Are they equal in every run?"""
        return self.count is other.count and self.factor == other.factor


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """The one axis of a tensor whose length is only known at run time."""

    axis: int
    length: Length


Size = int | Length | None
"""An element of a shape that is computed: a number, a length, or anything."""


@dataclass(slots=True)
class Lengths:
    """What is known of a model's lengths."""

    along: dict[ir.Value, Along] = field(default_factory=dict)
    """Tensors with such an axis. Behind its count a tensor holds anything, unless `ClearRest` made it."""
    known: dict[ir.Value, list[Size]] = field(default_factory=dict)
    """Integers that are computed from shapes, element by element."""
    empty: dict[ir.Value, tuple[Length, bool]] = field(default_factory=dict)
    """Conditions on whether a length is 0: the length, and what the condition is then."""
    made: dict[Hashable, tuple[ir.Value, ...]] = field(default_factory=dict)
    """Nodes that were added -> their outputs: what is the same is computed once, so that its length is one length."""
    used: set[str] = field(default_factory=set)
    """Bounds of the user that were needed."""
    finished: bool = False
    """Everything that needs it is masked; who makes nodes from now on need not know."""
