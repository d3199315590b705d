"""Tensors repeated, cut, marked and reordered.

https://onnx.ai/onnx/operators/ : Tile, Trilu, OneHot, Hardmax, EyeLike, Range, ReverseSequence, Compress, NonZero, Unique, BitCast
"""

from math import ceil, prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.reduce import ARG
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import FLOATS, INTEGERS, NUMBERS, RT_DOMAIN, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.indexing import gather_at, offsets_of
from rt_engine.ops.moves import gathered, reshaped, strided_copy
from rt_engine.program.calls import Buffer

_INT64 = np.dtype(np.int64)
_LONGEST = 1 << 26
_HELP = "shapes must be static: give a mask, or the best k by TopK with a constant k, in its place"


def _emit(build: Builder, y: Buffer, value: Any) -> None:
    """An output that is known now."""
    if y.size:
        build.copy(y, build.constant(np.ascontiguousarray(value, y.dtype).reshape(y.shape)))


@operator("Tile", since=6, any_type=True)
def tile(node: Node, build: Builder) -> None:
    """The tensor again and again along its axes."""
    repeats = [int(r) for r in node.constant(1, "repeats")]
    shape = node.x.shape
    fits = len(repeats) == len(shape) and all(r >= 0 for r in repeats)
    node.require(fits, f"repeats {repeats} of a tensor with {len(shape)} dimensions", "correct the repeats")
    if not node.y.size:
        return
    strides = contiguous(shape)
    pairs = [
        (r, 0) if i % 2 == 0 else (n, s) for r, n, s in zip(repeats, shape, strides, strict=True) for i in range(2)
    ]
    strided_copy(build, node.x, node.y, [n for n, _ in pairs], [s for _, s in pairs])


@operator("Trilu", domain=RT_DOMAIN, since=1, any_type=True, infer=lambda n, x: [(x[0].dtype, x[0].shape)])
@operator("Trilu", since=14, any_type=True)
def trilu(node: Node, build: Builder) -> None:
    """The upper or lower triangle of matrices; the rest is zero. The diagonal may be chosen at run time."""
    x, y, k = node.x, node.y, node.optional(1)
    if not y.size:
        return
    rows, columns = x.shape[-2:]
    across = np.arange(columns, dtype=np.int64) - np.arange(rows, dtype=np.int64)[:, None]
    upper = bool(node.attr("upper", 1))
    if k is None or k.value is not None:
        first = 0 if k is None or k.value is None else int(k.value.item())
        mask = build.constant(across >= first if upper else across <= first)
    else:
        mask = build.temporary(np.bool_, (rows, columns))
        kernel = "greater_or_equal_int" if upper else "less_or_equal_int"
        diagonal = reshaped(build, converted(build, k, _INT64), ())
        broadcast(build, kernel, (build.constant(across), diagonal), mask, CODE[_INT64])
    zero = build.constant(np.zeros((), x.dtype))
    broadcast(build, f"where_{x.dtype.itemsize}", (mask, x, zero), y)


@operator("EyeLike", since=9, any_type=True)
def eye_like(node: Node, build: Builder) -> None:
    """Ones on a diagonal, whatever the input's values."""
    rows, columns = node.y.shape
    _emit(build, node.y, np.eye(rows, columns, int(node.attr("k", 0))).astype(node.y.dtype))


def _hot(build: Builder, index: Buffer, axis: int, y: Buffer, on: Buffer, off: Buffer) -> None:
    """y = on where the position along `axis` is the index (int64, shape of y with 1 at the axis), else off."""
    positions = np.arange(y.shape[axis], dtype=np.int64).reshape(-1, *(1,) * (len(y.shape) - axis - 1))
    mask = build.temporary(np.bool_, y.shape)
    broadcast(build, "equal_int", (index, build.constant(positions)), mask, CODE[_INT64])
    broadcast(build, f"where_{y.dtype.itemsize}", (mask, on, off), y)


