"""Python's collector of cycles rests while a model is compiled.

A model of many records is hundreds of thousands of objects, all of them in use: it would look through them again and again, and find
nothing.
"""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCKS = [threading.Lock()]
_RESTS = 0
"""With this threshold the collector never begins; what a program says with `gc.disable` meanwhile, for its own cycle, holds."""
_STATE = {"users": 0, "threshold": 0}


@contextmanager
def uncollected() -> Iterator[None]:
    """Any number of threads may be in it at once; behind the last of them it is as it was before the first."""
    with _LOCKS[0]:
        if _STATE["users"] == 0:
            _STATE["threshold"] = _first_threshold(_RESTS)
        _STATE["users"] += 1
    try:
        yield
    finally:
        with _LOCKS[0]:
            _STATE["users"] = max(_STATE["users"] - 1, 0)
            if _STATE["users"] == 0:
                _go_on()


def _go_on() -> None:
    if gc.get_threshold()[0] == _RESTS:
        _first_threshold(_STATE["threshold"])


def _forked() -> None:
    """The threads that load a model do not go on in a child."""
    _LOCKS[0] = threading.Lock()
    if _STATE["users"]:
        _STATE["users"] = 0
        _go_on()


os.register_at_fork(after_in_child=_forked)


def _first_threshold(wanted: int) -> int:
    """Set it; gives what it was."""
    first, *others = gc.get_threshold()
    gc.set_threshold(wanted, *others)
    return first
