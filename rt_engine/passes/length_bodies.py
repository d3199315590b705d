"""Bodies of control flow that read, or give, tensors whose length is only known at run time: their counts go in and out beside them.

If(c, v [40], n)  then: Neg(v)        -> [40], n                  y [40], and m, the count, beside it
                  else: seven [1]     -> [40] (padded), 1
"""

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.control import bodies
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.closing import note
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.length_sizes import counts
from rt_engine.passes.lengths import Along, Length, Lengths, Size

_INT64 = ir.TensorType(ir.DataType.INT64)


def open_lengths(compilation: Compilation, node: ir.Node) -> None:
    """What is known of the lengths of captured values is known in the bodies: their counts are captured, too."""
    lengths = compilation.lengths
    if lengths.finished:
        return
    for i in range(_first(node), len(node.inputs)):
        outer = node.inputs[i]
        if outer is None or not any(outer in table for table in (lengths.along, lengths.known, lengths.empty)):
            continue
        for body in bodies(node):
            inner = _inner(node, body, i)
            if (along := lengths.along.get(outer)) is not None:
                lengths.along[inner] = Along(along.axis, _inside(node, body, along.length))
            if (known := lengths.known.get(outer)) is not None:
                lengths.known[inner] = [
                    n if not isinstance(n, Length) else _inside(node, body, n) if counts(n) else None for n in known
                ]  # a count that is captured is never negative
            if (empty := lengths.empty.get(outer)) is not None:
                lengths.empty[inner] = (_inside(node, body, empty[0]), empty[1])


def _first(node: ir.Node) -> int:
    """The first captured input."""
    return 1 if node.op_type == "If" else len(node.inputs) - node.attributes.get_int("captured", 0)


def _inner(node: ir.Node, body: ir.Graph, i: int) -> ir.Value:
    """What an input of the node is in a body."""
    return body.inputs[len(body.inputs) - len(node.inputs) + i]


def _inside(node: ir.Node, body: ir.Graph, length: Length) -> Length:
    captured = list(node.inputs)
    if length.count not in captured[_first(node) :]:
        first = len(captured)
        node.resize_inputs(first + 1)
        node.replace_input_with(first, length.count)
        for each in bodies(node):
            each.inputs.append(ir.Value(name=length.count.name, type=_INT64, shape=ir.Shape(())))
        note(node, captured=node.attributes.get_int("captured", 0) + 1)
        captured.append(length.count)
    place = captured.index(length.count, _first(node))
    return Length(_inner(node, body, place), length.bound, length.factor)


def refuse_lengths(compilation: Compilation, values: Iterable[ir.Value | None], what: str) -> None:
    """Raise Refusal where one of these values has such a length."""
    along = {} if compilation.lengths.finished else compilation.lengths.along
    for value in values:
        if value is not None and value in along:
            raise Refusal(
                f"the length of '{value.name}' (at most {along[value].length.bound}), which it {what}, is only known at run time",
                "select outside of it, or carry a tensor of fixed size",
            )


def close_lengths(compilation: Compilation, node: ir.Node, branches: Sequence[ir.Graph]) -> None:
    """What the branches of an If give is as long as the longer one; how long it is in a run is an output of the If.

    A length that both take from outside stays that length.

    Raises:
        Refusal: they differ along more than one axis.
    """
    lengths = compilation.lengths
    if lengths.finished:
        return
    counts: dict[tuple[object, ...], ir.Value] = {}
    for i, value in enumerate(list(node.outputs)):
        axis = _axis(lengths, [body.outputs[i] for body in branches])
        if axis is None:
            continue
        sizes = [_size(lengths, body.outputs[i], axis) for body in branches]
        bound = max(n.bound if isinstance(n, Length) else n for n in sizes)
        for body, size in zip(branches, sizes, strict=True):
            _pad(body, i, axis, size, bound)
        same = _from_outside(lengths, node, branches, sizes)
        if same is None:
            factor = gcd(*(n.factor if isinstance(n, Length) else n for n in sizes)) or 1
            key = (factor, *((n.count, n.factor) if isinstance(n, Length) else n for n in sizes))
            if key not in counts:
                counts[key] = _count(node, branches, sizes, factor)
            same = (counts[key], factor)
        lengths.along[value] = Along(axis, Length(same[0], bound, same[1]))


