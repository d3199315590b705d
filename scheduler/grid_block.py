"""What native code and Python agree on of a scheduler's grid (`scheduler.grid`), as a NumPy dtype."""

import numpy as np

from rt_native.structs import words

GRID = np.dtype(words("shift_ns", "clock_now", "clock"))
"""`shift_ns`: written by the one task that leads, read by all, once a cycle. `clock_now`, `clock`: the
machine's (`scheduler.clock`)."""
