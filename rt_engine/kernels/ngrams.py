"""How often sequences of numbers occur in a row of numbers.

    ngrams    the record is `interface.ngrams.NGRAMS`

A gram of length L occurs at i with s
skipped elements if x[i], x[i + s + 1], x[i + 2 (s + 1)] ... are its elements; s runs from 0 to `most_skips`, for a single
element it is 0 alone. out is the count, then times weights[gram]; with `all` = 0 anything above zero counts as one.
"""

from numba import float32

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.ngrams import NGRAMS
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import inline, load_f32, load_i32, load_i64, store_f32

_INT32 = int(DType.INT32)


@inline
def _at(x, i, code):
    if code == _INT32:
        return load_i32(x + 4 * i) + 0
    return load_i64(x + 8 * i)


@inline
def _occurrences(x, n, pool, length, most_skips, code):
    found = 0
    for skip in range(1 if length == 1 else most_skips + 1):
        step = skip + 1
        for first in range(n - (length - 1) * step):
            same = 1
            for j in range(length):
                if _at(x, first + j * step, code) != load_i64(pool + 8 * j):
                    same = 0
            found += same
    return found


@kernel("ngrams", NGRAMS)
def ngrams(record):
    """See the top of this file."""
    x, grams, pool, weights, out = record.x, record.grams, record.pool, record.weights, record.out
    n, columns, code = record.n, record.columns, record.type
    for _ in range(record.rows):
        for j in range(columns):
            store_f32(out + 4 * j, float32(0.0))
        for g in range(record.grams_count):
            gram = grams + 24 * g
            first = pool + 8 * load_i64(gram + 8)
            count = _occurrences(x, n, first, load_i64(gram), record.most_skips, code)
            if record.all == 0:
                count = min(count, 1)
            store_f32(out + 4 * load_i64(gram + 16), float32(count) * load_f32(weights + 4 * g))
        x += n * (4 if code == _INT32 else 8)
        out += 4 * columns
    return 0
