"""A model that runs every N cycles of its task, with time in the test's hands."""

import math
from typing import Any

import numpy as np
import pytest

from fieldbus.tags import Quality
from scheduler import Action, Guard, Input, Output, Task, TaskStatus
from scheduler.deadlines import next_in_row
from scheduler.errors import TaskError
from tests.scheduler.fakes import (
    ANY_AGE,
    MS,
    PERIOD,
    Bench,
    FakeClock,
    FakeModel,
    FakeSlot,
    bench,
    channel,
    spec,
    step_of,
)

LINEAR = {"between": "linear"}


def doubles(seen: list[float], wrong: dict[int, float | None] | None = None):  # type: ignore[no-untyped-def]
    """y = 2 x; keeps every x; in run n gives wrong[n] instead, or the status 7 where that is None."""

    def compute(i, o):  # type: ignore[no-untyped-def]
        seen.append(float(i["x"][0, -1]))
        o["y"][0, 0] = 2 * i["x"][0, -1]
        instead = (wrong or {}).get(len(seen) - 1, 0.0)
        if instead is None:
            return 7
        if instead != 0.0:
            o["y"][0, 0] = instead
        return 0

    return compute


def test_the_model_has_every_nth_cycle() -> None:
    """It runs in the first cycle and each fourth after it, on that cycle's input; its output is held between; all cycles are live."""
    seen: list[float] = []
    b = bench(doubles(seen), every=4)
    ticks = b.run(10, before=lambda k: b.put(k))
    assert seen == [0, 4, 8]
    assert b.values() == [0, 0, 0, 0, 8, 8, 8, 8, 16, 16]
    assert all((t.stats.action, t.sample.quality) == (Action.LIVE, Quality.GOOD) for t in ticks)
    assert ticks[-1].stats.cycles == 10


def test_in_a_line_the_output_is_there_when_the_next_comes() -> None:
    """From the value of one turn to that of the next, a quarter in each of four cycles; the first is there at once."""
    b = bench(doubles([]), every=4, output=LINEAR)
    b.run(13, before=lambda k: b.put(k))
    assert b.values() == [0, 0, 0, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 29])
def test_values_are_those_of_a_twin(count: int) -> None:
    """Bit for bit those of `from + (to - from) * j / N`, exactly the model's at the end; each output in its own way."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((4, count))
    x, y = channel(["x"], "in"), channel([f"y{k}" for k in range(count)], "out")
    runs = iter(rows)

    def compute(i: Any, o: Any) -> None:
        o["y"][0] = next(runs)

    model = FakeModel([spec("x", 1, 1)], [spec("y", 1, count, dtype="float64")], compute)
    outs = tuple(
        Output(tensor="y", index=k, channel=y, cell=k, between="hold" if k % 3 == 1 else "linear") for k in range(count)
    )
    task = Task(name="t", period_s=0.001, every=5, inputs=(Input(tensor="x", channel=x),), outputs=outs, guard=ANY_AGE)
    b = Bench(task, FakeSlot(model), FakeClock(), x, y)
    ticks = b.run(20, before=lambda k: b.put(k))
    lines = np.arange(count) % 3 != 1
    for k, tick in enumerate(ticks):
        turn, step = divmod(k, 5)
        old, new = rows[max(turn - 1, 0)], rows[turn]
        way = new if step == 4 else old + (new - old) * ((step + 1) / 5)
        assert tick.sample.values.tolist() == np.where(lines & (turn > 0), way, new).tolist(), k


def test_a_missed_tick_does_not_move_the_row() -> None:
    """The turn that should have been in a missed tick is taken late; the next is where it would have been, and goes on from there."""
    seen: list[float] = []
    clock = FakeClock()
    b = bench(doubles(seen), every=4, output=LINEAR, clock=clock)

    def before(k: int) -> None:
        b.put(k)
        clock.latency_ns = 3 * PERIOD // 2 if k == 4 else 0  # tick 4 is missed, tick 5 is served instead

    ticks = b.run(12, before=before)
    served = [(t.sample.timestamp_ns - ticks[0].sample.timestamp_ns) // PERIOD for t in ticks]
    assert served[3:7] == [3, 5, 6, 7]
    assert seen == [0, 4, 7, 11]  # cycle 7 serves tick 8
    assert b.values()[4:8] == [2, 4, 6, 6 + (14 - 6) / 4]


def test_the_step_runs_in_every_cycle() -> None:
    """It sees what the model's outputs are now, and this cycle's inputs."""
    given: list[tuple[float, float]] = []

    def follow(x: Any, y: Any, state: int) -> int:
        given.append((float(x[0]), float(y[0])))
        y[0] += 100
        return 0

    b = bench(doubles([]), every=2, output=LINEAR, step=step_of(follow))
    b.run(6, before=lambda k: b.put(k))
    assert given == [(0, 0), (1, 0), (2, 2), (3, 4), (4, 6), (5, 8)]
    assert b.values() == [100, 100, 102, 104, 106, 108]


def test_samples_enter_at_turns() -> None:
    """A window whose stride is the model's holds the inputs of the turns, the newest that of this one; none before it is full."""
    seen: list[list[float]] = []

    def compute(i: Any, o: Any) -> None:
        seen.append(i["x"].ravel().tolist())

    b = bench(compute, every=3, window=2, stride=3)
    ticks = b.run(11, before=lambda k: b.put(k))
    assert seen == [[0, 3], [3, 6], [6, 9]]
    assert [t.stats.action for t in ticks[:4]] == [Action.SAFE] * 3 + [Action.LIVE]


