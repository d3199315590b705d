"""A bus clock that leads the grid of tasks, without a bus: an exchange whose clock is a function of the test."""

import ctypes
from collections.abc import Callable

import numpy as np

from fieldbus.exchange.block import EXCHANGE
from rt_native.memory import Block
from scheduler.runner import TaskRunner

_SHIFT = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Leader:
    """Makes a task lead: `shift(due_ns)` says by how much what is due then on the machine's clock comes later.

    The runner keeps it: native code calls it for as long as the task runs, whoever holds the leader.
    """

    def __init__(self, runner: TaskRunner, shift: Callable[[int], int]) -> None:
        self.asked: list[int] = []

        @_SHIFT
        def asked(exchange: int, due_ns: int) -> int:
            self.asked.append(due_ns)
            return shift(due_ns)

        self._function, self._block = asked, Block(EXCHANGE.itemsize)
        self._block.view(EXCHANGE)["clock_shift"] = np.int64(ctypes.cast(asked, ctypes.c_void_p).value or 0)
        runner.memory.task["leads"] = self._block.address
        runner.led_by = self  # type: ignore[attr-defined]
