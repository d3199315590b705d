"""Convolutions of pictures, channels first, to few channels, channels last: two pixels further for each output.

    picture_f32    what is in its record: `interface.picture`

A line of the output after the other: the lines of the picture under it are split into even and odd pixels, so that neighbouring
outputs read neighbours, and zeros lie around them; vectors are of pixels, which few columns fill too; the results are turned.
"""

from rt_engine.kernels.interface.picture import EDGE, PICTURE, SIDE, kept_of, pitch_of
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.plane_tile import make_plane_tiles
from rt_engine.kernels.parts.registers import TILES
from rt_engine.kernels.parts.scalars import to_f32
from rt_engine.kernels.parts.shuffles import evens, odds
from rt_engine.kernels.parts.transpose import make_transpose
from rt_native.lang import copy_bytes, fill_bytes, inline
from rt_native.vector import BYTES, f32x, load_f32x, load_first_f32x, store_f32x

_LANES, _ELEMENT = f32x.lanes, 4
_ROWS, _WIDEST = (8, 3) if TILES.matrix >= 4 else (4, 1)
_tile = make_plane_tiles(f32x, [(_ROWS, v) for v in range(_WIDEST, 0, -1)])
_turn = make_transpose(_ELEMENT)
_pitch_of, _kept_of = inline(pitch_of), inline(kept_of)


@inline
def _widest(left):
    """Vectors of the next tile; no last one of a single vector behind a wide one."""
    return 2 if left == 4 and _WIDEST > 1 else min(left, _WIDEST)


@inline
def _split(source, width, even, odd):
    """Pixels 0, 2, 4, ... of a line, and 1, 3, 5, ...; zeros up to the end of a vector."""
    at = 0
    while width - at >= 2 * _LANES:
        a, b = load_f32x(source), load_f32x(source + BYTES)
        store_f32x(even, evens(a, b))
        store_f32x(odd, odds(a, b))
        source, even, odd, at = source + 2 * BYTES, even + BYTES, odd + BYTES, at + 2 * _LANES
    if at < width:
        a, b = load_first_f32x(source, width - at), load_first_f32x(source + BYTES, width - at - _LANES)
        store_f32x(even, evens(a, b))
        store_f32x(odd, odds(a, b))


@inline
def _turned(source, pitch, out, stride, pixels, columns, block):
    """out[pixel, column] = source[column, pixel]."""
    for m in range(0, columns, SIDE):
        line, to, done = source + m * pitch, out + m * _ELEMENT, 0
        while pixels - done >= SIDE:
            _turn(line + done * _ELEMENT, pitch, to + done * stride, stride)
            done += SIDE
        if done < pixels:
            _turn(line + done * _ELEMENT, pitch, block, SIDE * _ELEMENT)
            for i in range(pixels - done):
                copy_bytes(to + (done + i) * stride, block + i * SIDE * _ELEMENT, SIDE * _ELEMENT)


@inline
def _kept(record, y, to, pitch):
    """A line of the picture, of all channels."""
    width = record.width
    for channel in range(record.channels):
        if y >= 0 and y < record.height:
            x = record.x + (channel * record.height + y) * width * _ELEMENT
            _split(x, width, to + EDGE * _ELEMENT, to + pitch + EDGE * _ELEMENT)
        else:
            fill_bytes(to, 0, 2 * pitch)
        to += 2 * pitch


@kernel("picture_f32", PICTURE)
def picture(record):
    """See `interface.picture`."""
    window, step, columns, pixels, depth = record.window, record.step, record.columns, record.pixels, record.depth
    low, high = to_f32(record.low), to_f32(record.high)
    pitch, kept = _pitch_of(record.width, pixels) * _ELEMENT, _kept_of(window, step)
    of_line = 2 * record.channels * pitch
    results, stride = record.room + kept * of_line, columns * _ELEMENT
    vectors = (pixels + _LANES - 1) // _LANES
    fill_bytes(record.room, 0, kept * of_line)
    there = 0
    for line in range(record.lines):
        begin = line * step
        while there < begin + window:
            if there >= begin:
                _kept(record, record.top + there, record.room + there % kept * of_line, pitch)
            there += 1
        table, done = record.table + begin % kept // step * depth * 4, 0
        while done < vectors:
            some, at = _widest(vectors - done), done * BYTES
            for m in range(0, columns, _ROWS):
                _tile(
                    _ROWS, some, record.room + at, table, depth, record.w + m * _ELEMENT, stride, record.bias + m * _ELEMENT,
                    results + m * pitch + at, pitch, some * _LANES, low, high,
                )  # fmt: skip
            done += some
        _turned(results, pitch, record.out + line * pixels * stride, stride, pixels, columns, results + columns * pitch)
    return 0
