"""Rules of operators that read along a length which is only known at run time, or look things up by it: what is behind is masked."""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import constant
from rt_engine.passes.following import Step, filled
from rt_engine.passes.length_rules import Found, no_rule, scalar_length
from rt_engine.passes.length_sizes import checked, counts, made
from rt_engine.passes.lengths import Along, Length


def settled(step: Step, i: int, dims: tuple[int, ...], dynamic: int, data: Along | None) -> None:
    """Let the node read indices that exist: of the rest too, and below the length of the data."""
    index, length = step.along(i), None if data is None else data.length
    (value,) = step.emit(
        "Settle",
        [step.given(i), None if index is None else index.length.count, None if length is None else length.count],
        dims=list(dims),
        axis=-1 if index is None else index.axis,
        factor=1 if index is None else index.length.factor,
        dynamic=dynamic,
        scale=1 if length is None else length.factor,
    )
    if index is not None:
        step.lengths.along[value] = index
    step.take(i, value)


def gather(step: Step) -> Found:
    """Data, or indices, with a length."""
    data, index = step.along(0), step.along(1)
    axis, more = step.axis(0, len(step.shape(0))), len(step.shape(1)) - 1
    on_axis = data is not None and data.axis == axis
    if index is not None or on_axis:
        settled(step, 1, (step.shape(0)[axis],), 0 if on_axis else -1, data if on_axis else None)
    found = [] if index is None else [Along(axis + index.axis, index.length)]
    if data is not None and not on_axis:
        found.append(Along(data.axis + (more if data.axis > axis else 0), data.length))
    return _single(step, found)


def _single(step: Step, found: list[Along]) -> Found:
    if len(found) > 1:
        raise Refusal("its result has two axes with a length that is only known at run time", "one is supported")
    return {0: found[0]} if found else {}


def gather_nd(step: Step) -> Found:
    """Data, or tuples of indices, with a length."""
    data, index = step.along(0), step.along(1)
    width = step.shape(1)[-1]
    if step.attr("batch_dims", 0) or (index is not None and index.axis == len(step.shape(1)) - 1):
        no_rule(step)
    inside = data is not None and data.axis < width
    settled(step, 1, step.shape(0)[:width], data.axis if data is not None and inside else -1, data if inside else None)
    found = [] if index is None else [index]
    if data is not None and not inside:
        found.append(Along(len(step.shape(1)) - 1 + data.axis - width, data.length))
    return _single(step, found)


def gather_elements(step: Step) -> Found:
    """Data, or indices, with a length."""
    data, index = step.along(0), step.along(1)
    axis = step.axis(0, len(step.shape(0)))
    on_axis = data is not None and data.axis == axis
    beside = index is not None and data is not None and index.axis == data.axis and index.length.same(data.length)
    if data is not None and not on_axis and not beside:
        no_rule(step)
    settled(step, 1, (step.shape(0)[axis],), 0 if on_axis else -1, data if on_axis else None)
    return {} if index is None else {0: index}


def non_zero(step: Step) -> Found:
    """At most as many as there are elements."""
    step.clear(0)
    bound = step.bound(prod(step.shape(0)), "how many elements it finds")
    out, count = step.emit("FoundNonZero", [step.given(0)], 2, bound=bound)
    step.lengths.along[out] = Along(1, Length(count, bound))
    step.become([out])
    return None


def compress(step: Step) -> Found:
    """At most as many as there are; of a tensor with a length, those that are there."""
    data, rank = step.along(0), len(step.shape(0))
    axis = step.axis(0, rank) if "axis" in step.node.attributes else None
    if constant(step.given(1)) is not None and (data is None or data.axis != axis is not None):
        return {} if data is None else {0: data}
    if data is not None and data.axis != (axis or 0):
        no_rule(step)
    step.clear(1)
    size = min(step.shape(1)[0], step.shape(0)[axis] if axis is not None else prod(step.shape(0)))
    bound = step.bound(size, "how many it keeps")
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    if data is not None and axis is None:
        no_rule(step)
    kept = step.along(1)
    if data is not None and not (kept and kept.length.same(data.length)):  # what is behind the data is not chosen
        step.take(1, step.cleared(step.given(1), Along(0, data.length)))
    out, count = step.emit("Compressed", [step.given(0), step.given(1)], 2, bound=bound, **attributes)
    step.lengths.along[out] = Along(axis or 0, Length(count, bound))
    step.become([out])
    return None


