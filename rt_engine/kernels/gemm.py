"""Matrix products on packed weights, and the packing of a matrix that is computed at run time.

    gemm_<type>, pack_<type>     what is in their records: `interface.gemm`

One row alone, by panels of one vector, is stored in whole vectors, into the padding of the output. Else nothing outside of it is
written.
"""

from typing import Any

from rt_engine.kernels.interface.gemm import GEMM, NARROW_PANEL, PACK
from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.blocks import at_once
from rt_engine.kernels.parts.registers import TILES, of_six
from rt_engine.kernels.parts.scalars import to_f32, to_f64
from rt_engine.kernels.parts.tile import make_tiles
from rt_native.lang import inline, load_f32, load_f64, store_f32, store_f64
from rt_native.vector import BYTES, Vector, f32x, f64x

_ROWS, _COLUMNS = 6, TILES.matrix
_WIDE_ROW = TILES.product[1]
"""Vectors of the widest tile of several rows, and of one row alone."""
_BY_ROWS = 2048
"""Bytes of a column up to which 64 of them stay in the second-level cache, with what else is there."""
_AHEAD = 2048
"""Bytes that one row alone fetches its weights ahead: each is used once, and comes from the second- or third-level cache."""
_NEAR = 20480
"""Bytes of weights up to which they are taken to be in the first-level cache: to fetch them would cost more than it saves."""
_ROW_TILES = [(1, v, splits) for v, splits in ((4, 2), (2, 2), (1, 2), (2, 4), (1, 4), (1, 8)) if v <= _WIDE_ROW]
_TILES = [(rows, vectors, 1) for rows in range(2, _ROWS + 1) for vectors in (4, 2, 1) if vectors <= _COLUMNS]
_TILES += [(1, v, 1) for v in (4, 2, 1) if v <= _WIDE_ROW] + _ROW_TILES


@inline
def _widest_row(left, splits):
    """Vectors of the widest tile of one row that fits."""
    if _WIDE_ROW == 4 and left >= 4 and splits <= 2:
        return 4
    return 2 if left >= 2 and splits <= 4 else 1


@inline
def _widest(m, left, splits):
    """Vectors of the widest tile that fits."""
    if m == 1:
        return _widest_row(left, splits)
    return _COLUMNS if left >= _COLUMNS else (2 if left >= 2 and _COLUMNS >= 2 else 1)


def _make(vector: Vector, suffix: str, load: Any, store: Any, cast: Any) -> None:
    element, lanes = vector.bits // 8, vector.lanes
    tile, near_tile = make_tiles(vector, _TILES), make_tiles(vector, _ROW_TILES, True)
    far_tile = make_tiles(vector, _ROW_TILES, True, _AHEAD)

    @inline
    def one_row(width, splits, a, b, k, c, bias, low, high):
        """`width` vectors of columns, in panels of one, for the only row: whole vectors are stored."""
        done, column = 0, BYTES * k
        near = column * width <= _NEAR
        while done < width:
            vectors, at = _widest_row(width - done, splits), BYTES * done
            if near:
                near_tile(1, vectors, splits, a, 0, b, BYTES, column, k, c + at, 0, bias + at, 0, low, high)
            else:
                far_tile(1, vectors, splits, a, 0, b, BYTES, column, k, c + at, 0, bias + at, 0, low, high)
            b += column * vectors
            done += vectors

    @inline
    def panel(m, width, splits, a, sa, b, stride, column, k, c, sc, bias, valid, low, high):
        """`width` vectors of columns for all rows."""
        done = 0
        while done < width:
            vectors = _widest(m, width - done, splits)
            at, left = BYTES * done, valid - done * lanes
            row = 0
            while row < m:
                rows = of_six(m - row)
                tile(
                    rows, vectors, splits, a + row * sa, sa, b + column * done, stride, column, k, c + row * sc + at, sc,
                    bias + at, left, low, high,
                )  # fmt: skip
                row += rows
            done += vectors

    @inline
    def panel_by_rows(m, width, splits, a, sa, b, stride, column, k, c, sc, bias, valid, low, high):
        """As `panel`, where all the weights stay in a cache: a line of the output is then written at once."""
        row = 0
        while row < m:
            rows = of_six(m - row)
            done = 0
            while done < width:
                vectors = _widest(m, width - done, splits)
                at, left = BYTES * done, valid - done * lanes
                tile(
                    rows, vectors, splits, a + row * sa, sa, b + column * done, stride, column, k, c + row * sc + at, sc,
                    bias + at, left, low, high,
                )  # fmt: skip
                done += vectors
            row += rows

    @kernel("gemm_" + suffix, GEMM)
    def gemm(record):
        m, k, n = record.rows, record.depth, record.columns
        sa, splits, sc = record.a_row * element, record.splits, record.out_row * element
        low, high = cast(record.low), cast(record.high)
        bias = record.bias
        vectors = (n + lanes - 1) // lanes
        narrow = at_once(record.panel, MATRIX_PANEL) == NARROW_PANEL
        if m == 1 and narrow and record.batch == 1:
            one_row(vectors, splits, record.a, record.b, k, record.out, bias, low, high)
            return 0
        step = max(at_once(record.block, m), 1)
        for i in range(record.batch):
            a = record.a + i * record.a_batch * element
            b = record.b + i * record.b_batch * element
            c = record.out + i * record.out_batch * element
            for first in range(0, m, step):
                rows = min(step, m - first)
                done = 0
                while done < vectors:
                    width, at = min(MATRIX_PANEL, vectors - done), BYTES * done
                    stride, column = (BYTES, BYTES * k) if narrow else (BYTES * width, BYTES)
                    if k * element <= _BY_ROWS and width > _COLUMNS:
                        panel_by_rows(rows, width, splits, a, sa, b + at * k, stride, column, k, c + at, sc, bias + at,
                                      n - done * lanes, low, high)  # fmt: skip
                    else:
                        panel(rows, width, splits, a, sa, b + at * k, stride, column, k, c + at, sc, bias + at,
                              n - done * lanes, low, high)  # fmt: skip
                    done += width
                a += rows * sa
                c += rows * sc
        return 0

    @kernel("pack_" + suffix, PACK)
    def pack(record):
        k, n = record.depth, record.columns
        ks, ns = record.b_row * element, record.b_column * element
        vectors = (n + lanes - 1) // lanes
        for i in range(record.batch):
            b = record.b + i * record.b_batch * element
            packed = record.packed + i * record.packed_batch * element
            done = 0
            while done < vectors:
                width = min(MATRIX_PANEL, vectors - done) * lanes
                first = done * lanes
                for row in range(k):
                    for j in range(width):
                        value = cast(0.0)
                        if first + j < n:
                            value = load(b + row * ks + (first + j) * ns)
                        store(packed, value)
                        packed += element
                done += MATRIX_PANEL
        return 0


_make(f32x, "f32", load_f32, store_f32, to_f32)
_make(f64x, "f64", load_f64, store_f64, to_f64)
