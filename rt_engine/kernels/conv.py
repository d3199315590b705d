"""Convolutions, channels last: x [image, pixel, channel] -> out [image, pixel, channel].

    conv_<type>        out = clip(bias + addend + sum over taps and channels, low, high); the record is `interface.conv.CONV`
    dot_<type>         as conv, for few columns and one group; w is [columns, taps, run], run in whole half vectors

Packed weights, a block per group: panels of up to 8 half vectors, [taps * run, halves * 32 bytes] each. The bias has
zeros up to whole half vectors in every group.
"""

from math import inf
from typing import Any

from rt_engine.kernels.interface.conv import CONV, CUT, NARROW, NARROW_PANEL, TALLEST
from rt_engine.kernels.interface.panels import HALF, WINDOW_PANEL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.blocks import at_once
from rt_engine.kernels.parts.registers import TILES, of_six
from rt_engine.kernels.parts.scalars import to_f32, to_f64
from rt_engine.kernels.parts.window_tile import make_window_tiles
from rt_native.lang import fill_bytes, inline, stack, store_f32, store_f64
from rt_native.vector import Vector, f32x, f64x

_TALL, _WIDE = TILES.window_rows
assert max(_TALL, _WIDE) <= TALLEST
_WIDTHS, _NARROW = TILES.window_halves, TILES.few
_IN_L2 = _WIDTHS[0] < WINDOW_PANEL
"""Is a full panel wider than a tile? Pieces are then worked through pixel by pixel, and are as long as the second-level cache
allows: the lines of one column of tiles fall on a quarter of the first level's sets, and would push each other out."""
_BY_PIXEL, _WIDE_CUT = (WINDOW_PANEL, 4 * CUT) if _IN_L2 else (NARROW, CUT)
_ROWS = range(6, 0, -1) if _WIDE == 6 else (4, 2, 1)
_SHAPES = [(rows, h) for h in _WIDTHS for rows in dict.fromkeys((_TALL if h <= _NARROW else _WIDE, *_ROWS))]
_SINGLE = 8 if _TALL == _WIDE == 6 else 0
"""Rows of a tile of one half vector, where it takes more than six to keep the multipliers busy; 0: as the others."""
_SHAPES = [(rows, 1) for rows in range(_SINGLE, 6, -1)] + _SHAPES
_DOTS = [(rows, h) for rows in (8, 4, 1) for h in (2, 1)]
_PANEL_BYTES = HALF * WINDOW_PANEL
_SMALL = [(rows, h) for rows in (2, 1) for h in (2, 1)]


def _chooser(widest: int) -> Any:
    def plain(left):
        return 2 if left >= 2 else 1

    def full(left):
        if left >= 8:
            return 8
        if left >= 6:
            return 6
        if left >= 4:
            return 4
        return left

    return inline(full if widest == 8 else plain)


def _tallest(tall: int, wide: int, narrow: int, single: int = 0) -> Any:
    if wide == 6:

        @inline
        def of_eight(left, halves):
            if single and halves == 1:
                return min(left, single)
            if tall == 8 and halves <= narrow and (left == 8 or left >= 14):
                return 8
            return of_six(left)

        return of_eight

    @inline
    def tallest(left, halves):
        most = tall if halves <= narrow else wide
        if left >= most:
            return most
        if left >= 4 and most > 4:
            return 4
        return 2 if left >= 2 else 1

    return tallest


