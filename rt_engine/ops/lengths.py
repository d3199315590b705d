"""Tensors whose length is only known at run time, as `passes.lengths` makes them: a bound in the shape, a count beside it."""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.lengths import (
    APPEND,
    CLEAR_REST,
    COMPRESS,
    LENGTH,
    NON_ZERO,
    SETTLE,
    SUPPRESS,
    UNIQUE,
)
from rt_engine.kernels.interface.movement import COPY_BLOCKS
from rt_engine.ops.base import BOOL, FLOATS, NUMBERS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import copied_into, reshaped, transposed
from rt_engine.program.calls import Buffer
from rt_engine.program.element_types import CODES, HALVES

_INT64, _FLOAT32 = np.dtype(np.int64), np.dtype(np.float32)
_SCALAR: tuple[Any, tuple[int, ...]] = (_INT64, ())
Types = list[tuple[Any, tuple[int, ...]]]


_DEPENDS = "how many it finds depends on data"
_HELP = "load it with bounds={'name of the node or its output': the most that there can be}, --bound NAME=N"


@operator("NonMaxSuppression", since=10)
def non_max_suppression(node: Node, build: Builder) -> None:
    """Becomes `Suppress`, with a bound: `passes.lengths`."""
    node.require(False, _DEPENDS, _HELP)


def _ints(node: ir.Node, name: str) -> list[int]:
    return [int(i) for i in node.attributes[name].as_ints()]


def _bound(node: ir.Node) -> int:
    return int(node.attributes["bound"].as_int())


@operator(
    "Suppress", since=1, domain=RT_DOMAIN, any_type=True, infer=lambda n, x: [(_INT64, (_bound(n), 3)), _SCALAR]
)  # fmt: skip
def suppress(node: Node, build: Builder) -> None:
    """boxes, scores, most boxes, overlap, lowest score, how many boxes there are: (image, class, box) of those kept, their count."""
    boxes, scores = node.x, node.input(1)
    shapes = boxes.shape, scores.shape
    fits = len(boxes.shape) == len(scores.shape) == 3 and boxes.shape[2] == 4
    fits = fits and boxes.shape[0] == scores.shape[0] and boxes.shape[1] == scores.shape[2]
    node.require(fits, f"boxes {shapes[0]} and scores {shapes[1]} do not fit together", "correct their shapes")
    for x in (boxes, scores):
        node.require_type(x, (_FLOAT32,))
    n, bound = boxes.shape[1], node.y.shape[0]
    given = [node.optional(i) for i in (2, 3, 4, 5)]
    starts: tuple[Any, ...] = (np.int64(0), np.float32(0), np.float32(0), np.int64(n))
    values = [build.constant(start) if x is None else x for x, start in zip(given, starts, strict=True)]
    for x, start in zip(values, starts, strict=True):
        node.require(x.size == 1 and x.dtype == start.dtype, f"a limit is {x.dtype}{list(x.shape)}", "give one number")
    limits = build.temporary(np.uint8, (24,))
    for x, at in zip(values, (0, 8, 12, 16), strict=True):
        copied_into(build, x, limits, at)
    work = build.temporary(np.uint8, (8 * n + 20 * (n + 64),))
    record = SUPPRESS(
        boxes=boxes, scores=scores, limits=limits, out=node.y, count=node.output(1), work=work, batch=boxes.shape[0],
        classes=scores.shape[1], n=n, bound=bound, centres=int(node.attr("center_point_box", 0)),
        filtered=given[2] is not None,
    )  # fmt: skip
    build.call("suppress", record)


def _found_types(node: ir.Node, inputs: list[Any]) -> Types:
    return [(_INT64, (max(len(inputs[0].shape), 1), _bound(node))), _SCALAR]


@operator("FoundNonZero", since=1, domain=RT_DOMAIN, any_type=True, infer=_found_types)
def found_non_zero(node: Node, build: Builder) -> None:
    """NonZero, and how many."""
    x = node.x
    node.require_type(x, (*NUMBERS, BOOL, *HALVES))
    record = NON_ZERO(
        x=x, dims=build.constant(np.array(x.shape or (1,), np.int64)), out=node.y, count=node.output(1), n=x.size,
        rank=max(len(x.shape), 1), bound=node.y.shape[1], nbytes=x.dtype.itemsize, real=x.dtype in (*FLOATS, *HALVES),
    )  # fmt: skip
    build.call("non_zero", record)


