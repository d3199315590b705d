"""Integer convolutions by tables of offsets; the input carries its padding with it, so that every offset is inside.

    qconv     x (uint8), packed w, bias (int32), scale (float32), table (int32); record: `interface.qconv`

The table has the byte offset of each output pixel's window in an image, then that of each quad of k. A quad is four
neighbouring bytes; where less than four belong together the weights of the rest are zero.

`x` is read up to 64 bytes behind its end, where memory must be. Nothing outside of `out` is written. See `requantise` for
the modes, `qtile` for the packing.
"""

from numba import float32, int32

from rt_engine.kernels.interface.modes import QUANTISED, REAL
from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qpanels import shapes, tallest, widest
from rt_engine.kernels.parts.qtile import make_qtiles
from rt_engine.kernels.parts.requantise import are_moderate, store_tile
from rt_native.lang import stack
from rt_native.vector import BYTES

_qtile = make_qtiles(shapes(1), True)


@kernel("qconv", QCONV)
def qconv(record):
    """See the top of this file."""
    pixels, k, columns, channels = record.pixels, record.depth, record.columns, record.channels
    mode, zero = record.mode, int32(record.zero)
    item = 1 if mode == QUANTISED else 4
    stride = channels * item
    low, high = float32(record.low), float32(record.high)
    bias, scale, table = record.bias, record.scale, record.table
    sums = stack(1536)
    whole = mode == QUANTISED and are_moderate(scale, columns)
    places = table + (int(record.offsets) or 4 * pixels)
    vectors, quads = (columns + 15) // 16, k // 4
    for image in range(record.images):
        x = record.x + image * record.x_image + record.x_first
        out = record.out + image * pixels * stride + record.out_first * item
        done = 0
        while done < vectors:
            panel = min(MATRIX_PANEL, vectors - done)
            inside = 0
            while inside < panel:
                width = widest(panel - inside)
                first = done + inside
                w = record.w + BYTES * (done * quads + inside)
                row = 0
                while row < pixels:
                    rows = tallest(pixels - row, width)
                    to = out + row * stride + 16 * first * item
                    left = columns - 16 * first
                    is_full = left >= 16 * width
                    direct, apart = (
                        int(whole and is_full),
                        not is_full or mode == REAL or (mode == QUANTISED and not whole),
                    )
                    scales = scale + BYTES * first
                    _qtile(
                        rows, width, 1, x, table + 4 * row, places, w, BYTES * panel, k, bias + BYTES * first,
                        direct, sums if apart else to, BYTES * width if apart else stride, BYTES, scales, zero, low, high,
                    )  # fmt: skip
                    if apart:
                        store_tile(mode, sums, rows, width, scales, to, stride, left, item, zero, low, high)
                    row += rows
                inside += width
            done += panel
    return 0