def unique(step: Step) -> Found:
    """At most as many as there are."""
    if step.along(0) is not None:
        no_rule(step)
    rank = len(step.shape(0))
    axis = step.axis(0, rank) if "axis" in step.node.attributes else None
    n = prod(step.shape(0)) if axis is None else step.shape(0)[axis]
    bound = step.bound(n, "how many differ")
    attributes: dict[str, Any] = {"sorted": int(step.attr("sorted", 1)), **({} if axis is None else {"axis": axis})}
    *outs, count = step.emit("UniqueRows", [step.given(0)], 5, bound=bound, **attributes)
    length = Length(count, bound)
    step.lengths.along.update({outs[0]: Along(axis or 0, length), outs[1]: Along(0, length), outs[3]: Along(0, length)})
    step.become(outs)
    return None


def non_max_suppression(step: Step) -> Found:
    """Boxes and scores may have as many boxes as there are at run time."""
    boxes, scores = step.along(0), step.along(1)
    batch, classes, n = step.shape(1)
    length = None
    if boxes is not None or scores is not None:
        if (
            boxes is None
            or scores is None
            or (boxes.axis, scores.axis) != (1, 2)
            or not boxes.length.same(scores.length)
        ):
            no_rule(step)
        assert boxes is not None
        length = step.scalar(boxes.length)
    given = step.value(2)
    most = constant(given) if given is not None else np.zeros(1)
    each = n if most is None else min(max(int(most.reshape(-1)[0]), 0), n)
    bound = step.bound(batch * classes * each, "how many boxes it keeps")
    inputs = [step.value(i) for i in range(5)]
    out, count = step.emit(
        "Suppress", [*inputs, length], 2, bound=bound, center_point_box=int(step.attr("center_point_box", 0))
    )
    step.lengths.along[out] = Along(0, Length(count, bound))
    step.become([out])
    return None


def worst(dtype: Any, largest: bool, nan: bool = False) -> object:
    """What loses against every other value, or is no better."""
    if dtype.kind == "b":
        return not largest
    if dtype.kind in "iu":
        return np.iinfo(dtype).min if largest else np.iinfo(dtype).max
    return -np.inf if largest else (np.nan if nan else np.inf)


def top_k(step: Step) -> Found:
    """Among what is there; k may be a length."""
    data, axis = step.along(0), step.axis(-1, len(step.shape(0)))
    on_axis = data is not None and data.axis == axis
    n = step.shape(0)[axis]
    k = scalar_length(step, 1, n, "k") if step.value(1) is not None else int(step.attr("k"))
    if isinstance(k, Length) and k.bound > n:
        k = Length(step.scalar(k), n, 1)
    if isinstance(k, Length):
        k = checked(step, k)
    least = k if isinstance(k, int) else 0
    if on_axis:
        largest = bool(step.attr("largest", 1))
        step.clear(0, worst(step.dtype(0), largest, nan=True), least)
    if isinstance(k, int):
        return {} if data is None or on_axis else {0: data, 1: data}
    if k is None or (data is not None and not on_axis):
        return no_rule(step)
    if data is not None and k.bound <= n and _no_more(k, data.length):
        step.take(1, step.constant(np.array([k.bound], np.int64), "k"))
        return {0: Along(axis, k), 1: Along(axis, k)}
    limit = step.scalar(data.length) if data is not None else None
    count = step.emit("Length", [step.scalar(k), limit], low=0, high=n, strict=3)[0]
    step.take(1, step.constant(np.array([k.bound], np.int64), "k"))
    found = data if data is not None and k.same(data.length) else Along(axis, Length(count, k.bound))
    return {0: found, 1: found}


def _no_more(k: Length, length: Length) -> bool:
    """Is k plainly at most that length: it, or the smaller of it and something?"""
    maker = k.count.producer()
    if k.same(length) or maker is None or maker.op_type != "Length" or k.factor != 1:
        return k.same(length)
    numbers = {name: int(maker.attributes.get_int(name, default)) for name, default in _DEFAULTS.items()}
    same = maker.inputs[0] is length.count and numbers["factor"] == length.factor
    return same and numbers["shift"] <= 0 and numbers["low"] <= 0


_DEFAULTS = {"factor": 1, "shift": 0, "low": 0}


