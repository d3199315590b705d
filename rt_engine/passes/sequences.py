"""Sequences of tensors whose length is known at load, and optional values, are taken apart: only their tensors stay (docs/adr/0033).

SequenceConstruct(a, b) -> s --SequenceInsert(s, c)--> t --SequenceAt(t, 1)--> y      what the file says
y is b                                                                                what is compiled
"""

from collections.abc import Sequence

import onnx_ir as ir

from rt_engine.errors import ShapeBindingError
from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import next_number
from rt_engine.passes.closing import remade
from rt_engine.passes.compilation import Compilation

ELEMENTS = "rt_engine.elements"
"""Under this key, a value that is a sequence has the values of its tensors."""
ABSENT = "rt_engine.absent"
"""Under this key, an optional value that has nothing in it says so."""
STACK = "rt_engine.stack"
"""Under this key, a sequence of as many tensors as data decide has the tensor whose first axis they are."""
LENGTHS = "rt_engine.lengths"
"""Under this key, a graph has for each output the number of tensors that it became; None for what was a tensor."""
MOST_ELEMENTS = 4096
"""Of one sequence: each is a tensor of its own, and sequences are copied as they grow."""
MOST_TOGETHER = 1 << 15
"""Of all sequences of a graph."""
_CHARGED = "rt_engine.charged"
OURS = {ELEMENTS, ABSENT, STACK}
"""What makes a value no tensor."""

Made = list[ir.Node]


def elements(value: ir.Value | None) -> tuple[ir.Value, ...] | None:
    """The tensors of a sequence; None for what is no sequence, or none that is known."""
    return None if value is None else value.meta.get(ELEMENTS)


def takes_tensors(node: ir.Node) -> None:
    """Raise Refusal where a node that knows no sequences reads one."""
    for value in node.inputs:
        if value is not None and not OURS.isdisjoint(value.meta):
            raise Refusal(
                f"its input '{value.name}' is a sequence or an optional value, and it takes a tensor", "correct it"
            )


def spread_outputs(compilation: Compilation) -> None:
    """Outputs that are sequences become their tensors, `NAME_0`, `NAME_1`, ...

    Raises:
        Refusal: there is no tensor in one.
    """
    graph = compilation.graph
    found = [elements(value) for value in graph.outputs]
    graph.meta[LENGTHS] = [None if parts is None else len(parts) for parts in found]
    for value, parts in zip(graph.outputs, found, strict=True):
        if STACK in value.meta:
            raise Refusal(f"output '{value.name}' is a sequence, and data decide of how many tensors", "stack them")
        if ABSENT in value.meta:
            raise Refusal(f"output '{value.name}' has nothing in it", "leave it out")
        if parts is not None and not parts:
            raise Refusal(f"output '{value.name}' is a sequence without tensors", "leave it out")
    if any(parts is not None for parts in found):
        every = [(value,) if parts is None else parts for value, parts in zip(graph.outputs, found, strict=True)]
        graph.outputs[:] = [one for parts in every for one in parts]


def part_names(graph: ir.Graph, names: Sequence[str]) -> dict[str, list[str]]:
    """Name of an output, of those that the graph had -> the names of the tensors that it became; those that were sequences."""
    taken = set(names)
    lengths = graph.meta.get(LENGTHS, [None] * len(names))
    return {
        name: [_free_name(f"{name}_{i}", taken) for i in range(length)]
        for name, length in zip(names, lengths, strict=False)  # counts are behind
        if length is not None
    }


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def spread_inputs(compilation: Compilation) -> None:
    """Inputs that are sequences become `NAME_0`, `NAME_1`, ...: as many as shapes or bounds say. Optional inputs are given.

    Raises:
        ShapeBindingError: nothing says how many tensors a sequence has.
    """
    graph = compilation.graph
    found: list[ir.Value] = []
    for value in graph.inputs:
        if isinstance(value.type, ir.OptionalType):
            value.type = value.type.elem_type
            compilation.assumed.append(f"input '{value.name}' is optional in the file: it is always given")
        if not isinstance(value.type, ir.SequenceType):
            found.append(value)
            continue
        length, inner = _length(compilation, str(value.name)), value.type.elem_type
        made = [ir.Value(name=f"{value.name}_{i}", type=inner, shape=_copied(value.shape)) for i in range(length)]
        found += made
        _constructed(graph, value, made)
    if len(found) != len(graph.inputs) or any(a is not b for a, b in zip(found, graph.inputs, strict=True)):
        graph.inputs[:] = found


