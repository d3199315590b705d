"""A model whose run is spread over several cycles, with time in the test's hands: each record costs a made-up time."""

import math
from typing import Any

import numpy as np
import pytest

from fieldbus.tags import Quality
from rt_engine.run.blocks import PIECE, SLICES
from scheduler import Action, Fallback, TaskStatus
from scheduler.errors import TaskError
from scheduler.task_block import Control
from tests.scheduler.fakes import ANY_AGE, EPOCH, MS, PERIOD, FakeClock, bench, step_of
from tests.scheduler.sliced import US, SlicedModel, sliced

TEN = [100 * US] * 10
"""A run of 1 ms: three records in a slice of 300 us, so four cycles."""


def test_outputs_come_all_at_once_when_the_run_is_done() -> None:
    """Four cycles a run; safe values before the first result, then held; each result is of the input that its run began with."""
    b, model = sliced(TEN)
    ticks = b.run(13, before=lambda k: b.put(k))
    assert model.seen == [0, 4, 8, 12]
    assert b.values() == [-1, -1, -1, 0, 0, 0, 0, 8, 8, 8, 8, 16, 16]
    assert [t.stats.status for t in ticks[:4]] == [TaskStatus.NO_RESULT] * 3 + [0]
    assert [t.stats.action for t in ticks[:4]] == [Action.SAFE] * 3 + [Action.LIVE]
    slices = ticks[-1].stats.slices
    assert slices is not None and (slices.cycles, slices.most_cycles) == (4, 4)
    assert (slices.run_ns, slices.most_run_ns, slices.longest_ns) == (1000 * US, 1000 * US, 300 * US)
    stats = ticks[-1].stats
    assert (stats.runs, stats.late_runs, stats.given_up_runs, stats.slice_overruns) == (3, 0, 0, 0)


def test_a_network_of_ninety_milliseconds_costs_the_fast_task_no_tick() -> None:
    """ResNet-50 in slices of 300 us: 300 cycles a run, no cycle longer than its slice, no tick missed."""
    random = np.random.default_rng(5)
    costs = random.integers(20 * US, 250 * US, 700).tolist()
    b, model = sliced(costs)
    ticks = b.run(700, before=lambda k: b.put(k))
    stats = ticks[-1].stats
    assert (stats.overruns, stats.missed, stats.slice_overruns) == (0, 0, 0)
    assert stats.slices is not None and stats.slices.longest_ns <= 300 * US and stats.runs == len(model.seen) - 1 >= 1
    assert stats.execution.max_ns <= 300 * US
    assert model.ran >= len(costs)


def test_a_piece_begins_only_if_it_fits() -> None:
    """200 us do not fit behind 200 us, so that each cycle has one of them; what is small fills up."""
    b, model = sliced([200 * US, 200 * US, 50 * US, 50 * US])
    b.run(4, before=lambda k: b.put(1))
    assert model.ran == 8


def test_the_rest_of_the_cycle_is_respected() -> None:
    """A cycle that woke 800 us late has 150 us for the model; one that woke 940 us late has none. No tick is missed."""
    clock = FakeClock()
    b, model = sliced(TEN, clock=clock)
    done: list[int] = []

    def before(k: int) -> None:
        b.put(k)
        done.append(model.ran)
        clock.latency_ns = {1: 800 * US, 2: 940 * US}.get(k, 0)

    ticks = b.run(6, before=before)
    assert np.diff(done).tolist() == [3, 1, 0, 3, 3]
    assert ticks[-1].stats.missed == 0


def test_a_piece_longer_than_the_slice_runs_alone_and_is_counted() -> None:
    """First in its slice; what comes behind it waits for the next."""
    b, model = sliced([100 * US, 500 * US, 100 * US])
    ticks = b.run(6, before=lambda k: b.put(k))
    stats = ticks[-1].stats
    assert model.seen == [0, 3] and stats.slice_overruns == 2 and stats.missed == 0
    assert stats.slices is not None and (stats.slices.cycles, stats.slices.longest_ns) == (3, 500 * US)


def test_what_a_piece_took_is_known_the_next_time() -> None:
    """It was thought to take 10 us: one slice is too long, and none after it."""
    b, _ = sliced([200 * US] * 4, known=[200 * US, 10 * US, 200 * US, 200 * US])
    ticks = b.run(12, before=lambda k: b.put(k))
    assert ticks[-1].stats.slice_overruns == 1


