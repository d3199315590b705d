"""Sums over windows: LpPool, LRN, Col2Im; and AffineGrid. https://onnx.ai/onnx/operators/"""

from collections.abc import Sequence
from itertools import product as combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.ops.base import FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.group_norm import magnitude_power, root
from rt_engine.ops.linear import run_time_product
from rt_engine.ops.moves import reshaped, transposed
from rt_engine.ops.tapping import check_table, taps
from rt_engine.ops.unary import unary


@operator("LpPool", since=2)
def lp_pool(node: Node, build: Builder) -> None:
    """The p-norm of windows: |x| ** p, summed along one axis after the other, and the root of it."""
    x, y, p = node.x, node.y, int(node.attr("p", 2))
    node.require_type(x, FLOATS)
    node.require(p > 0, f"p = {p}", "p is at least 1")
    kernel = node.attr("kernel_shape")
    rank = len(kernel)
    strides, dilations = node.attr("strides", [1] * rank), node.attr("dilations", [1] * rank)
    node.require(min(*kernel, *strides, *dilations, 1) > 0, "a size, stride or dilation is not positive", "correct it")
    value = magnitude_power(build, x, p)
    for axis in range(rank):
        size, wanted = x.shape[2 + axis], y.shape[2 + axis]
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        before = _pad_before(node, axis, rank, (wanted - 1) * strides[axis] + reach - size)
        check_table(kernel[axis] * wanted)
        at = np.arange(wanted) * strides[axis] - before + np.arange(kernel[axis])[:, None] * dilations[axis]
        value = taps(build, value, 2 + axis, np.where((at >= 0) & (at < size), at, -1), np.ones(at.shape))
    root(build, value, p, y)


