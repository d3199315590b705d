"""Elements and slices chosen by tensors of indices, and written back.

https://onnx.ai/onnx/operators/ : GatherElements, GatherND, ScatterElements, Scatter, ScatterND, TensorScatter
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.indexing import INDEX_OFFSETS, SCATTER_BLOCKS
from rt_engine.kernels.interface.modes import Scatter
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import NUMBERS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import broadcast_to, copied_into, gathered, reshaped
from rt_engine.program.calls import Buffer
from rt_engine.program.element_types import CODES, HALVES

_INDEX_TYPES = (np.dtype(np.int32), np.dtype(np.int64))


def offsets_of(
    node: Node,
    build: Builder,
    index: Buffer,
    axes: Sequence[tuple[int, int]],
    base: NDArray[np.int64] | None = None,
) -> Buffer:
    """Offsets of elements: base + sum of wrapped indices * strides; a constant index is worked out (and checked) now.

    Args:
        node: for refusals.
        build: takes the calls.
        index: its last axis has one index per entry of `axes`; or there is one entry, and any shape.
        axes: (size, stride) of the axes that are indexed.
        base: what is added to each offset.
    """
    node.require_type(index, _INDEX_TYPES)
    count = index.size // max(len(axes), 1) if axes else (0 if base is None else base.size)
    if index.value is not None and axes:
        wanted = index.value.reshape(-1, len(axes)).astype(np.int64)
        sizes, strides = (np.array(column, np.int64) for column in zip(*axes, strict=True))
        node.require(
            bool(np.all((wanted >= -sizes) & (wanted < sizes))), "a constant index is out of range", "correct the index"
        )
        total = (np.where(wanted < 0, wanted + sizes, wanted) * strides).sum(axis=1)
        return build.constant(total if base is None else total + base.reshape(-1))
    out = build.temporary(np.int64, (count,))
    shift = None if base is None else build.constant(base.reshape(-1).astype(np.int64))
    table = build.constant(np.array(axes, np.int64).reshape(-1, 2))
    record = INDEX_OFFSETS(
        index=index, base=shift, table=table, out=out, count=count, components=len(axes), type=CODE[index.dtype]
    )
    build.call("index_offsets", record)
    return out


def gather_at(build: Builder, data: Buffer, offsets: Buffer, out: Buffer, elements: int = 1) -> None:
    """out[i] = `elements` elements of data at offsets[i], which counts blocks of that size and is in range."""
    if out.size:
        block = elements * data.dtype.itemsize
        gathered(build, data, offsets, out, (1, data.nbytes // block, offsets.size, block))


def scatter_at(
    build: Builder, out: Buffer, offsets: Buffer, updates: Buffer, elements: int, reduction: int = Scatter.NONE
) -> None:
    """Write (or combine) blocks of `elements` elements into `out`, which has its values already."""
    if not updates.size:
        return
    code = CODES.get(out.dtype, 2)
    if reduction == Scatter.NONE:  # bytes alone matter
        code = {1: 2, 2: 4, 4: 6, 8: 7}[out.dtype.itemsize]
    record = SCATTER_BLOCKS(
        offsets=offsets, updates=updates, out=out, count=offsets.size, block=elements, reduction=reduction, type=code
    )
    build.call("scatter_blocks", record)


def _base(shape: Sequence[int], data: Sequence[int], axis: int) -> NDArray[np.int64]:
    """Offset of each index's place in `data`, the axis that is indexed left out."""
    strides = list(contiguous(data))
    strides[axis] = 0
    return sum(
        np.arange(n, dtype=np.int64).reshape(-1, *(1,) * (len(shape) - i - 1)) * strides[i] for i, n in enumerate(shape)
    ) + np.zeros(tuple(shape), np.int64)


def _element_offsets(node: Node, build: Builder, data: Buffer, index: Buffer) -> Buffer:
    axis, rank = node.attr("axis", 0), len(data.shape)
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    axis %= rank
    fits = len(index.shape) == rank and all(
        n <= m for i, (n, m) in enumerate(zip(index.shape, data.shape, strict=True)) if i != axis
    )
    node.require(fits, f"indices of shape {list(index.shape)} do not fit data of shape {list(data.shape)}")
    length, stride = data.shape[axis], contiguous(data.shape)[axis]
    return offsets_of(node, build, index, [(length, stride)], _base(index.shape, data.shape, axis))


@operator("GatherElements", since=11, any_type=True)
def gather_elements(node: Node, build: Builder) -> None:
    """One element per index, along one axis."""
    if node.y.size:
        gather_at(build, node.x, _element_offsets(node, build, node.x, node.input(1)), node.y)


def _gathered_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    data, index = inputs[0], inputs[1]
    return [(data.dtype, (*index.shape[:-1], *data.shape[index.shape[-1] :]))]


