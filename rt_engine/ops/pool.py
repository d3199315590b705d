"""MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool.

https://onnx.ai/onnx/operators/onnx__MaxPool.html, https://onnx.ai/onnx/operators/onnx__AveragePool.html

`passes.layout` makes `rt_engine:PoolLast` of the first two: channels last.
"""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.pool import MAX_INDEX, POOL
from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.convolve import offset_table
from rt_engine.ops.moves import reshaped, transposed
from rt_engine.ops.reduce import reduced
from rt_engine.ops.window import Window, window_of
from rt_engine.program.calls import Buffer

_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
_PER_PIXEL, _LESS = 2, 0.8
"""What a pixel costs besides its taps, in taps; the share of the work below which axes are taken one by one."""


def pool(build: Builder, x: Buffer, y: Buffer, window: Window, counts: NDArray[Any] | None) -> None:
    """Channels last: the average with the divisors `counts`, or the maximum where that is None."""
    if not y.size:
        return
    if counts is None and len(steps := axis_by_axis(window)) > 1:
        for i, step in enumerate(steps):
            found = y if i == len(steps) - 1 else build.temporary(x.dtype, (x.shape[0], *step.out, x.shape[-1]))
            _pool(build, x, found, step, None)
            x = found
        return
    _pool(build, x, y, window, counts)


def axis_by_axis(window: Window) -> list[Window]:
    """Windows over one axis each, the last axis first, whose maxima are those of `window`; it alone where that is no less work."""
    steps, size = [], window.size
    for axis in reversed(range(len(size))):
        one = tuple(int(a == axis) for a in range(len(size)))
        kernel, strides, dilations, out = (
            tuple(v if here else other for v, here, other in zip(values, one, others, strict=True))
            for values, others in (
                (window.kernel, (1,) * len(size)),
                (window.strides, (1,) * len(size)),
                (window.dilations, (1,) * len(size)),
                (window.out, size),
            )
        )
        begin = tuple(b * here for b, here in zip(window.begin, one, strict=True))
        steps.append(Window(size, kernel, strides, dilations, begin, out))
        size = out
    work = sum(step.outputs * (step.taps + _PER_PIXEL) for step in steps)
    return steps if work < _LESS * window.outputs * (window.taps + _PER_PIXEL) else [window]


def _pool(build: Builder, x: Buffer, y: Buffer, window: Window, counts: NDArray[Any] | None) -> None:
    average = counts is not None
    divisors = build.constant(np.ones(1, x.dtype) if counts is None else counts.astype(x.dtype))
    table = build.constant(offset_table(window, x.shape[-1], x.dtype))
    record = POOL(x=x, out=y, table=table, counts=divisors, average=average, **_sizes(x, window))
    build.call(f"pool_{SUFFIX[x.dtype]}", record)


def _sizes(x: Buffer, window: Window) -> dict[str, int]:
    return {
        "images": x.shape[0], "in_pixels": window.pixels, "pixels": window.outputs, "taps": window.taps,
        "channels": x.shape[-1],
    }  # fmt: skip


def pool_window(node: ir.Node, size: tuple[int, ...], out: tuple[int, ...]) -> Window:
    """The window of MaxPool or AveragePool."""
    return window_of(node, size, out, [int(k) for k in node.attributes["kernel_shape"].as_ints()])


def pool_counts(node: ir.Node, window: Window) -> NDArray[np.int64] | None:
    """What AveragePool divides by at each output pixel, None for MaxPool.

    Padding counts where `count_include_pad` says so; what `ceil_mode` adds behind it never does.
    """
    if node.op_type != "AveragePool" and node.attributes.get_string("kind", "") != "AveragePool":
        return None
    include = node.attributes.get("count_include_pad")
    if include is None or not include.as_int():
        inside: NDArray[np.int64] = np.maximum((window.table() >= 0).sum(axis=1), 1)
        return inside
    pads, auto = node.attributes.get("pads"), node.attributes.get_string("auto_pad", "NOTSET")
    rank = len(window.size)
    ends = ([int(p) for p in pads.as_ints()][rank:] if pads is not None else [0] * rank) if auto == "NOTSET" else None
    counts = np.ones((1,) * rank, np.int64)
    for axis, size in enumerate(window.size):
        at = window.positions(axis)
        # with auto_pad, everything that a window reaches is padding
        limit = size + ends[axis] if ends is not None else int(at.max(initial=0)) + 1
        shape = [1] * rank
        shape[axis] = at.shape[0]
        counts = counts * (at < limit).sum(axis=1).reshape(shape)
    return counts.ravel()


def _last_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(inputs[0].dtype, (inputs[0].shape[0], *node.attributes["out"].as_ints(), inputs[0].shape[-1]))]


@operator("PoolLast", domain=RT_DOMAIN, since=1, infer=_last_types)
def pool_last(node: Node, build: Builder) -> None:
    """`kind` (MaxPool, AveragePool), channels last."""
    window = pool_window(node.ir, node.x.shape[1:-1], node.y.shape[1:-1])
    pool(build, node.x, node.y, window, pool_counts(node.ir, window))


@operator("MaxPool", "AveragePool", since=1)
def pool_first(node: Node, build: Builder) -> None:
    """In ONNX's layout, through transposes; int8 and uint8 as float32, which holds them exactly."""
    x, y, rank = node.x, node.y, len(node.x.shape)
    node.require_type(x, FLOATS if node.op_type == "AveragePool" else (*FLOATS, *_BYTES))
    node.require(rank >= 3, f"a tensor with {rank} dimensions has no spatial axes", "add a batch and a channel axis")
    window = pool_window(node.ir, x.shape[2:], y.shape[2:])
    if not y.size:
        return
    last, first = [0, *range(2, rank), 1], [0, rank - 1, *range(1, rank - 1)]
    source = transposed(build, x, last)
    wide = source if x.dtype in FLOATS else converted(build, source, np.float32)
    target = build.temporary(wide.dtype, [y.shape[a] for a in last])
    index = node.outputs[1] if len(node.outputs) > 1 else None
    if index is None:
        pool(build, wide, target, window, pool_counts(node.ir, window))
    else:
        places = build.temporary(np.int64, target.shape)
        _with_index(build, wide, target, places, window, node.attr("storage_order", 0))
        transposed(build, places, first, index)
    transposed(build, target if wide is source else converted(build, target, x.dtype), first, y)


def _with_index(build: Builder, x: Buffer, y: Buffer, index: Buffer, window: Window, column_major: int) -> None:
    """The maximum and where it stands; `column_major`: the first spatial axis counts fastest."""
    rows = window.table()
    order = np.arange(window.pixels, dtype=np.int64)
    if column_major:
        order = order.reshape(window.size[::-1]).transpose().ravel()
    places = build.constant(np.where(rows < 0, 0, order[rows]).astype(np.int32))
    table = build.constant(offset_table(window, x.shape[-1], x.dtype))
    record = MAX_INDEX(x=x, out=y, index=index, table=table, places=places, **_sizes(x, window))
    build.call(f"max_index_{SUFFIX[x.dtype]}", record)


@operator("GlobalAveragePool", "GlobalMaxPool", since=1)
def global_pool(node: Node, build: Builder) -> None:
    """Over all spatial axes."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    outer = prod(x.shape[:2])
    if y.size:
        name = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}[node.op_type]
        flat = reshaped(build, x, (outer, x.size // outer))
        reduced(build, name, flat, y, (outer, x.size // outer, 1))
