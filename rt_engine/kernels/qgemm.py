"""Integer matrix products on packed weights.

    qgemm     a (uint8), packed b, bias (int32), scale (float32); record: `interface.qgemm`

See `requantise` for the modes, `qtile` for the packing.

The zero point of `a` is in the bias: bias = b - z_a * (column sums of the weights). Bias and scale are padded to whole vectors.
Nothing outside of `out` is written, nothing outside of the tensors is read.
"""

from numba import float32, int32

from rt_engine.kernels.interface.modes import QUANTISED, REAL
from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qpanels import shapes, tallest, widest
from rt_engine.kernels.parts.qtile import make_qtiles
from rt_engine.kernels.parts.requantise import are_moderate, store_tile
from rt_native.lang import inline, stack
from rt_native.vector import BYTES

_qtile = make_qtiles(shapes(2), False)


@inline
def chains(rows, vectors):
    """One row alone needs several chains, or it waits for its own sums."""
    return 1 if rows > 1 else (2 if vectors == 4 else (4 if vectors == 2 else 8))


@kernel("qgemm", QGEMM)
def qgemm(record):
    """See the top of this file."""
    a, b, bias = record.a, record.b, record.bias
    c, scale = record.out, record.scale
    m, k, n, sa = record.rows, record.depth, record.columns, record.a_row
    mode, zero = record.mode, int32(record.zero)
    item = 1 if mode == QUANTISED else 4
    sc = record.out_row * item
    low, high = float32(record.low), float32(record.high)
    sums = stack(1536)
    whole = mode == QUANTISED and (m == 1 or are_moderate(scale, n))
    vectors = (n + 15) // 16
    quads = (k + 3) // 4
    done = 0
    while done < vectors:
        panel = min(MATRIX_PANEL, vectors - done)
        inside = 0
        while inside < panel:
            width = widest(panel - inside)
            first = done + inside
            row = 0
            while row < m:
                rows = tallest(m - row, width)
                at = b + BYTES * (done * quads + inside)
                to = c + row * sc + 16 * first * item
                left = n - 16 * first
                is_full = left >= 16 * width
                direct, apart = int(whole and is_full), not is_full or mode == REAL or (mode == QUANTISED and not whole)
                scales = scale + BYTES * first
                _qtile(
                    rows, width, chains(rows, width), a + row * sa, sa, 0, at, BYTES * panel, k, bias + BYTES * first,
                    direct, sums if apart else to, BYTES * width if apart else sc, BYTES, scales, zero, low, high,
                )  # fmt: skip
                if apart:
                    store_tile(mode, sums, rows, width, scales, to, sc, left, item, zero, low, high)
                row += rows
            inside += width
        done += panel
    return 0
