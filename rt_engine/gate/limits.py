"""What a worker takes upon itself before it reads anything: no time, no memory and no core that others need.

Times are of the processor, so a machine that is busy refuses nothing; its parent bounds the time on the wall.
"""

import os
import resource
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 4 << 30
MEMORY_PER_BYTE: Final = 32
"""What a worker may have: so much, and so much for each byte of the model's file."""
OWN_BYTES: Final = 1 << 30
OF_FREE: Final = 0.8
"""But never more than it takes itself (addresses, most of them never touched) and this part of what the machine has free."""
LOW_PRIORITY, FIRST_TO_END = 10, b"1000"
STAGE_S: Final = 100.0
"""What a stage may take of the processor."""
ENDED: Final = signal.SIGPROF
"""How a worker ends whose stage took too long."""


def stand_back(model_bytes: int, avoid: Collection[int] = ()) -> None:
    """Take no time and no memory that others need, no core in `avoid` where there is another."""
    os.nice(LOW_PRIORITY)
    if rest := os.sched_getaffinity(0) - set(avoid):
        os.sched_setaffinity(0, rest)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:
        file.write(FIRST_TO_END)
    most, limit = most_bytes(model_bytes), resource.getrlimit(resource.RLIMIT_AS)[0]
    most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def most_bytes(model_bytes: int) -> int:
    """The addresses that a worker may take."""
    return min(MEMORY_BYTES + MEMORY_PER_BYTE * model_bytes, OWN_BYTES + int(OF_FREE * free_bytes()))


def free_bytes() -> int:
    """Memory that this machine has free."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limit(seconds: float = STAGE_S) -> None:
    """From now on a stage: who has not begun another before its time of the processor is over, ends with `ENDED`."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