@operator("GatherND", domain=RT_DOMAIN, since=1, any_type=True, infer=_gathered_types)
@operator("GatherND", since=11, any_type=True)
def gather_nd(node: Node, build: Builder) -> None:
    """Slices chosen by tuples of indices; the first `batch_dims` axes go along."""
    data, index, batch = node.x, node.input(1), node.attr("batch_dims", 0)
    if not node.y.size:
        return
    depth = index.shape[-1]
    fits = 0 <= batch < len(index.shape) and batch + depth <= len(data.shape)
    node.require(fits and index.shape[:batch] == data.shape[:batch], "indices and data do not fit together")
    block = prod(data.shape[batch + depth :])
    axes = [(data.shape[batch + i], prod(data.shape[batch + i + 1 : batch + depth])) for i in range(depth)]
    each = prod(index.shape[batch:-1])
    base = np.repeat(np.arange(prod(data.shape[:batch]), dtype=np.int64) * prod(n for n, _ in axes), each)
    gather_at(build, data, offsets_of(node, build, index, axes, base if batch else None), node.y, block)


def _scatter(
    node: Node, build: Builder, offsets: Buffer, updates: Buffer, elements: int, reduction: int = Scatter.NONE
) -> None:
    """`data` with updates, into the node's output. Half floats are combined in float32 and rounded once."""
    data, y = node.x, node.y
    if reduction != Scatter.NONE and data.dtype in HALVES:
        result = build.temporary(np.float32, data.shape)
        build.copy(result, converted(build, data, np.float32))
        scatter_at(build, result, offsets, converted(build, updates, np.float32), elements, reduction)
        converted(build, result, y.dtype, y)
        return
    if reduction != Scatter.NONE:
        node.require_type(data, NUMBERS)
    copied_into(build, data, y)
    scatter_at(build, y, offsets, updates, elements, reduction)


def _reduction(node: Node) -> int:
    return Scatter[str(node.attr("reduction", "none")).upper()]


@operator("ScatterElements", since=11, any_type=True)
@operator("Scatter", since=9, any_type=True)
def scatter_elements(node: Node, build: Builder) -> None:
    """One element per index, along one axis."""
    index, updates = node.input(1), node.input(2)
    node.require(index.shape == updates.shape, "indices and updates differ in shape")
    if node.y.size:
        _scatter(node, build, _element_offsets(node, build, node.x, index), updates, 1, _reduction(node))


@operator("ScatterND", since=11, any_type=True)
def scatter_nd(node: Node, build: Builder) -> None:
    """Slices at tuples of indices."""
    data, index, updates = node.x, node.input(1), node.input(2)
    if not node.y.size:
        return
    depth = index.shape[-1]
    node.require(depth <= len(data.shape), "indices have more entries than data has axes")
    node.require(
        updates.shape == (*index.shape[:-1], *data.shape[depth:]),
        "the shape of updates is not that of what they replace",
    )
    axes = [(n, stride) for n, stride in zip(data.shape, contiguous(data.shape), strict=True)][:depth]
    base = None if axes else np.zeros(prod(index.shape[:-1]), np.int64)
    _scatter(
        node, build, offsets_of(node, build, index, axes, base), updates, prod(data.shape[depth:]), _reduction(node)
    )


@operator("TensorScatter", since=24, any_type=True)
def tensor_scatter(node: Node, build: Builder) -> None:
    """Updates of a cache: along `axis`, from an index per batch on; beyond the end a status, or from the start again."""
    past, updates, where = node.x, node.input(1), node.optional(2)
    axis, rank = node.attr("axis", -2), len(past.shape)
    node.require(-rank <= axis < rank and axis % rank != 0, "axis 0 is the batch", "correct the axis")
    axis %= rank
    length, steps = past.shape[axis], updates.shape[axis]
    outer, block = updates.shape[:axis], prod(past.shape[axis + 1 :])
    fits = len(updates.shape) == rank and steps <= length and updates.shape[:axis] == past.shape[:axis]
    node.require(fits and updates.shape[axis + 1 :] == past.shape[axis + 1 :], "updates do not fit the cache")
    if not node.y.size or not updates.size:
        build.copy(node.y, past)
        return
    start = build.constant(np.zeros(past.shape[0], np.int64)) if where is None else converted(build, where, np.int64)
    first = reshaped(build, start, (past.shape[0], *(1,) * axis))
    step = build.constant(np.arange(steps, dtype=np.int64))
    places = build.temporary(np.int64, (*outer, steps))
    broadcast(build, "add_int", (broadcast_to(build, first, (*outer, 1)), step), places, CODE[places.dtype])
    if node.attr("mode", "linear") == "circular":
        turned = build.temporary(np.int64, places.shape)
        broadcast(build, "mod_int", (places, build.constant(np.array(length, np.int64))), turned, CODE[places.dtype])
        places = turned
    base = np.repeat(np.arange(prod(outer), dtype=np.int64) * length * block, steps)
    _scatter(node, build, offsets_of(node, build, places, [(length, block)], base), updates, block)