def _pad_before(node: Node, axis: int, rank: int, total: int) -> int:
    """Padding at the start of a spatial axis, from `pads` or `auto_pad`."""
    auto = node.attr("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = max(total, 0)
        return total // 2 if auto == "SAME_UPPER" else total - total // 2
    return 0 if auto == "VALID" else int(node.attr("pads", [0] * 2 * rank)[axis])


@operator("LRN", since=1)
def lrn(node: Node, build: Builder) -> None:
    """x / (bias + alpha / size * sum of squares over neighbouring channels) ** beta."""
    x, y, suffix = node.x, node.y, SUFFIX.get(node.x.dtype, "")
    node.require_type(x, FLOATS)
    size, alpha, beta = int(node.attr("size")), float(node.attr("alpha", 1e-4)), float(node.attr("beta", 0.75))
    node.require(size > 0, f"size = {size}", "size is at least 1")
    squares = magnitude_power(build, x, 2)
    channels = x.shape[1]
    check_table(size * channels)
    at = np.arange(channels) - (size - 1) // 2 + np.arange(min(size, 2 * channels))[:, None]
    inside = (at >= 0) & (at < channels)
    total = taps(build, squares, 1, np.where(inside, at, -1), np.full(at.shape, alpha / size))
    shifted, scale = build.temporary(x.dtype, x.shape), build.temporary(x.dtype, x.shape)
    broadcast(build, f"add_{suffix}", (total, build.constant(np.full((), node.attr("bias", 1.0), x.dtype))), shifted)
    if beta == 0.75:  # x ** -0.75 by two roots costs far less than a power
        once, twice = build.temporary(x.dtype, x.shape), build.temporary(x.dtype, x.shape)
        unary(build, "sqrt", shifted, once)
        unary(build, "sqrt", once, twice)
        broadcast(build, f"mul_{suffix}", (once, twice), scale)
    else:
        broadcast(build, f"pow_{suffix}", (shifted, build.constant(np.full((), beta, x.dtype))), scale)
    broadcast(build, f"div_{suffix}", (x, scale), y)


@operator("Col2Im", since=18)
def col2im(node: Node, build: Builder) -> None:
    """Columns of blocks back to an image; where blocks overlap, they are added."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    image = [int(v) for v in node.constant(1, "image_shape").reshape(-1)]
    block = [int(v) for v in node.constant(2, "block_shape").reshape(-1)]
    rank = len(image)
    strides, dilations = node.attr("strides", [1] * rank), node.attr("dilations", [1] * rank)
    before = node.attr("pads", [0] * 2 * rank)
    grid = [
        (image[a] + before[a] + before[a + rank] - dilations[a] * (block[a] - 1) - 1) // strides[a] + 1
        for a in range(rank)
    ]
    node.require(
        len(x.shape) == 3 and x.shape[1:] == (y.shape[1] * prod(block), prod(grid)),
        f"columns of shape {list(x.shape)} are not {y.shape[1]} channels of {block} blocks at {grid} places",
        "correct image_shape, block_shape, strides, pads or dilations",
    )
    index, weight = overlap_tables(image, block, grid, strides, dilations, before[:rank])
    seen = reshaped(build, x, (y.shape[0] * y.shape[1], prod(block) * prod(grid)))
    taps(build, seen, 1, index, weight, reshaped(build, y, (seen.shape[0], prod(image))))


def overlap_tables(
    image: Sequence[int],
    block: Sequence[int],
    grid: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    before: Sequence[int],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tables that add the columns [block, grid] of an image; taps in the order of the block's elements.

    Element k of the block that stands at place g lies at g * stride + k * dilation - before of each axis.
    """
    per_axis = []
    for size, elements, places, stride, dilation, first in zip(
        image, block, grid, strides, dilations, before, strict=True
    ):
        check_table(elements * size)
        at = np.arange(size) + first - np.arange(elements)[:, None] * dilation
        place = at // stride
        per_axis.append(np.where((at % stride == 0) & (place >= 0) & (place < places), place, -1))
    columns = []
    check_table(prod(image) * prod(block))
    for elements in combinations(*(range(b) for b in block)):
        flat, inside = np.zeros(1, np.int64), np.ones(1, bool)
        for axis, k in enumerate(elements):
            place = per_axis[axis][k]
            flat = (flat[:, None] * grid[axis] + place).reshape(-1)
            inside = (inside[:, None] & (place >= 0)).reshape(-1)
        number = int(np.ravel_multi_index(elements, tuple(block)))
        columns.append(np.where(inside, flat + number * prod(grid), -1))
    table = np.array(columns)
    return table, np.where(table >= 0, 1.0, 0.0)


@operator("AffineGrid", since=20)
def affine_grid(node: Node, build: Builder) -> None:
    """The positions of an output's points under an affine map: theta @ (x, y, 1)."""
    theta, y = node.x, node.y
    node.require_type(theta, FLOATS)
    space = [int(v) for v in node.constant(1, "size").reshape(-1)][2:]
    rank, count = len(space), prod(space)
    node.require(theta.shape == (y.shape[0], rank, rank + 1), f"theta has the shape {list(theta.shape)}", "correct it")
    axes = []
    for size in space:
        at = np.arange(size)
        if node.attr("align_corners", 0):
            axes.append(2.0 * at / (size - 1) - 1.0 if size > 1 else np.zeros(1))
        else:
            axes.append((2.0 * at + 1.0) / size - 1.0)
    check_table(count * (rank + 1))
    mesh = np.meshgrid(*axes, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones(space)], axis=-1).reshape(count, rank + 1).astype(theta.dtype)
    if not y.size:
        return
    batch = y.shape[0]
    every = reshaped(build, transposed(build, theta, (2, 0, 1)), (rank + 1, batch * rank))  # [x y 1] @ all maps at once
    out = build.temporary(y.dtype, (count, batch * rank)) if batch > 1 else reshaped(build, y, (count, rank))
    run_time_product(
        build, build.constant(points), every, out, (count, rank + 1, batch * rank), (1, 0, 0), (batch * rank, 1)
    )
    if batch > 1:
        seen = reshaped(build, out, (count, batch, rank))
        transposed(build, seen, (1, 0, 2), reshaped(build, y, (batch, count, rank)))
