"""A convolution, channels last, as kernel calls: which kernel its shape wants, packed weights, tables. No operator of its own.

    x [N, ..., C], w [taps..., C / group, M] --simplified--> fewer axes --> depthwise | winograd | dot | product

Taps in the padding read a pixel of zeros that lies behind the image: `_with_zeros` gives it room. A picture whose channels come
first may have a way of its own (`ops.picture`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.conv import CONV, CUT, DEPTHWISE, NARROW, NARROW_PANEL, TALLEST
from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.panels import HALF, WINDOW_PANEL
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import Refusal
from rt_engine.ops.builder import Builder
from rt_engine.ops.convolve_parts import Columns, Part, columns_of, parts_of
from rt_engine.ops.moves import reshaped, strided_copy, transposed
from rt_engine.ops.picture import picture, picture_pays
from rt_engine.ops.window import Window, seen
from rt_engine.ops.winograd import Scheme, scheme_for, winograd
from rt_engine.program.calls import Buffer, Kind

FEW = 8
"""Up to this many channels, a whole row of the kernel is read as one run."""
FEW_OUTPUTS = 3
"""Up to this many output channels, each is a dot product by itself."""


def half_lanes(dtype: np.dtype[Any]) -> int:
    """Elements of a half vector."""
    return HALF // dtype.itemsize


def to_halves(columns: int, dtype: np.dtype[Any]) -> int:
    """Columns after padding to whole half vectors."""
    return -(-columns // half_lanes(dtype)) * half_lanes(dtype)


def pack_panels(w: NDArray[Any], panel: int = WINDOW_PANEL) -> NDArray[Any]:
    """[k, n] -> panels of up to so many half vectors, k-major: one layout for every lane width."""
    k, n = w.shape
    padded = np.zeros((k, to_halves(n, w.dtype)), w.dtype)
    padded[:, :n] = w
    step = panel * half_lanes(w.dtype)
    return np.concatenate([padded[:, p : p + step].ravel() for p in range(0, max(padded.shape[1], 1), step)])


def panel_of(columns: int, dtype: np.dtype[Any]) -> int:
    """Half vectors of the panels for so many columns: whole vectors, or all together where the last one is but half."""
    return WINDOW_PANEL if to_halves(columns, dtype) // half_lanes(dtype) % NARROW_PANEL else NARROW_PANEL


def offset_table(window: Window, channels: int, dtype: np.dtype[Any], padding: int = -1) -> NDArray[np.int32]:
    """[outputs, taps]: byte offsets of the input pixels in an image, `padding` for padding; 256 bytes of zeros behind it.

    Raises:
        Refusal: an image of more than 2 GB.
    """
    pixel = channels * dtype.itemsize
    if (window.pixels + 1) * pixel > np.iinfo(np.int32).max:
        raise Refusal(f"an image of {window.pixels} pixels with {channels} channels", "check its shape")
    table = window.table()
    offsets = np.where(table < 0, padding, table * pixel).astype(np.int32).ravel()
    whole = np.zeros(-(-offsets.size // 16) * 16 + 64, np.int32)
    whole[: offsets.size] = offsets
    return whole


@dataclass(frozen=True, slots=True)
class Layer:
    """What is computed: clip(conv(x, w) + bias + addend, low, high); w is [taps..., C / group, M]."""

    w: NDArray[Any]
    bias: NDArray[Any]
    window: Window
    group: int = 1
    addend: Buffer | None = None
    limits: tuple[float, float] = (-inf, inf)


def convolve(build: Builder, x: Buffer, y: Buffer, layer: Layer, channels_first: bool = False) -> None:
    """Call the kernels of a convolution.

    Args:
        x: [N, ..., C]; with `channels_first` [N, C, ...].
        y: [N, ..., M].

    Raises:
        Refusal: shapes that do not fit.
    """
    w, group, channels = layer.w, layer.group, x.shape[1 if channels_first else -1]
    if not y.size or not channels:
        raise Refusal("it has no channels or no output", "check its shape")
    if channels % group or w.shape[-1] % group or w.shape[-2] * group != channels or w.shape[-1] != y.shape[-1]:
        raise Refusal(f"{channels} channels, weights {list(w.shape)} in {group} groups do not fit", "export it again")
    if layer.bias.shape != (w.shape[-1],):
        raise Refusal(f"a bias of shape {list(layer.bias.shape)} for {w.shape[-1]} outputs", "export it again")
    window, w = seen(layer.window, w)
    layer = replace(layer, window=window, w=w)
    if not channels_first and len(parts := _column_parts(x, y, layer)) > 1:
        for part in parts:
            _some_columns(build, x, y, layer, part)
        return
    if channels_first and group == 1 and layer.addend is None and picture_pays(x, w, window):
        picture(build, x, y, w, layer.bias, window, layer.limits)
        return
    if _is_one_run(layer, channels):
        source, layer = _one_run(build, x, layer, channels_first)
        _product(build, source, y, layer)
        return
    if channels_first:
        x = transposed(build, x, [0, *range(2, len(x.shape)), 1])
    x, layer = _simplified(x, layer)
    if group > 1 and group == x.shape[-1] == y.shape[-1]:
        _depthwise(build, x, y, layer)
    elif scheme := _scheme(x, y, layer):
        winograd(build, scheme, x, layer.w, layer.bias, layer.addend, y, layer.window, layer.limits, grouped_product)
    elif group == 1 and y.shape[-1] <= FEW_OUTPUTS and x.shape[-1] % half_lanes(x.dtype) == 0:
        _dot(build, x, y, layer)
    elif group == 1 and x.shape[0] == 1 and len(pixel_parts := parts_of(layer.window)) > 1:
        for pixels in pixel_parts:
            _partly(build, x, y, layer, pixels)
    else:
        _product(build, x, y, layer)


def _scheme(x: Buffer, y: Buffer, layer: Layer) -> Scheme | None:
    """Winograd's algorithm, where one pays."""
    if layer.group > 1 or x.shape[0] > 1:
        return None
    return scheme_for(layer.window, x.shape[-1], y.shape[-1], x.dtype)


