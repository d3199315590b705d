"""What operators do with a tensor whose length along one axis is only known at run time.

A rule gives, for each output, the axis that has a length now; or None where other nodes took the node's place. What an operator
reads along that axis is masked; what is not proven to be right is refused.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import constant
from rt_engine.passes.following import Step, from_front
from rt_engine.passes.length_sizes import checked, made
from rt_engine.passes.length_windows import window
from rt_engine.passes.lengths import Along, Length, Size

Found = dict[int, Along] | None
Rule = Callable[[Step], Found]


def no_rule(step: Step) -> Found:
    """What is not proven."""
    names = [
        f"'{v.name}' (at most {step.lengths.along[v].length.bound})"
        for v in step.node.inputs
        if v in step.lengths.along
    ]
    raise Refusal(
        f"the length of {', '.join(names)} is only known at run time, and {step.node.op_type} over it is not supported",
        "end the model in front of it, or mask instead of selecting",
    )


def elementwise(step: Step) -> Found:
    """Element by element, broadcast as NumPy does."""
    inputs = [i for i, v in enumerate(step.node.inputs) if v is not None]
    rank = max(len(step.shape(i)) for i in inputs)
    found: Along | None = None
    for i in inputs:
        if (along := step.along(i)) is not None:
            here = Along(along.axis + rank - len(step.shape(i)), along.length)
            if found is not None and not (found.axis == here.axis and found.length.same(here.length)):
                raise Refusal("two lengths that are only known at run time meet here", "select with the same indices")
            found = here
    assert found is not None
    for i in inputs:
        axis = found.axis - rank + len(step.shape(i))
        if step.along(i) is None and axis >= 0 and step.shape(i)[axis] != 1:
            raise Refusal(f"a length that is only known at run time meets one of {step.shape(i)[axis]}", "select both")
    if step.node.op_type in ("Div", "Mod", "Pow") and step.dtype(1).kind in "iu":
        step.clear(1, 1)
    return dict.fromkeys(range(len(step.node.outputs)), found)


def quantised(step: Step) -> Found:
    """With one scale for all."""
    if any(step.value(i) is not None and prod(step.shape(i)) != 1 for i in (1, 2)):
        no_rule(step)
    return {0: _only(step)}


def _only(step: Step, *allowed: int) -> Along:
    """The first input's axis; no other input has one, and the axis is among those that pass through."""
    along = step.along(0)
    others = any(step.along(i) is not None for i in range(1, len(step.node.inputs)))
    if along is None or others or (allowed and along.axis not in allowed):
        no_rule(step)
    assert along is not None
    return along


def batched(step: Step) -> Found:
    """Items of the first axis have nothing to do with each other."""
    return {0: _only(step, 0)}


def rows(step: Step) -> Found:
    """Rows of a matrix have nothing to do with each other; every output has them first."""
    along = _only(step, 0)
    if len(step.shape(0)) != 2:
        no_rule(step)
    return dict.fromkeys(range(len(step.node.outputs)), along)


def layer_norm(step: Step) -> Found:
    """Axes before the normalised ones."""
    along = _only(step)
    if along.axis >= step.axis(-1, len(step.shape(0))):
        no_rule(step)
    return {0: along}


def softmax(step: Step) -> Found:
    """Along another axis; along this one with the rest at minus infinity."""
    along, rank = _only(step), len(step.shape(0))
    new = step.compilation.opsets.get("", 1) >= 13
    axis = step.axis(-1 if new else 1, rank)
    if not new and axis != rank - 1:
        no_rule(step)
    if along.axis == axis:
        step.clear(0, -np.inf)
    return {0: along}


def transpose(step: Step) -> Found:
    """Its axis goes where the others go."""
    along = _only(step)
    rank = len(step.shape(0))
    perm = [int(p) for p in step.attr("perm", range(rank - 1, -1, -1))]
    return {0: Along(perm.index(along.axis), along.length)}


def _axes(step: Step, since: int, i: int = 1) -> list[int] | None:
    """Axes as an attribute, or from an opset on as an input."""
    if step.compilation.opsets.get("", 1) >= since:
        return step.ints(i, "which axes") if step.value(i) is not None else None
    axes = step.attr("axes")
    return None if axes is None else [int(a) for a in axes]


def squeeze(step: Step) -> Found:
    """Axes that are named; not that one."""
    along, axes, rank = _only(step), _axes(step, 13), len(step.shape(0))
    gone = {a % rank for a in axes or ()}
    if axes is None or along.axis in gone:
        no_rule(step)
    return {0: Along(along.axis - sum(a < along.axis for a in gone), along.length)}


