"""Integer matrix products on packed weights.

    qgemm   operand  a (uint8), packed b, bias (int32), c, scale (float32)
            size     m, k, n, a row stride, c row stride, mode, zero point of c     strides in elements
            param    low, high

    c[m, n] = requantised(bias[n] + a[m, k] @ b[k, n])        see `requantise` for the modes, `qtile` for the packing

The zero point of `a` is in the bias: bias = b - z_a * (column sums of the weights). Bias and scale are padded to whole vectors.
Nothing outside of `c` is written, nothing outside of the tensors is read.
"""

from numba import float32, int32

from rt_engine.kernels.interface.modes import QUANTISED
from rt_engine.kernels.parts.abi import kernel, operand, param, size
from rt_engine.kernels.parts.qtile import make_qtiles
from rt_engine.kernels.parts.requantise import store_tile
from rt_native.lang import inline, stack
from rt_native.vector import BYTES, LANES

PANEL = 4
"""Vectors in a full panel of packed weights."""

# Registers decide how much is worked on at once; the result does not depend on it.
_ROWS, _COLUMNS = {16: (6, 4), 8: (3, 2), 4: (3, 2)}[LANES]


def tiles(splits: int) -> list[tuple[int, int, int]]:
    """Every shape of a tile that `widest` and `tallest` ask for; one row is split into up to so many times 4 chains."""
    wide = [v for v in (4, 2, 1) if v <= _COLUMNS]
    tall = [(rows, v, 1) for rows in (6, 3, 2) if rows <= _ROWS for v in wide]
    return tall + [(1, v, splits * 4 // v if splits > 1 else 1) for v in wide]


_qtile = make_qtiles(tiles(2), False)


@inline
def widest(left):
    """Vectors of the widest tile that fits."""
    if _COLUMNS == 4 and left >= 4:
        return 4
    return 2 if left >= 2 else 1


@inline
def tallest(left):
    """Rows of the tallest tile that fits."""
    return _ROWS if left >= _ROWS else (3 if left >= 3 else left)


@inline
def chains(rows, vectors):
    """One row alone needs several chains, or it waits for its own sums."""
    return 1 if rows > 1 else (2 if vectors == 4 else (4 if vectors == 2 else 8))


@kernel("qgemm", __name__)
def qgemm(arena, record):
    """See the top of this file."""
    a, b, bias = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
    c, scale = operand(arena, record, 3), operand(arena, record, 4)
    m, k, n, sa = size(record, 0), size(record, 1), size(record, 2), size(record, 3)
    mode, zero = size(record, 5), int32(size(record, 6))
    item = 1 if mode == QUANTISED else 4
    sc = size(record, 4) * item
    low, high = float32(param(record, 0)), float32(param(record, 1))
    sums = stack(1536)
    vectors = (n + 15) // 16
    quads = (k + 3) // 4
    done = 0
    while done < vectors:
        panel = min(PANEL, vectors - done)
        inside = 0
        while inside < panel:
            width = widest(panel - inside)
            first = done + inside
            row = 0
            while row < m:
                rows = tallest(m - row)
                at = b + BYTES * (done * quads + inside)
                to = c + row * sc + 16 * first * item
                left = n - 16 * first
                direct = int(mode == QUANTISED and left >= 16 * width)
                scales = scale + BYTES * first
                _qtile(
                    rows, width, chains(rows, width), a + row * sa, sa, 0, at, BYTES * panel, k, bias + BYTES * first,
                    sums, direct, to, sc, scales, zero, low, high,
                )  # fmt: skip
                if direct == 0:
                    store_tile(mode, sums, rows, width, scales, to, sc, left, item, zero, low, high)
                row += rows
            inside += width
        done += panel
    return 0
