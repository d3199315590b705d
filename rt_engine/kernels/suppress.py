"""Boxes that are kept: of those that overlap, the one with the best score.

    suppress     record: `interface.lengths`

Per image and class, the best candidate that overlaps no kept box too much is kept, until `most` are. The order is that of ONNX
Runtime: by score, of equals the lower index first; the overlap is its formula in its order, in float32 without fused operations, so
the same boxes are kept where it is at the limit. NaN in a box overlaps nothing; a NaN score is no candidate where scores are
filtered, else the best one.

Candidates are int64 (score's order, index) in a heap; kept boxes lie as five vectors: corners, and the area, which is 0 behind the
last one. More boxes than the bound are LONGER_THAN_BOUND.
"""

from numba import float32

from rt_engine.kernels.interface.lengths import SUPPRESS
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.lanes import F32
from rt_engine.status import Status
from rt_native.lang import fill_bytes, inline, load_f32, load_i32, load_i64, store_f32, store_i64
from rt_native.vector import any_lane, load_f32x, maximum, minimum, splat_f32x

_LANES = F32.lanes
_PADDING = 64
_LONGER = int(Status.LONGER_THAN_BOUND)
_HALF, _ZERO = float32(2.0), float32(0.0)
_LOW = 0xFFFFFFFF


@inline
def _candidate(address, index):
    """Order of a score, then of the index: the larger, the earlier."""
    bits = load_i32(address) + 0
    magnitude = bits & 0x7FFFFFFF
    order = -magnitude if bits < 0 else magnitude
    if magnitude > 0x7F800000:
        order = 0x7FFFFFFF
    return (order << 32) | (_LOW - index)


@inline
def _sift(keys, at, count):
    value = load_i64(keys + 8 * at)
    while 2 * at + 1 < count:
        child = 2 * at + 1
        best = load_i64(keys + 8 * child)
        if child + 1 < count:
            other = load_i64(keys + 8 * child + 8)
            if other > best:
                best, child = other, child + 1
        if best <= value:
            break
        store_i64(keys + 8 * at, best)
        at = child
    store_i64(keys + 8 * at, value)


@inline
def _candidates(scores, n, keys, lowest, filtered):
    """All that reach the score, as a heap; gives how many."""
    count, i = 0, 0
    limit = splat_f32x(lowest)
    while i < n:
        end = min(i + _LANES, n)
        if filtered and end - i == _LANES and not any_lane(load_f32x(scores + 4 * i) > limit):
            i = end
            continue
        while i < end:
            if not filtered or load_f32(scores + 4 * i) > lowest:
                store_i64(keys + 8 * count, _candidate(scores + 4 * i, i))
                count += 1
            i += 1
    for j in range(count // 2):
        _sift(keys, count // 2 - 1 - j, count)
    return count


@inline
def _corner(low, high, is_low):
    if low >= high:
        return high if is_low else low
    return low if is_low else high


@inline
def _put_box(box, centres, at, stride):
    """Corners as element `at` of the first four vectors, 0 as its area so far; gives the area."""
    a, b, c, d = load_f32(box), load_f32(box + 4), load_f32(box + 8), load_f32(box + 12)
    if centres:
        half_width, half_height = c / _HALF, d / _HALF
        left, right, top, bottom = a - half_width, a + half_width, b - half_height, b + half_height
    else:
        left, right = _corner(b, d, True), _corner(b, d, False)
        top, bottom = _corner(a, c, True), _corner(a, c, False)
    store_f32(at, left)
    store_f32(at + stride, top)
    store_f32(at + 2 * stride, right)
    store_f32(at + 3 * stride, bottom)
    store_f32(at + 4 * stride, _ZERO)
    return (right - left) * (bottom - top)


@inline
def _overlaps(kept, count, stride, own, most):
    """Does the box at `count`, whose area is `own`, overlap one of those before it by more than `most`?"""
    at = kept + 4 * count
    left, top = splat_f32x(load_f32(at)), splat_f32x(load_f32(at + stride))
    right, bottom = splat_f32x(load_f32(at + 2 * stride)), splat_f32x(load_f32(at + 3 * stride))
    area, zero, limit = splat_f32x(own), splat_f32x(_ZERO), splat_f32x(most)
    if not own > _ZERO:
        return False
    for i in range(0, count, _LANES):
        other = kept + 4 * i
        across = minimum(load_f32x(other + 2 * stride), right) - maximum(load_f32x(other), left)
        down = minimum(load_f32x(other + 3 * stride), bottom) - maximum(load_f32x(other + stride), top)
        common = across * down
        areas = load_f32x(other + 4 * stride)
        union = (area + areas) - common
        over = (across > zero) & (down > zero) & (common > zero) & (areas > zero) & (union > zero)
        if any_lane(over & (common / union > limit)):
            return True
    return False


@kernel("suppress", SUPPRESS)
def suppress(record):
    """See the top of this file."""
    boxes, scores, limits, out, keys = record.boxes, record.scores, record.limits, record.out, record.work
    classes, n, bound, centres, filtered = record.classes, record.n, record.bound, record.centres, record.filtered
    most, overlap, lowest = load_i64(limits), load_f32(limits + 8), load_f32(limits + 12)
    there = min(max(load_i64(limits + 16), 0), n)
    stride = 4 * (n + _PADDING)
    kept = keys + 8 * n
    total = 0
    for image in range(record.batch):
        for group in range(classes):
            left = _candidates(scores, there, keys, lowest, filtered) if most > 0 else 0
            fill_bytes(kept + 4 * stride, 0, 4 * (left + _PADDING))
            count = 0
            while left > 0 and count < most:
                index = _LOW - (load_i64(keys) & _LOW)
                left -= 1
                store_i64(keys, load_i64(keys + 8 * left))
                _sift(keys, 0, left)
                area = _put_box(boxes + 16 * index, centres, kept + 4 * count, stride)
                if _overlaps(kept, count, stride, area, overlap):
                    continue
                if total == bound:
                    return _LONGER
                store_f32(kept + 4 * stride + 4 * count, area)
                store_i64(out + 24 * total, image)
                store_i64(out + 24 * total + 8, group)
                store_i64(out + 24 * total + 16, index)
                total, count = total + 1, count + 1
            scores += 4 * n
        boxes += 16 * n
    fill_bytes(out + 24 * total, 0, 24 * (bound - total))
    store_i64(record.count, total)
    return 0
