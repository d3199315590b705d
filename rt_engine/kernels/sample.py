"""Sampling at positions that are computed at run time, in one, two or three dimensions.

    sample_<type>     record: `interface.sample`

x is [images, channels, d0, d1, d2], positions [images, points, rank], out [images, channels, points].
A position is the place of a sample,

    CENTRES   from -1 to 1 over the elements' outer edges, last axis first (ONNX GridSample, align_corners = 0)
    CORNERS   from -1 to 1 between the centres of the outermost elements, last axis first (align_corners = 1)
    ELEMENTS  counted in elements, first axis first

and has one (NEAREST), two (LINEAR) or four (CUBIC) taps per axis, whose products are added in the order of memory, a vector
of points at a time. What lies outside of x counts nothing (ZEROS), is the element at the border (BORDER), or is mirrored
there (REFLECTION). A position that is NaN lies far outside. Nothing outside of the tensors is read, whatever the positions
are.
"""

from numba import int32, int64

from rt_engine.kernels.interface.sample import SAMPLE
from rt_engine.kernels.interface.sample_modes import BORDER, CORNERS, CUBIC, ELEMENTS, NEAREST, REFLECTION, ZEROS
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.gather import make_gather
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_engine.kernels.parts.positions import bounded, whole_below
from rt_native.lang import fill_bytes, inline, load_f64, load_i64, stack, store_f64, store_i32, store_i64
from rt_native.vector import BYTES, fma, load_i32x, load_i64x

_CUBIC = -0.75


@inline
def _nearest(x):
    """The nearest whole number, the even one of two."""
    low = whole_below(x)
    rest = x - low
    if rest > 0.5 or (rest == 0.5 and low & 1):
        low += 1
    return low


@inline
def _mirrored(x, low, high):
    """x mirrored at both ends until it lies between them."""
    span = high - low
    if span <= 0.0:
        return low
    if x < low:
        distance = low - x
        times = int(distance / span)
        rest = distance - times * span
        return high - rest if times & 1 else low + rest
    if x > high:
        distance = x - high
        times = int(distance / span)
        rest = distance - times * span
        return low + rest if times & 1 else high - rest
    return x


@inline
def _inside(i, length, padding, corners):
    """The element that tap i reads; -1 for none."""
    if 0 <= i < length:
        return i
    if padding == ZEROS:
        return -1
    if padding == REFLECTION:
        if corners:
            period = 2 * (length - 1)
            if period == 0:
                return 0
            i = i % period
            return i if i < length else period - i
        i = i % (2 * length)
        return i if i < length else 2 * length - 1 - i
    return 0 if i < 0 else length - 1


@inline
def _cubic(taps, at, t):
    """R. Keys, Cubic convolution interpolation (1981)."""
    for k in range(4):
        d = t + 1.0 - k
        d = -d if d < 0.0 else d
        if d <= 1.0:
            w = ((_CUBIC + 2.0) * d - (_CUBIC + 3.0)) * d * d + 1.0
        else:
            w = ((_CUBIC * d - 5.0 * _CUBIC) * d + 8.0 * _CUBIC) * d - 4.0 * _CUBIC
        store_f64(taps + at + 16 * k + 8, w)


@inline
def _axis_taps(taps, at, x, length, mode, padding, corners):
    """Store the taps of one axis, (element, weight) each; gives how many."""
    if mode == NEAREST:
        x = _nearest(x) + 0.0
    low, high = -0.5, length - 0.5
    if corners:
        low, high = 0.0, length - 1.0
    if mode != CUBIC and (x < low or x > high):  # cubic taps find their elements one by one, as in PyTorch
        if padding == BORDER:
            x = 0.0 if x < 0.0 else length - 1.0
        elif padding == REFLECTION:
            x = _mirrored(x, low, high)
    if mode == NEAREST:
        store_i64(taps + at, _inside(int(x), length, padding, corners))
        store_f64(taps + at + 8, 1.0)
        return 1
    first = whole_below(x)
    t = x - first
    if mode == CUBIC:
        first -= 1
        _cubic(taps, at, t)
        count = 4
    else:
        store_f64(taps + at + 8, 1.0 - t)
        store_f64(taps + at + 24, t)
        count = 2
    for k in range(count):
        store_i64(taps + at + 16 * k, _inside(first + k, length, padding, corners))
    return count


