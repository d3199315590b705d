"""What a rule of `passes.channels_last` works with: the walk, the layout's axes, and the table of rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.lower.lower import label
from rt_engine.ops.graph import add_constant, constant

TWIN = ".last"
"""Ends the name of a channels-last twin, so that whoever profiles a program finds the value in the model's file."""
ANCHORS = {"Conv", "ConvTranspose", "QConv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
"""Operators for whose sake the layout is changed; a graph with none of them stays as it is."""


@dataclass(slots=True)
class Walk:
    """The graph while it is walked through."""

    graph: ir.Graph
    last: dict[ir.Value, ir.Value] = field(default_factory=dict)
    """Value -> its channels-last twin."""
    plain: set[ir.Value] = field(default_factory=set)
    """Values whose original is made by nobody any more: needed again, they are transposed from their twins."""
    done: list[ir.Node] = field(default_factory=list)
    """Nodes whose work another one does."""
    changed: bool = False

    def insert(self, before: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any],
               shape: Sequence[int], dtype: Any, domain: str = "", instead: bool = False) -> ir.Value:  # fmt: skip
        """A new node in front of `before`, in whose name it works where it is there `instead`; gives its output."""
        name = before.name or label(before)
        node = ir.node(op_type, inputs, attributes, domain=domain, name=name if instead else f"{name}.{op_type}")
        out = node.outputs[0]
        out.shape, out.dtype = ir.Shape(shape), dtype
        self.graph.insert_before(before, node)
        return out

    def twin(self, value: ir.Value, before: ir.Node) -> ir.Value:
        """The channels-last twin of a value, made where there is none."""
        if value not in self.last:
            shape, perm = shape_of(value), to_last(len(shape_of(value)))
            twisted = tuple(shape[p] for p in perm)
            array = constant(value)
            if array is not None:
                self.last[value] = add_constant(self.graph, f"{value.name}.last", np.transpose(array, perm))
            else:
                self.last[value] = self.insert(before, "Transpose", [value], {"perm": perm}, twisted, value.dtype)
                self.last[value].name = f"{value.name}{TWIN}"
        return self.last[value]

    def put(self, node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any],
            domain: str | None = None) -> None:  # fmt: skip
        """A channels-last node does the work of `node`, whose first output gets a twin."""
        value = node.outputs[0]
        shape = shape_of(value)
        twisted = [shape[p] for p in to_last(len(shape))]
        where = node.domain if domain is None else domain
        twin = self.insert(node, op_type, inputs, attributes, twisted, value.dtype, where, True)
        twin.name = f"{value.name}{TWIN}"
        self.settle(node, twin)

    def settle(self, node: ir.Node, twin: ir.Value) -> None:
        """`twin` is the channels-last form of what `node` makes; nobody has to run `node`."""
        self.last[node.outputs[0]] = twin
        self.plain.add(node.outputs[0])
        self.done.append(node)
        self.changed = True

    def restore(self, value: ir.Value, before: ir.Node | None) -> None:
        """Make a value in ONNX's layout again, for a node that insists on it (None: for the graph's output)."""
        twin, rank = self.last[value], len(shape_of(value))
        node = ir.node("Transpose", [twin], {"perm": to_first(rank)}, name=f"{value.name}.first")
        node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
        if before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(before, node)
        self.plain.discard(value)
        now = node.outputs[0]
        self.last[now] = twin
        ir.convenience.replace_all_uses_with(value, now, replace_graph_outputs=True)
        now.name = value.name


Carry = Callable[[Walk, ir.Node], bool]
"""Gives the outputs of a node twins, or says False and changes nothing."""
CARRYING: dict[str, Carry] = {}
"""Operator of ONNX -> its rule."""


def carries(*names: str) -> Callable[[Carry], Carry]:
    """Register the layout rule of operators."""

    def register(rule: Carry) -> Carry:
        CARRYING.update(dict.fromkeys(names, rule))
        return rule

    return register


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of a value."""
    assert value.shape is not None, value
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now


def to_last(rank: int) -> list[int]:
    """The permutation [N, C, ...] -> [N, ..., C]."""
    return [0, *range(2, rank), 1]


def to_first(rank: int) -> list[int]:
    """The permutation [N, ..., C] -> [N, C, ...]."""
    return [0, rank - 1, *range(1, rank - 1)]


def moved_axis(axis: int, rank: int) -> int:
    """Where an axis of ONNX's layout is, channels last."""
    return to_last(rank).index(axis % rank)


def attributes_of(node: ir.Node) -> dict[str, Any]:
    """The attributes of a node, for a node like it."""
    return dict(node.attributes)
