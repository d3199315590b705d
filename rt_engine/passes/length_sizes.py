"""Sizes that are computed from lengths which are only known at run time: Shape, and the arithmetic of exporters behind it."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.ops.graph import constant
from rt_engine.passes.following import Step
from rt_engine.passes.lengths import Length, Size

_MOST = 64
"""A tensor with more elements is no shape."""
_LOWEST = -(1 << 62)


def shape(step: Step) -> None:
    """Shape of a tensor with such an axis: a vector of numbers and the length."""
    sizes = step.dims(0)[slice(step.attr("start", 0), step.attr("end"))]
    step.become([vector(step, sizes)])


def size(step: Step) -> None:
    """Its number of elements."""
    along = step.along(0)
    assert along is not None
    others = int(np.prod([n for i, n in enumerate(step.shape(0)) if i != along.axis], dtype=np.int64))
    length = along.length
    made = Length(length.count, length.bound * others, length.factor * others)
    out = step.emit("Length", [made.count], factor=made.factor)[0]
    step.lengths.known[out] = [made]
    step.become([out])


def vector(step: Step, sizes: Sequence[Size]) -> ir.Value:
    """The int64 vector of these sizes, which are known."""
    if all(isinstance(n, int) for n in sizes):
        return step.constant(np.array(sizes, np.int64))
    one = step.constant(np.array([1], np.int64))
    parts = [
        step.emit("Reshape", [step.scalar(n), one], domain="")[0]
        if isinstance(n, Length)
        else step.constant(np.array([n], np.int64))
        for n in sizes
    ]
    out = step.emit("Concat", parts, domain="", axis=0)[0] if len(parts) > 1 else parts[0]
    step.lengths.known[out] = list(sizes)
    return out


def derived(step: Step) -> list[Size] | None:
    """The elements of the first output, as far as they follow from those of the inputs; None if nothing is known."""
    rule = _RULES.get(step.node.op_type) if step.node.domain == "" else None
    if rule is None or not any(v in step.lengths.known or v in step.lengths.empty for v in step.node.inputs if v):
        return None
    shape = step.node.outputs[0].shape
    count = int(np.prod([int(d) for d in shape or ()], dtype=np.int64))  # type: ignore[arg-type]
    found = rule(step) if count <= _MOST else None
    return found if found is not None and len(found) == count else None


def _same(step: Step) -> list[Size] | None:
    return step.sizes(0)


def _cast(step: Step) -> list[Size] | None:
    to, condition = step.node.outputs[0].dtype, step.lengths.empty.get(step.given(0))
    if condition is not None and to == ir.DataType.BOOL:
        step.lengths.empty[step.node.outputs[0]] = condition
    return step.sizes(0) if to in (ir.DataType.INT64, ir.DataType.INT32) else None


def _array(step: Step, i: int) -> Any:
    """The elements as an array of objects, in the input's shape."""
    sizes = step.sizes(i)
    if sizes is None:
        return None
    out = np.empty(len(sizes), object)
    out[:] = sizes
    return out.reshape(step.shape(i))


def _gather(step: Step) -> list[Size] | None:
    data, index = _array(step, 0), constant(step.value(1))
    if data is None or index is None:
        return None
    return list(np.array(np.take(data, index, axis=int(step.attr("axis", 0))), object).reshape(-1))


def _slice(step: Step) -> list[Size] | None:
    data, inputs = _array(step, 0), [step.value(i) for i in range(1, 5)]
    parts = [None if v is None else constant(v) for v in inputs]
    starts, ends, axes, steps = (None if part is None else [int(n) for n in part.reshape(-1)] for part in parts)
    if data is None or starts is None or ends is None or any(v is not None and constant(v) is None for v in inputs):
        return None
    cuts = [slice(None)] * data.ndim
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        cuts[k if axes is None else axes[k]] = slice(start, end, 1 if steps is None else steps[k])
    return list(data[tuple(cuts)].reshape(-1))


def _transpose(step: Step) -> list[Size] | None:
    data = _array(step, 0)
    return None if data is None else list(np.transpose(data, step.attr("perm")).reshape(-1))


def _concat(step: Step) -> list[Size] | None:
    parts = [step.sizes(i) for i in range(len(step.node.inputs))]
    if len(step.shape(0)) != 1:
        return None
    return [size for i, part in enumerate(parts) for size in (part or [None] * step.shape(i)[0])]


def _pairs(combine: Callable[[Step, Size, Size], Size]) -> Callable[[Step], list[Size] | None]:
    def rule(step: Step) -> list[Size] | None:
        parts = [_array(step, i) for i in range(len(step.node.inputs))]
        if any(part is None for part in parts):
            return None
        found = parts[0]
        for part in parts[1:]:
            a, b = np.broadcast_arrays(found, part)
            out = np.empty(a.size, object)
            out[:] = [combine(step, x, y) for x, y in zip(a.reshape(-1), b.reshape(-1), strict=True)]
            found = out.reshape(a.shape)
        return list(found.reshape(-1))

    return rule


def made(step: Step, length: Length, shift: int = 0, low: int = _LOWEST, high: int = 1 << 62) -> Length:
    """length + shift, within limits."""
    bound = max(min(length.bound + shift, high), low)
    return Length(step.scalar(length, shift=shift, low=low, high=high), bound)


def checked(step: Step, length: Length) -> Length:
    """The length; a run in which it is negative (4 less than 3) ends with INDEX_OUT_OF_RANGE."""
    return length if counts(length) else Length(step.scalar(length, low=0, strict=2), max(length.bound, 0))


def counts(length: Length) -> bool:
    """Is it never negative?"""
    maker = length.count.producer()
    return length.factor > 0 and (maker is None or maker.op_type != "Length" or maker.attributes.get_int("low", 0) >= 0)


