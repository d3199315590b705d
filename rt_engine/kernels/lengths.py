"""Tensors whose length is only known at run time: found, cut, put together; their rest made harmless.

    non_zero, compress, unique, clear_rest, settle, append, length     records: `interface.lengths`

What is longer than its bound is LONGER_THAN_BOUND; an index outside of its dimension is INDEX_OUT_OF_RANGE. Time is bounded by the
bounds. What is behind a count is written too, as zeros, so that a context's bits do not depend on what ran before.
"""

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.lengths import (
    APPEND,
    CLEAR_REST,
    COMPRESS,
    LENGTH,
    NON_ZERO,
    SETTLE,
    UNIQUE,
)
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.kernels.parts.order_key import element_bytes, order_key
from rt_engine.status import Status
from rt_native.lang import fill_bytes, inline, load_i8, load_i32, load_i64, store_i8, store_i32, store_i64

_INT32 = int(DType.INT32)
_LONGER, _OUT_OF_RANGE = int(Status.LONGER_THAN_BOUND), int(Status.INDEX_OUT_OF_RANGE)
_HIGHEST = (1 << 63) - 1


@inline
def _within(i, most):
    return 0 if i < 0 else (most if i > most else i)


@inline
def _is_zero(address, nbytes, real):
    if nbytes == 8:
        value = load_i64(address)
        return (value & _HIGHEST if real else value) == 0
    if nbytes == 4:
        value = load_i32(address) + 0
        return (value & 0x7FFFFFFF if real else value) == 0
    if nbytes == 2:
        low, high = load_i8(address) + 0, load_i8(address + 1) + 0
        return low == 0 and (high & 0x7F if real else high) == 0
    return load_i8(address) == 0


@kernel("non_zero", NON_ZERO)
def non_zero(record):
    """See the top of this file."""
    x, dims, out = record.x, record.dims, record.out
    n, rank, bound, nbytes, real = record.n, record.rank, record.bound, record.nbytes, record.real
    count = 0
    for i in range(n):
        if not _is_zero(x + i * nbytes, nbytes, real):
            if count == bound:
                return _LONGER
            rest = i
            for j in range(rank):
                axis = rank - 1 - j
                size = load_i64(dims + 8 * axis)
                store_i64(out + 8 * (axis * bound + count), rest % size)
                rest = rest // size
            count += 1
    for axis in range(rank):
        fill_bytes(out + 8 * (axis * bound + count), 0, 8 * (bound - count))
    store_i64(record.count, count)
    return 0


@kernel("compress", COMPRESS)
def compress(record):
    """See the top of this file."""
    x, keep, out = record.x, record.keep, record.out
    outer, n, kept, nbytes, bound = record.outer, record.n, record.kept, record.nbytes, record.bound
    count = 0
    for i in range(kept):
        if load_i8(keep + i) != 0:
            if count == bound:
                return _LONGER
            for o in range(outer):
                copy_run(out + (o * bound + count) * nbytes, x + (o * n + i) * nbytes, nbytes)
            count += 1
    for o in range(outer):
        fill_bytes(out + (o * bound + count) * nbytes, 0, (bound - count) * nbytes)
    store_i64(record.count, count)
    return 0


@inline
def _order(x, i, j, width, element, code):
    """-1, 0 or 1: row i before, like or behind row j."""
    for k in range(width):
        a, b = order_key(x + (i * width + k) * element, code), order_key(x + (j * width + k) * element, code)
        if a != b:
            return -1 if a < b else 1
    return 0


@inline
def _behind(x, i, j, width, element, code):
    order = _order(x, i, j, width, element, code)
    return order > 0 or (order == 0 and i > j)


@inline
def _sift(places, at, count, x, width, element, code):
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and _behind(
            x, load_i64(places + 8 * (child + 1)), load_i64(places + 8 * child), width, element, code
        ):
            child += 1
        a, b = load_i64(places + 8 * child), load_i64(places + 8 * at)
        if not _behind(x, a, b, width, element, code):
            return
        store_i64(places + 8 * child, b)
        store_i64(places + 8 * at, a)
        at = child


