"""What the native code of a task's monitor and Python agree on, as NumPy dtypes.

    TASK.monitor --> MONITOR --> cost      histogram: nanoseconds of each look
                             --> moves     WATCHED[n]    what the monitor's model sees of the task's model
                             --> reader    of the slot of that model; 0: the envelope of the version that runs

    BLOCK.envelope --> count, ENVELOPE[count], then what their addresses are of     (`scheduler.envelope`)

An envelope belongs to a version of a model, as its training data do: it lies beside the version's context, and changes with it.
"""

from enum import IntEnum

import numpy as np

from rt_native.structs import words

ENVELOPE = np.dtype(
    [
        *words("tensor", "dtype", "first", "count", "padded"),
        *words("middle", "per_half", "mean", "factor", "sample"),
        ("edge", "<f8"),
        ("value", "<f8"),
        *words("worst"),
    ]
)
"""What training saw of one tensor: `count` elements of one sample, in `tensor`, from element `first` on (the newest sample).

`middle`, `per_half`: float64[padded], the middle of each element's range, and 1 / half of its width; `padded` is a multiple of 8,
with zeros. `mean`: float64[padded]; `factor`: as below; 0: no distance is computed. `sample`: float64[2 * padded], scratch.
`edge`: the distance that counts as 1. `value`: the newest; `worst`: the element that is furthest beyond its range; where none is, and
the distance is above 1, `DISTANCE`.

`factor` is the inverse of the lower triangular factor of the covariance, eight rows at a time, column by column:

    rows 0 to 7     columns 0 to 7         float64[8] each: column 0 of rows 0 to 7, column 1 of rows 0 to 7, ...
    rows 8 to 15    columns 0 to 15
    ...
"""

ENVELOPE_HEAD = 8
"""Bytes before the first ENVELOPE: how many there are."""

DISTANCE, NOTHING = -1, -2
"""Instead of an element in ENVELOPE.worst: the distance as a whole; every element is within its range."""

WATCHED = np.dtype(words("kind", "at", "tensor", "nbytes"))
"""A tensor of the task's model that goes into the monitor's: `at` is where its address is in the table of tensors, or the number
of the state; `tensor` where the monitor's is, in its own table."""


class Kind(IntEnum):
    """What is watched."""

    TENSOR = 0
    STATE = 1


MONITOR = np.dtype(
    [
        *words("reader", "moves", "move_count", "output", "dtype", "element", "delay_ns"),
        ("limit", "<f8"),
        ("hysteresis", "<f8"),
        *words("cost"),
        # the cycle's own
        ("value", "<f8"),
        ("largest", "<f8"),
        *words("over_since_ns", "speaks", "looked_ns", "looked_at"),
    ]
)
"""One monitor. `output`, `dtype`, `element`: where the value is among the tensors of its model. `largest`: since the last reset.
`looked_ns`, `looked_at`: the tick and the block of its newest look."""
