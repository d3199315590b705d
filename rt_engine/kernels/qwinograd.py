"""Integer 3x3 convolutions with stride 1 by tiles of 4x4 outputs: Winograd's algorithm with the bits of the sum itself.

    qwinograd     x (uint8), packed w (int16), numbers, table (int32), room; record: `interface.qwinograd`

A block of tiles, which may lie in several images, goes through the room: transformed pixels [block, 36, channels] int16, then for
up to 64 columns at a time their products [block, columns / 16, 36, 16] int32.

    x --patch_in--> v --36 products of matrices--> m --patch_out--> out         see `parts.qpatch`

A quarter of the products that the sum needs; where bytes are multiplied 16 bits at a time, that is a quarter of the time too.
Channels and columns are multiples of 16. Weights are packed like those of `qtile`, pairs of k in place of quads, position by
position within panels. Nothing outside of `out` and the room is written, nothing outside of the tensors is read.
"""

from numba import float32, int32

from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.kernels.interface.qwinograd import PATCH, QWINOGRAD, RESULTS
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qpanels import COLUMNS, NARROW_ROWS, ROWS, widest
from rt_engine.kernels.parts.qpatch import pairs_part, patch_in, patch_out
from rt_engine.kernels.parts.qtile import make_qtiles
from rt_engine.kernels.parts.registers import of_six
from rt_native.lang import inline, stack
from rt_native.vector import BYTES, splat_i32x, store_i32x

_SHAPES = [(rows, v, 1) for rows in range(1, ROWS + 1) for v in (4, 2, 1) if v <= COLUMNS]
_SHAPES += [(2 * NARROW_ROWS, 1, 1), (NARROW_ROWS, 2, 1), (NARROW_ROWS, 1, 1)] if NARROW_ROWS > ROWS else []
_qtile = make_qtiles(_SHAPES, False, pairs_part)


@inline
def _rows(left, vectors):
    """Rows of the next tile of so many vectors: more of few, since sums over few channels are short."""
    if NARROW_ROWS > ROWS and left >= NARROW_ROWS and vectors <= 2:
        return 2 * NARROW_ROWS if vectors == 1 and left >= 2 * NARROW_ROWS else NARROW_ROWS
    return of_six(left) if ROWS == 6 else min(left, ROWS)


@inline
def _products(v, w, m, tiles, channels, width, panel, nothing):
    """m [tiles, width, 36, 16] of v [tiles, 36, channels], `panel` vectors of weights for each pair of channels."""
    each, none, zero = BYTES * PATCH, float32(0), int32(0)
    for position in range(PATCH):
        row = 0
        while row < tiles:
            rows = _rows(tiles - row, width)
            at, weights = v + 2 * channels * (PATCH * row + position), w + BYTES * panel * channels // 2 * position
            to = m + each * width * row + BYTES * position
            _qtile(
                rows, width, 1, at, 2 * PATCH * channels, 0, weights, BYTES * panel, 2 * channels, nothing, 0, to, each * width, each,
                0, zero, none, none,
            )  # fmt: skip
            row += rows


@inline
def _place(tile, each):
    """(image, tile of it) of a tile, of which each image has so many."""
    image = tile // each if tile >= each else 0
    return image, tile - image * each


@kernel("qwinograd", QWINOGRAD)
def qwinograd(record):
    """See the top of this file."""
    tiles, channels, columns, most, zero = (
        record.tiles,
        record.channels,
        record.columns,
        record.block,
        int32(record.zero),
    )
    x, w, bias, out, v = record.x, record.w, record.numbers, record.out, record.room
    low, high = float32(record.low), float32(record.high)
    table, places, scale, m = (
        record.table,
        record.table + record.offsets,
        bias + 4 * columns,
        v + 2 * PATCH * most * channels,
    )
    each = record.offsets // (4 * PATCH)
    nothing, padding = stack(256), stack(64)
    store_i32x(padding, splat_i32x(int32(record.zero_x * 0x01010101)))
    for vector in range(MATRIX_PANEL):
        store_i32x(nothing + BYTES * vector, splat_i32x(int32(0)))
    nowhere, vectors = stack(64), columns // 16
    for first in range(record.first, record.first + tiles, most):
        block = min(most, record.first + tiles - first)
        for tile in range(block):
            image, place = _place(first + tile, each)
            for at in range(0, channels, 16):
                patch_in(
                    x + image * record.x_image + at,
                    table + 4 * PATCH * place,
                    padding,
                    v + 2 * (PATCH * channels * tile + at),
                    2 * channels,
                )
        done = 0
        while done < vectors:
            panel = min(MATRIX_PANEL, vectors - done)
            inside = 0
            while inside < panel:
                width = widest(panel - inside)
                weights = w + 2 * PATCH * 16 * channels * done + BYTES * inside
                _products(v, weights, m, block, channels, width, panel, nothing)
                for tile in range(block):
                    image, place = _place(first + tile, each)
                    for vector in range(width):
                        column = 16 * (done + inside + vector)
                        patch_out(
                            m + BYTES * PATCH * (width * tile + vector), bias + 4 * column, scale + 4 * column,
                            out + image * record.out_image + column, places + 4 * RESULTS * place, nowhere, zero, low, high,
                        )  # fmt: skip
                inside += width
            done += panel
    return 0
