"""What a worker takes upon itself before it reads anything: no time and no memory that others need."""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 4 << 30
MEMORY_PER_BYTE: Final = 32
"""What a worker may have: so much, and so much for each byte of the model's file."""
LOW_PRIORITY, FIRST_TO_END = 10, b"1000"
PR_SET_PDEATHSIG: Final = 1


def stand_back(model_bytes: int) -> None:
    """Take no time and no memory that others need, and end when the parent does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(LOW_PRIORITY)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:
        file.write(FIRST_TO_END)
    most, limit = MEMORY_BYTES + MEMORY_PER_BYTE * model_bytes, resource.getrlimit(resource.RLIMIT_AS)[0]
    most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