def _make(vector: Vector, suffix: str, shapes: list[tuple[int, int]], cast: Any, store: Any) -> None:
    element = vector.bits // 8
    lanes = HALF // element
    tile, dot_tile = make_window_tiles(vector, shapes, "product"), make_window_tiles(vector, _DOTS, "dot")
    limited = len(shapes) == len(_SMALL)
    widest = _chooser(2 if limited else _WIDTHS[0])
    tallest = _tallest(2, 2, 2) if limited else _tallest(_TALL, _WIDE, _NARROW, _SINGLE)

    @inline
    def clear(record, end):
        """Set what taps in the padding read."""
        nbytes = record.zeros * element
        fill_bytes(end - nbytes, 0, nbytes)

    @inline
    def weights(w, w_column, half):
        """Where half vector `half` of a row of weights is."""
        return w + half // 2 * w_column + half % 2 * HALF

    @inline
    def panel(x, table, stride, pixels, taps, run, w, w_stride, w_column, ahead, width, bias, addend, out, out_stride, valid,
              low, high):  # fmt: skip
        """`width` half vectors of columns, for all pixels: pixel by pixel where they are few, else column by column.

        Up to NARROW the output may lie where the input was (`overlap_bytes`).
        """
        by_pixel = width <= _BY_PIXEL
        row, done = 0, 0
        while row < pixels and done < width:
            halves = widest(width - done)
            rows, at = tallest(pixels - row, widest(width) if by_pixel else halves), HALF * done
            z = addend
            if addend != 0:
                z = addend + row * out_stride + at
            tile(rows, halves, x, table + row * stride, stride, taps, run, weights(w, w_column, done), w_stride, w_column,
                 ahead, bias + at, z, out_stride, out + row * out_stride + at, out_stride, valid - done * lanes,
                 low, high)  # fmt: skip
            if by_pixel:
                done += halves
                if done >= width:
                    row, done = row + rows, 0
            else:
                row += rows
                if row >= pixels:
                    row, done = 0, done + halves

    @inline
    def cuts(
        x, zero, piece, table, pixels, taps, run, w, narrow, width, bias, addend, out, out_stride, valid, low, high
    ):
        """Up to 8 half vectors of columns, their sum over taps and channels cut so that a piece of the weights stays in a cache."""
        w_stride, w_column = (2 * HALF, 2 * HALF * taps * run) if narrow else (HALF * width, 2 * HALF)
        most = piece if width > NARROW else CUT * NARROW // width
        step = min(run, most)
        some = max(most // max(run, 1), 1)
        tap, first = 0, 0
        while tap < taps:
            count, length = min(some, taps - tap), min(step, run - first)
            last = tap + count >= taps and first + length >= run
            begins = tap == 0 and first == 0
            at = (tap * run + first) * w_stride
            ahead = taps * run * HALF * width - at if last else count * length * w_stride
            panel(
                x + first * element, table + 4 * tap, 4 * taps, pixels, count, length, w + at, w_stride, w_column, ahead, width,
                bias if begins else zero, addend if begins else out, out, out_stride, valid, low if last else cast(-inf),
                high if last else cast(inf),
            )  # fmt: skip
            first += length
            if first >= run:
                tap, first = tap + count, 0

    @kernel("conv_" + suffix, CONV)
    def conv(record):
        pixels, taps, run, columns = record.out_pixels, record.taps, record.run, record.columns
        in_stride, out_stride = record.x_channels * element, record.out_channels * element
        low, high = cast(record.low), cast(record.high)
        table = record.table
        zero = stack(_PANEL_BYTES)
        for at in range(0, _PANEL_BYTES, element):  # -0 and a stored sum are that sum, also where it is -0
            store(zero + at, cast(-0.0))
        halves = (columns + lanes - 1) // lanes
        step, piece = at_once(record.block, pixels), at_once(record.cut, _WIDE_CUT)
        narrow = at_once(record.panel, WINDOW_PANEL) == NARROW_PANEL
        for image in range(record.images):
            clear(record, record.x + (image + 1) * record.x_pixels * in_stride)
            for first in range(0, pixels, step):
                some, shift = min(step, pixels - first), (image * pixels + first) * out_stride
                entries = table + first * taps * 4
                w, bias = record.w, record.bias
                for group in range(record.groups):
                    x = record.x + image * record.x_pixels * in_stride + group * run * element
                    at = shift + group * columns * element
                    addend = 0
                    if record.has_addend:
                        addend = record.addend + at
                    done = 0
                    while done < halves:
                        width, column = min(WINDOW_PANEL, halves - done), HALF * done
                        z = addend
                        if addend != 0:
                            z = addend + column
                        cuts(x, zero, piece, entries, some, taps, run, w, narrow, width, bias + column, z,
                             record.out + at + column, out_stride, columns - done * lanes, low, high)  # fmt: skip
                        w += taps * run * HALF * width
                        done += width
                    bias += HALF * halves
        return 0

    @kernel("dot_" + suffix, CONV)
    def dot(record):
        pixels, taps, run, columns = record.out_pixels, record.taps, record.run, record.columns
        in_stride, out_stride = record.x_channels * element, columns * element
        low, high = cast(record.low), cast(record.high)
        table = record.table
        halves = 2 if run % (2 * lanes) == 0 else 1
        for image in range(record.images):
            x = record.x + image * record.x_pixels * in_stride
            clear(record, x + record.x_pixels * in_stride)
            for column in range(columns):
                at = image * pixels * out_stride + column * element
                w = record.w + column * taps * run * element
                addend, row = 0, 0
                while row < pixels:
                    rows = 8 if pixels - row >= 8 else (4 if pixels - row >= 4 else 1)
                    if record.has_addend:
                        addend = record.addend + at + row * out_stride
                    dot_tile(rows, halves, x, table + row * taps * 4, 4 * taps, taps, run // (halves * lanes), w, 0, 0, 0,
                             record.bias + column * element, addend, out_stride,
                             record.out + at + row * out_stride, out_stride, 1, low, high)  # fmt: skip
                    row += rows
        return 0


_make(f32x, "f32", _SHAPES, to_f32, store_f32)
_make(f64x, "f64", _SMALL, to_f64, store_f64)