@pytest.mark.parametrize("comes", [False, True])
def test_helpers_that_do_not_come_cost_cycles_and_no_tick(comes: bool) -> None:
    """A piece of half a slice takes a whole one without them: it begins only where that would fit into the cycle too."""
    known, alone = [100 * US, 440 * US, 440 * US, 440 * US], [200 * US, 880 * US, 880 * US, 880 * US]
    b, _ = sliced(known if comes else alone, 880 * US, known=known, alone=alone)
    stats = b.run(20, before=lambda k: b.put(k))[-1].stats
    assert (stats.missed, stats.overruns, stats.slice_overruns) == (0, 0, 0) and stats.runs >= 4
    b, _ = sliced([200 * US] * 4, 400 * US, known=[200 * US] * 4, alone=[400 * US] * 4)
    assert (
        b.run(4, before=lambda k: b.put(k))[-1].stats.runs == 2
    )  # where the cycle has room, a slice is filled as they share it


def test_a_processor_that_was_away_once_is_forgotten() -> None:
    """A piece that took 3 ms once waits for a slice of its own, and fits in behind others again after some runs."""
    b, model = sliced([100 * US, 100 * US])
    assert b.slot is not None
    pieces = np.frombuffer(_memory(int(model.fields["slices"][0]) + SLICES.itemsize, 2 * PIECE.itemsize), PIECE)

    def before(k: int) -> None:
        b.put(k)
        model.costs[1] = 3 * MS if k == 3 else 100 * US

    ticks = b.run(400, before=before)
    assert int(pieces["most_ns"][1]) < 200 * US  # it was 3 ms
    assert ticks[4].stats.slices is not None and ticks[-1].stats.slices is not None
    assert ticks[5].stats.slices.most_cycles == 1 or ticks[8].stats.slices.most_cycles == 2  # type: ignore[union-attr]
    assert ticks[-1].stats.slices.cycles == 1


def _memory(address: int, nbytes: int) -> Any:
    import ctypes

    return (ctypes.c_char * nbytes).from_address(address)


def test_a_piece_that_never_fits_runs_at_last() -> None:
    """Every cycle wakes so late that no whole slice is left: the run goes on all the same, slowly."""
    clock = FakeClock()
    b, model = sliced([250 * US] * 2, clock=clock)
    clock.latency_ns = 750 * US
    ticks = b.run(20, before=lambda k: b.put(k))
    stats = ticks[-1].stats
    assert stats.slices is not None and (stats.runs, stats.slices.cycles, model.ran) == (2, 10, 4)


def test_every_says_when_a_run_begins_and_a_late_one_goes_on() -> None:
    """A run of four cycles, a turn every six: none is late. A turn every three: every run is late once; it begins at the next turn."""
    b, model = sliced(TEN, every=6)
    ticks = b.run(13, before=lambda k: b.put(k))
    assert model.seen == [0, 6, 12] and ticks[-1].stats.late_runs == 0
    b, model = sliced(TEN, every=3)
    ticks = b.run(13, before=lambda k: b.put(k))
    assert model.seen == [0, 6, 12] and ticks[-1].stats.late_runs == 2


def test_between_two_results_outputs_go_in_a_line() -> None:
    """Over the cycles that a run takes, so that they are there when the next comes."""
    b, _ = sliced(TEN, output={"between": "linear"})
    b.run(12, before=lambda k: b.put(k))
    assert b.values() == [-1, -1, -1, 0, 0, 0, 0, 2, 4, 6, 8, 10]


def test_the_step_sees_the_newest_inputs_in_every_cycle() -> None:
    """And the outputs as they are held."""
    given: list[tuple[float, float]] = []

    def follow(x: Any, y: Any, state: int) -> int:
        given.append((float(x[0]), float(y[0])))
        y[0] += x[0]
        return 0

    b, _ = sliced([100 * US] * 6, step=step_of(follow))
    b.run(6, before=lambda k: b.put(k))
    assert given == [(1, 0), (2, 0), (3, 4), (4, 4), (5, 8)]
    assert b.values() == [-1, 1, 2, 7, 8, 13]


def test_bad_inputs_give_the_run_up() -> None:
    """Another begins with the first good ones; until it is done nothing is published that is older."""
    b, model = sliced(TEN)
    ticks = b.run(12, before=lambda k: b.put(k + 1, quality=Quality.BAD if k == 5 else Quality.GOOD))
    assert model.seen == [1, 5, 7, 11]
    assert b.values() == [-1, -1, -1, 2, 2, -1, -1, -1, -1, 14, 14, 14]
    assert [t.stats.status for t in ticks[4:10]] == [0, TaskStatus.BAD_INPUT, *[TaskStatus.NO_RESULT] * 3, 0]
    assert ticks[-1].stats.given_up_runs == 1


