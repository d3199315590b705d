"""Time as an interface: two native functions, `now(state)` and `sleep(state, until_ns)`, by their addresses."""

import ctypes
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from scheduler.native import NATIVE


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that native code can call. `state` is handed to both functions; `owner` keeps them alive."""

    now: int
    sleep: int
    state: int = 0
    owner: Any = field(default=None, repr=False, compare=False)

    def now_ns(self) -> int:
        """The time in nanoseconds."""
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(self.now)
        return int(function(self.state))


@cache
def system_clock() -> Clock:
    """CLOCK_MONOTONIC."""
    return Clock(NATIVE.address("clock_now"), NATIVE.address("clock_sleep"), owner=NATIVE)
