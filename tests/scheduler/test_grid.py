import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rt_engine
from fieldbus.ethercat.clock.clock import wrapped
from fieldbus.ethercat.clock.clock_memory import NATIVE, BusClock
from fieldbus.exchange.block import EXCHANGE
from rt_engine import ModelSlot
from rt_native.memory import Block
from scheduler import Input, Output, Scheduler, Task
from scheduler.clock import system_clock
from scheduler.errors import TaskError
from scheduler.grid import Grid
from scheduler.replay import replay_task
from tests.scheduler.fakes import ANY_AGE, EPOCH, MS, PERIOD, Bench, FakeClock, bench, channel
from tests.scheduler.models import scale
from tests.scheduler.recorded import Live, Recorded, run
from tests.scheduler.shifted import Leader
from tests.scheduler.test_scheduler import task, wait_for


def wandering(seed: int, most: int = 2 * PERIOD // 1000) -> Callable[[int], int]:
    """Shifts by anything up to the bound, for ever in one direction."""
    draw = random.Random(seed)
    return lambda due_ns: draw.randint(0, most) if seed % 2 else -draw.randint(0, most)


def ticking(shift: Callable[[int], int] | None, *, latency: Callable[[int], int] = lambda k: 0, **more: Any) -> Bench:
    """A task of windows that has run 400 cycles: y = the sum of four samples, each third of a row."""

    def total(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["y"][0, 0] = i["x"].sum()

    one = bench(total, window=4, stride=3, **more)
    if shift is not None:
        one.leader = Leader(one.runner, shift)  # type: ignore[attr-defined]

    def before(k: int) -> None:
        one.put(float(k))
        one.clock.latency_ns = latency(k)

    one.run(400, before)
    return one


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("late", [0, 700_000])
def test_ticks_windows_and_values_do_not_know_that_the_grid_is_shifted(seed: int, late: int) -> None:
    """The same values at the same ticks as without a bus clock, none missed, none twice; on the clock they are elsewhere."""
    draw = random.Random(9)
    latencies = [draw.randint(0, late) for _ in range(400)]
    plain = ticking(None, latency=lambda k: latencies[k])
    led = ticking(wandering(seed), latency=lambda k: latencies[k])
    assert led.values() == plain.values()
    assert [tick.stats.due_ns for tick in led.ticks] == [EPOCH + (k + 1) * PERIOD for k in range(400)]
    assert led.ticks[-1].stats.missed == 0
    assert abs(led.clock.now_ns - plain.clock.now_ns) > 100_000


@pytest.mark.parametrize("shift_ns", [0, 5 * MS + 123, -7 * MS - 1])
@pytest.mark.parametrize(("work_ns", "missed"), [(PERIOD - 1, 0), (PERIOD, 0), (PERIOD + 1, 1)])
def test_a_deadline_is_the_next_tick_where_it_is_on_the_clock(shift_ns: int, work_ns: int, missed: int) -> None:
    """A cycle that ends a nanosecond after it has missed it, whatever the shift."""
    clock = FakeClock()
    work = [0]

    def busy(i: dict[str, Any], o: dict[str, Any]) -> None:
        clock.now_ns += work[0]
        work[0] = 0

    one = bench(busy, clock=clock)
    one.runner._grid._fields["shift_ns"] = shift_ns
    clock.now_ns += shift_ns

    def before(k: int) -> None:
        one.put(0.0)
        work[0] = work_ns if k == 12 else 0

    one.run(16, before)
    assert one.ticks[15].stats.missed - one.ticks[11].stats.missed == missed
    assert one.ticks[15].stats.overruns - one.ticks[11].stats.overruns == missed


def test_a_wake_up_is_late_from_where_its_tick_is_on_the_clock() -> None:
    """What is measured has nothing of the shift."""
    one = ticking(wandering(1), latency=lambda k: 40_000)
    wakeup = one.ticks[-1].stats.wakeup
    assert (wakeup.min_ns, wakeup.max_ns) == (40_000, 40_000)


def test_every_tick_is_served_or_missed_once_whatever_is_shifted() -> None:
    """With wake-ups that are late by up to three periods, and the largest slews."""
    draw = random.Random(4)
    one = ticking(
        lambda due: draw.choice([-2000, 2000]), latency=lambda k: draw.randint(0, 3 * PERIOD) if k % 7 == 0 else 0
    )
    last = one.ticks[-1].stats
    assert last.missed > 50
    assert last.cycles + last.missed == (last.due_ns - last.first_due_ns) // PERIOD


def test_a_task_that_leads_is_asked_once_a_cycle_about_its_next_wake_up() -> None:
    """On the machine's clock, with all shifts until then."""
    one = ticking(lambda due: 1000)
    asked = one.leader.asked  # type: ignore[attr-defined]
    assert asked[:3] == [EPOCH + PERIOD, EPOCH + 2 * PERIOD + 1000, EPOCH + 3 * PERIOD + 2000]
    assert len(asked) == 400


def test_what_native_code_calls_is_there_for_as_long_as_the_task_though_nobody_names_it() -> None:
    """A leader that is freed before would be called all the same: the process would be aborted, sometimes, in the task's thread."""
    one = bench()
    leader = weakref.ref(Leader(one.runner, lambda due: 0))
    gc.collect()
    assert leader() is not None
    del one
    gc.collect()
    assert leader() is None


def test_a_task_holds_its_phase_to_a_bus_clock_that_drifts() -> None:
    """Through cycle and controller: 1,500 ticks on the fake clock, 80 ppm; its wake-ups stay within 2 us on the bus clock."""
    clock, bus_clock = FakeClock(), BusClock(PERIOD)
    exchange, datagram = Block(EXCHANGE.itemsize), Block(64)
    exchange.view(EXCHANGE)["clock"] = bus_clock.address
    note, step = NATIVE.function("clock_note"), NATIVE.function("clock_shift")
    draw = random.Random(3)

    def bus(ns: int) -> int:
        return ns + 10**15 + 432_109 + (ns - EPOCH) * 80 // 1_000_000

    def shift(due_ns: int) -> int:
        sent = clock.now_ns
        datagram.view(np.int64, 10)[0] = bus(sent + 2000)
        note(exchange.address, datagram.address, sent, sent + 9000, 0)
        return int(step(exchange.address, due_ns))

    one = bench(clock=clock)
    one.leader = Leader(one.runner, shift)  # type: ignore[attr-defined]

    def before(k: int) -> None:
        one.put(0.0)
        clock.latency_ns = round(draw.expovariate(1 / 10_000))

    one.run(1500, before)
    assert bus_clock.status().is_locked
    found = np.array([wrapped(bus(due), PERIOD) for due in one.leader.asked[800:]])  # type: ignore[attr-defined]
    assert np.ptp(found) < 4_000
    assert one.ticks[-1].stats.missed == 0


# --- several tasks ------------------------------------------------------------------------------------------------------


def test_tasks_of_several_periods_stay_on_one_grid_and_change_at_one_tick() -> None:
    """One leads, by the largest slews; all serve ticks of the grid, and take an update at the tick that they have in common."""
    slot = ModelSlot(scale(1))
    built = [task(n, slot, p) for n, p in (("a", 0.002), ("b", 0.004), ("c", 0.006))]
    with Scheduler([t for t, _, _ in built]) as scheduler:
        leader = Leader(scheduler._runners["a"], lambda due: -4000)
        wait_for(lambda: min(s.cycles for s in scheduler.stats().values()) > 10)
        assert scheduler.shift_ns < 0
        result = scheduler.update(slot, scale(4))
        assert (result.activation_ns - scheduler.epoch_ns) % 12_000_000 == 0
        wait_for(lambda: all(y.read().values[0] == 4 for _, _, y in built))
        now_ns, stats = scheduler.now_ns(), scheduler.stats()
        behind_ns = now_ns - max(s.due_ns for s in stats.values())
    assert leader.asked
    for s in stats.values():
        assert (s.due_ns - scheduler.epoch_ns) % s.period_ns == 0
        assert s.cycles + s.missed == (s.due_ns - s.first_due_ns) // s.period_ns
        assert s.switched_ns == result.activation_ns or s.missed > 0
    assert behind_ns < 1_000_000_000


def test_ticks_go_on_growing_when_a_scheduler_that_was_shifted_starts_again() -> None:
    """The grid keeps its shift: recordings and updates see no time that was already."""
    built, _, _ = task("a", scale(1), 0.002)
    scheduler = Scheduler([built])
    with scheduler:
        Leader(scheduler._runners["a"], lambda due: 0)
        gc.collect()
        wait_for(lambda: scheduler.stats()["a"].cycles > 3)
    scheduler._time._fields["shift_ns"] = -10 * 1_000_000_000
    before = scheduler.stats()["a"].due_ns
    with scheduler:
        wait_for(lambda: scheduler.stats()["a"].cycles > 3)
        after = scheduler.stats()["a"].due_ns
    assert after > before + 9 * 1_000_000_000
    scheduler.close()


def test_the_time_as_ticks_have_it_is_the_clocks_less_the_shift() -> None:
    """In Python, and for native code."""
    clock = FakeClock()
    grid = Grid(clock.clock)
    assert grid.now_ns() == grid.clock.now_ns() == clock.now_ns
    grid._fields["shift_ns"] = 777
    assert grid.now_ns() == grid.clock.now_ns() == clock.now_ns - 777
    assert system_clock().now_ns() >= Grid(system_clock()).now_ns() - 1_000_000_000


class Clocked:
    """As much of a link as a check looks at."""

    def __init__(self, name: str, has_clock: bool) -> None:
        self.name, self.has_clock = name, has_clock


def test_two_bus_clocks_in_one_scheduler_are_refused() -> None:
    """Both links are named, and what would help."""
    from scheduler.checks import check_together

    def of(name: str, has_clock: bool) -> Task:
        return Task(name=name, period_s=0.001, exchanges=(Clocked(f"bus-{name}", has_clock),))  # type: ignore[arg-type]

    check_together([of("a", True), of("b", False)])
    with pytest.raises(TaskError, match=r"bus-a \(task 'a'\), bus-b \(task 'b'\).*thread of its own"):
        check_together([of("a", True), of("b", True)])


# --- recordings ---------------------------------------------------------------------------------------------------------


def recorded(shift: Callable[[int], int], make: Callable[[], Task]) -> Recorded:
    """A run with late wake-ups whose grid was shifted."""
    kept: list[Leader] = []

    def before(k: int, live: Live) -> None:
        if not kept:
            kept.append(Leader(live.runner, shift))
        live.clock.latency_ns = [0, 0, 300_000, 0, 2_400_000, 0, 1_000_000][k % 7] if k % 4 else 0
        live.put(*np.random.default_rng(k).normal(0.0, 1.0, 3))

    return run(make(), 150, before)


@pytest.mark.parametrize("each_ns", [0, 90_000, -90_000])
def test_a_recording_of_a_grid_that_was_shifted_is_repeated_to_the_bit(each_ns: int) -> None:
    """Windows, deadlines that were missed, outputs that were held: by the record alone, far from the epoch as near it."""
    model = scale(2.0, 3)

    def make() -> Task:
        given, sent = channel(["a", "b", "c"], "in"), channel(["p", "q", "r"], "out", safe=-1.0)
        inputs = (Input(tensor="x", channel=given, count=3),)
        outputs = (Output(tensor="y", channel=sent, count=3, max_rate=300.0),)
        return Task(
            name="t", model=rt_engine.ModelSlot(model), period_s=0.001, every=3, inputs=inputs, outputs=outputs,
            guard=ANY_AGE, overrun="hold",
        )  # fmt: skip

    draw = random.Random(1)
    found = recorded(lambda due: each_ns + draw.randint(-2000, 2000), make)
    heads = found.records
    assert (heads["missed"] > 0).any()
    shifts = heads["clock"][:, 0] - heads["wakeup_ns"] - heads["due_ns"]
    assert len(set(shifts.tolist())) > 100
    done = replay_task(make(), {1: model}, found.layout, [found.piece])
    assert done.first is None
    assert (done.recorded, done.cycles, done.equal) == (150, 150, 150)
