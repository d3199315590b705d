"""Attention, as exporters write it, becomes one `rt_engine:Attention` that reads q, k and v where they lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import constant, only_user, replace
from rt_engine.passes.compilation import Compilation

_LARGEST = 1 << 28
"""Tensors of more elements are not looked into."""


def fuse_attention(compilation: Compilation) -> bool:
    """Recognise attention: Softmax(scale * (q @ k') + mask) @ v, all float32, up to four dimensions.

    1. The scale may be a Mul or Div of the scores, of q, of k, or of several; it is more than 0.
    2. A mask that is added to the scores is kept as an operand.
    3. q, k and v are followed back through Transpose, Reshape, Squeeze, Unsqueeze, Expand, Slice, Split, Gather of one index,
       and Mul of a number, to the tensor that they are a strided view of.
    4. A Transpose of the result that leaves the last axis in place is done by writing there at once.

    Requires: static shapes. Ensures: nothing that later passes need.
    """
    changed = False
    for node in list(compilation.graph):
        if node.op_type == "MatMul" and node.domain == "" and node.graph is compilation.graph:
            changed = _fuse(compilation.graph, node) or changed
    return changed


@dataclass(frozen=True, slots=True)
class View:
    """A tensor as a strided view of another, times a factor. `array` stands for it: bytes that nobody reads."""

    base: ir.Value
    array: NDArray[np.int8]
    first: int
    factor: float

    def fields(self, shape: tuple[int, ...]) -> list[int]:
        """First element, and strides as seen with a shape of four axes."""
        padded = self.array.reshape((1,) * (4 - self.array.ndim) + self.array.shape)
        whole = np.broadcast_to(padded, shape)
        strides = [0 if n == 1 else s for n, s in zip(shape[:3], whole.strides[:3], strict=True)]
        return [self.first, *strides, 1 if shape[3] == 1 else whole.strides[3]]


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None, value
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now


def _plain(value: ir.Value) -> View:
    return View(value, np.empty(_shape(value), np.int8), 0, 1.0)


def _view(value: ir.Value) -> View:
    """The farthest tensor that `value` is a view of; itself, if it is none."""
    node = value.producer()
    if node is None or node.domain or not node.inputs or node.inputs[0] is None:
        return _plain(value)
    step = _STEPS.get(node.op_type)
    if step is None or value.dtype != ir.DataType.FLOAT or np.prod(_shape(node.inputs[0])) > _LARGEST:
        return _plain(value)
    if node.op_type in ("Mul", "Div"):
        return _scaled(node) or _plain(value)
    source = _view(node.inputs[0])
    try:
        array = step(node, source.array, _shape(value), node.outputs.index(value))
    except (AttributeError, ValueError, IndexError, TypeError):
        return _plain(value)  # it has to move elements, or is odd
    if array is None or array.shape != _shape(value):
        return _plain(value)
    first = source.first + _address(array) - _address(source.array)
    return View(source.base, array, first, source.factor)


def _address(array: NDArray[np.int8]) -> int:
    return int(array.__array_interface__["data"][0])


def _number(value: ir.Value | None) -> float | None:
    array = constant(value)
    return float(array.item()) if array is not None and array.size == 1 and array.ndim <= 1 else None


def _scaled(node: ir.Node) -> View | None:
    """x times or by a number."""
    for x, other in (node.inputs[:2], node.inputs[1::-1]):
        number = _number(other)
        if x is None or number is None or (node.op_type == "Div" and other is not node.inputs[1]) or number == 0:
            continue
        if _shape(x) != _shape(node.outputs[0]):
            continue
        source = _view(x)
        factor = number if node.op_type == "Mul" else 1.0 / number
        return View(source.base, source.array, source.first, source.factor * factor)
    return None


def _transpose(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    return x.transpose(node.attributes["perm"].as_ints() if "perm" in node.attributes else None)


def _reshape(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    view = x.view()
    view.shape = shape  # raises where elements would have to move
    return view


def _expand(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    return np.broadcast_to(x, shape)


def _gather(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    index = constant(node.inputs[1])
    axis = node.attributes.get_int("axis", 0) % x.ndim
    return np.moveaxis(x, axis, 0)[int(index)] if index is not None and index.ndim == 0 else None


def _slice(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    arrays = [constant(v) for v in node.inputs[1:]]
    if len(arrays) < 2 or any(a is None for a in arrays):
        return None
    starts, ends = arrays[0], arrays[1]
    axes = arrays[2] if len(arrays) > 2 else range(len(starts))  # type: ignore[arg-type]
    steps = arrays[3] if len(arrays) > 3 else np.ones(len(starts), np.int64)  # type: ignore[arg-type]
    if any(int(s) != 1 for s in steps):  # type: ignore[union-attr]
        return None
    where = [slice(None)] * x.ndim
    for start, end, axis in zip(starts, ends, axes, strict=True):  # type: ignore[arg-type]
        where[int(axis)] = slice(int(start), int(end))
    return x[tuple(where)]


def _split(node: ir.Node, x: NDArray[np.int8], shape: tuple[int, ...], output: int) -> Any:
    axis = node.attributes.get_int("axis", 0) % x.ndim
    first = sum(_shape(v)[axis] for v in node.outputs[:output])
    return x[(*(slice(None),) * axis, slice(first, first + shape[axis]))]


_STEPS: dict[str, Any] = {
    "Transpose": _transpose,
    "Expand": _expand,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), _reshape),
    **dict.fromkeys(("Mul", "Div"), _scaled),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """q @ k' * factor + mask."""

    product: ir.Node
    factor: float
    mask: ir.Value | None


def _scores(graph: ir.Graph, value: ir.Value | None) -> Scores | None:
    """What Softmax reads, if it is scores that nobody else reads."""
    node = value.producer() if value is not None else None
    if node is None or value is None or node.domain or only_user(value, graph) is None:
        return None
    if node.op_type == "MatMul":
        return Scores(node, 1.0, None)
    if node.op_type in ("Mul", "Div"):
        for x, other in (node.inputs[:2], node.inputs[1::-1]):
            number = _number(other)
            if number is None or (node.op_type == "Div" and other is not node.inputs[1]) or number == 0:
                continue
            found = _scores(graph, x)
            if found is not None and found.mask is None:
                return Scores(found.product, number if node.op_type == "Mul" else 1.0 / number, None)
    if node.op_type == "Add":
        for x, other in (node.inputs[:2], node.inputs[1::-1]):
            found = _scores(graph, x)
            if found is None or found.mask is not None or other is None or x is None:
                continue
            if _fits(_shape(other), _shape(x)):
                mask = constant(other)
                return Scores(found.product, found.factor, other if mask is None or mask.any() else None)
    return None


def _fits(mask: tuple[int, ...], scores: tuple[int, ...]) -> bool:
    """It broadcasts to the scores, and has all keys."""
    try:
        return np.broadcast_shapes(mask, scores) == scores and bool(mask) and mask[-1] == scores[-1]
    except ValueError:
        return False


def _is_float32(*values: ir.Value | None) -> bool:
    return all(v is not None and v.dtype == ir.DataType.FLOAT for v in values)


def _is_weights(node: ir.Node | None, graph: ir.Graph) -> bool:
    """Softmax over the last axis, read once."""
    if node is None or node.op_type != "Softmax" or node.domain or only_user(node.outputs[0], graph) is None:
        return False
    rank = len(_shape(node.outputs[0]))
    return node.attributes.get_int("axis", -1) % rank == rank - 1


def _fuse(graph: ir.Graph, last: ir.Node) -> bool:
    p, v = last.inputs
    softmax = p.producer() if p is not None else None
    if p is None or v is None or softmax is None or not _is_weights(softmax, graph):
        return False
    scores = _scores(graph, softmax.inputs[0])
    if scores is None or not _is_float32(*scores.product.inputs, v, scores.mask or v):
        return False
    q, k = scores.product.inputs
    assert q is not None and k is not None
    full, result = _shape(p), _shape(last.outputs[0])
    if not 2 <= len(full) <= 4 or min(len(_shape(x)) for x in (q, k, v)) < 2 or 0 in full + result:
        return False
    lead = (1,) * (4 - len(full)) + full[:-2]
    queries, keys, depth, width = full[-2], full[-1], _shape(q)[-1], result[-1]
    if result != (*full[:-1], width):
        return False

    views = {"q": _read(q, (*lead, queries, depth)), "k": _view(k), "v": _view(v)}
    shapes = {"q": (*lead, queries, depth), "k": (*lead, depth, keys), "v": (*lead, keys, width)}
    fields = {name: view.fields(shapes[name]) for name, view in views.items()}
    fields["k"] = [*fields["k"][:3], fields["k"][4], fields["k"][3]]  # of (batch, head, key, depth)
    factor = scores.factor * float(np.prod([view.factor for name, view in views.items() if name != "v"]))
    if not 0 < np.float32(factor) < np.inf:
        return False  # the kernel fills rows up with -inf before it scales them
    if views["v"].factor != 1.0:
        views["v"] = _plain(v)
        fields["v"] = views["v"].fields(shapes["v"])
    last, out = _target(graph, last)
    attributes: dict[str, Any] = {
        "sizes": [*lead, queries, keys, depth, width],
        **fields,
        "out": out,
        "shape": list(_shape(last.outputs[0])),
        "scale": factor,
    }
    inputs = [views[name].base for name in ("q", "k", "v")]
    if scores.mask is not None:
        attributes["mask"] = _plain(scores.mask).fields((*lead, queries, keys))[1:]
        inputs.append(scores.mask)
    replace(graph, [last], ir.node("Attention", inputs, attributes, domain=RT_DOMAIN, name=last.name))
    return True


def _read(q: ir.Value, shape: tuple[int, ...]) -> View:
    """q, whose rows must be neighbours."""
    view = _view(q)
    return view if view.fields(shape)[4] == 1 or shape[3] == 1 else _plain(q)


def _target(graph: ir.Graph, last: ir.Node) -> tuple[ir.Node, list[int]]:
    """The node whose output is written, and the strides of (batch, head, row, element) in it."""
    shape = _shape(last.outputs[0])
    array = np.empty(shape, np.int8)
    user = only_user(last.outputs[0], graph)
    if user is not None and user.op_type == "Transpose" and user.domain == "" and "perm" in user.attributes:
        perm = [int(p) for p in user.attributes["perm"].as_ints()]
        if perm[-1] == len(perm) - 1:
            array = np.empty(_shape(user.outputs[0]), np.int8).transpose(np.argsort(perm))
            last = user
    return last, [0] * (4 - len(shape)) + list(array.strides)
