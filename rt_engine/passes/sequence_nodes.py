"""Nodes of sequences and optional values, each taken apart (`passes.sequences`)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.graph import add_constant, constant, next_number
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.sequences import ABSENT, ELEMENTS, MOST_ELEMENTS, OURS, STACK, Made, charge, elements

_END = (1 << 63) - 1
"""A place behind every end."""


def is_sequence(node: ir.Node) -> bool:
    """Is it a node that makes or reads sequences or optional values?"""
    if node.domain:
        return False
    return node.op_type in SEQUENCE_OPERATORS or (
        node.op_type == "Identity" and node.inputs[0] is not None and not OURS.isdisjoint(node.inputs[0].meta)
    )


def stack(compilation: Compilation, node: ir.Node) -> bool:
    """Is what a SplitToSequence takes apart as long as data decide, and stays one tensor?"""
    x = node.inputs[0]
    along = None if x is None or compilation.lengths.finished else compilation.lengths.along.get(x)
    whole = not _has(node, 1) and not node.attributes.get_int("keepdims", 1) and not node.attributes.get_int("axis", 0)
    if along is None or along.axis or not whole:
        return False
    node.outputs[0].meta[STACK] = x
    return True


def take_apart(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    """What a node of sequences makes is known from here on; gives nodes that were put before it, to be looked at next.

    1. SequenceEmpty, SequenceConstruct, SequenceInsert, SequenceErase, Identity make a sequence of values that are there.
    2. SequenceAt is one of them, SequenceLength a constant.
    3. SplitToSequence is a Split, without the axis where it shall not be kept.
    4. ConcatFromSequence is a Concat, along a new axis of Unsqueezes.
       Of a sequence of as many tensors as data decide, which is one tensor, 2 is a Gather or a Shape, 4 a Transpose and a Reshape;
       SequenceInsert and SequenceErase at a constant place are its parts, one behind the other.
    5. Optional is what is in it, OptionalHasElement a constant, OptionalGetElement what is in it.

    The node itself stays until `remove`: others may read what it made.

    Raises:
        Refusal: the length or a position depends on data, or is not there.
    """
    return _TAKEN_APART[node.op_type](graph, node, opset)


def remove(graph: ir.Graph, nodes: Made) -> None:
    """The nodes that were taken apart, in the order in which they were."""
    for node in reversed(nodes):
        graph.remove(node, safe=True)


def _sequence(node: ir.Node, values: tuple[ir.Value, ...]) -> Made:
    if any(not OURS.isdisjoint(value.meta) for value in values):
        raise Refusal("a sequence of sequences, or of optional values", "export with tensors")
    if len(values) > MOST_ELEMENTS:
        raise Refusal(f"a sequence of {len(values):,} tensors; the most is {MOST_ELEMENTS:,}", "export with one tensor")
    assert node.graph is not None
    charge(node.graph, len(values))
    node.outputs[0].meta[ELEMENTS] = values
    return []


def _alias(node: ir.Node, value: ir.Value) -> Made:
    """The node's output is another value."""
    ir.convenience.replace_all_uses_with(node.outputs[0], value, replace_graph_outputs=True)
    return []


def _known(node: ir.Node, index: int = 0) -> tuple[ir.Value, ...]:
    found = elements(node.inputs[index])
    if found is None:
        raise Refusal("how many tensors its sequence has is not known when the model is loaded", "export with tensors")
    return found


def _number_of(node: ir.Node, index: int) -> int:
    """A position as the file gives it."""
    array = constant(node.inputs[index])
    if array is None or array.size != 1:
        raise Refusal("its position is computed at run time", "use a constant position, or one tensor and Gather")
    position = int(array.reshape(-1)[0])
    if abs(position) > MOST_ELEMENTS:
        raise Refusal(f"position {position} of a sequence of at most {MOST_ELEMENTS:,}", "correct it")
    return position


def _position(node: ir.Node, index: int, length: int, most: int) -> int:
    """A constant position, counted from the front: at most `most`."""
    position = _number_of(node, index)
    if not -length <= position <= most:
        raise Refusal(f"position {position} of a sequence of {length}", "correct it")
    return position + length if position < 0 else position


