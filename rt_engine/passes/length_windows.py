"""A Slice whose ends are computed, a known distance behind its starts: dynamic_slice of JAX, x[:, i : i + 4] of PyTorch.

Slice(x, i, Add(i, 4))   ->   Gather(x, i + [0, 1, 2, 3])
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rt_engine.ops.graph import constant
from rt_engine.passes.following import Step

_MOST = 64
"""A tensor with more elements says no places."""
_MOST_SEEN = 64
"""Tensors that are looked into: exporters use a few, and a file can have any number, each read twice by the next."""
_VIEWS = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class _Place:
    """An element of a computed vector, plus a number; without a vector the number itself."""

    vector: ir.Value | None
    element: int
    shift: int


_Seen = dict[ir.Value, list[_Place] | None]
"""What was found already."""


def window(step: Step) -> bool:
    """Put Gathers in the place of a Slice of opset 10 whose windows have known lengths; False where it is none.

    A window that begins before its tensor, or ends behind it, ends the run with INDEX_OUT_OF_RANGE.
    """
    seen: _Seen = {}
    starts, ends = _places(step.given(1), seen), _places(step.given(2), seen)
    n = len(starts or [])
    axes, steps = (
        step.sizes(i) if step.value(i) is not None else default for i, default in ((3, [*range(n)]), (4, [1] * n))
    )
    if starts is None or ends is None or axes is None or steps is None or not len(ends) == len(axes) == len(steps) == n:
        return False
    moving = [k for k in range(n) if starts[k].vector is not None]
    for start, end in zip(starts, ends, strict=True):
        if (start.vector, start.element) != (end.vector, end.element):
            return False
    if not moving or any(steps[k] != 1 or ends[k].shift <= starts[k].shift for k in moving):
        return False
    out = step.given(0)
    if still := [k for k in range(n) if k not in moving]:
        parts = [
            [starts[k].shift for k in still],
            [ends[k].shift for k in still],
            [axes[k] for k in still],
            [steps[k] for k in still],
        ]
        out = step.emit("Slice", [out, *(step.constant(np.array(part, np.int64)) for part in parts)], domain="")[0]
    for k in moving:
        index = _index(step, starts[k], ends[k].shift - starts[k].shift)
        out = step.emit("Gather", [out, index], domain="", axis=axes[k])[0]
    step.become([out])
    return True


def _index(step: Step, start: _Place, length: int) -> ir.Value:
    """The places of a window; one that begins before 0 ends the run."""
    vector = start.vector
    assert vector is not None and vector.shape is not None
    if vector.shape.rank():
        vector = step.emit("Gather", [vector, step.constant(np.array(start.element, np.int64))], domain="", axis=0)[0]
    if vector.dtype != ir.DataType.INT64:
        vector = step.emit("Cast", [vector], domain="", to=int(ir.DataType.INT64))[0]
    first = step.emit("Length", [vector], shift=start.shift, low=0, strict=2)[0]
    return step.emit("Add", [first, step.constant(np.arange(length, dtype=np.int64))], domain="")[0]


def _places(value: ir.Value | None, seen: _Seen) -> list[_Place] | None:
    """The elements of a vector, in order; None for what is too long, or no vector of whole numbers."""
    if value is None:
        return None
    if value not in seen:
        seen[value] = None  # counted before what it is made of
        seen[value] = _found(value, seen)
    return seen[value]


def _found(value: ir.Value, seen: _Seen) -> list[_Place] | None:
    array = constant(value)
    if array is not None:
        return (
            [_Place(None, 0, int(n)) for n in array.reshape(-1)]
            if array.dtype.kind == "i" and array.size <= _MOST
            else None
        )
    shape, maker = value.shape, value.producer()
    if shape is None or shape.rank() > 1 or value.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
        return None
    count = int(shape[0]) if shape.rank() else 1  # type: ignore[arg-type]  # static by now
    if count > _MOST:
        return None
    found = None if maker is None or maker.domain or len(seen) > _MOST_SEEN else _made(maker, seen)
    return found or [_Place(value, i, 0) for i in range(count)]


def _made(maker: ir.Node, seen: _Seen) -> list[_Place] | None:
    """What a node makes, from the places that it reads."""
    if maker.op_type in _VIEWS:
        return _places(maker.inputs[0], seen)
    if maker.op_type not in ("Concat", "Add", "Sub"):
        return None
    parts = [_places(v, seen) for v in maker.inputs]
    if any(part is None for part in parts):
        return None
    if maker.op_type == "Concat":
        return [place for part in parts for place in part or []]
    a, b = (part or [] for part in parts)
    if len(a) == 1:
        a = a * len(b)
    if len(b) == 1:
        b = b * len(a)
    if maker.op_type == "Add" and all(place.vector is None for place in a):
        a, b = b, a
    if len(a) != len(b) or any(place.vector is not None for place in b):
        return None
    sign = 1 if maker.op_type == "Add" else -1
    return [_Place(p.vector, p.element, p.shift + sign * q.shift) for p, q in zip(a, b, strict=True)]
