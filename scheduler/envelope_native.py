"""How far a model's inputs are from what its training data held: 1 is the edge of those. Drawn in `scheduler.monitor_block`.

    tensor --newest sample, as float64--> sample --> |x - middle| / half        the largest of all elements
                                             |
                                             +--> |factor (x - mean)| / edge    where the training data had a covariance

The larger of both is the value; infinity where an element is NaN or infinite.
"""

import math

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.run.blocks import BLOCK
from rt_native.lang import export, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from rt_native.vector import absolute, any_lane, load_f64x, max_lanes, maximum, splat_f64x, sqrt, store_f64x, sum_lanes
from scheduler.element_native import load_element
from scheduler.lanes_native import LANES, load_singles
from scheduler.monitor_block import DISTANCE, ENVELOPE, ENVELOPE_HEAD, NOTHING

_E, _TENSORS, _SIZE, _HEAD = offsets(ENVELOPE), offsets(BLOCK).tensors, ENVELOPE.itemsize, ENVELOPE_HEAD
_TENSOR, _DTYPE, _FIRST, _COUNT, _PADDED = _E.tensor, _E.dtype, _E.first, _E.count, _E.padded
_MIDDLE, _PER_HALF, _MEAN, _FACTOR, _SAMPLE = _E.middle, _E.per_half, _E.mean, _E.factor, _E.sample
_EDGE, _VALUE, _WORST = _E.edge, _E.value, _E.worst
_EIGHT, _FLOAT, _INFINITE, _DISTANCE, _NOTHING = LANES, int(DType.FLOAT), math.inf, DISTANCE, NOTHING


@inline
def take_sample(row, base):  # type: ignore[no-untyped-def]
    """The newest sample of a tensor -> `sample`."""
    sample, count = load_i64(row + _SAMPLE), load_i64(row + _COUNT)
    first, dtype, done = load_i64(row + _FIRST), load_i64(row + _DTYPE), 0
    if dtype == _FLOAT:
        while done + _EIGHT <= count:
            store_f64x(sample + 8 * done, load_singles(base + 4 * (first + done)))
            done += _EIGHT
    for i in range(done, count):
        store_f64(sample + 8 * i, load_element(base, dtype, first + i))


@inline
def furthest(row):  # type: ignore[no-untyped-def]
    """|x - middle| / half of the element where it is largest; infinity where one is NaN or infinite."""
    sample, middle, per_half = load_i64(row + _SAMPLE), load_i64(row + _MIDDLE), load_i64(row + _PER_HALF)
    worst, broken = splat_f64x(0.0), False
    for i in range(load_i64(row + _PADDED) // _EIGHT):
        at = 8 * _EIGHT * i
        value = load_f64x(sample + at)
        broken = broken or any_lane(value - value != 0.0)
        worst = maximum(worst, absolute(value - load_f64x(middle + at)) * load_f64x(per_half + at))
    return _INFINITE if broken else max_lanes(worst)


@inline
def furthest_element(row):  # type: ignore[no-untyped-def]
    """Which element is the first that is as far out as any, or no number."""
    sample, middle, per_half = load_i64(row + _SAMPLE), load_i64(row + _MIDDLE), load_i64(row + _PER_HALF)
    worst, found = -1.0, 0
    for i in range(load_i64(row + _COUNT)):
        value = load_f64(sample + 8 * i)
        far = abs(value - load_f64(middle + 8 * i)) * load_f64(per_half + 8 * i)
        if value - value != 0.0:
            far = _INFINITE
        if far > worst:
            worst, found = far, i
    return found


@inline
def distance(row):  # type: ignore[no-untyped-def]
    """The length of factor (x - mean): the Mahalanobis distance."""
    sample, mean, factor = load_i64(row + _SAMPLE), load_i64(row + _MEAN), load_i64(row + _FACTOR)
    padded, total = load_i64(row + _PADDED), splat_f64x(0.0)
    apart = sample + 8 * padded
    for i in range(padded // _EIGHT):
        at = 8 * _EIGHT * i
        store_f64x(apart + at, load_f64x(sample + at) - load_f64x(mean + at))
        rows = splat_f64x(0.0)
        for column in range(_EIGHT * i + _EIGHT):
            rows = rows + load_f64x(factor) * load_f64(apart + 8 * column)
            factor += 8 * _EIGHT
        total = total + rows * rows
    return max_lanes(sqrt(splat_f64x(sum_lanes(total))))


@inline
def look(row, base):  # type: ignore[no-untyped-def]
    """The value of one tensor; which element it is of is in ENVELOPE.worst."""
    take_sample(row, base)
    value, worst = furthest(row), _NOTHING
    if value > 1.0:
        worst = furthest_element(row)
    if load_i64(row + _FACTOR) != 0 and value != _INFINITE:
        whole = distance(row) / load_f64(row + _EDGE)
        if worst == _NOTHING and not whole <= 1.0:
            worst = _DISTANCE
        value = value if whole <= value else whole
    store_f64(row + _VALUE, value)
    store_i64(row + _WORST, worst)
    return value


@inline
def envelope_value(envelope, block):  # type: ignore[no-untyped-def]
    """How far out the tensors of an execution block are: that of the furthest."""
    tensors, row, value = load_i64(block + _TENSORS), envelope + _HEAD, 0.0
    for _ in range(load_i64(envelope)):
        value = max(value, look(row, load_i64(tensors + load_i64(row + _TENSOR))))
        row += _SIZE
    return value


@export
def envelope_look(envelope, block, value):  # type: ignore[no-untyped-def]
    """See `envelope_value`; the result goes to the address `value`."""
    store_f64(value, envelope_value(envelope, block))
    return 0
