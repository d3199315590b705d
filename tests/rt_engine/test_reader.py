"""How readers of a change go over at one tick: chosen and made known in one native call."""

import ctypes

import pytest

import rt_engine
from rt_engine.reader import NextTick
from rt_engine.run.native import KERNELS
from tests.rt_engine.test_slot import scale

MS = 1_000_000
pick = KERNELS.function("slot_pick")


class Clock:
    """Tells one time after the other; `before` is called before each."""

    def __init__(self, *times_ns, before=lambda number: None):
        self.times, self.asked = list(times_ns), 0

        def now(state):
            before(self.asked)
            self.asked += 1
            return self.times[min(self.asked, len(self.times)) - 1]

        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(now)

    def tick(self, every_ns, margin_ns=5 * MS, epoch_ns=0):
        return NextTick(ctypes.cast(self._function, ctypes.c_void_p).value, 0, epoch_ns, every_ns, margin_ns)


@pytest.mark.parametrize(
    ("now", "every", "epoch", "tick"),
    [
        (11 * MS, 6 * MS, 0, 18),
        (13 * MS, 6 * MS, 0, 18),
        (14 * MS, 6 * MS, MS, 19),
        (2 * MS, 6 * MS, 50 * MS, 50),
        (11 * MS, 0, 0, 16),
    ],
)
def test_the_tick_is_the_first_of_the_grid_beyond_the_margin(now, every, epoch, tick):
    """None is before the epoch; without a grid it is the margin that counts."""
    slot = rt_engine.ModelSlot(scale(1))
    slot.reader()
    assert slot.update(scale(2), at=Clock(now).tick(every, epoch_ns=epoch)).activation_ns == tick * MS


def test_a_tick_that_passed_before_all_could_know_of_it_is_not_used():
    """The clock is past it when it was made known: nobody has taken it, so another is chosen, for all."""
    slot = rt_engine.ModelSlot(scale(1))
    readers = [slot.reader(), slot.reader()]
    clock = Clock(0, 6 * MS, 6 * MS, 12 * MS, 13 * MS, 14 * MS)
    result = slot.update(scale(2), at=clock.tick(6 * MS))
    assert (result.activation_ns, clock.asked) == (18 * MS, 6)
    assert [reader.switches for reader in readers] == [1, 1]
    assert [reader.context._fields["version"][0] for reader in readers] == [2, 2]


def test_where_one_task_took_it_the_others_take_it_at_once():
    """It cannot be taken back from who runs it: they differ by a tick, which is told."""
    slot = rt_engine.ModelSlot(scale(1))
    first, second = slot.reader(), slot.reader()
    first.running = True

    def before(number):
        if number == 1:
            pick(first.address, 6 * MS)

    result = slot.update(scale(2), at=Clock(0, 7 * MS, before=before).tick(6 * MS))
    assert (first.switches, second.switches) == (1, 1)
    assert result.taken_ns == (6 * MS,)
    assert slot.version == 2


def test_a_clock_that_is_always_late_ends_with_all_at_once():
    """Ten tries; then each takes it at its own next tick rather than never."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    late = Clock(*(number * 60 * MS for number in range(100)))
    slot.update(scale(2), at=late.tick(6 * MS), timeout_s=0.1)
    assert reader.switches == 1