def _computed(step: Step, i: int) -> tuple[list[int], Along | None]:
    sizes = step.sizes(i)
    if sizes is None:
        if prod(step.shape(i)) != 1:
            raise Refusal(
                "its shape is computed at run time, and not from lengths that have a bound", "make it a constant"
            )
        size = scalar_length(step, i, None, "its size")
        return filled([size])
    return filled(sizes)


def _there(step: Step, value: ir.Value, along: Along | None) -> Found:
    if along is not None:
        value = step.cleared(value, Along(along.axis, checked(step, along.length)))
    step.become([value])
    return None


def constant_of_shape(step: Step) -> Found:
    """A length in its shape."""
    shape, along = _computed(step, 0)
    value = np.zeros(1, np.float32) if "value" not in step.node.attributes else step.attr("value").numpy()
    if prod(shape) > 1 << 26:
        raise Refusal(f"a tensor of {shape}", "bound it")
    return _there(step, step.constant(np.full(shape, value.reshape(-1)[0]), "filled"), along)


def range_(step: Step) -> Found:
    """From a constant, by a constant, up to a length."""
    start, by = (step.ints(i, "where it starts, or its step") for i in (0, 2))
    if len(start) != 1 or len(by) != 1 or by[0] <= 0 or step.dtype(1).kind not in "iu":
        no_rule(step)
    limit = scalar_length(step, 1, None, "how long it is")
    assert isinstance(limit, Length)
    if start[0] or by[0] != 1 or not counts(limit):
        if by[0] != 1:
            no_rule(step)
        limit = made(step, limit, -start[0], 0)
    values = np.arange(start[0], start[0] + limit.bound, dtype=step.dtype(1))
    return _there(step, step.constant(values, "range"), Along(0, limit))


def expand(step: Step) -> Found:
    """To a shape with a length; a tensor with one keeps it."""
    data, rank = step.along(0), len(step.shape(0))
    sizes = step.sizes(1)
    if sizes is None:
        shape, along = _computed(step, 1)
        sizes = [along.length if along is not None else shape[0]]
    wanted = [1] * (rank - len(sizes)) + list(sizes)
    dims = [1] * (len(wanted) - rank) + step.dims(0)
    result = []
    for have, want in zip(dims, wanted, strict=True):
        if isinstance(have, Length) and not (want == 1 or (isinstance(want, Length) and want.same(have))):
            no_rule(step)
        if isinstance(want, Length) and not isinstance(have, Length) and have != 1:
            no_rule(step)
        result.append(have if want == 1 else want)
    shape, along = filled(result)
    target = step.constant(
        np.array([1 if isinstance(h, Length) else n for h, n in zip(dims, shape, strict=True)], np.int64)
    )
    (out,) = step.emit("Expand", [step.given(0), target], domain="")
    if data is not None and along is not None:
        step.lengths.along[out] = along
        step.become([out])
        return None
    return _there(step, out, along)


def tile(step: Step) -> Found:
    """A length among its repeats."""
    sizes, shape = step.sizes(1), step.shape(0)
    if step.along(0) is not None:
        if sizes is None or not all(isinstance(n, int) for n in sizes) or sizes[step.along(0).axis] != 1:  # type: ignore[union-attr]
            no_rule(step)
        return {0: step.along(0)}  # type: ignore[dict-item]
    repeats, along = _computed(step, 1)
    (out,) = step.emit("Tile", [step.given(0), step.constant(np.array(repeats, np.int64))], domain="")
    if along is not None:
        n, length = shape[along.axis], along.length
        along = Along(along.axis, Length(length.count, length.bound * n, length.factor * n))
    return _there(step, out, along)


def one_hot(step: Step) -> Found:
    """Indices with a length."""
    index = step.along(0)
    if index is None or step.along(1) or step.along(2):
        no_rule(step)
    assert index is not None
    axis = step.axis(-1, len(step.shape(0)) + 1)
    return {0: Along(index.axis + (axis <= index.axis), index.length)}


def roi_align(step: Step) -> Found:
    """Regions with a length: those behind are of nothing, in the first image."""
    regions, items = step.along(1), step.along(2)
    if step.along(0) is not None or regions is None or items is None or not regions.length.same(items.length):
        no_rule(step)
    step.clear(1)
    step.clear(2)
    assert regions is not None
    return {0: regions}


def split(step: Step) -> Found:
    """Along another axis."""
    along = step.along(0)
    if along is None or along.axis == step.axis(0, len(step.shape(0))):
        no_rule(step)
    assert along is not None
    return dict.fromkeys(range(len(step.node.outputs)), along)