def _partly(build: Builder, x: Buffer, y: Buffer, layer: Layer, part: Part) -> None:
    """One part of the output, from the taps that it sees, and into its place."""
    window, outputs = part.window, y.shape[-1]
    w = layer.w[tuple(slice(t, t + k) for t, k in zip(part.tap, window.kernel, strict=True))]
    block, strides = (*window.out, outputs), contiguous((*layer.window.out, outputs))
    first = sum(o * s for o, s in zip(part.first, strides, strict=False))
    addend = None if layer.addend is None else build.temporary(y.dtype, block)
    if layer.addend is not None and addend is not None:
        strided_copy(build, layer.addend, addend, block, strides, None, first)
    made = build.temporary(y.dtype, block)
    _product(build, x, made, replace(layer, w=np.ascontiguousarray(w), window=window, addend=addend))
    strided_copy(build, made, y, block, contiguous(block), strides, 0, first)


def _column_parts(x: Buffer, y: Buffer, layer: Layer) -> list[Columns]:
    """Parts of the output channels, where some have fewer taps; Winograd's algorithm is quicker than they are."""
    if layer.group > 1 or _scheme(x, y, layer):
        return []
    return columns_of(layer.window, layer.w, half_lanes(x.dtype))


def _some_columns(build: Builder, x: Buffer, y: Buffer, layer: Layer, part: Columns) -> None:
    """Some output channels, from the taps that they have, and into their place."""
    columns, total = slice(part.first, part.first + part.count), y.shape[-1]
    taps: tuple[Any, ...] = tuple(slice(b, e) for b, e in zip(part.begin, part.end, strict=True))
    some = replace(
        layer, w=np.ascontiguousarray(layer.w[(*taps, ..., columns)]), bias=layer.bias[columns], addend=None,
        window=part.window(layer.window),
    )  # fmt: skip
    block = (y.size // total, part.count)
    made = build.temporary(y.dtype, (*y.shape[:-1], part.count))
    if layer.addend is not None:
        addend = build.temporary(y.dtype, made.shape)
        strided_copy(build, layer.addend, addend, block, (total, 1), None, part.first)
        some = replace(some, addend=addend)
    convolve(build, x, made, some)
    strided_copy(build, made, y, block, contiguous(block), (total, 1), 0, part.first)


def _simplified(x: Buffer, layer: Layer) -> tuple[Buffer, Layer]:
    """Fewer axes: one that a window covers whole becomes channels, one of a single pixel goes."""
    window, channels = layer.window, x.shape[-1]
    sizes = list(window.size)
    while len(sizes) > 1 and layer.group == 1 and _covers(window, len(sizes) - 1):
        channels *= sizes.pop()
        window = _without(window, len(sizes))
    for axis in reversed(range(len(sizes))):
        if len(window.size) > 1 and _covers(window, axis) and window.size[axis] == 1:
            window = _without(window, axis)
    x = reshaped(_no_constant, x, (x.shape[0], *window.size, channels))
    w = layer.w.reshape(*window.kernel, channels // layer.group, layer.w.shape[-1])
    return x, replace(layer, window=window, w=w)


_no_constant: Any = None
"""`reshaped` makes views; it needs no builder."""


def _covers(window: Window, axis: int) -> bool:
    covered = window.kernel[axis] == window.size[axis] and window.out[axis] == 1 and window.begin[axis] == 0
    return covered and (window.dilations[axis] == 1 or window.kernel[axis] == 1)


def _without(window: Window, axis: int) -> Window:
    def cut(values: tuple[int, ...]) -> tuple[int, ...]:
        return values[:axis] + values[axis + 1 :]

    return Window(*(cut(getattr(window, name)) for name in Window.__dataclass_fields__))


def _is_one_run(layer: Layer, channels: int) -> bool:
    """Few channels: is a row of the kernel read as one run?"""
    window = layer.window
    few = channels <= FEW and layer.group == 1 and window.kernel[-1] > 1 and window.dilations[-1] == 1
    return few and not (_covers(window, len(window.size) - 1) and len(window.size) > 1)


def _one_run(build: Builder, x: Buffer, layer: Layer, channels_first: bool) -> tuple[Buffer, Layer]:
    """The taps of the last axis as one; padding along that axis is copied into the input."""
    window, last = layer.window, len(layer.window.size) - 1
    channels, size = x.shape[1 if channels_first else -1], window.size[last]
    before, after = window.begin[last], max(int(window.positions(last).max(initial=0)) + 1 - size, 0)
    wide = size + before + after
    if before or after or channels_first:
        x = _padded(build, x, before, wide, channels_first)
    rest = slice(0, last)
    merged = replace(
        window, size=(*window.size[rest], wide), kernel=(*window.kernel[rest], 1), begin=(*window.begin[rest], 0)
    )
    run = window.kernel[last] * channels
    return x, replace(layer, window=merged, w=layer.w.reshape(*merged.kernel, run, layer.w.shape[-1]))


def _padded(build: Builder, x: Buffer, before: int, wide: int, channels_first: bool) -> Buffer:
    """`x`, channels last, with zeros around its second to last axis, which becomes `wide`."""
    if channels_first:
        images, channels, size = x.shape[0], x.shape[1], x.shape[-1]
        rows = prod(x.shape[2:-1])
        lines = x.shape[2:-1]
    else:
        images, channels, size = x.shape[0], x.shape[-1], x.shape[-2]
        rows = prod(x.shape[1:-2])
        lines = x.shape[1:-2]
    out = build.temporary(x.dtype, (images, *lines, wide, channels))
    zeros = build.constant(np.zeros(max(wide - size, 1) * channels, x.dtype))
    for first, count in ((0, before), (before + size, wide - size - before)):
        if count:  # of every line
            edge = (images * rows, count * channels)
            strided_copy(build, zeros, out, edge, (0, 1), (wide * channels, 1), out_first=first * channels)
    shape = (images, rows, size, channels)
    plane = rows * size
    strides = (plane * channels, size, 1, plane) if channels_first else (plane * channels, size * channels, channels, 1)
    to = (rows * wide * channels, wide * channels, channels, 1)
    strided_copy(build, x, out, shape, strides, to, out_first=before * channels)
    return out


def _with_zeros(build: Builder, x: Buffer, window: Window, least: int) -> tuple[Buffer, int, int]:
    """(x, pixels of an image, zeros behind it): room for `least` elements that taps in the padding read."""
    channels = x.shape[-1]
    if not window.pads():
        return x, window.pixels, 0
    extra = -(-least // channels)
    pixels = window.pixels + extra
    if x.shape[0] > 1 or x.storage.kind is Kind.CONSTANT:
        image = window.pixels * channels
        wide = build.temporary(x.dtype, (x.shape[0], pixels, channels))
        strided_copy(build, x, wide, (x.shape[0], image), (image, 1), (pixels * channels, 1))
        return wide, pixels, extra * channels
    x.storage.nbytes = max(x.storage.nbytes, pixels * channels * x.dtype.itemsize)
    return x, pixels, extra * channels


def _call(
    build: Builder, name: str, x: Buffer, y: Buffer, layer: Layer, constants: tuple[Any, Any], run: int,
    panel: int = WINDOW_PANEL,
) -> None:  # fmt: skip
    """One call of a kernel of `kernels.conv`; `constants` are its weights and its bias, arrays or buffers."""
    window, channels, outputs = layer.window, x.shape[-1], y.shape[-1]
    least = to_halves(max(run, channels), x.dtype)
    x, pixels, zeros = _with_zeros(build, x, window, least)
    behind = (pixels * channels - zeros) * x.dtype.itemsize
    offsets = offset_table(window, channels, x.dtype, behind)
    table = build.constant(offsets)
    w, bias = (c if isinstance(c, Buffer) else build.constant(c) for c in constants)
    low, high = layer.limits
    common: dict[str, Any] = {
        "x": x, "w": w, "bias": bias, "out": y, "table": table, "addend": layer.addend, "images": x.shape[0], "x_pixels": pixels,
        "out_pixels": window.outputs, "taps": window.taps, "x_channels": channels, "out_channels": outputs, "zeros": zeros,
        "low": low, "high": high,
    }  # fmt: skip
    if name == DEPTHWISE.name:
        record = DEPTHWISE(**common, **_lines(window))
    else:
        panel = 0 if panel == WINDOW_PANEL else panel
        record = CONV(**common, run=run, columns=outputs // layer.group, groups=layer.group, panel=panel)
    overlap = overlap_bytes(x, y, layer, offsets, run) if name == "conv" else None
    macs = x.shape[0] * window.outputs * window.taps * run * outputs
    build.call(f"{name}_{SUFFIX[x.dtype]}", record, inplace=("addend",), macs=macs, overlap=overlap)


def _lines(window: Window) -> dict[str, int]:
    """What `interface.conv.DEPTHWISE` says of lines: windows of neighbouring outputs that share pixels."""
    width, step = window.kernel[-1], window.strides[-1]
    shares = step < width and window.dilations[-1] == 1
    return {"width": width, "step": step, "begun": 0, "line": window.out[-1] if shares else 0}


def overlap_bytes(x: Buffer, y: Buffer, layer: Layer, offsets: NDArray[np.int32], run: int) -> tuple[str, int] | None:
    """("x", how far x must lie behind y) where the output may lie over the input: x that is overwritten is not read again.

    That holds where the kernel goes over the pixels once, in rising order: one image, one group, one narrow panel whose sum
    is not cut. A tile that begins at pixel r has written y up to pixel r + TALLEST, and x is still read from the lowest
    offset of r and all later pixels on.
    """
    window, halves = layer.window, to_halves(y.shape[-1], x.dtype) // half_lanes(x.dtype)
    most = CUT * NARROW // max(halves, 1)
    whole = run <= most and window.taps <= most // run
    if x.shape[0] != 1 or layer.group != 1 or layer.addend is not None or halves > NARROW or not whole:
        return None
    table = offsets[: window.outputs * window.taps].reshape(window.outputs, window.taps)
    lowest = np.minimum.accumulate(table.min(1)[::-1])[::-1].astype(np.int64)
    written = np.minimum(np.arange(window.outputs) + TALLEST, window.outputs) * (y.shape[-1] * y.dtype.itemsize)
    return "x", int((written - lowest).max())


def _product(build: Builder, x: Buffer, y: Buffer, layer: Layer) -> None:
    """Sums over taps and channels, by groups."""
    w, group = layer.w, layer.group
    run, outputs = w.shape[-2], w.shape[-1]
    columns = outputs // group
    blocks = w.reshape(layer.window.taps * run, group, columns)
    panel = panel_of(columns, w.dtype)
    packed = np.concatenate([pack_panels(blocks[:, g], panel) for g in range(group)])
    biases = np.zeros((group, to_halves(columns, w.dtype)), w.dtype)
    biases[:, :columns] = layer.bias.reshape(group, columns)
    _call(build, "conv", x, y, layer, (packed, biases), run, panel)


def _dot(build: Builder, x: Buffer, y: Buffer, layer: Layer) -> None:
    """Very few outputs: vectors along the channels."""
    w = np.ascontiguousarray(layer.w.reshape(-1, layer.w.shape[-1]).T)
    _call(build, "dot", x, y, layer, (w, layer.bias), x.shape[-1])


def _depthwise(build: Builder, x: Buffer, y: Buffer, layer: Layer) -> None:
    """Every channel for itself."""
    channels, taps = x.shape[-1], layer.window.taps
    padded = to_halves(channels, x.dtype)
    weights, biases = np.zeros((taps, padded), x.dtype), np.zeros(padded, x.dtype)
    weights[:, :channels], biases[:channels] = layer.w.reshape(taps, channels), layer.bias
    if padded != channels:  # the last vector of the last pixel is read whole
        x.storage.nbytes = max(x.storage.nbytes, x.nbytes + HALF)
    _call(build, "depthwise", x, y, layer, (weights, biases), 1)


def grouped_product(build: Builder, w: NDArray[Any]) -> Callable[[Buffer, Buffer], None]:
    """A function that calls y[row, g] = x[row, g] @ w[g] for all groups; w is [groups, k, n], x [1, rows, groups * k]."""
    group, k, n = w.shape
    panel = panel_of(n, w.dtype)
    packed = build.constant(np.concatenate([pack_panels(w[g], panel) for g in range(group)]))
    bias = build.constant(np.zeros(group * to_halves(n, w.dtype), w.dtype))

    def product(x: Buffer, y: Buffer) -> None:
        rows = (x.shape[1],)
        window = Window(rows, (1,), (1,), (1,), (0,), rows)
        _call(build, "conv", x, y, Layer(w, w[0, 0], window, group), (packed, bias), k, panel)

    return product


def convolve_packed_now(
    build: Builder, x: Buffer, w: Buffer, bias: Buffer | None, y: Buffer, window: Window, group: int
) -> None:
    """Weights, in ONNX's layout, that are computed at run time: packed then, a group at a time."""
    channels, outputs = x.shape[-1], y.shape[-1]
    run, columns = channels // group, outputs // group
    if channels % group or outputs % group or w.shape[1] != run or w.shape[0] != outputs:
        raise Refusal(f"{channels} channels, weights {list(w.shape)} in {group} groups do not fit", "export it again")
    taps, padded, lanes = window.taps, to_halves(columns, w.dtype), half_lanes(w.dtype)
    rows = taps * run
    packed, biases = build.temporary(w.dtype, (group * rows * padded,)), build.temporary(w.dtype, (group * padded,))
    for buffer in (packed, biases):
        build.fill(buffer)
    for g in range(group):
        for first in range(0, columns, WINDOW_PANEL * lanes):
            some = min(WINDOW_PANEL * lanes, columns - first)
            wide = to_halves(some, w.dtype)
            strided_copy(
                build, w, packed, (taps, run, some), (1, taps, run * taps), (run * wide, wide, 1),
                (g * columns + first) * run * taps, g * rows * padded + first * rows,
            )  # fmt: skip
    if bias is not None:
        strided_copy(build, bias, biases, (group, columns), (columns, 1), (padded, 1))
    none = np.zeros(0, w.dtype)
    _call(build, "conv", x, y, Layer(none, none, window, group), (packed, biases), run)
