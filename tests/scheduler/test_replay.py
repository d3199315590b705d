"""A recording is repeated to the bit, and whatever is changed in it is found."""

import numpy as np

from rt_engine import ModelSlot
from scheduler import Input, Output, Task
from scheduler.replay import Piece, replay_task
from tests.scheduler.fakes import ANY_AGE, channel
from tests.scheduler.models import scale
from tests.scheduler.recorded import Live, run

SLOT = ModelSlot(scale(2.0, 3))


def simple() -> Task:
    """Three values times two, each no faster than 50 per second."""
    x, y = channel(["a", "b", "c"], "in"), channel(["p", "q", "r"], "out")
    return Task(
        name="t",
        model=SLOT,
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x, count=3),),
        outputs=(Output(tensor="y", channel=y, count=3, max_rate=50.0),),
        guard=ANY_AGE,
    )


def draws(k: int, live: Live) -> None:
    """Inputs that are others in every cycle."""
    live.put(*np.random.default_rng(k).normal(0.0, 1.0, 3))


def test_what_was_recorded_is_repeated_to_the_bit():
    recorded = run(simple(), 100, draws)
    done = replay_task(simple(), {1: SLOT.model}, recorded.layout, [recorded.piece])
    assert (done.recorded, done.cycles, done.equal, done.first, done.left_out) == (100, 100, 100, None, {})


def test_pieces_go_on_from_each_other():
    recorded = run(simple(), 100, draws)
    pieces = [Piece(recorded.records[k : k + 7], recorded.checkpoints, k > 0) for k in range(0, 100, 7)]
    done = replay_task(simple(), {1: SLOT.model}, recorded.layout, pieces, keep=True)
    assert (done.cycles, done.equal) == (100, 100)
    assert done.rows is not None
    assert np.array_equal(done.rows["published"], recorded.layout.published(recorded.records))
