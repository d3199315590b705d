"""The longest of every interval of a task, kept by the cycle itself; as NumPy dtypes. One block:

    MAXIMA   header   when the first interval begins, how long each is, how many there are
             wakeup, execution, reaction    histograms (rt_native.histogram) of all cycles from then on
             rows     MAXIMUM[n]   row i: the cycles whose tick lies in interval i

A day of seconds is 86,400 rows, 5.5 MB. A cycle before the first interval, or behind the last row, is in neither.
"""

import numpy as np

from rt_native.histogram import NBYTES
from rt_native.structs import words

MAXIMUM = np.dtype(
    words(
        "cycles",
        "missed",
        "wakeup_ns",
        "wakeup_tick_ns",
        "execution_ns",
        "execution_tick_ns",
        "reaction_ns",
        "reaction_tick_ns",
    )
)
"""One interval: its cycles, the ticks that they missed, the longest of three times and the tick of each (as ticks are told).

`reaction_ns`: from the tick to the outputs: wake-up and execution of one cycle."""

MAXIMA = np.dtype(
    [
        *words("first_ns", "interval_ns", "rows", "spare"),
        ("wakeup", "u1", NBYTES),
        ("execution", "u1", NBYTES),
        ("reaction", "u1", NBYTES),
    ]
)
"""The header; `first_ns` 0: nothing is counted."""
