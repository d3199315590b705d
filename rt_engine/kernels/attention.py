"""Scaled dot-product attention, head by head, without ever having the scores of more than a few rows.

The record is `interface.attention.ATTENTION`. q, v, mask and out are read and written where they lie: strides (batch, head, row) and
q's and v's first element are in the table; elements of a row are neighbours. Rows of v are read in whole vectors.

A few rows of q make scores, the scores make weights (exp(x - max) / sum), the weights take their sum of rows of v; then the
next rows. Sums over depth and keys are chains in rising order; that of exp is a `fold` row, or for up to two vectors their sum
and then the tree. A row whose scores are all -inf, or have NaN or +inf, becomes NaN.
"""

from rt_engine.kernels.interface.attention import ATTENTION, ROWS, TABLE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.elementary import exp
from rt_engine.kernels.parts.fold import SUM_EXP
from rt_engine.kernels.parts.lanes import F32
from rt_engine.kernels.parts.lanes_of_rows import add, larger, make_lanes_of_rows
from rt_engine.kernels.parts.registers import TILES, of_six
from rt_engine.kernels.parts.rows import make_exp_row
from rt_engine.kernels.parts.tile import make_tiles
from rt_native.lang import inline, load_i64, stack
from rt_native.vector import BYTES, f32x, max_lanes, select

_ROWS, _COLUMNS = TILES.product
_SHAPES = [(rows, vectors, 1) for rows in range(1, _ROWS + 1) for vectors in (4, 2, 1) if vectors <= _COLUMNS]
_tile = make_tiles(f32x, _SHAPES)
_load, _load_one, _load_first_or, _splat = F32.load_vector, F32.load, F32.load_first_or, F32.splat
_store, _store_first, _lanes, _scalar = F32.store_vector, F32.store_first, F32.lanes, F32.scalar
_exp_row = make_exp_row(F32)
_FILLER, _ONE = F32.scalar(SUM_EXP.filler), F32.scalar(1.0)
_largest, _sums = (make_lanes_of_rows(f32x, 8, how) for how in (larger, add))
"""A NaN that is lost as the largest makes its own weight NaN, and that the sum."""
_BLOCK = 36
"""Rows of at most two vectors whose weights are made together."""
_LOW, _HIGH = F32.scalar(float("-inf")), F32.scalar(float("inf"))
_FIELD = {name: 8 * i for i, name in enumerate(TABLE)}
_BATCH, _HEADS, _QUERIES, _KEYS = (_FIELD[n] for n in ("batch", "heads", "queries", "keys"))
_DEPTH, _WIDTH = _FIELD["depth"], _FIELD["width"]
_Q, _V, _MASK, _OUT = (_FIELD[n] for n in ("q first", "v first", "mask batch", "out batch"))
_ZEROS = 8 * len(TABLE)


@inline
def _rows_of_tile(left):
    return min(of_six(left), _ROWS)


@inline
def _product(rows, vectors, a, a_stride, b, b_stride, k, c, c_stride, zeros, valid):
    """c = a @ b."""
    while rows:
        some, done = _rows_of_tile(rows), 0
        while done < vectors:
            wide = 2 if vectors - done >= 2 else 1
            if _COLUMNS == 4 and vectors - done >= 4:
                wide = 4
            at, left = BYTES * done, valid - done * _lanes
            _tile(some, wide, 1, a, a_stride, b + at, b_stride, BYTES, k, c + at, c_stride, zeros, left, _LOW, _HIGH)
            done += wide
        a, c, rows = a + some * a_stride, c + some * c_stride, rows - some


@inline
def _vector(address, count):
    """The first `count` elements; whole vectors are loaded plainly, which follows a store without delay."""
    return _load(address) if count >= _lanes else _load_first_or(address, count, _FILLER)