def test_a_pause_gives_the_run_up() -> None:
    """Its inputs would be old."""
    b, model = sliced(TEN)

    def before(k: int) -> None:
        b.put(k)
        if k in (5, 7):
            b.runner.tell(Control.PAUSE if k == 5 else Control.RUN)

    ticks = b.run(12, before=before)
    assert model.seen == [0, 4, 7, 11] and b.values()[7:] == [-1, -1, -1, 14, 14]
    assert ticks[-1].stats.given_up_runs == 1


def test_a_reset_of_states_begins_the_run_anew() -> None:
    """With the newest inputs; what was published stays."""
    b, model = sliced(TEN)

    def before(k: int) -> None:
        b.put(k)
        if k == 6:
            b.runner.memory.task["reset_state"] = 1

    ticks = b.run(11, before=before)
    assert model.seen == [0, 4, 6, 10] and b.values()[3:] == [0] * 6 + [12, 12]
    assert ticks[-1].stats.given_up_runs == 1


def test_a_new_version_begins_with_a_run() -> None:
    """Offered in the middle of one, it is taken when that is done; what that gave is published."""
    clock = FakeClock()
    b, model = sliced(TEN, clock=clock)
    new = SlicedModel(clock, [100 * US] * 6, factor=-1.0)
    assert b.slot is not None
    b.slot.offer(new, EPOCH + 2 * PERIOD)
    b.run(9, before=lambda k: b.put(k + 1))
    assert (model.seen, new.seen) == ([1], [5, 7, 9])
    assert b.values() == [-1, -1, -1, 2, 2, -5, -5, -7, -7]


def test_a_fallback_computes_in_every_cycle_without_a_result() -> None:
    """With the newest inputs, until the first run is done, and again after bad ones."""

    def add(x: Any, y: Any, state: int) -> int:
        y[0] += x[0]
        return 0

    b, _ = sliced(TEN, step=step_of(add), fallback=Fallback(use="step"))
    ticks = b.run(11, before=lambda k: b.put(k + 1, quality=Quality.BAD if k == 5 else Quality.GOOD))
    assert b.values() == [1, 2, 3, 2 + 4, 2 + 5, -1, 7, 8, 9, 2 * 7 + 10, 2 * 7 + 11]
    actions = [t.stats.action for t in ticks]
    assert actions[:5] == [Action.FALLBACK] * 3 + [Action.LIVE] * 2 and actions[6:9] == [Action.FALLBACK] * 3
    assert ticks[0].stats.status == TaskStatus.NO_RESULT


@pytest.mark.parametrize("wrong", ["status", "nan"])
def test_a_fault_in_the_middle_counts_until_the_next_result(wrong: str) -> None:
    """A status ends the run where it is, and outputs are safe; NaN comes with the result, and outputs are held."""
    b, model = sliced(TEN)
    if wrong == "status":
        model.statuses[15] = 7  # the fifth record of the second run
    else:
        model.values[2] = math.nan
    ticks = b.run(14, before=lambda k: b.put(k + 1))
    if wrong == "status":
        assert model.seen == [1, 5, 7, 11]
        assert b.values() == [-1, -1, -1, 2, 2, -1, -1, -1, -1, 14, 14, 14, 14, 22]
        assert ticks[6].stats.status == 7 and ticks[-1].stats.failed == 1
    else:
        assert model.seen == [1, 5, 9, 13]
        assert b.values() == [-1, -1, -1] + [2] * 8 + [18] * 3
        assert ticks[8].stats.status == TaskStatus.NAN_OUTPUT and ticks[-1].stats.nan_outputs == 1


def test_a_second_start_begins_anew() -> None:
    """The run that was under way is forgotten."""
    b, model = sliced(TEN)
    b.run(6, before=lambda k: b.put(k + 1))
    b.run(4, before=lambda k: b.put(k + 50))
    assert model.seen == [1, 5, 50] and b.values() == [-1, -1, -1, 100]


def test_another_slice_gives_the_same_values() -> None:
    """How the run is spread moves no bit."""
    found = []
    for slice_ns in (150 * US, 300 * US, 900 * US):
        b, model = sliced(TEN, slice_ns)
        b.x.write([7.0])
        b.run(30)
        found.append(set(b.values()) - {-1.0})
        assert model.ran > 10
    assert found == [{14.0}] * 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"slice_s": 1e-3}, "not shorter than the period"),
        ({"slice_s": 0.95e-3}, "it can be up to 0.0009 s"),
        ({"slice_s": 1e-6}, "below 2e-05 s"),
    ],
)
def test_what_makes_no_slice_is_refused(more: dict[str, Any], words: str) -> None:
    """In a sentence that says what helps."""
    with pytest.raises(TaskError, match=words):
        bench(guard=ANY_AGE, **more)
