"""Pooling over regions that are computed at run time, and values put back where a pooling found them.

    roi_align_<type>, max_roi_pool_<type>, put_back     records: `interface.regions`

x is [images, channels, height, width]. A region of roi_align is x1, y1, x2, y2; of max_roi_pool image, x1, y1, x2, y2. With
`samples` 0, roi_align takes as many samples per axis of a bin as it has elements. An image or an index that does not
exist, and a region that asks for more samples than four times the image, is INDEX_OUT_OF_RANGE.
"""

from rt_engine.kernels.interface.regions import MAX_ROI_POOL, PUT_BACK, ROI_ALIGN
from rt_engine.kernels.interface.sample_modes import LARGEST
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_engine.kernels.parts.positions import bounded, whole_below
from rt_engine.status import Status
from rt_native.lang import inline, load_i32, load_i64, store_i32, store_i64

_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)


@inline
def _whole_above(x):
    return -whole_below(-x)


@inline
def _rounded(x):
    """The nearest whole number, away from zero of two."""
    return whole_below(x + 0.5) if x >= 0.0 else _whole_above(x - 0.5)


@inline
def _within(i, length):
    return 0 if i < 0 else (length if i > length else i)


def _make_align(of: Element) -> None:
    nbytes, load, store = of.nbytes, of.load, of.store

    @inline
    def bin_value(source, height, width, top, left, down, across, rows, columns, mode):
        """One output: `rows` x `columns` samples, a step of (down, across) apart."""
        total, first = 0.0, True
        for i in range(rows):
            yy = top + (i + 0.5) * down
            for j in range(columns):
                xx = left + (j + 0.5) * across
                a = b = c = d = 0.0
                if yy >= -1.0 and yy <= height and xx >= -1.0 and xx <= width:
                    y, x = max(yy, 0.0), max(xx, 0.0)
                    y0, x0 = int(y), int(x)
                    y1, x1 = y0 + 1, x0 + 1
                    if y0 >= height - 1:
                        y0 = y1 = height - 1
                        y = y0 + 0.0
                    if x0 >= width - 1:
                        x0 = x1 = width - 1
                        x = x0 + 0.0
                    v, u = y - y0, x - x0
                    a = (1.0 - v) * (1.0 - u) * load(source + (y0 * width + x0) * nbytes)
                    b = (1.0 - v) * u * load(source + (y0 * width + x1) * nbytes)
                    c = v * (1.0 - u) * load(source + (y1 * width + x0) * nbytes)
                    d = v * u * load(source + (y1 * width + x1) * nbytes)
                if mode == LARGEST:
                    largest = max(max(a, b), max(c, d))
                    if first or largest > total:
                        total = largest
                    first = False
                else:
                    total += a + b + c + d
        if mode != LARGEST and rows * columns > 1:
            total /= rows * columns
        return total

    @inline
    def samples_of(extent, bins, samples):
        """Samples of a bin along one axis."""
        return samples if samples > 0 else max(_whole_above(bounded(extent / bins)), 0)

    @kernel("roi_align_" + of.suffix, ROI_ALIGN)
    def roi_align(record):
        items, channels, height, width = record.images, record.channels, record.height, record.width
        out_height, out_width, samples, mode = record.out_height, record.out_width, record.samples, record.mode
        region, item = record.regions, record.items
        target, scale, half = record.out, record.scale, record.half
        offset = 0.5 if half else 0.0
        for _ in range(record.count):
            number = load_i64(item)
            if number < 0 or number >= items:
                return _OUT_OF_RANGE
            left, top = load(region) * scale - offset, load(region + nbytes) * scale - offset
            across = load(region + 2 * nbytes) * scale - offset - left
            down = load(region + 3 * nbytes) * scale - offset - top
            if not half:
                across, down = max(across, 1.0), max(down, 1.0)
            rows, columns = samples_of(down, out_height, samples), samples_of(across, out_width, samples)
            if samples == 0 and (rows > 4 * height + 16 or columns > 4 * width + 16):
                return _OUT_OF_RANGE
            down, across = down / out_height, across / out_width
            source = record.x + number * channels * height * width * nbytes
            for _ in range(channels):
                for i in range(out_height):
                    for j in range(out_width):
                        value = bin_value(
                            source,
                            height,
                            width,
                            top + i * down,
                            left + j * across,
                            down / max(rows, 1),
                            across / max(columns, 1),
                            rows,
                            columns,
                            mode,
                        )
                        store(target, value)
                        target += nbytes
                source += height * width * nbytes
            region += 4 * nbytes
            item += 8
        return 0


def _make_pool(of: Element) -> None:
    nbytes, load, store, zero = of.nbytes, of.load, of.store, of.scalar(0.0)

    @inline
    def largest(source, width, top, bottom, left, right):
        if bottom <= top or right <= left:
            return zero
        best = load(source + (top * width + left) * nbytes)
        for y in range(top, bottom):
            for x in range(left, right):
                value = load(source + (y * width + x) * nbytes)
                if value > best or value != value:
                    best = value
        return best

    @inline
    def corner(address, scale):
        return _rounded(bounded(load(address) * scale))

    @kernel("max_roi_pool_" + of.suffix, MAX_ROI_POOL)
    def max_roi_pool(record):
        items, channels, height, width = record.images, record.channels, record.height, record.width
        out_height, out_width, scale = record.out_height, record.out_width, record.scale
        region, target = record.regions, record.out
        for _ in range(record.count):
            number = int(bounded(load(region)))
            if number < 0 or number >= items:
                return _OUT_OF_RANGE
            left, top = corner(region + nbytes, scale), corner(region + 2 * nbytes, scale)
            down = max(corner(region + 4 * nbytes, scale) - top + 1, 1) / out_height
            across = max(corner(region + 3 * nbytes, scale) - left + 1, 1) / out_width
            source = record.x + number * channels * height * width * nbytes
            for _ in range(channels):
                for i in range(out_height):
                    y0 = _within(whole_below(i * down) + top, height)
                    y1 = _within(_whole_above((i + 1) * down) + top, height)
                    for j in range(out_width):
                        x0 = _within(whole_below(j * across) + left, width)
                        x1 = _within(_whole_above((j + 1) * across) + left, width)
                        store(target, largest(source, width, y0, y1, x0, x1))
                        target += nbytes
                source += height * width * nbytes
            region += 5 * nbytes
        return 0


for _of in (F32, F64):
    _make_align(_of)
    _make_pool(_of)


@kernel("put_back", PUT_BACK)
def put_back(record):
    """See the top of this file."""
    count, nbytes, limit = record.count, record.nbytes, record.limit
    source, index, target = record.x, record.index, record.out
    for i in range(count):
        at = load_i64(index + 8 * i)
        if at < 0 or at >= limit:
            return _OUT_OF_RANGE
    for i in range(count):
        at = load_i64(index + 8 * i)
        if nbytes == 4:
            store_i32(target + 4 * at, load_i32(source + 4 * i))
        else:
            store_i64(target + 8 * at, load_i64(source + 8 * i))
    return 0
