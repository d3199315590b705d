"""How far cores are from each other: nanoseconds of a cache line's way to another one and back, measured in a millisecond or two."""

import contextlib
import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from rt_native.library import Library
from rt_native.memory import Block

HELPING: Final = Library("helpers", modules=("rt_engine.run.helpers_native",))
"""Helpers outside of tasks, and this measurement."""
NEAR_NS: Final = 60.0
"""Of cores that share a cache."""
MOST_NS: Final = 1_000.0
"""What is longer was interrupted; sockets of one computer are nearer."""
_BATCHES, _TRIPS = 64, 32
_PATIENCE_NS: Final = 20_000_000
_MOST_S = 1.0
"""A thread that has not ended by then does not get its core: a real-time thread has all of it."""


def farthest_ns(one: int | None = None, others: Sequence[int] = ()) -> float:
    """From one core to the farthest of others; where none is named, between any two that this process is given at this moment."""
    return max(_distance_ns(one, other) for other in others or (None,))


@cache
def _distance_ns(one: int | None, other: int | None) -> float:
    """Of two cores, measured once in a process; `NEAR_NS` where they do not meet in 20 ms, or get no time.

    The shortest of 64 batches counts: one that nobody interrupts is enough.
    """
    line, found = Block(64), dict[str, int]()
    # Here, where a compiler, if there has to be one, has neither a helper's core nor its time.
    functions = [(name, HELPING.function(name), core) for name, core in (("answer", other), ("ask", one))]

    def run(name: str, function: Any, core: int | None) -> None:
        if core is not None:
            with contextlib.suppress(OSError):  # one that this process may not have
                os.sched_setaffinity(0, {core})
        found[name] = function(line.address, _BATCHES, _PATIENCE_NS)

    threads = [threading.Thread(target=run, args=args, name="rt-distance", daemon=True) for args in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_MOST_S)
    ns = found.get("ask", 0) / _TRIPS
    return ns if 0 < ns <= MOST_NS else NEAR_NS