def _make(of: Element) -> None:
    lanes, nbytes, scalar, splat, load, store = of.lanes, of.nbytes, of.scalar, of.splat, of.load, of.store
    load_vector, store_first, gather = of.load_vector, of.store_first, make_gather(of.vector)
    load_indices, store_index, index_type = (
        (load_i32x, store_i32, int32) if nbytes == 4 else (load_i64x, store_i64, int64)
    )
    zero, one, two = of.scalar(0.0), of.scalar(1.0), of.scalar(2.0)

    @inline
    def coordinate(position, axis, rank, length, how):
        """Where a sample lies on an axis, in elements, computed in the type of the positions."""
        if how == ELEMENTS:
            return bounded(load(position + axis * nbytes))
        n = load(position + (rank - 1 - axis) * nbytes)
        if how == CORNERS:
            return bounded((n + one) / two * scalar(length - 1))
        return bounded(((n + one) * scalar(length) - one) / two)

    @inline
    def products(taps, counts, d1, d2, index, weight):
        """All combinations of the taps of one point, as one lane of the tables: element (-1: none) and weight."""
        for i in range(load_i64(counts)):
            a, u = load_i64(taps + 16 * i), load_f64(taps + 16 * i + 8)
            for j in range(load_i64(counts + 8)):
                b, v = load_i64(taps + 64 + 16 * j), load_f64(taps + 64 + 16 * j + 8)
                for k in range(load_i64(counts + 16)):
                    c, w = load_i64(taps + 128 + 16 * k), load_f64(taps + 128 + 16 * k + 8)
                    at = (a * d1 + b) * d2 + c
                    store_index(index, index_type(-1 if a < 0 or b < 0 or c < 0 else at))
                    store(weight, scalar(u * v * w))
                    index += BYTES
                    weight += BYTES

    @kernel("sample_" + of.suffix, SAMPLE)
    def sample(record):
        channels, rank, points = record.channels, record.rank, record.points
        d0, d1, d2 = record.d0, record.d1, record.d2
        mode, padding, how = record.mode, record.padding, record.coordinates
        x, position, out = record.x, record.positions, record.out
        image, plane = d0 * d1 * d2 * nbytes, points * nbytes
        taps, counts, index, weight = stack(192), stack(64), stack(4096), stack(4096)
        fill_bytes(index, 255, 4096)  # lanes that are not used read nothing
        fill_bytes(weight, 0, 4096)
        for axis in range(3 - rank):
            store_i64(taps + 64 * axis, 0)
            store_f64(taps + 64 * axis + 8, 1.0)
            store_i64(counts + 8 * axis, 1)
        for _ in range(record.images):
            for first in range(0, points, lanes):
                some = min(points - first, lanes)
                for lane in range(some):
                    for axis in range(rank):
                        at = axis + 3 - rank
                        length = d2 if at == 2 else (d1 if at == 1 else d0)
                        where = coordinate(position, axis, rank, length, how) + 0.0
                        count = _axis_taps(taps, 64 * at, where, length, mode, padding, how == CORNERS)
                        store_i64(counts + 8 * at, count)
                    products(taps, counts, d1, d2, index + lane * nbytes, weight + lane * nbytes)
                    position += rank * nbytes
                every = load_i64(counts) * load_i64(counts + 8) * load_i64(counts + 16) * BYTES
                source, target = x, out + first * nbytes
                for _ in range(channels):
                    total = splat(zero)
                    for at in range(0, every, BYTES):
                        total = fma(gather(source, load_indices(index + at), zero), load_vector(weight + at), total)
                    store_first(target, total, some)
                    source += image
                    target += plane
            x += channels * image
            out += channels * plane
        return 0


for _of in (F32, F64):
    _make(_of)
