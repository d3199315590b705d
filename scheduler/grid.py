r"""When the ticks of a scheduler are due on the machine's clock: `tick + shift`, one shift for all of its tasks.

    ticks       k     k+1     k+2     k+3         numbers on a grid: windows, turns, updates and recordings go by them
                 \      \       \       \
    the clock     |------|-------|-------|---     a bus clock, kept by the exchange of one task, moves each a little

Without a bus clock it is 0 for ever. See docs/adr/0037.
"""

from rt_native.memory import Block
from scheduler.clock import Clock
from scheduler.grid_block import GRID
from scheduler.native import NATIVE


class Grid:
    """The shift of a scheduler's ticks."""

    def __init__(self, clock: Clock) -> None:
        self._machine, self._block = clock, Block(GRID.itemsize)
        self._fields = self._block.view(GRID)
        self._fields["clock_now"], self._fields["clock"] = clock.now, clock.state
        self.clock = Clock(NATIVE.address("grid_now"), 0, self._block.address, owner=clock)
        """The time as ticks have it, for who only asks: nothing sleeps by it."""

    @property
    def address(self) -> int:
        """Of its GRID."""
        return self._block.address

    @property
    def shift_ns(self) -> int:
        """How much later than its number a tick is due, now."""
        return int(self._fields["shift_ns"][0])

    def now_ns(self) -> int:
        """The time as ticks have it."""
        return self._machine.now_ns() - self.shift_ns
