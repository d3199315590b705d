"""Integer products and convolutions with constant weights as kernel calls. No operator of its own.

    x uint8, w - zero points of w, bias  -->  which kernel the shape wants, packed weights, tables, the padding in memory

Weights are signed bytes; where a zero point takes some of them beyond, what they lack is a second row of weights over the same
bytes of x: sums are exact integers, so that nothing else changes.

    w - zero = [-128 .. 127] + rest         the rest is zero but for few: their quads stand in the table twice
    w - zero = [-128 .. 127] + shift        where it is not: one shift per column, times the sum of x - zero, is added

The zero point of x may be computed at run time (a dynamically quantised model): then so are the bias, -zero * column sums, and the
padding.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.modes import Mode
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.interface.qshift import QSHIFT
from rt_engine.ops.base import Refusal
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import reshaped, strided_copy
from rt_engine.ops.packing.quantised import (
    LANES,
    bias_with_zero_point,
    by_blocks,
    pack_bytes,
    pack_quads,
    padded,
    quads_of,
    split_quads,
)
from rt_engine.ops.qlines import lines_of, side_by_side, whole_quads
from rt_engine.ops.qwinograd import convolve_tiles, is_tiled
from rt_engine.ops.window import Window, seen
from rt_engine.program.calls import Buffer, Kind

U8, I32, F32 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.float32)
SLACK = 64
"""Bytes behind an input that a convolution may read."""


@dataclass(frozen=True, slots=True)
class Sums:
    """sum = bias + sum over k of (x - zero) * w, and what is made of it (`parts.requantise`)."""

    w: NDArray[Any]
    """Less its zero points: int8, or int16 where they do not fit; [k, columns], or [taps..., channels / group, columns]."""
    bias: NDArray[Any] | None
    zero: int | Buffer
    """A buffer is one uint8, computed at run time."""
    scale: NDArray[Any] | Buffer
    """float32, one number or one per column."""
    mode: Mode = Mode.RAW
    zero_y: int = 0
    limits: tuple[float, float] = (-inf, inf)
    group: int = 1

    @property
    def columns(self) -> int:
        """Output channels."""
        return int(self.w.shape[-1])

    def is_moderate(self) -> bool:
        """Are all scales known and below 1, so that no scaled sum is beyond int32?"""
        return not isinstance(self.scale, Buffer) and bool((np.abs(self.scale) < 1).all())

    def scales(self) -> NDArray[np.float32]:
        """One scale per column, known now."""
        assert not isinstance(self.scale, Buffer)
        return np.broadcast_to(self.scale.astype(np.float32).reshape(-1), self.columns)


Order = Callable[[NDArray[Any]], NDArray[Any]]
"""Puts one number per column where a kernel reads it."""


def _bias_row(build: Builder, sums: Sums, w: NDArray[Any], bias: NDArray[Any] | None, order: Order) -> Buffer:
    """bias - zero * column sums of w [k, columns], in order."""
    if not isinstance(sums.zero, Buffer):
        return build.constant(order(bias_with_zero_point(bias, w, sums.zero)))
    share, zero = order(bias_with_zero_point(None, w, 1)), reshaped(build, sums.zero, ())
    known = None if bias is None or not bias.any() else order(bias.astype(np.int32))
    most = 255 * np.abs(share.astype(np.int64)).max() + (0 if known is None else np.abs(known.astype(np.int64)).max())
    kind, suffix, code = (F32, "f32", None) if most < _EXACT else (I32, "int", CODE[I32])
    row, zero = build.temporary(kind, share.shape), converted(build, zero, kind)
    broadcast(build, f"mul_{suffix}", (build.constant(share.astype(kind)), zero), row, code)
    if known is not None:
        broadcast(build, f"add_{suffix}", (row, build.constant(known.astype(kind))), row, code)
    return converted(build, row, I32)


_EXACT = 1 << 24
"""Integers below it are exact in float32, of which a vector is multiplied at once."""


def _scale_row(build: Builder, sums: Sums, first: int, columns: int) -> Buffer:
    """The scales of so many columns from the first on, with zeros up to whole vectors."""
    if not isinstance(sums.scale, Buffer):
        return build.constant(padded(sums.scales()[first : first + columns]))
    row = build.temporary(F32, (-(-columns // LANES) * LANES,))
    if sums.scale.size == 1:
        ones = build.constant(np.ones(row.shape, F32))  # a product is quicker than a copy of one number to all
        broadcast(build, "mul_f32", (ones, reshaped(build, sums.scale, ())), row)
        return row
    build.fill(row)
    strided_copy(build, sums.scale, row, (columns,), (1,), (1,), first)
    return row


def product_of_bytes(build: Builder, x: Buffer, mkn: tuple[int, int, int], sums: Sums, y: Buffer) -> None:
    """y[m, n] of x[m, k]; nothing where y is empty."""
    m, k, n = mkn
    if not y.size or _shifted(
        build, sums, y, lambda part, out: product_of_bytes(build, x, (m, k, part.columns), part, out)
    ):
        return
    if not fits_bytes(sums.w):
        _product_by_table(build, x, mkn, sums, y)
        return
    record = QGEMM(
        a=x, b=build.constant(pack_bytes(sums.w)), bias=_bias_row(build, sums, sums.w, sums.bias, padded), out=y,
        scale=_scale_row(build, sums, 0, n), rows=m, depth=k, columns=n, a_row=k, out_row=n, mode=sums.mode,
        zero=sums.zero_y, low=sums.limits[0], high=sums.limits[1],
    )  # fmt: skip
    build.call("qgemm", record, macs=m * k * n)


def fits_bytes(w: NDArray[Any]) -> bool:
    """Are all weights signed bytes?"""
    return bool(w.dtype == np.int8 or w.size == 0 or (w.min() >= -128 and w.max() <= 127))


_MOST_TWICE = 0.2
"""The share of quads that may stand in a table twice."""


def _shifted(build: Builder, sums: Sums, y: Buffer, run: Callable[[Sums, Buffer], None]) -> bool:
    """Many weights are beyond a byte: sums of shifted ones, and what the shift makes of the sums of x - zero."""
    if fits_bytes(sums.w) or sums.group > 1:
        return False
    flat = sums.w.reshape(-1, sums.columns).astype(np.int32)
    quads = quads_of(flat)
    if len(split_quads(quads)[0]) - len(quads) <= _MOST_TWICE * len(quads):
        return False
    low, high = flat.min(0), flat.max(0)
    shift = np.where((low >= -128) & (high <= 127), 0, (low + high + 1) // 2).astype(np.int32)
    parts = (sums.w - shift).astype(np.int8), np.ones((*sums.w.shape[:-1], 1), np.int8)
    images, rows = y.shape[0], y.size // sums.columns
    total, each = build.temporary(I32, (images, y.size // images)), build.temporary(I32, (images, rows // images))
    for w, bias, out in zip(parts, (sums.bias, None), (total, each), strict=True):
        run(replace(sums, w=w, bias=bias, scale=np.ones(1, np.float32), mode=Mode.RAW), out)
    record = QSHIFT(
        total=total, each=each, shift=build.constant(padded(shift)), scale=_scale_row(build, sums, 0, sums.columns), out=y,
        rows=rows, columns=sums.columns, mode=sums.mode, zero=sums.zero_y, low=sums.limits[0], high=sums.limits[1],
    )  # fmt: skip
    build.call("qshift", record)
    return True


def _product_by_table(build: Builder, x: Buffer, mkn: tuple[int, int, int], sums: Sums, y: Buffer) -> None:
    """Some weights need a second row: a convolution of one tap, by its table."""
    m, k, n = mkn
    x = _readable(build, x)
    quads = quads_of(sums.w)
    starts, places = offsets_of((m,), [k]), np.arange(len(quads), dtype=np.int64) * 4
    _by_table(build, x, quads, (starts, places), replace(sums, w=sums.w, group=1), y, 1, m * k * n)


def _by_table(
    build: Builder, x: Buffer, quads: NDArray[Any], tables: tuple[NDArray[Any], NDArray[Any]], sums: Sums, y: Buffer,
    images: int, macs: int,
) -> None:  # fmt: skip
    """The table kernel, a group at a time: weights [quads, 4, columns], offsets of the pixels' windows and of the quads."""
    starts, places = tables
    columns = sums.columns // sums.group
    flat = quads.reshape(-1, sums.columns)
    first = sums.w.shape[-2] if sums.group > 1 else 0
    for g in range(sums.group):
        own = slice(g * columns, (g + 1) * columns)
        part = np.ascontiguousarray(flat[:, own])
        bias = None if sums.bias is None else sums.bias.reshape(-1)[own]
        which, packed = split_quads(part.reshape(-1, 4, columns))
        table = build.constant(np.concatenate([starts, places[which]]).astype(np.int32))
        record = QCONV(
            x=x, w=build.constant(pack_quads(packed)), bias=_bias_row(build, sums, part, bias, padded), out=y,
            scale=_scale_row(build, sums, g * columns, columns), table=table, pixels=len(starts), depth=4 * len(packed),
            columns=columns, channels=sums.columns, mode=sums.mode, zero=sums.zero_y, x_first=g * first,
            out_first=g * columns, images=images, x_image=x.size // images, low=sums.limits[0], high=sums.limits[1],
            offsets=4 * len(starts),
        )  # fmt: skip
        build.call("qconv", record, macs=macs // sums.group)


def convolve_bytes(build: Builder, x: Buffer, sums: Sums, y: Buffer, window: Window, planar: bool) -> None:
    """y [N, out..., columns] of x [N, ..., channels]; `planar` takes [N, channels, ...].

    Raises:
        Refusal: shapes that do not fit.
    """
    if not y.size:
        return
    window, w = seen(window, sums.w)
    sums = replace(sums, w=w)
    if _shifted(build, sums, y, lambda part, out: convolve_bytes(build, x, part, out, window, planar)):
        return
    if window.taps == 1 and set(window.strides) == {1} and not window.pads() and sums.group == 1 and not planar:
        flat = replace(sums, w=w.reshape(-1, sums.columns))
        if window.outputs == window.pixels:
            product_of_bytes(build, x, (prod(x.shape[:-1]), x.shape[-1], sums.columns), flat, y)
            return
    if _by_tiles(build, x, sums, y, window, planar):
        return
    macs = y.shape[0] * window.outputs * w.size
    window, sums = _folded(window, sums)
    whole, x = with_padding(build, x, window, planar, sums.zero)
    channels = x.shape[-1]
    steps = [prod(whole[a + 1 :]) * (1 if planar else channels) for a in range(len(whole))]
    firsts = [-min(b, 0) * step for b, step in zip(window.begin, steps, strict=True)]
    starts = offsets_of(window.out, [s * step for s, step in zip(window.strides, steps, strict=True)]) + sum(firsts)
    if sums.group > 1 and sums.group == channels == sums.columns:
        _depthwise(build, x, sums, y, window, starts, steps)
        return
    runs, weights = _runs(window, sums.w, steps, prod(whole), planar, sums.group)
    places = (np.array(runs)[:, None] + np.arange(0, weights.shape[1], 4)).ravel()
    _by_table(build, x, weights.reshape(-1, 4, sums.columns), (starts, places), sums, y, y.shape[0], macs)


def _by_tiles(build: Builder, x: Buffer, sums: Sums, y: Buffer, window: Window, planar: bool) -> bool:
    """By Winograd's tiles, where all is known now and they pay."""
    if planar or sums.group > 1 or sums.mode is not Mode.QUANTISED or not fits_bytes(sums.w):
        return False
    if isinstance(sums.zero, Buffer) or not sums.is_moderate() or not is_tiled(window, sums.w):
        return False
    bias = bias_with_zero_point(sums.bias, sums.w.reshape(-1, sums.columns), sums.zero)
    numbers = bias, np.ascontiguousarray(sums.scales())
    convolve_tiles(build, x, sums.w, numbers, y, window, (sums.zero, sums.zero_y), sums.limits)
    return True


def _folded(window: Window, sums: Sums) -> tuple[Window, Sums]:
    """Few output channels leave lanes idle: neighbouring pixels of a row are seen as one, with more channels.

    Its window reaches over theirs; the weights of each are zero where the window of another lies. The output is the same
    memory, and so are the sums.
    """
    w, times, step = sums.w, 1, window.strides[-1]
    per_column = isinstance(sums.scale, Buffer) and sums.scale.size > 1
    while (
        sums.group == 1
        and not per_column
        and window.dilations[-1] == 1
        and window.out[-1] % (2 * times) == 0
        and 2 * times * w.shape[-1] <= 16
    ):
        times *= 2
    if times == 1 or window.kernel[-1] == 1:
        return window, sums
    width, outputs = window.kernel[-1], w.shape[-1]
    wide = np.zeros((*w.shape[:-3], width + (times - 1) * step, w.shape[-2], times * outputs), w.dtype)
    for t in range(times):
        wide[..., t * step : t * step + width, :, t * outputs : (t + 1) * outputs] = w
    merged = Window(
        window.size, (*window.kernel[:-1], wide.shape[-3]), (*window.strides[:-1], step * times), window.dilations,
        window.begin, (*window.out[:-1], window.out[-1] // times),
    )  # fmt: skip
    bias = None if sums.bias is None else np.tile(sums.bias.reshape(-1), times)
    scale = sums.scale if isinstance(sums.scale, Buffer) else np.tile(sums.scales(), times)
    return merged, replace(sums, w=wide, bias=bias, scale=scale)


def offsets_of(sizes: tuple[int, ...], steps: list[int]) -> NDArray[np.int64]:
    """Offset of every element of a block with these sizes and steps."""
    total = np.zeros(1, np.int64)
    for size, step in zip(sizes, steps, strict=True):
        total = (total[:, None] + np.arange(size, dtype=np.int64) * step).ravel()
    if total.size > 1 << 26 or total.max(initial=0) > np.iinfo(np.int32).max:
        raise Refusal(f"a block of {total.size:,} windows or taps", "check its shape")
    return total


def _readable(build: Builder, x: Buffer) -> Buffer:
    """`x`, or a copy, with room to read behind its end."""
    if x.storage.kind is Kind.CONSTANT:
        copy = build.temporary(U8, x.shape)
        build.copy(copy, x)
        x = copy
    x.storage.nbytes = max(x.storage.nbytes, x.nbytes + SLACK)
    return x


def with_padding(
    build: Builder, x: Buffer, window: Window, planar: bool, zero: int | Buffer
) -> tuple[tuple[int, ...], Buffer]:
    """(spatial sizes, input) with the padding, of zero points, in memory; and room to read behind the end."""
    rank = len(window.size)
    before = [max(b, 0) for b in window.begin]
    reach = [before[a] + int(window.positions(a).max(initial=0)) + 1 for a in range(rank)]
    whole = tuple(max(r, b + s) for r, b, s in zip(reach, before, window.size, strict=True))
    if whole == window.size:
        return whole, _readable(build, x)
    channels = 1 if planar else x.shape[-1]
    planes = prod(x.shape[:2]) if planar else x.shape[0]
    shape = (*x.shape[:2], *whole) if planar else (x.shape[0], *whole, channels)
    out = build.temporary(U8, shape)
    out.storage.nbytes += SLACK
    _filled(build, out, zero)
    inside = [prod(window.size[a + 1 :]) * channels for a in range(rank)]
    steps = [prod(whole[a + 1 :]) * channels for a in range(rank)]
    first = sum(b * s for b, s in zip(before, steps, strict=True))
    block = (planes, *window.size[:-1], window.size[-1] * channels)
    sources, targets = (prod(window.size) * channels, *inside[:-1], 1), (prod(whole) * channels, *steps[:-1], 1)
    strided_copy(build, x, out, block, sources, targets, 0, first)
    return whole, out


_LINE = 256
"""Bytes that are copied at once where memory is filled with a byte of run time."""


def _filled(build: Builder, out: Buffer, zero: int | Buffer) -> None:
    """Every byte is `zero`."""
    if not isinstance(zero, Buffer):
        build.fill(out, zero * 0x0101010101010101 - (1 << 64 if zero > 127 else 0))
        return
    line = build.temporary(U8, (min(_LINE, out.size),))
    strided_copy(build, zero, line, line.shape, (0,))
    rows, rest = divmod(out.size, line.size)
    strided_copy(build, line, out, (rows, line.size), (0, 1))
    if rest:
        strided_copy(build, line, out, (rest,), (1,), (1,), 0, rows * line.size)


def _runs(
    window: Window, w: NDArray[Any], steps: list[int], plane: int, planar: bool, group: int
) -> tuple[list[int], NDArray[Any]]:
    """Bytes under a window that are neighbours: (offset of each run, weights [runs, bytes up to whole quads, m])."""
    rank, channels, outputs = len(window.kernel), w.shape[-2], w.shape[-1]
    dilated = [d * s for d, s in zip(window.dilations, steps, strict=True)]
    merge = window.dilations[-1] == 1 and group == 1
    taps = window.kernel[:-1] if merge else window.kernel
    if planar:
        w = np.moveaxis(w, -2, 0)
        offsets = offsets_of((channels, *taps), [plane, *dilated[: len(taps)]])
        length = window.kernel[-1] if merge else 1
    else:
        offsets = offsets_of(taps, dilated[: len(taps)])
        length = channels * (window.kernel[-1] if merge else 1)
    assert rank == len(dilated)
    runs = np.zeros((len(offsets), -(-length // 4) * 4, outputs), w.dtype)
    runs[:, :length] = w.reshape(len(offsets), length, outputs)
    return [int(o) for o in offsets], runs


def _depthwise(
    build: Builder, x: Buffer, sums: Sums, y: Buffer, window: Window, starts: NDArray[Any], steps: list[int]
) -> None:
    """Every channel for itself."""
    channels, images = sums.columns, y.shape[0]
    packed = sums.mode is Mode.QUANTISED and fits_bytes(sums.w) and sums.is_moderate()
    times, chunk = side_by_side(window, channels, packed)
    wide = times * channels
    lines = lines_of(window, starts[::times], steps, times, wide)
    order_of_taps = np.moveaxis(np.arange(window.taps).reshape(window.kernel), lines.axis, 0).ravel()
    places = offsets_of(window.kernel, [d * s for d, s in zip(window.dilations, steps, strict=True)])[order_of_taps]
    flat = sums.w.reshape(-1, channels)
    columns = window.kernel[lines.axis] if lines.fresh else 1
    by_column = flat[order_of_taps].reshape(columns, -1, channels)
    which, quads = split_quads(np.concatenate([quads_of(column) for column in by_column]))
    if lines.fresh and len(quads) > columns:
        lines = replace(lines, fresh=0)
    taps = np.concatenate([whole_quads(column) for column in places.reshape(columns, -1)]).reshape(-1, 4)[which]

    def order(row: NDArray[Any]) -> NDArray[Any]:
        return by_blocks(np.tile(row, times)[:, None])

    weights = build.constant(by_blocks(np.tile(quads, (1, 1, times)).transpose(0, 2, 1)))
    bias = None if sums.bias is None else sums.bias.reshape(-1)
    if not isinstance(sums.scale, Buffer):
        scale = build.constant(order(sums.scales()))
    elif sums.scale.size == 1:
        scale = _scale_row(build, sums, 0, wide)
    else:
        raise Refusal("a depthwise convolution with scales per channel that are computed at run time")
    table = build.constant(np.concatenate([lines.starts, taps.ravel()]).astype(np.int32))
    record = QDEPTHWISE(
        x=x, w=weights, bias=_bias_row(build, sums, flat, bias, order), out=y, scale=scale, table=table,
        pixels=len(lines.starts), quads=len(quads), channels=wide, zero=sums.zero_y, images=images,
        x_image=x.size // images, sums=_KEPT[sums.mode], count=lines.count, x_step=lines.x_step, out_step=lines.out_step,
        low=sums.limits[0], high=sums.limits[1], offsets=4 * len(lines.starts), out_line=lines.out_line, fresh=lines.fresh,
        chunk=chunk,
    )  # fmt: skip
    build.call("qdepthwise", record, macs=images * window.outputs * sums.w.size)


_KEPT = {Mode.QUANTISED: 0, Mode.RAW: 1, Mode.REAL: 2}
