"""Pad, CenterCropPad: https://onnx.ai/onnx/operators/onnx__Pad.html (pads and axes must be constant)."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import broadcast_to, gathered, reshaped, strided_copy
from rt_engine.ops.tapping import check_table
from rt_engine.program.calls import Buffer

_MOST_RUNS = 64
"""Runs of a padded axis that are copied one by one; where there are more, elements are gathered."""


@operator("Pad", since=2, any_type=True)
def pad(node: Node, build: Builder) -> None:
    """Elements added to or (negative) removed from both ends of axes."""
    x, rank = node.x, len(node.x.shape)
    pads = node.attr("pads")
    value: Buffer | None = None
    if pads is None:
        pads = [int(v) for v in node.constant(1, "pads").reshape(-1)]
        value = node.optional(2)
    elif node.attr("value", 0.0):
        value = build.constant(np.full((), node.attr("value"), x.dtype))
    axes = list(range(rank))
    if node.optional(3) is not None:
        axes = [int(a) % rank for a in node.constant(3, "axes").reshape(-1)]
    node.require(len(pads) == 2 * len(axes), f"{len(pads)} pads for {len(axes)} axes", "give two for each axis")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    mode = node.attr("mode", "constant")
    node.require(mode in ("constant", "reflect", "edge", "wrap"), f"mode '{mode}'", "use constant, reflect, edge, wrap")
    if mode == "constant":
        padded_constant(build, x, node.y, before, value)
        return
    sources = []
    for axis, size in enumerate(x.shape):
        node.require(
            size > 0 or node.y.shape[axis] == 0, f"axis {axis} has no element to repeat", "use mode 'constant'"
        )
        check_table(node.y.shape[axis])
        sources.append(_sources(mode, size, before[axis], after[axis]))
        node.require(len(sources[-1]) == node.y.shape[axis], f"its pads do not give {list(node.y.shape)}")
    _padded_like(build, x, node.y, sources)


@operator("CenterCropPad", since=18, any_type=True)
def center_crop_pad(node: Node, build: Builder) -> None:
    """Cut, or pad with zeros, around the centre; an odd element is left or added at the end."""
    x, y, before = node.x, node.y, []
    for size, wanted in zip(x.shape, y.shape, strict=True):
        before.append((wanted - size) // 2 if wanted >= size else -((size - wanted) // 2))
    padded_constant(build, x, y, before, None)


def padded_constant(build: Builder, x: Buffer, y: Buffer, before: Sequence[int], value: Buffer | None) -> None:
    """`x` from position `before` of `y` on, the rest of `y` filled with one value (zero by default)."""
    spans = [
        (max(first, 0), min(first + size, whole), max(-first, 0))
        for first, size, whole in zip(before, x.shape, y.shape, strict=True)
    ]
    shape = [max(stop - start, 0) for start, stop, _ in spans]
    if prod(shape) != y.size:
        _fill(build, y, value)
    in_strides, out_strides = contiguous(x.shape), contiguous(y.shape)
    if prod(shape):
        in_first = sum(skip * stride for (_, _, skip), stride in zip(spans, in_strides, strict=True))
        out_first = sum(start * stride for (start, _, _), stride in zip(spans, out_strides, strict=True))
        strided_copy(build, x, y, shape, in_strides, out_strides, in_first, out_first)


def _fill(build: Builder, y: Buffer, value: Buffer | None) -> None:
    if value is not None and value.size != 1:
        raise ValueError("the value to pad with is not one number")
    if value is None or value.value is not None:
        one = np.zeros(1, y.dtype) if value is None or value.value is None else value.value.astype(y.dtype).reshape(1)
        pattern = int.from_bytes(np.resize(one, 8 // y.dtype.itemsize).tobytes(), "little", signed=True)
        build.fill(y, pattern)
    else:
        broadcast_to(build, reshaped(build, value, ()), y.shape, y)


def _sources(mode: str, size: int, before: int, after: int) -> NDArray[np.int64]:
    """Which element of an axis lies where in the padded one."""
    at = np.arange(-before, size + after)
    if mode == "edge" or size == 1:
        return np.clip(at, 0, size - 1)
    if mode == "wrap":
        kept = np.arange(max(-before, 0), size - max(-after, 0))  # what negative pads leave is what repeats
        return kept[(at - kept[0]) % len(kept)] if len(kept) else at[:0]
    period = 2 * size - 2
    folded = at % period
    return np.where(folded < size, folded, period - folded)


def _runs(source: NDArray[np.int64]) -> list[tuple[int, int, int, int]]:
    """(start, length, first source, step) of the stretches in which the source moves by one step."""
    runs, start = [], 0
    while start < len(source):
        stop, step = start + 1, int(source[start + 1] - source[start]) if start + 1 < len(source) else 0
        while stop < len(source) and source[stop] - source[stop - 1] == step:
            stop += 1
        runs.append((start, stop - start, int(source[start]), step))
        start = stop
        if len(runs) > _MOST_RUNS:
            break
    return runs


def _padded_like(build: Builder, x: Buffer, y: Buffer, sources: list[NDArray[np.int64]]) -> None:
    """One axis after the other, elements of which there are fewest copies first."""
    if not y.size:
        return
    changed = [a for a, s in enumerate(sources) if len(s) != x.shape[a] or (s != np.arange(len(s))).any()]
    if not changed:
        build.copy(y, x)
    for axis in changed:
        out = y if axis == changed[-1] else None
        x = _padded_axis(build, x, axis, sources[axis], out)


def _padded_axis(build: Builder, x: Buffer, axis: int, source: NDArray[np.int64], out: Buffer | None) -> Buffer:
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    size, wanted = x.shape[axis], len(source)
    out = out or build.temporary(x.dtype, (*x.shape[:axis], wanted, *x.shape[axis + 1 :]))
    runs = _runs(source)
    if len(runs) > _MOST_RUNS:
        sizes = (outer, size, wanted, inner * x.dtype.itemsize)
        gathered(build, x, source.astype(np.int64), out, sizes)
        return out
    for start, length, first, step in runs:
        strides = ((size * inner, step * inner, 1), (wanted * inner, inner, 1))
        strided_copy(build, x, out, (outer, length, inner), *strides, first * inner, start * inner)
    return out