@operator("OneHot", since=9, any_type=True)
def one_hot(node: Node, build: Builder) -> None:
    """One value where the index is, another elsewhere; an index out of range marks nothing, as ONNX says."""
    index, values, y = node.x, node.input(2), node.y
    depth = int(node.constant(1, "depth").item())
    rank = len(y.shape)
    axis = int(node.attr("axis", -1)) % rank
    node.require(y.shape[axis] == depth, "depth does not fit the output")
    if not y.size:
        return
    node.require_type(index, NUMBERS)
    index = converted(build, index, _INT64)
    negative, shifted = build.temporary(np.bool_, index.shape), build.temporary(_INT64, index.shape)
    wrapped = build.temporary(_INT64, index.shape)
    broadcast(build, "less_int", (index, build.constant(np.array(0, _INT64))), negative, CODE[_INT64])
    broadcast(build, "add_int", (index, build.constant(np.array(depth, _INT64))), shifted, CODE[_INT64])
    broadcast(build, "where_8", (negative, shifted, index), wrapped)
    wrapped = reshaped(build, wrapped, (*y.shape[:axis], 1, *y.shape[axis + 1 :]))
    off, on = build.temporary(values.dtype, ()), build.temporary(values.dtype, ())
    for i, scalar in enumerate((off, on)):
        strided_copy(build, values, scalar, (1,), (1,), in_first=i)
    _hot(build, wrapped, axis, y, on, off)