def _axis(lengths: Lengths, results: Sequence[ir.Value]) -> int | None:
    """The axis along which results differ, or have a length; None where there is none, or they cannot be one tensor."""
    shapes = [() if v.shape is None else tuple(v.shape) for v in results]
    if len({(v.dtype, len(shape)) for v, shape in zip(results, shapes, strict=True)}) != 1:
        refused = [v.name for v in results if v in lengths.along]
        if refused:
            raise Refusal(f"'{refused[0]}' of one of its branches has another type or rank than the other one's", _SAME)
        return None
    found = {lengths.along[v].axis for v in results if v in lengths.along}
    found |= {axis for axis, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1}
    if len(found) > 1:
        raise Refusal(
            f"its branches give {' or '.join(str(list(shape)) for shape in shapes)}, which differ along more than one axis",
            _SAME,
        )
    return found.pop() if found else None


_SAME = "let both branches give the same shape and type, or make the condition a constant"


def _size(lengths: Lengths, value: ir.Value, axis: int) -> int | Length:
    assert value.shape is not None
    return lengths.along[value].length if value in lengths.along else int(value.shape[axis])  # type: ignore[arg-type]


def _pad(body: ir.Graph, i: int, axis: int, size: int | Length, bound: int) -> None:
    """The result is as long as the bound; what is behind may be anything."""
    value = body.outputs[i]
    assert value.shape is not None
    shape = [int(d) for d in value.shape]  # type: ignore[arg-type]
    if shape[axis] == bound:
        return
    missing, shape[axis] = bound - shape[axis], bound
    array = constant(value)
    if array is not None:
        wider = np.pad(array, [(0, missing if a == axis else 0) for a in range(array.ndim)])
        body.outputs[i] = add_constant(body, f"{value.name}.padded", wider)
        return
    count, factor = (size.count, size.factor) if isinstance(size, Length) else (None, 1)
    attributes: dict[str, Any] = {"axis": axis, "bound": bound, "factors": [factor]}
    node = ir.node("Append", [value, count], attributes, domain=RT_DOMAIN, num_outputs=2, name=f"{value.name}.padded")
    for made, name, type_, dims in zip(node.outputs, ("", ".count"), (value.type, _INT64), (shape, ()), strict=True):
        made.name, made.type, made.shape = f"{node.name}{name}", type_, ir.Shape(dims)
    body.append(node)
    body.outputs[i] = node.outputs[0]


def _from_outside(
    lengths: Lengths, node: ir.Node, branches: Sequence[ir.Graph], sizes: Sequence[int | Length]
) -> tuple[ir.Value, int] | None:
    """The count and the factor of the one length that the results have in all branches, if it is one from outside."""
    condition = node.inputs[0]
    zero = lengths.empty.get(condition) if condition is not None else None
    found: set[tuple[ir.Value | None, int]] = set()
    nothing = False
    for body, size in zip(branches, sizes, strict=True):
        if isinstance(size, Length):
            outer = {v: node.inputs[len(node.inputs) - len(body.inputs) + k] for k, v in enumerate(body.inputs)}
            found.add((outer.get(size.count), size.factor))
        elif size == 0 and zero is not None and body is node.attributes[_TAKEN[zero[1]]].as_graph():
            nothing = True
        else:
            return None
    if len(found) != 1:
        return None
    ((count, factor),) = found
    if count is None or (nothing and zero is not None and zero[0].count is not count):
        return None
    return count, factor


_TAKEN = {True: "then_branch", False: "else_branch"}


def _count(node: ir.Node, branches: Sequence[ir.Graph], sizes: Sequence[Size], factor: int) -> ir.Value:
    """A new output of the If: how long a result is, in units of the factor."""
    place = len(node.outputs)
    name = f"{node.name or node.op_type}.count.{place}"
    for body, size in zip(branches, sizes, strict=True):
        if isinstance(size, Length):
            each = size.factor // factor
            made = ir.node("Length", [size.count], {"factor": each}, domain=RT_DOMAIN, name=name)
            made.outputs[0].name, made.outputs[0].type, made.outputs[0].shape = name, _INT64, ir.Shape(())
            body.append(made)
            body.outputs.append(made.outputs[0])
        else:
            body.outputs.append(add_constant(body, name, np.array((size or 0) // factor, np.int64)))
    node.resize_outputs(place + 1)
    out = node.outputs[place]
    out.name, out.type, out.shape = name, _INT64, ir.Shape(())
    return out
