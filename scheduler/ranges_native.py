"""The least, the greatest and the sum of what each value was: `RANGES` of `scheduler.task_block`, widened in every cycle.

number        0    1    2 ...
least         .    .    .       eight numbers at a time; the least and the greatest are written only where one changed
greatest      .    .    .
total         .    .    .
lost          .    .    .       touched only where a value is NaN or infinite
"""

import math

from rt_native.lang import fill_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from rt_native.vector import any_lane, load_f64x, select, store_f64x
from scheduler.lanes_native import LANES
from scheduler.task_block import TASK

_T = offsets(TASK)
_IN_RANGES, _OUT_RANGES, _IN_COUNT, _OUT_COUNT = _T.input_ranges, _T.output_ranges, _T.value_count, _T.raw_count
_IN_SEEN, _OUT_SEEN = _T.inputs_seen, _T.outputs_seen
_EIGHT, _INFINITE = LANES, math.inf


@inline
def widen(ranges, numbers, first, values, count):  # type: ignore[no-untyped-def]
    """Take the finite ones of `count` values into the ranges, which are of `numbers` values, from number `first` on."""
    least = ranges + 8 * first
    rows = 8 * numbers
    done = 0
    while done + _EIGHT <= count:
        value, low, high = load_f64x(values), load_f64x(least), load_f64x(least + rows)
        if any_lane(value - value != 0.0):
            widen_each(least, rows, values, _EIGHT)
        else:
            below, above = value < low, value > high
            if any_lane(below | above):
                store_f64x(least, select(below, value, low))
                store_f64x(least + rows, select(above, value, high))
            store_f64x(least + 2 * rows, load_f64x(least + 2 * rows) + value)
        done += _EIGHT
        values += 8 * _EIGHT
        least += 8 * _EIGHT
    widen_each(least, rows, values, count - done)


@inline
def widen_each(least, rows, values, count):  # type: ignore[no-untyped-def]
    """The same, one by one; `least` is where the range of the first value is, `rows` bytes lie between two arrays."""
    for _ in range(count):
        value = load_f64(values)
        if value - value == 0.0:
            if value < load_f64(least):
                store_f64(least, value)
            if value > load_f64(least + rows):
                store_f64(least + rows, value)
            store_f64(least + 2 * rows, load_f64(least + 2 * rows) + value)
        else:
            store_i64(least + 3 * rows, load_i64(least + 3 * rows) + 1)
        values += 8
        least += 8


@inline
def forget(ranges, numbers):  # type: ignore[no-untyped-def]
    """Nothing was seen yet."""
    for number in range(numbers):
        store_f64(ranges + 8 * number, _INFINITE)
        store_f64(ranges + 8 * (numbers + number), -_INFINITE)
    fill_bytes(ranges + 16 * numbers, 0, 16 * numbers)


@inline
def forget_ranges(task):  # type: ignore[no-untyped-def]
    """Start the ranges of a task anew."""
    forget(load_i64(task + _IN_RANGES), load_i64(task + _IN_COUNT))
    forget(load_i64(task + _OUT_RANGES), load_i64(task + _OUT_COUNT))
    store_i64(task + _IN_SEEN, 0)
    store_i64(task + _OUT_SEEN, 0)
