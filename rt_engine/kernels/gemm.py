"""Matrix products on packed weights, and the packing of a matrix that is computed at run time.

    gemm_<type>     operand  a, packed b, bias, c
                    size     m, k, n, a row stride, splits, c row stride, batch, a batch stride, b batch stride, c batch stride
                    param    low, high                       c[m, n] = clip(bias[n] + a[m, k] @ b[k, n], low, high)
    pack_<type>     operand  b, packed                       b is [k, n]: element strides `k stride`, `n stride`
                    size     k, n, k stride, n stride, batch, b batch stride, packed batch stride

Strides are in elements. A batch repeats the product over matrices one stride apart.

One row alone is stored in whole vectors, into the padding of `c`. With several rows or matrices nothing outside of `c` is
written.
"""

from typing import Any

from numba import float32

from rt_engine.kernels.abi import kernel, operand, param, size
from rt_engine.kernels.tile import make_tile
from rt_native.lang import inline, load_f32, load_f64, store_f32, store_f64
from rt_native.vector import BYTES, LANES, Vector, f32x, f64x

PANEL = 4
"""Vectors in a full panel of packed weights."""

# Registers decide how much of a panel is worked on at once; the result does not depend on it.
_COLUMNS = {16: 4, 8: 2, 4: 2}[LANES]
_ROWS = {16: 6, 8: 3, 4: 3}[LANES]


def _make(vector: Vector, suffix: str, load: Any, store: Any, cast: Any) -> None:
    element = vector.bits // 8
    lanes = vector.lanes
    tiles = {(r, v): make_tile(vector, r, v, 1) for r in (1, 2, 3, 6) for v in (1, 2, 4)}
    t62, t61, t32, t31, t22, t21, t12, t11 = (tiles[r, v] for r in (6, 3, 2, 1) for v in (2, 1))
    t64, t34, t24, t14 = (tiles[r, 4] for r in (6, 3, 2, 1))
    two4, two2, two1 = (make_tile(vector, 1, v, 2) for v in (4, 2, 1))
    four2, four1, eight1 = make_tile(vector, 1, 2, 4), make_tile(vector, 1, 1, 4), make_tile(vector, 1, 1, 8)
    columns, most_rows = _COLUMNS, _ROWS

    @inline
    def one_row(splits, width, a, b, bs, k, c, bias, low, high):
        """One row, `width` vectors wide; whole vectors are stored (tensors are padded)."""
        if splits == 8:
            eight1(a, 0, b, bs, k, c, 0, bias, lanes, low, high)
        elif splits == 4:
            if columns >= 2 and width == 2:
                four2(a, 0, b, bs, k, c, 0, bias, 2 * lanes, low, high)
            else:
                for v in range(width):
                    four1(a, 0, b + BYTES * v, bs, k, c + BYTES * v, 0, bias + BYTES * v, lanes, low, high)
        elif columns == 4 and width == 4:
            two4(a, 0, b, bs, k, c, 0, bias, 4 * lanes, low, high)
        else:
            v = 0
            while v + 2 <= width:
                two2(a, 0, b + BYTES * v, bs, k, c + BYTES * v, 0, bias + BYTES * v, 2 * lanes, low, high)
                v += 2
            if v < width:
                two1(a, 0, b + BYTES * v, bs, k, c + BYTES * v, 0, bias + BYTES * v, lanes, low, high)

    @inline
    def tile_rows(rows, width, a, sa, b, bs, k, c, sc, bias, valid, low, high):
        """`rows` rows, `width` vectors (4, 2 or 1)."""
        if width == 4:
            if rows == 6:
                t64(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            elif rows == 3:
                t34(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            elif rows == 2:
                t24(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            else:
                t14(a, sa, b, bs, k, c, sc, bias, valid, low, high)
        elif width == 2:
            if rows == 6:
                t62(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            elif rows == 3:
                t32(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            elif rows == 2:
                t22(a, sa, b, bs, k, c, sc, bias, valid, low, high)
            else:
                t12(a, sa, b, bs, k, c, sc, bias, valid, low, high)
        elif rows == 6:
            t61(a, sa, b, bs, k, c, sc, bias, valid, low, high)
        elif rows == 3:
            t31(a, sa, b, bs, k, c, sc, bias, valid, low, high)
        elif rows == 2:
            t21(a, sa, b, bs, k, c, sc, bias, valid, low, high)
        else:
            t11(a, sa, b, bs, k, c, sc, bias, valid, low, high)

    @inline
    def many_rows(m, width, a, sa, b, bs, k, c, sc, bias, valid, low, high):
        """All rows of one panel."""
        v = 0
        while v < width:
            step = 4 if columns == 4 and width - v >= 4 else (2 if width - v >= 2 else 1)
            at = BYTES * v
            r = 0
            while r < m:
                rows = 6 if most_rows == 6 and m - r >= 6 else (3 if m - r >= 3 else m - r)
                tile_rows(
                    rows,
                    step,
                    a + r * sa,
                    sa,
                    b + at,
                    bs,
                    k,
                    c + r * sc + at,
                    sc,
                    bias + at,
                    valid - v * lanes,
                    low,
                    high,
                )
                r += rows
            v += step

    @kernel("gemm_" + suffix, __name__)
    def gemm(arena, record):
        m, k, n = size(record, 0), size(record, 1), size(record, 2)
        sa, splits, sc = size(record, 3) * element, size(record, 4), size(record, 5) * element
        low, high = cast(param(record, 0)), cast(param(record, 1))
        bias = operand(arena, record, 2)
        vectors = (n + lanes - 1) // lanes
        for i in range(size(record, 6)):
            a = operand(arena, record, 0) + i * size(record, 7) * element
            b = operand(arena, record, 1) + i * size(record, 8) * element
            c = operand(arena, record, 3) + i * size(record, 9) * element
            done = 0
            while done < vectors:
                width = min(PANEL, vectors - done)
                at = BYTES * done
                if m == 1 and size(record, 6) == 1:
                    one_row(splits, width, a, b + at * k, BYTES * width, k, c + at, bias + at, low, high)
                else:
                    many_rows(
                        m,
                        width,
                        a,
                        sa,
                        b + at * k,
                        BYTES * width,
                        k,
                        c + at,
                        sc,
                        bias + at,
                        n - done * lanes,
                        low,
                        high,
                    )
                done += width
        return 0

    @kernel("pack_" + suffix, __name__)
    def pack(arena, record):
        k, n = size(record, 0), size(record, 1)
        ks, ns = size(record, 2) * element, size(record, 3) * element
        vectors = (n + lanes - 1) // lanes
        for i in range(size(record, 4)):
            b = operand(arena, record, 0) + i * size(record, 5) * element
            packed = operand(arena, record, 1) + i * size(record, 6) * element
            done = 0
            while done < vectors:
                width = min(PANEL, vectors - done) * lanes
                first = done * lanes
                for row in range(k):
                    for j in range(width):
                        value = cast(0.0)
                        if first + j < n:
                            value = load(b + row * ks + (first + j) * ns)
                        store(packed, value)
                        packed += element
                done += PANEL
        return 0


@inline
def _to_f32(x):
    return float32(x)


@inline
def _to_f64(x):
    return x


_make(f32x, "f32", load_f32, store_f32, _to_f32)
_make(f64x, "f64", load_f64, store_f64, _to_f64)
