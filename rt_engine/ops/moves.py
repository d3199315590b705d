"""Moving data about: what operators share to reshape, transpose, broadcast and slice their buffers. No operator of its own."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.movement import COPY_BLOCKS, COPY_STRIDED, GATHER_BLOCKS
from rt_engine.kernels.interface.strides import contiguous, copy_table
from rt_engine.ops.builder import Builder
from rt_engine.program.calls import Buffer


def reshaped(build: Builder, x: Buffer, shape: Sequence[int]) -> Buffer:
    """`x` with another shape, on the same memory.

    Raises:
        ValueError: the shape has another number of elements.
    """
    if prod(shape) != x.size:
        raise ValueError(f"shape {list(x.shape)} cannot be seen as {list(shape)}: another number of elements")
    return Buffer(x.name, x.dtype, tuple(int(d) for d in shape), x.storage)


def strided_copy(
    build: Builder,
    source: Buffer,
    target: Buffer,
    shape: Sequence[int],
    in_strides: Sequence[int],
    out_strides: Sequence[int] | None = None,
    in_first: int = 0,
    out_first: int = 0,
) -> None:
    """Copy a block of `shape` between any strides (in elements) of two tensors of the same type."""
    if prod(shape) == 0:
        return
    out_strides = out_strides or contiguous(shape)
    for tensor, strides, first in ((source, in_strides, in_first), (target, out_strides, out_first)):
        check_reach(tensor, shape, strides, first)
    table = copy_table(shape, in_strides, out_strides)
    each = source.dtype.itemsize * prod(int(size) for size in table[1:, 0])
    record = COPY_STRIDED(
        x=source, out=target, table=build.constant(table), rank=len(table), x_first=in_first, out_first=out_first,
        outer=int(table[0, 0]), each=each,
    )  # fmt: skip
    build.call(f"copy_strided_{source.dtype.itemsize}", record, elements=2 * prod(shape))


def copied_into(build: Builder, source: Buffer, target: Buffer, first: int = 0) -> None:
    """Copy the bytes of `source` to those of `target` from byte `first` on."""
    record = COPY_BLOCKS(
        x=source, out=target, count=1, nbytes=source.nbytes, x_stride=0, out_stride=0, x_first=0, out_first=first
    )
    build.call("copy_blocks", record, elements=2 * source.size)


def gathered(
    build: Builder, data: Buffer, index: Buffer | NDArray[np.int64], out: Buffer, sizes: tuple[int, int, int, int],
    checked: bool = False,
) -> None:  # fmt: skip
    """out[o, j] = data[o, index[j]].

    Args:
        build, data, out: of any type.
        index: in range and not negative, unless it is `checked` when it is used.
        sizes: outer, elements of the axis, elements of the index, bytes of a block.
        checked: a negative index counts from the end, one that is out of range is a run-time status.
    """
    outer, axis, count, block = sizes
    at = index if isinstance(index, Buffer) else build.constant(index)
    record = GATHER_BLOCKS(data=data, index=at, out=out, outer=outer, axis=axis, count=count, nbytes=block,
                    type=CODE[at.dtype] if checked else None)  # fmt: skip
    build.call("gather_blocks_checked" if checked else "gather_blocks", record)


def check_reach(tensor: Buffer, shape: Sequence[int], strides: Sequence[int], first: int = 0) -> None:
    """Raise ValueError if a block of `shape` at `first` reaches outside of the tensor."""
    steps = [(size - 1) * stride for size, stride in zip(shape, strides, strict=True)]
    low, high = first + sum(s for s in steps if s < 0), first + sum(s for s in steps if s > 0)
    if low < 0 or high >= tensor.size:
        raise ValueError(f"elements {low} to {high} of a tensor with {tensor.size} elements are asked for")


def transposed(build: Builder, x: Buffer, perm: Sequence[int], out: Buffer | None = None) -> Buffer:
    """`x` with its axes in the order `perm`; a view where no element moves, unless `out` is given."""
    if sorted(perm) != list(range(len(x.shape))):
        raise ValueError(f"{list(perm)} is no order of {len(x.shape)} axes")
    shape = tuple(x.shape[p] for p in perm)
    moving = [p for p in perm if x.shape[p] != 1]
    if moving == sorted(moving):
        view = reshaped(build, x, shape)
        if out is not None:
            build.alias(out, view)
        return out or view
    if out is None and x.value is not None and x.nbytes <= SMALL:
        return build.constant(np.transpose(x.value, perm))
    out = out or build.temporary(x.dtype, shape)
    strides = contiguous(x.shape)
    strided_copy(build, x, out, shape, [strides[p] for p in perm])
    return out


SMALL = 1 << 16
"""Constants of up to this many bytes are rearranged when the model is loaded; larger ones would bloat the weights."""


def broadcast_to(build: Builder, x: Buffer, shape: Sequence[int], out: Buffer | None = None) -> Buffer:
    """`x` expanded to `shape` by ONNX's (NumPy's) rules; itself where it has that shape, unless `out` is given.

    Raises:
        ValueError: it does not broadcast to that shape.
    """
    shape = tuple(shape)
    if np.broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"shape {list(x.shape)} does not broadcast to {list(shape)}")
    padded = (1,) * (len(shape) - len(x.shape)) + x.shape
    if padded == shape:
        view = reshaped(build, x, shape)
        if out is not None:
            build.alias(out, view)
        return out or view
    if out is None and x.value is not None and prod(shape) * x.dtype.itemsize <= SMALL:
        return build.constant(np.broadcast_to(x.value, shape).copy())
    out = out or build.temporary(x.dtype, shape)
    strides = [0 if size == 1 else stride for size, stride in zip(padded, contiguous(padded), strict=True)]
    strided_copy(build, x, out, shape, strides)
    return out


def rows_and_inner(
    operands: Sequence[Buffer], shape: tuple[int, ...], build: Builder
) -> tuple[int, int, list[Buffer], list[tuple[int, int]]]:
    """See operands that broadcast to `shape` as (rows, inner) matrices, which is what elementwise kernels work on.

    Gives rows, inner, the operands (expanded where they vary in more ways than two), and for each of them (row stride,
    inner stride) in elements; an inner stride is 0 or 1.
    """
    groups = _groups(operands, shape)
    if len(groups) > 2:
        operands = [o if o.size == 1 else broadcast_to(build, o, shape) for o in operands]
        groups = _groups(operands, shape)
    sizes = [size for size, _ in groups]
    rows, inner = (sizes[0], sizes[1]) if len(sizes) == 2 else (1, prod(sizes))
    strides = []
    for i, _ in enumerate(operands):
        present = [varies[i] for _, varies in groups]
        if len(present) < 2:
            strides.append((0, int(bool(present and present[0]))))
        else:
            strides.append(((inner if present[1] else 1) if present[0] else 0, int(present[1])))
    return rows, inner, list(operands), strides


def _groups(operands: Sequence[Buffer], shape: tuple[int, ...]) -> list[tuple[int, tuple[bool, ...]]]:
    """Neighbouring axes along which the same operands vary, merged: (size, which operands vary)."""
    padded = [(1,) * (len(shape) - len(o.shape)) + o.shape for o in operands]
    groups: list[tuple[int, tuple[bool, ...]]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        varies = tuple(p[axis] != 1 for p in padded)
        if groups and groups[-1][1] == varies:
            size *= groups.pop()[0]
        groups.append((size, varies))
    return groups