def _copied(shape: ir.Shape | None) -> ir.Shape | None:
    """Open dimensions are open in each tensor: a name is not one size in all."""
    return None if shape is None else ir.Shape([dim if isinstance(dim, int) else None for dim in shape])


def _constructed(graph: ir.Graph, value: ir.Value, parts: list[ir.Value]) -> ir.Node:
    """A SequenceConstruct of parts, before all nodes, in the place of a value."""
    node = ir.node("SequenceConstruct", parts, name=f"{value.name}.{next_number(graph)}")
    node.outputs[0].name = f"{node.name}.sequence"
    if len(graph):
        graph.insert_before(graph[0], node)
    else:
        graph.append(node)
    ir.convenience.replace_all_uses_with(value, node.outputs[0], replace_graph_outputs=True)
    return node


def _length(compilation: Compilation, name: str) -> int:
    given = compilation.binding.bounds.get(name)
    length = 0
    while given is None and f"{name}_{length}" in compilation.binding.shapes:
        length += 1
    if given is not None:
        length = int(given)
        compilation.lengths.used.add(name)
    if not 0 < length <= MOST_ELEMENTS:
        raise ShapeBindingError(
            f"input '{name}' of {compilation.source} is a sequence of tensors, and nothing says of how many (1 to {MOST_ELEMENTS:,}): "
            f"bind the shape of each, as {name}_0, {name}_1, ..., or their number with bounds={{{name!r}: N}}, --bound {name}=N"
        )
    return length


def open_branches(graph: ir.Graph, node: ir.Node, branches: list[ir.Graph]) -> None:
    """Sequences that the branches of an If read become inputs for each tensor."""
    found = [elements(value) for value in node.inputs]
    if all(parts is None for parts in found):
        return
    rest = [
        one for value, parts in zip(node.inputs, found, strict=True) for one in ((value,) if parts is None else parts)
    ]
    charge(graph, len(rest) * len(branches))
    for body in branches:
        inputs: list[ir.Value] = []
        for value, parts in zip(list(body.inputs), found[1:], strict=True):
            inner = [value] if parts is None else [ir.Value(name=f"{value.name}.{i}") for i in range(len(parts))]
            inputs += inner
            if parts is not None:
                _constructed(body, value, inner)
        body.inputs[:] = inputs
    node.resize_inputs(len(rest))
    for i, one in enumerate(rest):
        node.replace_input_with(i, one)


def close_branches(graph: ir.Graph, node: ir.Node, branches: list[ir.Graph]) -> Made:
    """An If whose branches gave sequences: another, with an output for each tensor. `node` is gone.

    Gives it, and nodes that make sequences of its outputs again; itself alone where its branches gave none.

    Raises:
        Refusal: one branch gives more tensors than the other.
    """
    lengths, others = (body.meta.get(LENGTHS, [None] * len(node.outputs)) for body in branches)
    if len(lengths) != len(node.outputs) or lengths != others:
        raise Refusal("its branches give sequences of other lengths", "let both give the same number of tensors")
    if all(length is None for length in lengths):
        return [node]
    outputs: list[ir.Value] = []
    kept: list[ir.Value] = []
    made: Made = []
    for value, length in zip(node.outputs, lengths, strict=True):
        parts = [
            ir.Value(name=f"{value.name}.{i}" if length is not None else value.name)
            for i in range(1 if length is None else length)
        ]
        outputs += parts
        if length is None:
            kept.append(parts[0])
            continue
        construct = ir.node("SequenceConstruct", parts, name=f"{value.name}.{next_number(graph)}")
        construct.outputs[0].name = value.name
        kept.append(construct.outputs[0])
        made.append(construct)
    again = remade(graph, node, node.inputs, outputs, kept)
    graph.insert_after(again, made)
    return [again, *made]


def charge(graph: ir.Graph | ir.Function, count: int) -> None:
    """A file of a few bytes can ask for any number of long sequences."""
    graph.meta[_CHARGED] = graph.meta.get(_CHARGED, 0) + count
    if graph.meta[_CHARGED] > MOST_TOGETHER:
        raise Refusal(f"sequences of more than {MOST_TOGETHER:,} tensors in all", "export with one tensor")