def unsqueeze(step: Step) -> Found:
    """New axes beside it."""
    along, axes = _only(step), _axes(step, 13)
    assert axes is not None
    rank = len(step.shape(0)) + len(axes)
    new = {a % rank for a in axes}
    kept = [i for i in range(rank) if i not in new]
    return {0: Along(kept[along.axis], along.length)}


def reshape(step: Step) -> Found:
    """The axis may take in others behind it, or give them off; what is before it keeps its number of elements."""
    along = _only(step)
    sizes = step.sizes(1)
    if sizes is None or None in sizes:
        raise Refusal("its shape is computed at run time, and not from lengths that are known to have a bound")
    dims = step.dims(0)
    wanted: list[Size] = [dims[i] if n == 0 and not step.attr("allowzero", 0) else n for i, n in enumerate(sizes)]
    return _reshaped(step, along, wanted)


def flatten(step: Step) -> Found:
    """It becomes the rows, if it is among them."""
    along, dims = _only(step), step.dims(0)
    axis = int(step.attr("axis", 1)) % (len(dims) + 1)
    if along.axis >= axis:
        no_rule(step)
    before = [n for n in dims[:axis] if isinstance(n, int)]
    length = along.length
    merged = Length(length.count, length.bound * prod(before), length.factor * prod(before))
    return _reshaped(step, along, [merged, prod(n for n in dims[axis:] if isinstance(n, int))])


def _reshaped(step: Step, along: Along, wanted: list[Size]) -> Found:
    shape, length = step.shape(0), along.length
    static = prod(n for i, n in enumerate(shape) if i != along.axis)
    others = prod(n for n in wanted if isinstance(n, int) and n >= 0)
    place = [i for i, n in enumerate(wanted) if isinstance(n, Length)]
    if not place:
        place = [i for i, n in enumerate(wanted) if n == -1]
    if len(place) != 1 or others == 0 or (static * length.factor) % others:
        raise Refusal(f"{list(shape)} with a length of its own does not become {_words(wanted)}", "use -1 for its axis")
    (axis,), factor = place, static * length.factor // others
    size = wanted[axis]
    if -1 in wanted and isinstance(size, Length):
        rest = static * length.factor // (others * size.factor)
        wanted = [rest if n == -1 else n for n in wanted]
        factor = size.factor
    root = length.bound // length.factor
    made_here = Length(length.count, root * factor, factor)
    if isinstance(size, Length) and not size.same(made_here):
        raise Refusal("its shape is another length than that of the tensor")
    new = [made_here.bound if i == axis else int(n) for i, n in enumerate(wanted)]  # type: ignore[arg-type]
    if prod(new[:axis]) != prod(shape[: along.axis]):
        raise Refusal(
            "it would mix what is before an axis with a length of its own with what is behind", "transpose before"
        )
    fresh = step.emit("Reshape", [step.given(0), step.constant(np.array(new, np.int64))], domain="")
    step.lengths.along[fresh[0]] = Along(axis, made_here)
    step.become(fresh)
    return None


def _words(sizes: list[Size]) -> list[object]:
    return ["?" if isinstance(n, Length) else n for n in sizes]


def concat(step: Step) -> Found:
    """Along another axis, side by side; along this one, one behind the other."""
    n = len(step.node.inputs)
    rank = len(step.shape(0))
    if n == 1:
        step.become([step.given(0)])
        return None
    axis = step.axis(1, rank)
    for i in range(1, n):
        _check_beside(step, i, axis)
    found = [step.along(i) for i in range(n)]
    some = next(a for a in found if a is not None)
    if all(a is not None and a.axis == some.axis and a.length.same(some.length) for a in found) and some.axis != axis:
        return {0: some}
    if any(a is not None and a.axis != axis for a in found):
        no_rule(step)
    inputs: list[ir.Value | None] = []
    for i, a in enumerate(found):
        inputs += [step.given(i), None if a is None else a.length.count]
    bound = sum(step.shape(i)[axis] for i in range(n))
    factors = [1 if a is None else a.length.factor for a in found]
    out, count = step.emit("Append", inputs, 2, axis=axis, bound=bound, factors=factors)
    sizes = [step.shape(i)[axis] if a is None else a.length.count for i, a in enumerate(found)]
    key = (id(step.compilation.graph), "sum of", *sizes, *factors, bound)
    (count,) = step.lengths.made.setdefault(key, (count,))  # the same lengths have one sum, whatever is put together
    step.lengths.along[out] = Along(axis, Length(count, bound))
    step.become([out])
    return None