@operator("Hardmax", since=1)
def hardmax(node: Node, build: Builder) -> None:
    """1 at the first largest element along an axis, else 0. Before opset 13 the tensor is seen as a matrix."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    if not y.size:
        return
    rank = len(x.shape)
    axis = int(node.attr("axis", -1 if node.version >= 13 else 1))
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    axis %= rank
    inner = prod(x.shape[axis + 1 :]) if node.version >= 13 else 1
    outer = prod(x.shape[:axis])
    length = x.size // (outer * inner)
    index = build.temporary(_INT64, (outer, 1, inner))
    build.call(f"argmax_{SUFFIX[x.dtype]}", ARG(x=x, out=index, outer=outer, count=length, inner=inner, last=0))
    one, zero = (build.constant(np.array(v, x.dtype)) for v in (1, 0))
    result = build.temporary(x.dtype, (outer, length, inner))
    _hot(build, index, 1, result, one, zero)
    build.alias(y, reshaped(build, result, y.shape))


@operator("ReverseSequence", since=10, any_type=True)
def reverse_sequence(node: Node, build: Builder) -> None:
    """The first `sequence_lens[b]` steps of each batch backwards; a length beyond the axis gives a status."""
    x, y, lengths = node.x, node.y, node.input(1)
    time, batch = int(node.attr("time_axis", 0)), int(node.attr("batch_axis", 1))
    node.require({time, batch} == {0, 1}, f"axes {time} and {batch} are not 0 and 1", "correct the axes")
    node.require_type(lengths, (_INT64,))
    if not y.size:
        return
    steps, batches, block = x.shape[time], x.shape[batch], prod(x.shape[2:])
    turn = (1, batches) if time == 0 else (batches, 1)
    t = build.constant(np.arange(steps, dtype=np.int64).reshape((steps, 1) if time == 0 else (1, steps)))
    last = build.temporary(_INT64, lengths.shape)
    broadcast(build, "sub_int", (lengths, build.constant(np.array(1, _INT64))), last, CODE[_INT64])
    back, within = build.temporary(_INT64, x.shape[:2]), build.temporary(np.bool_, x.shape[:2])
    places = build.temporary(_INT64, x.shape[:2])
    broadcast(build, "sub_int", (reshaped(build, last, turn), t), back, CODE[_INT64])
    broadcast(build, "less_int", (t, reshaped(build, lengths, turn)), within, CODE[_INT64])
    broadcast(build, "where_8", (within, back, t), places)
    strides = contiguous(x.shape[:2])
    base = np.arange(batches, dtype=np.int64).reshape(turn) * strides[batch] + np.zeros(x.shape[:2], np.int64)
    gather_at(build, x, offsets_of(node, build, places, [(steps, strides[time])], base), y, block)


@operator("BitCast", since=26, any_type=True)
def bit_cast(node: Node, build: Builder) -> None:
    """The same bits as another type of the same size."""
    y = node.y
    node.require(node.x.dtype.itemsize == y.dtype.itemsize, "the types differ in size", "use Cast")
    build.alias(y, Buffer(y.name, y.dtype, y.shape, node.x.storage))


# --- what has a shape that depends on values: those must be constant ---------------------------------------------------


def _value(inputs: list[Any], index: int, what: str) -> Any:
    buffer = inputs[index] if index < len(inputs) else None
    if buffer is None or buffer.value is None:
        raise Refusal(f"the shape of its output depends on {what}, which is computed at run time", _HELP)
    return buffer.value


def _range(node: ir.Node, inputs: list[Any]) -> Any:
    """Computed as in Python: start + i * delta, integers or float64, rounded once."""
    start, limit, delta = (_value(inputs, i, name) for i, name in enumerate(("start", "limit", "delta")))
    first, last, step = (
        v.astype(np.float64).item() if v.dtype.kind not in "iu" else v.item() for v in (start, limit, delta)
    )
    if step == 0 or not np.isfinite([first, last, step]).all():
        raise Refusal(f"from {first} to {last} by {step} is no range", "correct it")
    count = max(ceil((last - first) / step), 0)
    if count > _LONGEST:
        raise Refusal(f"a range of {count:,} numbers; the most is {_LONGEST:,}", "check its limits")
    return (np.arange(count) * step + first).astype(start.dtype)


def _range_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    values = _range(node, inputs)
    return [(values.dtype, values.shape)]


@operator("Range", since=11, any_type=True, infer=_range_types)
def range_(node: Node, build: Builder) -> None:
    """start, start + delta, ...: constants."""
    _emit(build, node.y, _range(node.ir, list(node.inputs)))


def _kept(node: ir.Node, inputs: list[Any]) -> Any:
    return np.flatnonzero(_value(inputs, 1, "the condition"))


def _compress_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    x, count = inputs[0], len(_kept(node, inputs))
    if "axis" not in node.attributes:
        return [(x.dtype, (count,))]
    axis = node.attributes["axis"].as_int() % len(x.shape)
    return [(x.dtype, (*x.shape[:axis], count, *x.shape[axis + 1 :]))]


@operator("Compress", since=9, any_type=True, infer=_compress_types)
def compress(node: Node, build: Builder) -> None:
    """The slices of an axis (or elements) where a constant condition is true; a computed one: `Compressed`."""
    x, y, kept = node.x, node.y, np.flatnonzero(node.constant(1, "condition")).astype(np.int64)
    axis = node.attr("axis")
    shape = x.shape if axis is not None else (x.size,)
    axis = 0 if axis is None else int(axis) % len(shape)
    node.require(not len(kept) or kept[-1] < shape[axis], "the condition is longer than the axis", "correct it")
    if y.size:
        block = prod(shape[axis + 1 :]) * x.dtype.itemsize
        sizes = (prod(shape[:axis]), shape[axis], len(kept), block)
        gathered(build, x, kept, y, sizes)


def _non_zero(node: ir.Node, inputs: list[Any]) -> Any:
    return np.array(np.nonzero(np.atleast_1d(_value(inputs, 0, "the values of its input"))), np.int64)


@operator("NonZero", since=9, any_type=True, infer=lambda n, x: [(_INT64, _non_zero(n, x).shape)])
def non_zero(node: Node, build: Builder) -> None:
    """Indices of what is not zero in a constant; in what is computed: `FoundNonZero`."""
    _emit(build, node.y, _non_zero(node.ir, [node.x]))


def _unique(node: ir.Node, inputs: list[Any]) -> list[Any]:
    """Values, first indices, inverse, counts."""
    x = _value(inputs, 0, "the values of its input")
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else None
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    if not node.attributes.get_int("sorted", 1):
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    return [values, *(np.asarray(v, np.int64).reshape(-1) for v in (first, inverse, counts))]


def _unique_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(v.dtype, v.shape) for v in _unique(node, inputs)][: len(node.outputs)]


@operator("Unique", since=11, any_type=True, infer=_unique_types)
def unique(node: Node, build: Builder) -> None:
    """The different values of a constant; of what is computed: `UniqueRows`."""
    for y, value in zip(node.outputs, _unique(node.ir, [node.x]), strict=False):
        if y is not None:
            _emit(build, y, value)


@operator("BitShift", since=11)
def bit_shift(node: Node, build: Builder) -> None:
    """Integers shifted to the left or to the right; signed ones keep their sign to the right."""
    node.require_type(node.x, INTEGERS)
    direction = str(node.attr("direction", ""))
    node.require(direction in ("LEFT", "RIGHT"), f"the direction is {direction!r}", "LEFT or RIGHT")
    operands = (node.x, node.input(1))
    broadcast(build, f"shift_{direction.lower()}_int", operands, node.y, CODE[node.x.dtype])
