"""Matrix products by weights most of whose blocks are zero.

    sparse_f32     what is in its record: `interface.sparse`

Blocks of zeros are neither stored nor multiplied. 0 times infinity and 0 times NaN is NaN, so a row of `a` with a number that is not
finite gives NaN in every column: that is its check, the sum of 0 * a over the row. It costs the same for all values.
"""

from numba import float32

from rt_engine.kernels.interface.sparse import SPARSE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.registers import of_six
from rt_engine.kernels.parts.sparse_tile import make_sparse_tiles
from rt_native.lang import inline, load_f32, load_i32, stack, store_f32
from rt_native.vector import BYTES, f32x, fma, load_f32x, load_first_f32x, splat_f32x, store_f32x

_LANES = f32x.lanes
_tile = make_sparse_tiles(f32x, [*((rows, 1) for rows in range(1, 7)), (1, 2)])


@inline
def _check(a, depth, room):
    """The sum of 0 * a over a row: 0, or NaN."""
    zero = splat_f32x(float32(0.0))
    sums, whole = zero, depth - depth % _LANES
    for at in range(0, whole, _LANES):
        sums = fma(load_f32x(a + 4 * at), zero, sums)
    if whole < depth:
        sums = fma(load_first_f32x(a + 4 * whole, depth - whole), zero, sums)
    store_f32x(room, sums)
    total = float32(0.0)
    for i in range(0, _LANES, 4):
        first, second = load_f32(room + 4 * i), load_f32(room + 4 * i + 4)
        third, fourth = load_f32(room + 4 * i + 8), load_f32(room + 4 * i + 12)
        total += (first + second) + (third + fourth)
    return total


@kernel("sparse_f32", SPARSE)
def sparse(record):
    """See the top of this file."""
    m, k, n, splits = record.rows, record.depth, record.columns, record.splits
    a, c, bias, checks, starts = record.a, record.out, record.bias, record.checks, record.places
    low, high = float32(record.low), float32(record.high)
    room = stack(BYTES)
    for row in range(m):
        store_f32(checks + 4 * row, _check(a + 4 * k * row, k, room))
    panels = (n + _LANES - 1) // _LANES
    rows_of = starts + 4 * (panels * splits + 1)
    for p in range(panels):
        first = load_i32(starts + 4 * p * splits)
        middle = load_i32(starts + 4 * (p * splits + 1))
        last = load_i32(starts + 4 * (p + 1) * splits)
        b, places, at = record.b + BYTES * first, rows_of + 4 * first, BYTES * p
        row = 0
        while row < m:
            rows = of_six(m - row)
            _tile(
                rows,
                splits,
                a + 4 * k * row,
                4 * k,
                b,
                places,
                middle - first,
                last - middle,
                c + 4 * n * row + at,
                4 * n,
                bias + at,
                checks + 4 * row,
                n - p * _LANES,
                low,
                high,
            )
            row += rows
    return 0