def test_after_bad_inputs_the_row_begins_anew_at_once() -> None:
    """With the newest input, and its window filled anew; a line begins there."""
    seen: list[float] = []
    b = bench(doubles(seen), every=4, output=LINEAR)
    b.run(9, before=lambda k: b.put(k, quality=Quality.BAD if k in (5, 6) else Quality.GOOD))
    assert seen == [0, 4, 7]
    assert b.values() == [0, 0, 0, 0, 2, -1, -1, 14, 14]


@pytest.mark.parametrize(
    ("wrong", "status", "published"),
    [(math.nan, TaskStatus.NAN_OUTPUT, [0, 0, 0, 0, 0, 0, 12, 12]), (None, 7, [0, 0, 0, -1, -1, -1, 12, 12])],
)
def test_a_fault_of_the_model_counts_until_its_next_turn(
    wrong: float | None, status: int, published: list[float]
) -> None:
    """NaN is held, a status is safe, for three cycles; counted once."""
    b = bench(doubles([], {1: wrong}), every=3)
    ticks = b.run(8, before=lambda k: b.put(k))
    assert b.values() == published
    assert [t.stats.status for t in ticks[3:7]] == [status] * 3 + [0]
    stats = ticks[-1].stats
    assert (stats.nan_outputs, stats.failed) == ((1, 0) if wrong is not None else (0, 1))


def test_a_fault_of_the_step_counts_for_its_cycle() -> None:
    """The model's outputs are still good in the next."""
    calls: list[int] = []

    def fails(x: Any, y: Any, state: int) -> int:
        calls.append(1)
        if len(calls) == 2:
            y[0] = math.nan
        return 1 if len(calls) in (1, 5) else 0

    b = bench(doubles([]), every=4, step=step_of(fails))
    ticks = b.run(7, before=lambda k: b.put(k + 1))
    names = [t.stats.status for t in ticks]
    assert names == [TaskStatus.STEP_FAILED, TaskStatus.NAN_OUTPUT, 0, 0, TaskStatus.STEP_FAILED, 0, 0]
    assert b.values()[2:4] == [2, 2] and b.values()[5:] == [10, 10]


def test_while_paused_no_turn_is_taken() -> None:
    """It is taken at once afterwards."""
    from scheduler.task_block import Control

    seen: list[float] = []
    b = bench(doubles(seen), every=4)

    def before(k: int) -> None:
        b.put(k)
        if k == 3:
            b.runner.tell(Control.PAUSE)
        if k == 6:
            b.runner.tell(Control.RUN)

    b.run(10, before=before)
    assert seen == [0, 6, 8]


def test_a_new_version_has_a_turn_at_once() -> None:
    """Nothing of the old one is published from that tick on; the row of turns goes on as it was."""
    b = bench(doubles([]), every=4)
    later: list[float] = []
    new = FakeModel([spec("x", 1, 1)], [spec("y", 1, 1)], doubles(later))
    assert b.slot is not None
    from tests.scheduler.fakes import EPOCH

    b.slot.offer(new, EPOCH + 2 * PERIOD)
    b.run(6, before=lambda k: b.put(k + 1))
    assert later == [3, 5] and b.values() == [2, 2, 6, 6, 10, 10]


def test_a_second_start_begins_anew() -> None:
    """Turns and lines of the first are forgotten."""
    b = bench(doubles([]), every=4, output=LINEAR)
    b.run(6, before=lambda k: b.put(50))
    b.run(3, before=lambda k: b.put(1))
    assert b.values() == [2, 2, 2]


@pytest.mark.parametrize("more", [{"every": 0}, {"every": 1 << 21}, {"output": {"between": "cubic"}}])
def test_what_makes_no_turn_is_refused(more: dict[str, Any]) -> None:
    """With what it can be."""
    with pytest.raises(TaskError, match=r"every|between"):
        bench(guard=Guard(), **more)


def test_a_row_keeps_its_places() -> None:
    """What is served late does not move what follows; a row begins where it is first served."""
    assert next_in_row(0, 7 * MS, 4 * MS) == 11 * MS
    assert next_in_row(11 * MS, 11 * MS, 4 * MS) == 15 * MS
    assert next_in_row(11 * MS, 14 * MS, 4 * MS) == 15 * MS
    assert next_in_row(11 * MS, 15 * MS, 4 * MS) == 19 * MS
