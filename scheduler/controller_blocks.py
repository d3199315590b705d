"""The state of each ready step (`scheduler.controllers`), as its native code and Python see it: parameters, then memory.

LINEAR     rows, columns, offset[rows], matrix[rows, columns]
TWO_POINT  the block, is_on[count]
RAMP       the block
PID        the block
"""

from enum import IntEnum

import numpy as np


class Wanted(IntEnum):
    """Where the PID's setpoint is, below 0; from 0 on it is an element of the inputs."""

    CONSTANT = -1
    MODEL = -2


LINEAR = np.dtype([("rows", "<i8"), ("columns", "<i8")])

TWO_POINT = np.dtype(
    [("of_model", "<i8"), ("switch_on", "<f8"), ("switch_off", "<f8"), ("on_value", "<f8"), ("off_value", "<f8")]
)
"""`of_model`: 1 where the signals are what the model gave, 0 where they are the task's inputs; also of a ramp."""

RAMP = np.dtype([("of_model", "<i8"), ("up", "<f8"), ("down", "<f8")])
"""Greatest change per second."""

PID = np.dtype(
    [
        ("measured", "<i8"),
        ("wanted", "<i8"),
        *(
            (name, "<f8")
            for name in ("setpoint", "gain", "integral_s", "derivative_s", "filter_s", "bias", "low", "high")
        ),
        *((name, "<f8") for name in ("integral", "slope", "before", "sent")),
    ]
)
"""`integral` and `slope` are shares of the output; `before` is the measured value and `sent` the output of the last call."""
