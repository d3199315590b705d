"""A task that runs on a fake clock with a tap, what that recorded, and the same task again, to repeat it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fieldbus.image.image import Channel
from rt_engine.recording.layout import Records, TaskLayout
from scheduler import Task
from scheduler.replay import Piece
from scheduler.runner import TaskRunner
from scheduler.tap import TapTerms
from scheduler.task_block import Control
from tests.scheduler.fakes import EPOCH, MS, PERIOD, FakeClock

Make = Callable[[], Task]
"""A task with channels of its own; called once to run it, and once for each replay."""


@dataclass
class Live:
    """A task that runs: what a test does with it before each cycle."""

    task: Task
    runner: TaskRunner
    clock: FakeClock
    inputs: tuple[Channel, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = self.task.channels_read

    def put(self, *values: float, channel: int = 0, **more: Any) -> None:
        """Write an input channel now."""
        self.inputs[channel].write(values, **{"timestamp_ns": self.clock.now_ns, **more})


@dataclass(frozen=True)
class Recorded:
    """What a tap wrote."""

    layout: TaskLayout
    records: Records
    checkpoints: Records

    @property
    def piece(self) -> Piece:
        """All of it."""
        return Piece(self.records, self.checkpoints)


def run(
    task: Task,
    count: int,
    before: Callable[[int, Live], None],
    *,
    checkpoint_ns: int = 20 * MS,
    room: int = 0,
    slot: Any = None,
    clock: FakeClock | None = None,
) -> Recorded:
    """Run `count` cycles of a task with a tap; `before(k, live)` is called while cycle k is waited for."""
    clock = clock or FakeClock()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        terms = TapTerms(
            path=Path(folder, "ring"), capacity=room or count + 1, checkpoint_ns=checkpoint_ns, checkpoints=count + 8
        )
        runner = TaskRunner(task, slot if slot is not None else task.model, clock.clock, terms=terms)
        runner.set_epoch(EPOCH)
        live, done = Live(task, runner, clock), 0

        def on_sleep(until_ns: int) -> None:
            nonlocal done
            if clock.failure or done == count:
                runner.tell(Control.STOP)
                return
            before(done, live)
            done += 1

        clock.on_sleep = on_sleep
        clock.now_ns += PERIOD // 2
        runner.prepare()
        runner.run_here()
        if clock.failure:
            raise clock.failure
        assert runner.tap is not None
        ring = runner.tap.ring
        found = Recorded(ring.layout, np.array(ring.records(count + 1)), np.array(ring.checkpoints(count + 8)))
        runner.release()
    return found