def _empty(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    return _sequence(node, ())


def _construct(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    return _sequence(node, tuple(value for value in node.inputs if value is not None))


def _has(node: ir.Node, index: int) -> bool:
    return len(node.inputs) > index and node.inputs[index] is not None


def _insert(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    tensor = node.inputs[1]
    if tensor is None:
        raise Refusal("the tensor is missing", "export it again")
    if (whole := _stack(node)) is not None:
        row = _with_axes(graph, node, "Unsqueeze", tensor, 0, opset)
        at = _number_of(node, 2) if _has(node, 2) else _END
        return _spliced(graph, node, whole, at, at, [row])
    found = _known(node)
    at = _position(node, 2, len(found), len(found)) if _has(node, 2) else len(found)
    return _sequence(node, (*found[:at], tensor, *found[at:]))


def _erase(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    if (whole := _stack(node)) is not None:
        at = _number_of(node, 1) if _has(node, 1) else -1
        return _spliced(graph, node, whole, at, at + 1 or _END, [])
    found = _known(node)
    at = _position(node, 1, len(found), len(found) - 1) if _has(node, 1) else len(found) - 1
    if not found:
        raise Refusal("its sequence has no tensor", "correct it")
    return _sequence(node, (*found[:at], *found[at + 1 :]))


def _spliced(graph: ir.Graph, node: ir.Node, whole: ir.Value, end: int, start: int, row: list[ir.Node]) -> Made:
    """A stack without what lies between two places, with a row there; a run in which they are not there has a status."""

    def part(x: ir.Value, *ends: int) -> ir.Node:
        inputs = (*([n] for n in ends), [0])
        return ir.node(
            "Slice",
            [x, *(add_constant(graph, f"{node.name}.{next_number(graph)}", np.array(n, np.int64)) for n in inputs)],
        )

    made: Made = []
    least = -end if end < 0 else (end if row else end + 1) if end < _END else 0
    if least:
        shape, first = ir.node("Shape", [whole]), add_constant(graph, f"{node.name}.first", np.array(0, np.int64))
        count = ir.node("Gather", [shape.outputs[0], first], {"axis": 0})
        clear = {"axis": 0, "factor": 1, "pattern": 0, "least": least}
        checked = ir.node("ClearRest", [whole, count.outputs[0]], clear, domain=RT_DOMAIN)
        made, whole = [shape, count, checked], checked.outputs[0]
    front = [part(whole, 0, end)] if end else []
    back = [part(whole, start, _END)] if start < _END else []
    parts = [*front, *row, *back]
    joined = ir.node("Concat", [one.outputs[0] for one in parts], {"axis": 0})
    again = ir.node("SplitToSequence", [joined.outputs[0]], {"axis": 0, "keepdims": 0})
    return _instead(graph, node, *made, *parts, joined, again)


def _at(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    if (whole := _stack(node)) is not None:
        scalar = add_constant(graph, f"{node.name}.scalar", np.array([], np.int64))
        position = ir.node("Reshape", [node.inputs[1], scalar])
        return _instead(graph, node, position, ir.node("Gather", [whole, position.outputs[0]], {"axis": 0}))
    found = _known(node)
    return _alias(node, found[_position(node, 1, len(found), len(found) - 1)])


def _number(graph: ir.Graph, node: ir.Node, array: Any) -> Made:
    return _alias(node, add_constant(graph, f"{node.outputs[0].name}.{next_number(graph)}", array))


def _count(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    if (whole := _stack(node)) is not None:
        shape, first = ir.node("Shape", [whole]), add_constant(graph, f"{node.name}.first", np.array(0, np.int64))
        return _instead(graph, node, shape, ir.node("Gather", [shape.outputs[0], first], {"axis": 0}))
    return _number(graph, node, np.array(len(_known(node)), np.int64))


def _same(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    value = node.inputs[0]
    assert value is not None
    for key in OURS:
        if key in value.meta:
            node.outputs[0].meta[key] = value.meta[key]
    return []


def _axis(node: ir.Node, rank: int) -> int:
    axis = node.attributes.get_int("axis", 0)
    if not -rank <= axis < rank:
        raise Refusal(f"axis is {axis}, and there are {rank}", "correct it")
    return axis % rank


def _put(graph: ir.Graph, before: ir.Node, *made: ir.Node) -> Made:
    for node in made:
        node.name = f"{before.name or before.op_type}.{next_number(graph)}"
        for i, value in enumerate(node.outputs):
            value.name = f"{node.name}.{i}"
    graph.insert_before(before, list(made))
    return list(made)


def _with_axes(graph: ir.Graph, node: ir.Node, op_type: str, value: ir.Value, axis: int, opset: int) -> ir.Node:
    """Squeeze or Unsqueeze of one axis."""
    if opset < 13:
        return ir.node(op_type, [value], {"axes": [axis]})
    return ir.node(op_type, [value, add_constant(graph, f"{node.name}.axes", np.array([axis], np.int64))])


def _split(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    x = node.inputs[0]
    if x is None or x.shape is None:
        raise Refusal("its input is missing", "export it again")
    axis = _axis(node, len(x.shape))
    size = int(x.shape[axis])  # type: ignore[arg-type]  # static by now
    if STACK in node.outputs[0].meta:
        return []
    whole = not _has(node, 1)
    parts = [1] * size if whole else _parts(node, size)
    if not 0 < len(parts) <= MOST_ELEMENTS:
        raise Refusal(
            f"a sequence of {len(parts):,} tensors; 1 to {MOST_ELEMENTS:,} are possible", "export with one tensor"
        )
    assert node.graph is not None
    charge(node.graph, len(parts))
    if opset < 13:
        split = ir.node("Split", [x], {"axis": axis, "split": parts}, num_outputs=len(parts))
    else:
        sizes = add_constant(graph, f"{node.name}.sizes", np.array(parts, np.int64))
        split = ir.node("Split", [x, sizes], {"axis": axis}, num_outputs=len(parts))
    found, made = tuple(split.outputs), [split]
    if whole and not node.attributes.get_int("keepdims", 1):
        made += (rest := [_with_axes(graph, node, "Squeeze", value, axis, opset) for value in found])
        found = tuple(one.outputs[0] for one in rest)
    node.outputs[0].meta[ELEMENTS] = found
    return _put(graph, node, *made)


def _parts(node: ir.Node, size: int) -> list[int]:
    array = constant(node.inputs[1])
    if array is None:
        raise Refusal("the sizes of its parts are computed at run time", "use constant sizes")
    if array.ndim == 0:
        each = int(array)
        if each < 1:
            raise Refusal(f"parts of size {each}", "correct it")
        return (
            [min(each, size - at) for at in range(0, size, each)]
            if size // each < MOST_ELEMENTS
            else [1] * (MOST_ELEMENTS + 1)
        )
    parts = [int(part) for part in array.reshape(-1)]
    if min(parts, default=0) < 0 or sum(parts) != size:
        raise Refusal(f"parts that are {sum(parts)} long together, of an axis of {size}", "correct it")
    return parts


def _stack(node: ir.Node) -> ir.Value | None:
    """The tensor that a sequence is of which data decide how many there are."""
    value: ir.Value | None = None if node.inputs[0] is None else node.inputs[0].meta.get(STACK)
    return value


def _instead(graph: ir.Graph, node: ir.Node, *made: ir.Node) -> Made:
    """The output of the last of these nodes is that of the node."""
    put = _put(graph, node, *made)
    _alias(node, put[-1].outputs[0])
    return put


def _unstacked(graph: ir.Graph, node: ir.Node, whole: ir.Value) -> Made:
    """ConcatFromSequence of a stack: its first axis moves to where they shall lie, and becomes one with the axis there."""
    new, shape = node.attributes.get_int("new_axis", 0), [int(d) for d in whole.shape or ()]  # type: ignore[arg-type]
    axis = _axis(node, len(shape) - 1 + bool(new))
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
    made = [ir.node("Transpose", [whole], {"perm": order})]
    if not new:
        moved = [shape[i] for i in order]
        joined = np.array([*moved[:axis], -1, *moved[axis + 2 :]], np.int64)
        made.append(ir.node("Reshape", [made[0].outputs[0], add_constant(graph, f"{node.name}.joined", joined)]))
    return _instead(graph, node, *made)


def _concat(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    if (whole := _stack(node)) is not None:
        return _unstacked(graph, node, whole)
    found, new = _known(node), node.attributes.get_int("new_axis", 0)
    if not found:
        raise Refusal("its sequence has no tensor: the shape of its output is not known", "leave it out")
    charge(graph, len(found))
    rank = len(found[0].shape) if found[0].shape is not None else 0
    axis = _axis(node, rank + bool(new))
    made: Made = []
    if new:
        made = [_with_axes(graph, node, "Unsqueeze", value, axis, opset) for value in found]
        found = tuple(one.outputs[0] for one in made)
    made.append(ir.node("Concat", list(found), {"axis": axis}))
    _put(graph, node, *made)
    _alias(node, made[-1].outputs[0])
    return made


def _optional(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    value = node.inputs[0] if node.inputs else None
    if value is None:
        node.outputs[0].meta[ABSENT] = True
        return []
    return _alias(node, value)


def _is_there(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    value = node.inputs[0] if node.inputs else None
    return _number(graph, node, np.array(value is not None and ABSENT not in value.meta))


def _inside(graph: ir.Graph, node: ir.Node, opset: int) -> Made:
    value = node.inputs[0]
    if value is None or ABSENT in value.meta:
        raise Refusal("it takes what is in an optional value, and there is nothing in it", "correct it")
    return _alias(node, value)


_TAKEN_APART: dict[str, Callable[[ir.Graph, ir.Node, int], Made]] = {
    "SequenceEmpty": _empty,
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceAt": _at,
    "SequenceLength": _count,
    "SplitToSequence": _split,
    "ConcatFromSequence": _concat,
    "Identity": _same,
    "Optional": _optional,
    "OptionalHasElement": _is_there,
    "OptionalGetElement": _inside,
}
SEQUENCE_OPERATORS = frozenset(_TAKEN_APART) - {"Identity"}
"""What needs no operator of its own."""
