"""Pooling, channels last: x [image, pixel, channel] -> out [image, pixel, channel].

    pool_<type>, max_index_<type>     records: `interface.pool`

Padding is left out. `counts` has the element type, one number per output pixel: what a sum is divided by.
Sums run over the taps in rising order. NaN wins in a
maximum; a window of padding alone gives -inf (an average: 0 divided by its count).

`index` is int64: where the maximum stands in ONNX's layout, the first of equals.
"""

from rt_engine.kernels.interface.pool import MAX_INDEX, POOL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline, load_i32, store_i64
from rt_native.vector import maximum


def _make(of: Element) -> None:
    lanes, nbytes, load, store, splat, scalar = of.lanes, of.nbytes, of.load, of.store, of.splat, of.scalar
    load_vector, load_first, store_vector, store_first = of.load_vector, of.load_first, of.store_vector, of.store_first

    @inline
    def summed(x, table, taps, left):
        total = splat(scalar(0.0))
        for tap in range(taps):
            offset = load_i32(table + 4 * tap)
            if offset >= 0:
                if left >= lanes:
                    total = total + load_vector(x + offset)
                else:
                    total = total + load_first(x + offset, left)
        return total

    @inline
    def largest(x, table, taps, left):
        best = splat(scalar(-float("inf")))
        for tap in range(taps):
            offset = load_i32(table + 4 * tap)
            if offset >= 0:
                if left >= lanes:
                    best = maximum(best, load_vector(x + offset))
                else:
                    best = maximum(best, load_first(x + offset, left))
        return best

    @kernel("pool_" + of.suffix, POOL)
    def pool(record):
        pixels, taps, channels, average = record.pixels, record.taps, record.channels, record.average
        x, out = record.x, record.out
        counts = record.counts
        for _ in range(record.images):
            table = record.table
            for pixel in range(pixels):
                for channel in range(0, channels, lanes):
                    at, left = channel * nbytes, channels - channel
                    if average:
                        value = summed(x + at, table, taps, left) / load(counts + pixel * nbytes)
                    else:
                        value = largest(x + at, table, taps, left)
                    if left >= lanes:
                        store_vector(out + at, value)
                    else:
                        store_first(out + at, value, left)
                out += channels * nbytes
                table += 4 * taps
            x += record.in_pixels * channels * nbytes
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