@inline
def _short_rows(scores, rows, line, n, scale, mask, mask_row):
    """Weights of rows of at most two vectors, pass by pass: while one waits for its largest or its sum, the next go on."""
    lines, tops, factors, wide = stack((_BLOCK + 8) * 64), stack(_BLOCK * 4 + 64), stack(_BLOCK * 4 + 64), n > _lanes
    row = scores
    for r in range(rows):
        x = _vector(row, n) * scale
        if mask:
            x = x + _vector(mask, n)
        _store(row, x)
        if wide:
            y = _vector(row + BYTES, n - _lanes) * scale
            if mask:
                y = y + _vector(mask + BYTES, n - _lanes)
            _store(row + BYTES, y)
            x = select(y > x, y, x)
        _store(lines + r * BYTES, x)
        row += line
        mask += mask_row
    for r in range(0, rows, 8):
        _store(tops + 4 * r, _largest(lines + r * BYTES))
    row = scores
    for r in range(rows):
        top = _splat(_load_one(tops + 4 * r))
        x = exp(_load(row) - top)
        _store(row, x)
        if wide:
            y = exp(_load(row + BYTES) - top)
            _store(row + BYTES, y)
            x = x + y
        _store(lines + r * BYTES, x)
        row += line
    for r in range(0, rows, 8):
        _store(factors + 4 * r, _ONE / _sums(lines + r * BYTES))
    row = scores
    for r in range(rows):
        factor = _splat(_load_one(factors + 4 * r))
        _store(row, _load(row) * factor)
        if wide:
            _store(row + BYTES, _load(row + BYTES) * factor)
        row += line


@inline
def _long_row(row, n, scale, mask):
    top = _splat(_FILLER)
    whole, rest = n // _lanes * BYTES, n % _lanes
    for at in range(0, whole, BYTES):
        x = _load(row + at) * scale
        if mask:
            x = x + _load(mask + at)
        _store(row + at, x)
        top = select(x > top, x, top)
    if rest:
        x = _load_first_or(row + whole, rest, _FILLER) * scale
        if mask:
            x = x + _load_first_or(mask + whole, rest, _FILLER)
        _store_first(row + whole, x, rest)
        top = select(x > top, x, top)
    factor = _splat(_ONE / _exp_row(row, row, n, _splat(max_lanes(top))))
    for at in range(0, n * 4, BYTES):
        _store(row + at, _load(row + at) * factor)


@inline
def _head(q, q_row, keys, v, v_row, mask, mask_row, out, out_row, scores, table, scale):
    queries, n, depth, width = (
        load_i64(table + _QUERIES),
        load_i64(table + _KEYS),
        load_i64(table + _DEPTH),
        load_i64(table + _WIDTH),
    )
    vectors, wide, zeros = (n + _lanes - 1) // _lanes, (width + _lanes - 1) // _lanes, table + _ZEROS
    line, short, near = vectors * BYTES, n <= 2 * _lanes, stack(_BLOCK * 2 * 64)
    if short:
        scores = near
    row = 0
    while row < queries:
        rows = min(queries - row, _BLOCK) if short else _rows_of_tile(queries - row)
        _product(rows, vectors, q, q_row, keys, line, depth, scores, line, zeros, vectors * _lanes)
        if short and rows > 1:
            _short_rows(scores, rows, line, n, scale, mask, mask_row)
        else:
            for r in range(rows):
                _long_row(scores + r * line, n, scale, mask + r * mask_row)
        mask += rows * mask_row
        _product(rows, wide, scores, line, v, v_row, n, out, out_row, zeros, width)
        q, out = q + rows * q_row, out + rows * out_row
        row += rows


@inline
def _stride(table, field, number):
    """A stride of the table, in bytes."""
    return load_i64(table + field + 8 * number) * 4


@kernel("attention_f32", ATTENTION)
def attention(record):
    """See the top of this file."""
    q, keys, v, out, table = record.q, record.work, record.v, record.out, record.table
    mask = record.mask if record.has_mask else 0
    batch, heads = load_i64(table + _BATCH), load_i64(table + _HEADS)
    vectors = (load_i64(table + _KEYS) + _lanes - 1) // _lanes
    key_bytes = load_i64(table + _DEPTH) * vectors * BYTES
    first, count = record.first, record.count or batch * heads
    scores = keys + batch * heads * key_bytes + first * ROWS * vectors * BYTES
    scale = _scalar(record.scale)
    q, v = q + _stride(table, _Q, 0), v + _stride(table, _V, 0)
    for number in range(first, first + count):
        b, h = number // heads, number % heads
        _head(
            q + b * _stride(table, _Q, 1) + h * _stride(table, _Q, 2),
            _stride(table, _Q, 3),
            keys + number * key_bytes,
            v + b * _stride(table, _V, 1) + h * _stride(table, _V, 2),
            _stride(table, _V, 3),
            mask + b * _stride(table, _MASK, 0) + h * _stride(table, _MASK, 1),
            _stride(table, _MASK, 2),
            out + b * _stride(table, _OUT, 0) + h * _stride(table, _OUT, 1),
            _stride(table, _OUT, 2),
            scores,
            table,
            scale,
        )
    return 0