@inline
def _sort(places, n, x, width, element, code):
    """Rows by their order, of equals the first one first: places become their numbers."""
    for i in range(n):
        store_i64(places + 8 * i, i)
    for i in range(n // 2):
        _sift(places, n // 2 - 1 - i, n, x, width, element, code)
    for i in range(n - 1):
        left = n - 1 - i
        a, b = load_i64(places), load_i64(places + 8 * left)
        store_i64(places, b)
        store_i64(places + 8 * left, a)
        _sift(places, 0, left, x, width, element, code)


@kernel("unique", UNIQUE)
def unique(record):
    """See the top of this file."""
    x, values, found, places, work = record.x, record.values, record.found, record.places, record.work
    n, width, code, bound = record.n, record.width, record.type, record.bound
    element = element_bytes(code)
    first, inverse, counts = found, found + 8 * n, found + 16 * n
    _sort(places, n, x, width, element, code)
    groups = 0
    for i in range(n):
        at = load_i64(places + 8 * i)
        if i == 0 or _order(x, load_i64(places + 8 * (i - 1)), at, width, element, code) != 0:
            store_i64(first + 8 * groups, at)
            store_i64(work + 8 * at, 0)
            groups += 1
        store_i64(inverse + 8 * at, groups - 1)
    if groups > bound:
        return _LONGER
    if not record.sorted:  # groups are numbered as they come: places becomes old number -> new one
        number = 0
        for i in range(n):
            group = load_i64(inverse + 8 * i)
            if load_i64(first + 8 * group) == i:
                store_i64(places + 8 * group, number)
                number += 1
        for i in range(groups):
            store_i64(work + 8 * load_i64(places + 8 * i), load_i64(first + 8 * i))
        for i in range(groups):
            store_i64(first + 8 * i, load_i64(work + 8 * i))
        for i in range(n):
            store_i64(inverse + 8 * i, load_i64(places + 8 * load_i64(inverse + 8 * i)))
    fill_bytes(counts, 0, 8 * n)
    fill_bytes(first + 8 * groups, 0, 8 * (n - groups))
    for i in range(n):
        at = counts + 8 * load_i64(inverse + 8 * i)
        store_i64(at, load_i64(at) + 1)
    row = width * element
    for i in range(groups):
        copy_run(values + i * row, x + load_i64(first + 8 * i) * row, row)
    fill_bytes(values + groups * row, 0, (bound - groups) * row)
    store_i64(record.count, groups)
    return 0


@kernel("clear_rest", CLEAR_REST)
def clear_rest(record):
    """See the top of this file."""
    x, out, n, nbytes = record.x, record.out, record.n, record.nbytes
    element, pattern = record.element, record.pattern
    count = _within(load_i64(record.count) * record.factor, n)
    if count < record.least:
        return _OUT_OF_RANGE
    for o in range(record.outer):
        if x != out:
            copy_run(out + o * n * nbytes, x + o * n * nbytes, count * nbytes)
        at, end = out + (o * n + count) * nbytes, out + (o + 1) * n * nbytes
        if pattern == 0:
            fill_bytes(at, 0, end - at)
        elif element == 8:
            while at < end:
                store_i64(at, pattern)
                at += 8
        elif element == 4:
            while at < end:
                store_i32(at, pattern)
                at += 4
        else:
            while at < end:
                for i in range(element):
                    store_i8(at + i, (pattern >> (8 * i)) & 0xFF)
                at += element
    return 0


@kernel("settle", SETTLE)
def settle(record):
    """See the top of this file."""
    index, dims, out = record.index, record.dims, record.out
    n, inner, components, code = record.n, record.inner, record.components, record.type
    dynamic = record.dynamic
    count = _within(load_i64(record.count) * record.factor, n) if record.has_count else n
    length = load_i64(record.length) * record.scale if record.has_length else 0
    element = 4 if code == _INT32 else 8
    for o in range(record.outer):
        for i in range(n):
            for j in range(inner):
                at, part = (o * n + i) * inner + j, j % components
                value = 0
                if i < count:
                    value = load_i32(index + 4 * at) + 0 if element == 4 else load_i64(index + 8 * at)
                    size = load_i64(dims + 8 * part)
                    if part == dynamic and length < size:
                        size = length
                    if value < -size or value >= size:
                        return _OUT_OF_RANGE
                    if value < 0:
                        value += size
                store_i64(out + 8 * at, value)
    return 0


@kernel("append", APPEND)
def append(record):
    """See the top of this file."""
    x, out, n, nbytes, bound = record.x, record.out, record.n, record.nbytes, record.bound
    count = _within(load_i64(record.count) * record.factor, n) if record.has_count else n
    at = load_i64(record.at) if record.has_at else 0
    end = at + count
    if end > bound:
        return _LONGER
    for o in range(record.outer):
        copy_run(out + (o * bound + at) * nbytes, x + o * n * nbytes, count * nbytes)
        if record.last:
            fill_bytes(out + (o * bound + end) * nbytes, 0, (bound - end) * nbytes)
    store_i64(record.end, end)
    return 0


@kernel("length", LENGTH)
def length(record):
    """See the top of this file."""
    value = load_i64(record.count) * record.factor + record.shift
    high = record.high
    if record.has_limit and load_i64(record.limit) < high:
        high = load_i64(record.limit)
    if value > high:
        if record.strict & 1:
            return _LONGER
        value = high
    if value < record.low:
        if record.strict & 2:
            return _OUT_OF_RANGE
        value = record.low
    store_i64(record.out, value)
    return 0