def _axis(node: ir.Node, rank: int) -> int | None:
    return node.attributes["axis"].as_int() % rank if "axis" in node.attributes else None


def _compressed_types(node: ir.Node, inputs: list[Any]) -> Types:
    x = inputs[0]
    axis = _axis(node, len(x.shape))
    shape = (_bound(node),) if axis is None else (*x.shape[:axis], _bound(node), *x.shape[axis + 1 :])
    return [(x.dtype, shape), _SCALAR]


@operator("Compressed", since=1, domain=RT_DOMAIN, any_type=True, infer=_compressed_types)
def compressed(node: Node, build: Builder) -> None:
    """Compress, and how many."""
    x, keep, axis = node.x, node.input(1), _axis(node.ir, len(node.x.shape))
    shape, axis = (x.shape, axis) if axis is not None else ((x.size,), 0)
    node.require(keep.dtype == BOOL and len(keep.shape) == 1, "the condition is no vector of bool", "correct it")
    node.require(keep.size <= shape[axis], "the condition is longer than the axis", "correct it")
    block = prod(shape[axis + 1 :]) * x.dtype.itemsize
    record = COMPRESS(
        x=x, keep=keep, out=node.y, count=node.output(1), outer=prod(shape[:axis]), n=shape[axis], kept=keep.size,
        nbytes=block, bound=_bound(node.ir),
    )  # fmt: skip
    build.call("compress", record)


def _unique_types(node: ir.Node, inputs: list[Any]) -> Types:
    x = inputs[0]
    axis, bound = _axis(node, len(x.shape)), _bound(node)
    n = x.size if axis is None else x.shape[axis]
    shape = (bound,) if axis is None else (*x.shape[:axis], bound, *x.shape[axis + 1 :])
    return [(x.dtype, shape), (_INT64, (bound,)), (_INT64, (n,)), (_INT64, (bound,)), _SCALAR]


@operator("UniqueRows", since=1, domain=RT_DOMAIN, any_type=True, infer=_unique_types)
def unique_rows(node: Node, build: Builder) -> None:
    """Unique, and how many."""
    x, axis, bound = node.x, _axis(node.ir, len(node.x.shape)), _bound(node.ir)
    node.require_type(x, (*NUMBERS, BOOL, *HALVES))
    code = CODES[np.dtype(np.uint8) if x.dtype == BOOL else x.dtype]
    if axis is None:
        rows, values = reshaped(build, x, (x.size, 1)), node.y
    else:
        rest = [i for i in range(len(x.shape)) if i != axis]
        rows = transposed(build, x, (axis, *rest))
        values = build.temporary(x.dtype, (bound, *rows.shape[1:]))
    n = rows.shape[0]
    found, places, work = (build.temporary(np.int64, (k * n,)) for k in (3, 1, 1))
    record = UNIQUE(
        x=rows, values=values, found=found, count=node.output(4), places=places, work=work, n=n,
        width=prod(rows.shape[1:]), type=code, sorted=int(node.attr("sorted", 1)), bound=bound,
    )  # fmt: skip
    build.call("unique", record)
    if axis is not None:
        transposed(build, values, [*range(1, axis + 1), 0, *range(axis + 1, len(x.shape))], node.y)
    for i, part in enumerate(node.outputs[1:4]):
        if part is not None:
            _copy_part(build, found, part, i * n)


def _copy_part(build: Builder, found: Buffer, part: Buffer, first: int) -> None:
    """Copy the elements of `part` from element `first` of `found`."""
    if part.size:
        record = COPY_BLOCKS(
            x=found, out=part, count=1, nbytes=part.nbytes, x_stride=0, out_stride=0, x_first=8 * first, out_first=0
        )
        build.call("copy_blocks", record, elements=2 * part.size)


