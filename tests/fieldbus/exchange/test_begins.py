"""When a link's own thread begins its next cycle, with and without a clock that shifts it."""

import ctypes

import numpy as np
import pytest

from fieldbus.exchange.block import EXCHANGE
from rt_native.memory import Block
from tests.fieldbus.exchange.bench import PIECES

CYCLE = 1000
SHIFT = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def begins(due: int, now: int, shift: object = None) -> int:
    """Of a cycle that is due at `due` and looked at when it is `now`."""
    block = Block(EXCHANGE.itemsize)
    exchange = block.view(EXCHANGE)
    exchange["cycle_ns"] = CYCLE
    exchange["clock_shift"] = np.int64(ctypes.cast(shift, ctypes.c_void_p).value or 0) if shift else 0  # type: ignore[arg-type]
    return int(PIECES.function("piece_next_begin")(block.address, due, now))


@pytest.mark.parametrize(("now", "begin"), [(10, 5000), (5000, 5000), (5001, 5001), (9999, 9999)])
def test_without_a_clock_a_late_cycle_moves_all_that_follow(now: int, begin: int) -> None:
    """No burst, and no grid."""
    assert begins(5000, now) == begin


@pytest.mark.parametrize(
    ("now", "begin"), [(10, 4993), (4993, 4993), (5992, 4993), (5993, 5993), (6500, 5993), (9999, 9993)]
)
def test_with_a_clock_a_late_cycle_is_one_that_the_clock_wants(now: int, begin: int) -> None:
    """The newest that has come; those that were missed are left."""
    asked: list[int] = []

    @SHIFT
    def shift(exchange: int, due: int) -> int:
        asked.append(due)
        return -7

    assert begins(5000, now, shift) == begin
    assert asked == [5000]
