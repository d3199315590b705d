"""Determinants.

    determinant    the record is `interface.determinant.DETERMINANT`

Elimination with the largest pivot of a column, in float64; rounded once.
"""

from rt_engine.kernels.interface.determinant import DETERMINANT
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import inline, load_f32, load_f64, store_f32, store_f64

_FLOAT = int(DType.FLOAT)


@inline
def _pivot(work, n, column):
    best, largest = column, 0.0
    for row in range(column, n):
        value = abs(load_f64(work + 8 * (row * n + column)))
        if value > largest:
            best, largest = row, value
    return best


@inline
def _swap_rows(work, n, a, b):
    for j in range(n):
        x, y = load_f64(work + 8 * (a * n + j)), load_f64(work + 8 * (b * n + j))
        store_f64(work + 8 * (a * n + j), y)
        store_f64(work + 8 * (b * n + j), x)


@inline
def _eliminate(work, n):
    """The product of the pivots, with the sign of the swaps; a matrix without a pivot gives 0."""
    result = 1.0
    for column in range(n):
        best = _pivot(work, n, column)
        if best != column:
            _swap_rows(work, n, best, column)
            result = -result
        head = load_f64(work + 8 * (column * n + column))
        result *= head
        if head == 0.0:
            return result
        for row in range(column + 1, n):
            factor = load_f64(work + 8 * (row * n + column)) / head
            for j in range(column + 1, n):
                at = work + 8 * (row * n + j)
                store_f64(at, load_f64(at) - factor * load_f64(work + 8 * (column * n + j)))
    return result


@kernel("determinant", DETERMINANT)
def determinant(record):
    """See the top of this file."""
    x, out, work = record.x, record.out, record.work
    n, single = record.n, record.type == _FLOAT
    for b in range(record.batch):
        for i in range(n * n):
            at = b * n * n + i
            store_f64(work + 8 * i, load_f32(x + 4 * at) + 0.0 if single else load_f64(x + 8 * at))
        result = _eliminate(work, n)
        if single:
            store_f32(out + 4 * b, result)
        else:
            store_f64(out + 8 * b, result)
    return 0