def _check_beside(step: Step, i: int, axis: int) -> None:
    """An input of a Concat is of the type of the first, and as large but along its axis: what becomes an Append is not inferred."""
    (dtype, shape), (other, given) = ((step.dtype(j), step.shape(j)) for j in (0, i))
    if (
        dtype != other
        or len(shape) != len(given)
        or any(a != b for at, (a, b) in enumerate(zip(shape, given, strict=True)) if at != axis)
    ):
        names = f"'{step.given(0).name}' is {dtype}{list(shape)} and '{step.given(i).name}' {other}{list(given)}"
        raise Refusal(
            f"{names}, put together along axis {axis}", "use one type, and sizes that differ along that axis alone"
        )


def slice_(step: Step) -> Found:
    """Other axes as ever; this one from a place on, up to a place. A window of a known length may be anywhere."""
    along = _only(step) if step.along(0) is not None else None
    rank = len(step.shape(0))
    old = step.compilation.opsets.get("", 1) < 10
    if along is None and not old and window(step):
        return None
    read: list[Any] = [step.attr(n) if old else (None if step.value(i) is None else step.sizes(i)) for n, i in _PARTS]
    starts, ends = (_ends(step, i, read[i - 1]) for i in (1, 2))
    axes = list(range(len(starts))) if read[2] is None else [from_front(int(a), rank) for a in read[2]]
    steps = [1] * len(starts) if read[3] is None else list(read[3])
    if not len(starts) == len(ends) == len(axes) == len(steps):
        words = "{} starts, {} ends, {} axes and {} steps".format(*map(len, (starts, ends, axes, steps)))
        raise Refusal(words, "give each axis one of each")
    out = along
    for start, end, axis, by in zip(starts, ends, axes, steps, strict=True):
        mine = along is not None and along.axis == axis
        if not mine and isinstance(start, int) and isinstance(end, int):
            continue
        if along is not None and not mine:
            no_rule(step)
        from_place = isinstance(start, int) and start >= 0
        if by == 1 and len(axes) == 1 and (not from_place or (end is None and along is not None)):
            first, stop = (_anywhere(step, i, axis) if n is None else n for i, n in ((1, start), (2, end)))
            return _window(step, axis, first, stop)
        if by == -1 and start == -1 and isinstance(end, int) and end < -step.shape(0)[axis] and len(axes) == 1:
            return _flipped(step, axis)
        if by != 1 or not isinstance(start, int):
            raise Refusal("a slice of a length that is only known at run time goes forward from a known place", "index")
        out = _cut(step, axis, start, end)
        ends[axes.index(axis)] = out.length.bound + start
    if not old and any(step.value(i) is not None and constant(step.value(i)) is None for i in (1, 2)):
        step.take(2, step.constant(np.array(ends, step.dtype(1)), "ends"))
    return {} if out is None else {0: out}


def _ends(step: Step, i: int, known: Any) -> list[Any]:
    if known is None:
        if len(step.shape(i)) != 1:
            raise Refusal(f"its {_PARTS[i - 1][0]} are no vector", "give each axis one number")
        return [None] * step.shape(i)[0]
    return [checked(step, n) if isinstance(n, Length) else n for n in known]


_PARTS = (("starts", 1), ("ends", 2), ("axes", 3), ("steps", 4))


def _cut(step: Step, axis: int, start: int, end: Size) -> Along:
    """What is left of an axis from `start` to `end`, either of which may count from its end."""
    along, size = step.along(0), step.shape(0)[axis]
    if start < 0:
        raise Refusal("the last elements of a length that is only known at run time", "slice one axis at a time")
    if along is None:  # the end alone is computed
        most = step.bound(max(size - start, 0), "where it ends")
        if isinstance(end, Length):
            return Along(axis, made(step, end, -start, 0, most) if start or end.bound > most else end)
        if step.shape(2) not in ((1,), ()):
            raise Refusal("several ends are computed at run time", "slice one axis at a time")
        stop = _anywhere(step, 2, axis)
        return Along(axis, Length(step.emit("Length", [stop.count], shift=-start, low=0, high=most)[0], most))
    length = along.length
    if isinstance(end, Length):
        if not end.same(length):
            raise Refusal("it ends at another length than its own", "index")
        end = 1 << 62
    if end is None:
        raise Refusal("the end of its slice is computed at run time", "slice one axis at a time")
    if end < 0:
        return Along(axis, made(step, length, end - start, 0, max(size - start, 0)))
    most = max(min(size, end) - start, 0)
    return Along(axis, length if not start and end >= size else made(step, length, -start, 0, most))


