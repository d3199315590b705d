"""Python's collector of cycles rests while a model is lowered.

A model of many records is hundreds of thousands of objects, all of them in use: it would look through them again and again, and find
nothing.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_STATE = {"users": 0, "was enabled": False}


@contextmanager
def uncollected() -> Iterator[None]:
    """Any number of threads may be in it at once; behind the last of them it is as it was before the first."""
    with _LOCK:
        if _STATE["users"] == 0:
            _STATE["was enabled"] = gc.isenabled()
            gc.disable()
        _STATE["users"] += 1
    try:
        yield
    finally:
        with _LOCK:
            _STATE["users"] -= 1
            if _STATE["users"] == 0 and _STATE["was enabled"]:
                gc.enable()
