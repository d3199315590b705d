"""Sampling at computed places: GridSample, DeformConv, RoiAlign, MaxRoiPool, MaxUnpool: https://onnx.ai/onnx/operators/"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.regions import MAX_ROI_POOL, PUT_BACK, ROI_ALIGN
from rt_engine.kernels.interface.sample import SAMPLE
from rt_engine.kernels.interface.sample_modes import (
    AVERAGE,
    BORDER,
    CENTRES,
    CORNERS,
    CUBIC,
    ELEMENTS,
    LARGEST,
    LINEAR,
    NEAREST,
    REFLECTION,
    ZEROS,
)
from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.linear import run_time_product
from rt_engine.ops.moves import copied_into, reshaped, transposed
from rt_engine.ops.pad import padded_constant
from rt_engine.ops.tapping import check_table
from rt_engine.program.calls import Buffer

_MODES = {"nearest": NEAREST, "linear": LINEAR, "bilinear": LINEAR, "cubic": CUBIC, "bicubic": CUBIC}
_PADDING = {"zeros": ZEROS, "border": BORDER, "reflection": REFLECTION}


def sampled(
    build: Builder, x: Buffer, positions: Buffer, out: Buffer, rank: int, mode: int, padding: int, how: int
) -> None:
    """out [items, channels, points] = x [items, channels, *space] at positions [items, points, rank]."""
    items, channels = x.shape[:2]
    space = x.shape[2:]
    points = out.shape[-1]
    if positions.size != items * points * rank or out.size != items * channels * points or len(space) != rank:
        raise ValueError(f"{list(positions.shape)} are not the positions of {list(out.shape)} in {list(x.shape)}")
    if not 0 < prod(space) < 1 << 31:
        raise ValueError(f"{prod(space)} elements to sample")
    d0, d1, d2 = (*(1,) * (3 - rank), *space)
    if out.size:
        record = SAMPLE(
            x=x, positions=positions, out=out, images=items, channels=channels, rank=rank, d0=d0, d1=d1, d2=d2,
            points=points, mode=mode, padding=padding, coordinates=how,
        )  # fmt: skip
        build.call(f"sample_{SUFFIX[x.dtype]}", record, macs=out.size * (1, 2, 4)[mode] ** rank)


def _sampled_types(node: object, inputs: Sequence[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    x, grid = inputs
    return [(x.dtype, (*x.shape[:2], *grid.shape[1:-1]))]


@operator("GridSample", domain=RT_DOMAIN, since=1, infer=_sampled_types)
@operator("GridSample", since=16)
def grid_sample(node: Node, build: Builder) -> None:
    """In one, two or three dimensions; nearest, linear or cubic."""
    x, y = node.x, node.y
    node.require_type(x, FLOATS)
    rank = len(x.shape) - 2
    mode, padding = node.attr("mode", "linear"), node.attr("padding_mode", "zeros")
    node.require(1 <= rank <= 3, f"{rank} spatial dimensions are not supported", "1 to 3 are")
    node.require(mode in _MODES and padding in _PADDING, f"mode '{mode}' with padding '{padding}'", "correct it")
    grid = converted(build, node.input(1), x.dtype)
    how = CORNERS if node.attr("align_corners", 0) else CENTRES
    out = reshaped(build, y, (*y.shape[:2], prod(y.shape[2:])))
    sampled(build, x, grid, out, rank, _MODES[mode], _PADDING[padding], how)


@operator("DeformConv", since=19)
def deform_conv(node: Node, build: Builder) -> None:
    """Samples at shifted places as columns [channels * kernel, places], then one product with the weights."""
    x, w, offset, y = node.x, node.input(1), node.input(2), node.y
    node.require_type(x, FLOATS)
    node.require(len(x.shape) == 4, f"an input of shape {list(x.shape)}", "two spatial dimensions are supported")
    batch, channels, out_channels = x.shape[0], x.shape[1], w.shape[0]
    kernel, places = w.shape[2:], y.shape[2:]
    group, shifts = node.attr("group", 1), node.attr("offset_group", 1)
    count, points = prod(kernel), prod(places)
    fits = group > 0 and shifts > 0 and out_channels % group == 0 and channels % shifts == 0
    node.require(fits and w.shape[1] * group == channels, "its groups do not fit its channels", "correct them")
    node.require(
        offset.shape == (batch, shifts * count * 2, *places), f"offsets of shape {list(offset.shape)}", "correct them"
    )
    if not y.size:
        return
    positions = _shifted(node, build, offset, (batch * shifts, *kernel, *places))
    each = channels // shifts
    seen = reshaped(build, x, (batch * shifts, each, *x.shape[2:]))
    columns = build.temporary(x.dtype, (batch * shifts, each, count * points))
    sampled(build, seen, positions, columns, 2, LINEAR, ZEROS, ELEMENTS)
    mask = node.optional(4)
    if mask is not None:
        masked = build.temporary(x.dtype, columns.shape)
        factors = reshaped(build, mask, (batch * shifts, 1, count * points))
        broadcast(build, f"mul_{SUFFIX[x.dtype]}", (columns, factors), masked)
        columns = masked
    _products(build, w, columns, y, node.optional(3), (batch, group, count * w.shape[1], points))


def _shifted(node: Node, build: Builder, offset: Buffer, shape: tuple[int, ...]) -> Buffer:
    """Where each element of the kernel is sampled: [items, kernel, places, (y, x)]."""
    items, high, wide, rows, columns = shape
    strides, dilations = node.attr("strides", [1, 1]), node.attr("dilations", [1, 1])
    before = node.attr("pads", [0] * 4)[:2]
    check_table(prod(shape[1:]) * 2)
    down = np.arange(high)[:, None] * dilations[0] + np.arange(rows)[None, :] * strides[0] - before[0]
    across = np.arange(wide)[:, None] * dilations[1] + np.arange(columns)[None, :] * strides[1] - before[1]
    base = np.zeros((high, wide, 2, rows, columns))
    base[:, :, 0] = down[:, None, :, None]
    base[:, :, 1] = across[None, :, None, :]
    flat = (items, high * wide, 2, rows * columns)
    at = build.temporary(offset.dtype, flat)
    constant = build.constant(base.astype(offset.dtype).reshape(flat[1:]))
    broadcast(build, f"add_{SUFFIX[offset.dtype]}", (reshaped(build, offset, flat), constant), at)
    return transposed(build, at, (0, 1, 3, 2))


def _products(
    build: Builder, w: Buffer, columns: Buffer, y: Buffer, bias: Buffer | None, sizes: tuple[int, int, int, int]
) -> None:
    """y [batch, group, rows, points] = w [group, rows, depth] @ columns [batch, group, depth, points] + bias."""
    batch, group, depth, points = sizes
    rows = w.shape[0] // group
    result = y if bias is None else build.temporary(y.dtype, y.shape)
    every = reshaped(build, w, (group, rows, depth))
    if batch > 1 and group > 1:
        every = build.temporary(w.dtype, (batch * group, rows, depth))
        for item in range(batch):
            copied_into(build, w, every, item * w.nbytes)
    batches = (batch * group, 0 if group == 1 else rows * depth, depth * points)
    run_time_product(build, every, columns, result, (rows, depth, points), batches, (points, 1))
    if bias is not None:
        broadcast(build, f"add_{SUFFIX[y.dtype]}", (result, reshaped(build, bias, (bias.size, 1, 1))), y)


@operator("RoiAlign", since=10)
def roi_align(node: Node, build: Builder) -> None:
    """Bilinear samples of regions, averaged or the largest taken; regions are checked at run time."""
    x, regions, items, y = node.x, node.input(1), node.input(2), node.y
    node.require_type(x, FLOATS)
    half = node.version >= 16 and node.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    mode, samples = node.attr("mode", "avg"), int(node.attr("sampling_ratio", 0))
    node.require(mode in ("avg", "max") and 0 <= samples <= 64, f"mode '{mode}', {samples} samples", "correct it")
    node.require(len(x.shape) == 4 and regions.shape == (items.size, 4), "its regions are not [count, 4]", "correct it")
    node.require(min(x.shape[2:], default=0) > 0, "there is nothing to sample", "correct the shape")
    code = AVERAGE if mode == "avg" else LARGEST
    if y.size:
        record = ROI_ALIGN(
            x=x, regions=converted(build, regions, x.dtype), items=converted(build, items, np.int64), out=y,
            count=items.size, samples=samples, mode=code, half=half, **_of_regions(node, x, y),
        )  # fmt: skip
        build.call(f"roi_align_{SUFFIX[x.dtype]}", record)


def _of_regions(node: Node, x: Buffer, y: Buffer) -> dict[str, float]:
    (images, channels, height, width), (out_height, out_width) = x.shape, y.shape[2:]
    return {
        "images": images, "channels": channels, "height": height, "width": width,
        "out_height": out_height, "out_width": out_width, "scale": node.attr("spatial_scale", 1.0),
    }  # fmt: skip


@operator("MaxRoiPool", since=1)
def max_roi_pool(node: Node, build: Builder) -> None:
    """The largest element of each bin of a region; regions are checked at run time."""
    x, regions, y = node.x, node.input(1), node.y
    node.require_type(x, FLOATS)
    node.require(len(x.shape) == 4 and regions.shape == (y.shape[0], 5), "its regions are not [count, 5]", "correct it")
    if y.size:
        record = MAX_ROI_POOL(x=x, regions=regions, out=y, count=y.shape[0], **_of_regions(node, x, y))
        build.call(f"max_roi_pool_{SUFFIX[x.dtype]}", record)


def _unpooled(attributes: Any, x: Buffer) -> tuple[int, ...]:
    """The shape of what was pooled, from an attribute reader (name, default)."""
    kernel = attributes("kernel_shape", [])
    rank = len(kernel)
    strides, pads = attributes("strides", [1] * rank), attributes("pads", [0] * 2 * rank)
    if len(x.shape) != rank + 2:
        raise Refusal(f"a kernel of {rank} dimensions for an input of shape {list(x.shape)}", "correct it")
    sizes = ((x.shape[2 + a] - 1) * strides[a] - pads[a] - pads[rank + a] + kernel[a] for a in range(rank))
    return (*x.shape[:2], *sizes)


def _infer_max_unpool(node: Any, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    """ONNX's own inference does not read a constant output_shape."""
    x, wanted = inputs[0], inputs[2] if len(inputs) > 2 else None
    if wanted is None:
        given = {name: list(a.value) for name, a in node.attributes.items()}
        return [(x.dtype, _unpooled(lambda name, default: given.get(name, default), x))]
    if wanted.value is None:
        raise Refusal("output_shape (input 2) is computed at run time; shapes must be static", "make it a constant")
    return [(x.dtype, tuple(int(v) for v in wanted.value.reshape(-1)))]


@operator("MaxUnpool", since=9, infer=_infer_max_unpool)
def max_unpool(node: Node, build: Builder) -> None:
    """Values back to where a MaxPool found them, zero elsewhere; indices are checked at run time."""
    x, index, y = node.x, node.input(1), node.y
    node.require_type(x, FLOATS)
    shape = _unpooled(node.attr, x)  # what the indices count; an output_shape that is larger adds zeros at the end
    node.require(
        index.shape == x.shape
        and len(shape) == len(y.shape)
        and all(0 < a <= b for a, b in zip(shape, y.shape, strict=True)),
        f"indices of shape {list(index.shape)} in {list(shape)} do not give {list(y.shape)}",
        "correct the indices or output_shape",
    )
    if not y.size:
        return
    out = y if shape == y.shape else build.temporary(y.dtype, shape)
    build.fill(out)
    record = PUT_BACK(
        x=x, index=converted(build, index, np.int64), out=out, count=x.size, nbytes=x.dtype.itemsize, limit=out.size
    )
    build.call("put_back", record)
    if out is not y:
        padded_constant(build, out, y, [0] * len(shape), None)