def _anywhere(step: Step, i: int, axis: int) -> Length:
    """A place that data decide, not behind the end; one below 0 is counted from there."""
    size, n = step.shape(0)[axis], step.dims(0)[axis]
    place, zero = _int64(step, step.given(i)), step.constant(np.array(0))
    end = step.scalar(n) if isinstance(n, Length) else step.constant(np.array(n))
    (below,), (behind,) = step.emit("Less", [place, zero], domain=""), step.emit("Add", [place, end], domain="")
    (place,) = step.emit("Where", [below, behind, place], domain="")
    return Length(step.emit("Length", [place], low=0, high=size)[0], size)


def _window(step: Step, axis: int, start: int | Length, end: int | Length) -> Found:
    """From a place that is counted from the end, or that is a length, or that data decide: elements are looked up one by one."""
    length = step.dims(0)[axis]
    first, stop = _place(step, length, start), _place(step, length, end)
    most = stop.bound if isinstance(stop, Length) else stop
    if isinstance(start, int) and start < 0:
        most = min(most, -start + min(end, 0) if isinstance(end, int) else -start)
    if most <= 0:  # it never has an element
        step.become(step.emit("Gather", [step.given(0), step.constant(np.zeros(0, np.int64))], domain="", axis=axis))
        return None
    ends = [step.scalar(n) if isinstance(n, Length) else step.constant(np.array(n)) for n in (stop, first)]
    count = step.emit("Length", step.emit("Sub", ends, domain=""), low=0, high=most)[0]
    if isinstance(start, int) and isinstance(stop, Length) and isinstance(length, Length) and stop.same(length):
        count = made(step, length, high=most).count
    indices = step.emit("Add", [step.constant(np.arange(most), "window"), ends[1]], domain="")[0]
    limit = step.scalar(length) if isinstance(length, Length) else None
    inputs, dynamic = [indices, count, limit], 0 if limit is not None else -1
    (settled,) = step.emit("Settle", inputs, dims=[step.shape(0)[axis]], axis=0, factor=1, dynamic=dynamic, scale=1)
    fresh = step.emit("Gather", [step.given(0), settled], domain="", axis=axis)
    step.lengths.along[fresh[0]] = Along(axis, Length(count, most))
    step.become(fresh)
    return None


def _flipped(step: Step, axis: int) -> Found:
    """The last element first."""
    along = step.along(0)
    assert along is not None
    last = step.scalar(along.length, shift=-1)
    places = step.constant(np.arange(along.length.bound), "places")
    indices, count = step.emit("Sub", [last, places], domain="")[0], step.scalar(along.length)
    size = step.shape(0)[axis]
    (settled,) = step.emit("Settle", [indices, count, None], dims=[size], axis=0, factor=1, dynamic=-1, scale=1)
    fresh = step.emit("Gather", [step.given(0), settled], domain="", axis=axis)
    step.lengths.along[fresh[0]] = along
    step.become(fresh)
    return None


def _place(step: Step, length: Size, n: int | Length) -> int | Length:
    """A place of a slice, from the beginning, not behind the end."""
    if isinstance(length, int) and isinstance(n, int):
        return max(min(n + length if n < 0 else n, length), 0)
    if isinstance(length, int) and isinstance(n, Length):
        return made(step, n, high=length)
    assert isinstance(length, Length)
    if isinstance(n, Length):
        return Length(step.emit("Length", [step.scalar(n), step.scalar(length)])[0], min(n.bound, length.bound))
    if n < 0:
        return made(step, length, shift=n, low=0)
    return length if n >= length.bound else made(step, length, high=n)


def _int64(step: Step, value: ir.Value) -> ir.Value:
    return value if value.dtype == ir.DataType.INT64 else step.emit("Cast", [value], domain="", to=7)[0]


def scalar_length(step: Step, i: int, natural: int | None, what: str) -> Size:
    """A number that an input is: known, a length, or anything up to a bound."""
    sizes = step.sizes(i)
    if sizes is not None and len(sizes) == 1 and sizes[0] is not None:
        return sizes[0]
    if prod(step.shape(i)) != 1:
        raise Refusal(f"{what} is no single number", "correct it")
    bound = step.bound(natural, what)
    count = _int64(step, step.given(i))
    return Length(step.emit("Length", [count], low=0, high=bound, strict=3)[0], bound)
