"""Convolutions of every channel for itself, channels last: x [image, pixel, channel] -> out [image, pixel, channel].

    depthwise_<type>   out = clip(bias + addend + sum over taps, low, high); the record is `interface.conv.DEPTHWISE`

w is [taps, channels up to whole half vectors], the bias has zeros up to there. Where the record says what a line is, a tile lies
in one line, and reads each pixel once for all its outputs (`parts.line_tile`).
"""

from typing import Any

from rt_engine.kernels.interface.conv import DEPTHWISE
from rt_engine.kernels.interface.panels import HALF
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.blocks import at_once
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.kernels.parts.line_tile import make_line_tiles
from rt_engine.kernels.parts.registers import TILES
from rt_engine.kernels.parts.scalars import to_f32, to_f64
from rt_native.lang import fill_bytes, inline, stack
from rt_native.vector import Vector, f32x, f64x

_MOST, _FEW, _WIDE = TILES.line, TILES.line_few, TILES.line_halves[0]
_CHUNK = 16
"""Half vectors of channels that are worked through pixel by pixel: some lines of them, and weights, fit the first-level cache."""
_ALONE = tuple(rows for rows in (8, 4, 2, 1) if rows <= _MOST)
"""Outputs of a tile that shares no pixels."""
_ROOM = _MOST * 2 * _WIDE * HALF
_SHARING = ((3, 1), (3, 2), (5, 1), (7, 1))
"""(width, step) of windows that there are tiles for; the pixels of others are read for each output."""


def _known(sharing: tuple[tuple[int, int], ...]) -> Any:
    keys = tuple(16 * width + step for width, step in sharing)

    @inline
    def has_tiles(width, step):
        return 16 * width + step in keys

    @inline
    def has_none(width, step):
        return False

    return has_tiles if sharing else has_none


def _make(vector: Vector, suffix: str, sharing: tuple[tuple[int, int], ...], cast: Any) -> None:
    element = vector.bits // 8
    lanes = HALF // element
    sizes = [(rows, h) for rows in range(1, _MOST + 1) for h in TILES.line_halves]
    wide = [(rows, 2 * _WIDE) for rows in range(3, _FEW + 1)]
    shared = [(*size, *kind) for kind in sharing for size in sizes + wide]
    tile = make_line_tiles(vector, shared + [(rows, h, 1, 1) for rows in _ALONE for h in TILES.line_halves])
    has_tiles = _known(sharing)

    @inline
    def next_rows(width, left):
        """Outputs of the next tile; where pixels are shared, the last two have as many."""
        if width == 1:
            return _MOST if left >= _MOST else (4 if left >= 4 else (2 if left >= 2 else 1))
        if left <= _MOST:
            return left
        return _MOST if left >= 2 * _MOST else (left + 1) // 2

    @inline
    def next_halves(width, rows, left):
        """Half vectors of the next tile."""
        return 2 * _WIDE if width > 1 and 3 <= rows <= _FEW and left >= 2 * _WIDE else min(_WIDE, left)

    @kernel("depthwise_" + suffix, DEPTHWISE)
    def depthwise(record):
        pixels, taps, channels = record.out_pixels, record.taps, record.x_channels
        stride = channels * element
        low, high = cast(record.low), cast(record.high)
        table, w, bias = record.table, record.w, record.bias
        total = (channels + lanes - 1) // lanes
        width, moved, line, begun, told = 1, 1, pixels, 0, at_once(record.line, 0)
        if told and has_tiles(record.width, record.step):
            width, moved, line, begun = record.width, record.step, told, record.begun
        step, room = at_once(record.block, pixels), stack(_ROOM)
        for image in range(record.images):
            x = record.x + image * record.x_pixels * stride
            nbytes = record.zeros * element
            fill_bytes(x + record.x_pixels * stride - nbytes, 0, nbytes)  # what taps in the padding read
            out, addend = record.out + image * pixels * stride, 0
            if record.has_addend:
                addend = record.addend + image * pixels * stride
            for first in range(0, pixels, step):
                last = min(first + step, pixels)
                for begin in range(0, total, _CHUNK):
                    end = min(begin + _CHUNK, total)
                    row, left = first, line - (begun + first) % line
                    while row < last:
                        rows, done = next_rows(width, min(left, last - row)), begin
                        while done < end:
                            halves, at = next_halves(width, rows, end - done), HALF * done
                            there, z, each = out + row * stride + at, addend, stride
                            if addend != 0:
                                z = addend + row * stride + at
                            to, some = there, (channels - done * lanes) * element
                            if some < halves * HALF:  # a tile is written whole
                                to, each = room, halves * HALF
                                if addend != 0:
                                    for r in range(rows):
                                        copy_run(room + r * each, z + r * stride, some)
                                    z = room
                            tile(rows, halves, width, moved, x + at, table + row * taps * 4, 4 * taps, taps, w + at,
                                 HALF * total, bias + at, z, each, to, each, low, high)  # fmt: skip
                            if to == room:
                                for r in range(rows):
                                    copy_run(there + r * stride, room + r * each, some)
                            done += halves
                        row, left = row + rows, left - rows
                        if left == 0:
                            left = line
        return 0


_make(f32x, "f32", _SHARING, to_f32)
_make(f64x, "f64", (), to_f64)