@operator("ClearRest", since=1, domain=RT_DOMAIN, any_type=True, infer=lambda n, x: [(x[0].dtype, x[0].shape)])
def clear_rest(node: Node, build: Builder) -> None:
    """x, count: what is behind the count along an axis becomes one value."""
    x, axis = node.x, int(node.attr("axis"))
    size = x.dtype.itemsize
    if not x.size:
        return
    record = CLEAR_REST(
        x=x, count=node.input(1), out=node.y, outer=prod(x.shape[:axis]), n=x.shape[axis],
        nbytes=prod(x.shape[axis + 1 :]) * size, element=size, pattern=int(node.attr("pattern", 0)),
        factor=int(node.attr("factor", 1)), least=int(node.attr("least", 0)),
    )  # fmt: skip
    build.call("clear_rest", record, inplace=("x",))


@operator("Settle", since=1, domain=RT_DOMAIN, any_type=True, infer=lambda n, x: [(_INT64, x[0].shape)])
def settle(node: Node, build: Builder) -> None:
    """index, count or none, length of a dimension or none: indices that can be used, of the rest too."""
    index, axis, dims = node.x, int(node.attr("axis")), _ints(node.ir, "dims")
    node.require_type(index, (np.dtype(np.int32), _INT64))
    node.require(min(dims) > 0, "a dimension that is indexed has no elements", "check the bounds")
    shape = index.shape if axis >= 0 else (1, *index.shape)
    axis = max(axis, 0)
    record = SETTLE(
        index=index, dims=build.constant(np.array(dims, np.int64)), count=node.optional(1), length=node.optional(2),
        out=node.y, outer=prod(shape[:axis]), n=shape[axis], inner=prod(shape[axis + 1 :]), components=len(dims),
        type=CODES[index.dtype], factor=int(node.attr("factor", 1)), dynamic=int(node.attr("dynamic", -1)),
        scale=int(node.attr("scale", 1)),
    )  # fmt: skip
    build.call("settle", record)


def _append_types(node: ir.Node, inputs: list[Any]) -> Types:
    x, axis = inputs[0], int(node.attributes["axis"].as_int())
    return [(x.dtype, (*x.shape[:axis], _bound(node), *x.shape[axis + 1 :])), _SCALAR]


@operator("Append", since=1, domain=RT_DOMAIN, any_type=True, infer=_append_types)
def append(node: Node, build: Builder) -> None:
    """Tensors, each with its count or none: Concat of what is there."""
    axis, factors, y = int(node.attr("axis")), _ints(node.ir, "factors"), node.y
    parts = len(factors)
    at: Buffer | None = None
    around = y.dtype, y.shape[:axis], y.shape[axis + 1 :]
    for i, factor in enumerate(factors):
        x = node.input(2 * i)
        node.require((x.dtype, x.shape[:axis], x.shape[axis + 1 :]) == around, "its parts do not fit each other")
        end = node.output(1) if i == parts - 1 else build.temporary(np.int64, ())
        record = APPEND(
            x=x, count=node.optional(2 * i + 1), out=y, at=at, end=end, outer=prod(x.shape[:axis]), n=x.shape[axis],
            nbytes=prod(x.shape[axis + 1 :]) * x.dtype.itemsize, bound=y.shape[axis], factor=factor,
            last=i == parts - 1,
        )  # fmt: skip
        build.call("append", record)
        at = end


@operator("Length", since=1, domain=RT_DOMAIN, any_type=True, infer=lambda n, x: [_SCALAR])
def length(node: Node, build: Builder) -> None:
    """count, limit or none: the count of something that was made of it."""
    node.require(node.x.dtype == _INT64 and node.x.size == 1, "a length is one number of int64", "cast it")
    record = LENGTH(
        count=node.x, limit=node.optional(1), out=node.y, factor=int(node.attr("factor", 1)),
        shift=int(node.attr("shift", 0)), low=int(node.attr("low", 0)), high=int(node.attr("high", 1 << 62)),
        strict=int(node.attr("strict", 0)),
    )  # fmt: skip
    build.call("length", record)
