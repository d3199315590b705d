"""How long one Python thread may keep the others waiting: one number of the whole process, so one place that changes it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SHORT_S: Final = 0.0005
"""How long one Python thread may keep another from running while turns are short (5 ms is Python's own choice)."""


class Turns:
    """The interval of a process, short while anyone holds it so. Any thread.

    Holders may overlap and let go in any order: the first makes the interval short, the last puts back what it was before
    the first. An interval that somebody else set meanwhile is theirs and stays.

    Args:
        read: says the interval, in seconds.
        write: sets it.
    """

    def __init__(
        self,
        read: Callable[[], float] = sys.getswitchinterval,
        write: Callable[[float], None] = sys.setswitchinterval,
    ) -> None:
        self._read, self._write = read, write
        self._lock = threading.Lock()
        self._holders = 0
        self._before_s = self._ours_s = 0.0

    @contextmanager
    def short(self) -> Iterator[None]:
        """Python threads take turns every `SHORT_S`, or oftener where that was so before, until the block ends."""
        self._take()
        try:
            yield
        finally:
            self._let_go()

    def _take(self) -> None:
        with self._lock:
            if self._holders == 0:
                self._before_s = self._read()
                self._write(min(SHORT_S, self._before_s))
                self._ours_s = self._read()  # as it came to be: Python keeps whole microseconds
            self._holders += 1

    def _let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and self._read() == self._ours_s:
                self._write(self._before_s)


TURNS: Final = Turns()
"""Those of this process."""