def _add(step: Step, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    a, b = (b, a) if isinstance(a, int) else (a, b)
    return (a if b == 0 else made(step, a, shift=b)) if isinstance(a, Length) and isinstance(b, int) else None


def _sub(step: Step, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, Length) and b.bound <= a and counts(b):  # as many as are missing
        return Length(step.emit("Length", [b.count], factor=-b.factor, shift=a, low=0, high=a)[0], a)
    return _add(step, a, -b) if isinstance(b, int) else None


def _mul(step: Step, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    a, b = (b, a) if isinstance(a, int) else (a, b)
    if isinstance(a, Length) and isinstance(b, int) and b > 0:
        return Length(a.count, a.bound * b, a.factor * b)
    return None


def _div(step: Step, a: Size, b: Size) -> Size:
    if not isinstance(b, int) or b <= 0:
        return None
    if isinstance(a, int):
        return a // b if a >= 0 else None
    return Length(a.count, a.bound // b, a.factor // b) if isinstance(a, Length) and a.factor % b == 0 else None


def _limit(smallest: bool) -> Callable[[Step, Size, Size], Size]:
    def combine(step: Step, a: Size, b: Size) -> Size:
        if a is None or b is None:
            return None
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b) if smallest else max(a, b)
        a, b = (b, a) if isinstance(a, int) else (a, b)
        assert isinstance(a, Length)
        if isinstance(b, int):
            if smallest:
                return made(step, a, high=b) if b < a.bound else a
            return made(step, a, low=b) if b > 0 or not counts(a) else a
        if not smallest or b is None:
            return None
        low = 0 if counts(a) and counts(b) else _LOWEST
        count = step.emit("Length", [step.scalar(a), step.scalar(b)], low=low)[0]
        return Length(count, min(a.bound, b.bound))

    return combine


def _equal(step: Step) -> list[Size] | None:
    """As 0 and 1."""
    a, b = _array(step, 0), _array(step, 1)
    if a is None or b is None:
        return None
    if a.size == 1 and b.size == 1 and (known := _ask(step, operator.eq, a.item(), b.item())) is not None:
        return known
    pairs = zip(*(p.reshape(-1) for p in np.broadcast_arrays(a, b)), strict=True)
    return [_is_equal(x, y) for x, y in pairs]


def _ask(step: Step, compare: Callable[[int, int], bool], a: Size, b: Size) -> list[Size] | None:
    """A length beside a number: known where it is the same for all that are possible; or whether it is 0 is what it asks."""
    x, y = (a, b) if isinstance(a, Length) else (b, a)
    if not isinstance(x, Length) or not isinstance(y, int) or not counts(x):
        return None

    def holds(n: int) -> bool:
        return bool(compare(n, y) if x is a else compare(y, n))

    if holds(0) == holds(x.bound) and (compare is not operator.eq or y > x.bound):
        return [int(holds(0))]
    if holds(0) != holds(1) and (compare is not operator.eq or y == 0):
        step.lengths.empty[step.node.outputs[0]] = (x, holds(0))
    return None


def _order(step: Step) -> list[Size] | None:
    a, b = _array(step, 0), _array(step, 1)
    if a is None or b is None or a.size != 1 or b.size != 1:
        return None
    return _ask(step, _ORDERS[step.node.op_type], a.item(), b.item())


_ORDERS = {"Greater": operator.gt, "GreaterOrEqual": operator.ge, "Less": operator.lt, "LessOrEqual": operator.le}


def _not(step: Step) -> list[Size] | None:
    condition = step.lengths.empty.get(step.given(0))
    if condition is not None:
        step.lengths.empty[step.node.outputs[0]] = (condition[0], not condition[1])
    return None


def _is_equal(a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return int(a == b)
    if isinstance(a, Length) and isinstance(b, Length):
        return 1 if a.same(b) else None
    number, length = (a, b) if isinstance(a, int) else (b, a)
    never = isinstance(number, int) and number < 0 and isinstance(length, Length) and counts(length)
    return 0 if never else None


def _where(step: Step) -> list[Size] | None:
    parts = [_array(step, i) for i in range(3)]
    if any(part is None for part in parts):
        return None
    rows = zip(*(p.reshape(-1) for p in np.broadcast_arrays(*parts)), strict=True)
    return [None if c is None or isinstance(c, Length) else (a if c else b) for c, a, b in rows]


def _least(step: Step) -> list[Size] | None:
    sizes = step.sizes(0)
    if sizes is None or len(step.shape(0)) != 1 or not sizes:
        return None
    found = sizes[0]
    for size in sizes[1:]:
        found = _limit(step.node.op_type == "ReduceMin")(step, found, size)
    return [found]


def _product(step: Step) -> list[Size] | None:
    sizes = step.sizes(0)
    if sizes is None or len(step.shape(0)) != 1:
        return None
    found: Size = 1
    for size in sizes:
        found = _mul(step, found, size)
    return [found]


_RULES: dict[str, Callable[[Step], list[Size] | None]] = {
    **dict.fromkeys(("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"), _same),
    "Cast": _cast,
    "Gather": _gather,
    "Slice": _slice,
    "Transpose": _transpose,
    "Concat": _concat,
    "Add": _pairs(_add),
    "Sub": _pairs(_sub),
    "Mul": _pairs(_mul),
    "Div": _pairs(_div),
    "Min": _pairs(_limit(True)),
    "Max": _pairs(_limit(False)),
    "Equal": _equal,
    **dict.fromkeys(_ORDERS, _order),
    "Not": _not,
    "Where": _where,
    "ReduceMin": _least,
    "ReduceMax": _least,
    "ReduceProd": _product,
}
"""Operator of ONNX -> the elements of its output."""
