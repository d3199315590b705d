"""What the native code of a task's fallback, and of its smaller model, and Python agree on, as NumPy dtypes.

TASK.fallback --> FALLBACK --> reader   of the slot that stands in
                           --> bumps    float64[raw_count]: how far the published values were from a new source's
TASK.late     --> LATE     --> reader   of the slot that is used where the time left is too short
"""

from enum import IntEnum

import numpy as np

from rt_native.structs import words


class Use(IntEnum):
    """What is published in the place of a model that is not to be trusted."""

    NONE = 0
    SLOT = 1
    STEP = 2
    HOLD = 3
    SAFE = 4


class Source(IntEnum):
    """Whose numbers the newest outputs are."""

    NONE = 0
    """Held, or safe."""
    MODEL = 1
    FALLBACK = 2


FALLBACK = np.dtype(
    [
        *words("use", "reader", "hold_ns", "blend_ns", "bumps"),
        # the cycle's own
        *words("stands", "stood", "source", "blend_from_ns"),
    ]
)
"""`stands`: 1 where `raw` holds what stands in for the model, in this cycle; `stood`: in the one before. `hold_ns`: how long
outputs are held at most for it. `blend_from_ns`: the tick before the newest change of the source."""

LATE = np.dtype(words("reader", "reserve_ns", "is_late"))
"""The smaller model. `is_late`: 1 where it computes in this cycle."""
