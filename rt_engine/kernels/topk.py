"""The k largest or smallest along an axis.

    topk     record: `interface.topk`

Results are sorted, the best first; of equals, that with the lower index.
NaN is larger than every number; -0 equals 0. indices are int64.

Each element becomes an int64 key whose order is that of the elements; the keys form a heap, from which k are taken.
"""

from rt_engine.kernels.interface.topk import TOPK
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.int_elements import load_int, store_int
from rt_engine.kernels.parts.order_key import element_bytes, order_key
from rt_native.lang import inline, load_i32, load_i64, store_i32, store_i64


@inline
def _better(keys, places, i, j):
    a, b = load_i64(keys + 8 * i), load_i64(keys + 8 * j)
    return a > b or (a == b and load_i64(places + 8 * i) < load_i64(places + 8 * j))


@inline
def _swap(array, i, j):
    a, b = load_i64(array + 8 * i), load_i64(array + 8 * j)
    store_i64(array + 8 * i, b)
    store_i64(array + 8 * j, a)


@inline
def _sift(keys, places, at, count):
    """Move the element at `at` down to where the heap is in order again."""
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and _better(keys, places, child + 1, child):
            child += 1
        if not _better(keys, places, child, at):
            return
        _swap(keys, at, child)
        _swap(places, at, child)
        at = child


@kernel("topk", TOPK)
def topk(record):
    """See the top of this file."""
    x, values, indices = record.x, record.values, record.indices
    keys, places = record.keys, record.places
    outer, n, inner, k = record.outer, record.n, record.inner, record.k
    code, largest = record.type, record.largest
    element = element_bytes(code)
    for o in range(outer):
        for i in range(inner):
            source = x + (o * n * inner + i) * element
            for j in range(n):
                key = order_key(source + j * inner * element, code)
                store_i64(keys + 8 * j, key if largest else ~key)
                store_i64(places + 8 * j, j)
            for j in range(n // 2):
                _sift(keys, places, n // 2 - 1 - j, n)
            left = n
            for j in range(k):
                best, to = load_i64(places), o * k * inner + j * inner + i
                store_i64(indices + 8 * to, best)
                at = source + best * inner * element
                if element == 4:
                    store_i32(values + 4 * to, load_i32(at))
                elif element == 8:
                    store_i64(values + 8 * to, load_i64(at))
                else:
                    store_int(values + element * to, load_int(at, code), code)
                left -= 1
                _swap(keys, 0, left)
                _swap(places, 0, left)
                _sift(keys, places, 0, left)
    return 0
