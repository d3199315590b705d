"""Tens of thousands of cycles of three kinds of model, with bad and late inputs and resets among them, are repeated to the bit.

`python -m benchmarks.replay_speed` does so with millions.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.replay_speed import KINDS, task_of
from rt_engine.recording.layout import Flag
from scheduler import TaskStatus
from scheduler.replay import Piece, replay_task
from tests.scheduler.driven import Driven
from tests.scheduler.fakes import MS

CYCLES = 20_000


@pytest.mark.parametrize("kind", KINDS)
def test_long_recordings_are_repeated_to_the_bit(kind: str, tmp_path: Path) -> None:
    make, *form = KINDS[kind]
    model, statuses, seen = make(), set(), []
    driven = Driven(task_of(model, *form), CYCLES, tmp_path, piece=3_000, checkpoint_ns=150 * MS)

    def looked(piece: Piece, rows: np.ndarray) -> None:
        statuses.update(piece.records["status"].tolist())
        seen.append(((piece.records["flags"] & Flag.RENEWED != 0).sum(), (piece.records["missed"] > 0).sum()))

    done = replay_task(task_of(model, *form), {1: model}, driven.layout, driven.pieces(), each=looked)
    assert (done.recorded, done.cycles, done.equal, done.first) == (CYCLES, CYCLES, CYCLES, None)
    assert {TaskStatus.OK, TaskStatus.BAD_INPUT, TaskStatus.NAN_INPUT, TaskStatus.OVERRUN} <= statuses
    assert all(count > 0 for count in np.sum(seen, axis=0))
