"""Pooling, channels last: x [image, pixel, channel] -> out [image, pixel, channel].

    pool_<type>, max_index_<type>     records: `interface.pool`

Padding is left out. `counts` has the element type, one number per output pixel: what a sum is divided by.
Sums run over the taps in rising order. NaN wins in a
maximum; a window of padding alone gives -inf (an average: 0 divided by its count).

`index` is int64: where the maximum stands in ONNX's layout, the first of equals.
"""

from math import inf
from typing import Any

from rt_engine.kernels.interface.pool import MAX_INDEX, POOL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline, load_i32, store_i64
from rt_native.vector import BYTES, maximum


@inline
def _add(a, b):
    return a + b


@inline
def _divide(a, b):
    return a / b


def _same(f: Any) -> Any:
    return f


def _in_pairs(f: Any) -> Any:
    """What `f` does with two vectors, for two pairs of them: one chain of taps alone would wait for itself."""

    @inline
    def both(a, b):
        return f(a[0], b[0]), f(a[1], b[1])

    return both


def _make(of: Element) -> None:
    lanes, nbytes, load, store, splat, scalar = of.lanes, of.nbytes, of.load, of.store, of.splat, of.scalar
    load_vector, store_vector = of.load_vector, of.store_vector

    @inline
    def store_whole(address, value, left):
        store_vector(address, value)

    @inline
    def load_pair(address, left):
        return load_vector(address), load_vector(address + BYTES)

    @inline
    def store_pair(address, pair, left):
        store_vector(address, pair[0])
        store_vector(address + BYTES, pair[1])

    @inline
    def splat_pair(value):
        return splat(value), splat(value)

    def column(load_lanes: Any, store_lanes: Any, splat_lanes: Any = splat, each: Any = _same) -> Any:
        """A vector of `left` channels, or a pair of whole ones, for all pixels."""
        add, largest, divide = each(_add), each(maximum), each(_divide)

        def over_taps(start: float, combine: Any) -> Any:
            @inline
            def fold(x, table, taps, left):
                total = splat_lanes(scalar(start))
                for tap in range(taps):
                    offset = load_i32(table + 4 * tap)
                    if offset >= 0:
                        total = combine(total, load_lanes(x + offset, left))
                return total

            return fold

        sum_of, largest_of = over_taps(0.0, add), over_taps(-inf, largest)

        @inline
        def pixel_by_pixel(record, x, out, left):
            taps, step, table = record.taps, record.channels * nbytes, record.table
            if record.average:
                for pixel in range(record.pixels):
                    count = splat_lanes(load(record.counts + pixel * nbytes))
                    store_lanes(out, divide(sum_of(x, table, taps, left), count), left)
                    out, table = out + step, table + 4 * taps
            else:
                for _ in range(record.pixels):
                    store_lanes(out, largest_of(x, table, taps, left), left)
                    out, table = out + step, table + 4 * taps

        return pixel_by_pixel

    two_vectors = column(load_pair, store_pair, splat_pair, _in_pairs)
    one_vector, some_lanes = column(of.load_vector_of, store_whole), column(of.load_first, of.store_first)

    @kernel("pool_" + of.suffix, POOL)
    def pool(record):
        step, x, out = record.channels * nbytes, record.x, record.out
        whole = record.channels // lanes * BYTES
        for _ in range(record.images):
            at = 0
            while at + 2 * BYTES <= whole:
                two_vectors(record, x + at, out + at, 2 * lanes)
                at += 2 * BYTES
            if at < whole:
                one_vector(record, x + at, out + at, lanes)
            if whole < step:
                some_lanes(record, x + whole, out + whole, (step - whole) // nbytes)
            x += record.in_pixels * step
            out += record.pixels * step
        return 0

    @kernel("max_index_" + of.suffix, MAX_INDEX)
    def max_index(record):
        inputs, pixels, taps, channels = record.in_pixels, record.pixels, record.taps, record.channels
        x, out, index = record.x, record.out, record.index
        for image in range(record.images):
            table, places = record.table, record.places
            for _ in range(pixels):
                for channel in range(channels):
                    best, found = scalar(-float("inf")), -1
                    for tap in range(taps):
                        offset = load_i32(table + 4 * tap)
                        if offset >= 0:
                            value = load(x + offset + channel * nbytes)
                            if found < 0 or value > best or (value != value and best == best):
                                best, found = value, load_i32(places + 4 * tap)
                    store(out, best)
                    store_i64(index, (image * channels + channel) * inputs + max(found, 0))
                    out += nbytes
                    index += 8
                table += 4 * taps
                places += 4 * taps
            x += inputs * channels * nbytes
        return 0


for _of in (F32, F64):
    _make(_of)
