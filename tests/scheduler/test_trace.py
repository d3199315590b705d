"""What a cycle leaves behind: changes of action with their cause, missed ticks, the latest cycles, ranges of values."""

import ctypes
import math

import numpy as np
import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.tags import Quality
from rt_engine.run.blocks import BLOCK
from rt_native.memory import offsets
from scheduler import Guard
from scheduler.status import Action, TaskStatus
from scheduler.task_block import NOTES, WORST
from scheduler.trace import Range, blamed, tag_at
from tests.scheduler.fakes import ANY_AGE, EPOCH, MS, PERIOD, FakeClock, bench, tags


def noted(b, since=0):
    """(Tick number, action, status, what it is about) of each cycle that was noted."""
    _, cycles = b.runner.notes(since)
    return [
        ((c.tick_ns - EPOCH) // PERIOD, c.action.name, TaskStatus(c.status).name, blamed(b.task, c)) for c in cycles
    ]


def test_a_change_of_action_has_its_tick_and_its_tag() -> None:
    """Two cycles of NaN are one change there and one back; cycles that are as before are not noted."""
    b = bench()
    b.run(6, before=lambda k: b.put(math.nan if k in (2, 3) else 1))
    begin = (b.runner.notes(0)[1][0].tick_ns - EPOCH) // PERIOD
    assert noted(b) == [
        (begin, "LIVE", "OK", ""),
        (begin + 2, "HOLD", "NAN_INPUT", "x"),
        (begin + 4, "LIVE", "OK", ""),
    ]


@pytest.mark.parametrize("way", ["bad", "old"])
def test_a_bad_input_names_its_device_and_its_age(way: str) -> None:
    """A channel that is bad has age 0, one that is too old how old it was."""
    b = bench(guard=Guard(max_age_s=0.01))
    quality = Quality.BAD if way == "bad" else Quality.GOOD
    b.run(2, before=lambda k: b.put(1, quality=quality, age_ns=11 * MS))
    _, (cycle,) = b.runner.notes(0)
    assert (cycle.action, cycle.status, blamed(b.task, cycle)) == (Action.SAFE, TaskStatus.BAD_INPUT, b.x.writer)
    assert cycle.age_ns == 0 if way == "bad" else cycle.age_ns >= 11 * MS


def test_a_nan_output_names_its_tag() -> None:
    b = bench(lambda i, o: o["y"].fill(math.nan) if i["x"][0, 0] > 1 else o["y"].fill(0))
    b.run(2, before=lambda k: b.put(1 + k))
    assert noted(b)[-1][1:] == ("HOLD", "NAN_OUTPUT", "y")


def test_a_missed_tick_is_noted_with_what_the_cycle_did() -> None:
    """A cycle of 2.5 periods that woke 0.1 ms late costs two ticks."""
    clock = FakeClock()
    clock.latency_ns = MS // 10

    def compute(i, o):  # type: ignore[no-untyped-def]
        clock.now_ns += 5 * PERIOD // 2 if i["x"][0, 0] > 1 else 0

    b = bench(compute, clock=clock, guard=ANY_AGE)
    b.run(3, before=lambda k: b.put(2 if k == 1 else 1))
    (cycle,) = [cycle for cycle in b.runner.notes(0)[1] if cycle.missed]
    assert (cycle.wakeup_ns, cycle.execution_ns, cycle.missed) == (MS // 10, 5 * PERIOD // 2, 2)
    assert b.runner.worst()[0] == cycle


def test_the_ring_holds_the_newest_notes_and_counts_all() -> None:
    """More changes than the ring has room for: who asks gets the newest, and knows how many there were."""
    b = bench()
    count = 3 * NOTES
    b.run(count, before=lambda k: b.put(math.nan if k % 2 else 1))
    total, cycles = b.runner.notes(0)
    assert total == count
    assert len(cycles) == NOTES - 1
    assert [c.tick_ns for c in cycles] == sorted(c.tick_ns for c in cycles)
    assert b.runner.notes(total - 2)[1] == cycles[-2:]
    assert b.runner.notes(total) == (total, [])


def test_the_worst_cycles_are_those_that_were_complete_latest() -> None:
    """Of many cycles the eight slowest stay, the slowest first, whenever they came."""
    clock, works = FakeClock(), [37 * k % 100 for k in range(100)]

    def compute(i, o):  # type: ignore[no-untyped-def]
        clock.now_ns += works[int(i["x"][0, 0])] * 1000

    b = bench(compute, clock=clock)
    b.run(100, before=lambda k: b.put(k))
    assert [c.execution_ns // 1000 for c in b.runner.worst()] == sorted(works)[-WORST:][::-1]


def test_a_switch_of_the_model_is_seen_in_the_cycle_that_made_it() -> None:
    clock = FakeClock()
    clock.latency_ns = MS // 10
    b = bench(clock=clock)
    newer = bench().slot.model  # type: ignore[union-attr]
    number = np.ctypeslib.as_array((ctypes.c_int64 * 1).from_address(newer.block_address + offsets(BLOCK).version))
    number[0] = 2
    b.slot.offer(newer, EPOCH + 2 * PERIOD - 5)  # type: ignore[union-attr]
    b.run(4, before=lambda k: b.put(1))
    assert [c.switched for c in sorted(b.runner.worst(), key=lambda c: c.tick_ns)] == [False, False, True, False]


def test_ranges_are_of_what_was_good_and_finite() -> None:
    """Bad and NaN samples do not count; an output's range has its safe values, for they were published."""
    b = bench(guard=Guard(on_nan="safe"))

    def before(k: int) -> None:
        b.put([3, 1, 100, math.nan, 5][k], quality=Quality.BAD if k == 2 else Quality.GOOD)

    b.run(5, before)
    assert b.runner.ranges() == {"x": Range(3, 1, 3, 5), "y": Range(5, -1, (6 + 2 - 1 - 1 + 10) / 5, 10)}


def test_a_reset_starts_worst_cycles_and_ranges_anew() -> None:
    clock = FakeClock()
    clock.latency_ns = MS // 10
    b = bench(clock=clock)

    def before(k: int) -> None:
        b.put(9 - k)
        b.runner.memory.task["reset"] = int(k == 1)  # at the end of cycle 1

    b.run(4, before)
    assert b.runner.ranges()["x"] == Range(2, 6, 6.5, 7)
    assert len(b.runner.worst()) == 2
    b.runner.reset_stats()
    assert b.runner.ranges() == {}
    assert b.runner.worst() == []


def test_of_an_array_the_element_is_named() -> None:
    both = [*tags(["a"], "in"), *tags(["curve"], "in", count=3)]
    several = ProcessImage().channel("c", both, writer="w", reader="r")
    assert [tag_at(several, cell) for cell in range(4)] == ["a", "curve[0]", "curve[1]", "curve[2]"]
