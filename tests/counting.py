"""What a piece of code costs in heap and page faults, whatever else the kernel does to this thread.

Compaction, huge pages, NUMA balancing and reclaim take a page away from a thread now and then, and a fault brings it back. It is not
the code's: the code's own come in every round.
"""

import ctypes
import resource
from collections.abc import Callable

ROUNDS = 5


class Mallinfo2(ctypes.Structure):
    """The C library's account of the heap."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


LIBC = ctypes.CDLL(None)
LIBC.mallinfo2.restype = Mallinfo2


def heap_bytes() -> int:
    """Bytes that malloc has given out in this process."""
    info = LIBC.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def page_faults() -> int:
    """Page faults of this thread, minor and major."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_minflt + usage.ru_majflt


def least(measure: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """The least of each count over several rounds; no more of them once one is free of all."""
    rounds: list[tuple[int, ...]] = []
    while len(rounds) < ROUNDS and not (rounds and not any(rounds[-1])):
        rounds.append(measure())
    return tuple(min(count, key=abs) for count in zip(*rounds, strict=True))


def grown(run: Callable[[], object]) -> tuple[int, ...]:
    """(heap bytes, page faults) that `run` costs, the least of several rounds."""

    def measure() -> tuple[int, ...]:
        faults, heap = page_faults(), heap_bytes()
        run()
        return heap_bytes() - heap, page_faults() - faults

    return least(measure)
