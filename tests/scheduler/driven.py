"""Millions of recorded cycles: a task runs on a clock in native code, with a tap, and what that writes comes piece by piece."""

import ctypes
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rt_engine.recording.layout import TaskLayout
from rt_native.library import Library
from rt_native.memory import Block, offsets
from scheduler import Task
from scheduler.clock import Clock
from scheduler.replay import Piece
from scheduler.runner import TaskRunner
from scheduler.tap import TapTerms
from scheduler.task_block import TASK
from tests.scheduler.fakes import EPOCH, MS

NATIVE = Library("driving", ("tests.scheduler.driving_native",), path=(str(Path(__file__).parents[2]),))
PIECE = 20_000
_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


@dataclass
class Driven:
    """A task that is run for `count` cycles when its pieces are taken; `folder`: of the ring."""

    task: Task
    count: int
    folder: Path
    piece: int = PIECE
    checkpoint_ns: int = 1000 * MS
    seed: int = 88172645463325252
    layout: TaskLayout = field(init=False)

    def __post_init__(self) -> None:
        terms = TapTerms(
            path=self.folder / "ring", capacity=2 * self.piece, checkpoint_ns=self.checkpoint_ns, checkpoints=64
        )
        self._state = Block(80)
        clock = Clock(NATIVE.address("driving_now"), NATIVE.address("driving_sleep"), self._state.address, NATIVE)
        self._runner = TaskRunner(self.task, self.task.model, clock, terms=terms)  # type: ignore[arg-type]
        self._runner.set_epoch(EPOCH)
        assert self._runner.tap is not None
        self._ring = self._runner.tap.ring
        self.layout = self._ring.layout

    def pieces(self) -> Iterator[Piece]:
        """What was recorded, in order, while it goes on."""
        made: queue.Queue[Piece | None] = queue.Queue(2)
        stop, is_first = threading.Event(), [True]

        def take(_: int) -> int:
            records = self._ring.records(2 * self.piece)
            checkpoints = self._ring.checkpoints(64)
            self._ring.release(len(records))
            self._ring.release_checkpoints(len(checkpoints))
            made.put(Piece(np.array(records), np.array(checkpoints), goes_on=not is_first[0]))
            is_first[0] = False
            if stop.is_set():
                self._runner.memory.task["control"] = 2
            return 0

        thread = threading.Thread(target=self._drive, args=(take, made), daemon=True)
        thread.start()
        try:
            while (piece := made.get()) is not None:
                yield piece
        finally:
            stop.set()
            while thread.is_alive():
                while not made.empty():
                    made.get()
                thread.join(0.01)
            self._runner.release()

    def _drive(self, take: Callable[[int], int], made: "queue.Queue[Piece | None]") -> None:
        call, at, channel = _CALL(take), offsets(TASK), self.task.channels_read[0]
        address = self._runner.memory.address
        self._state.view(np.int64, 0, 10)[:] = (
            EPOCH - 10 * MS, self.count + 1, address + at.control, self.seed, channel.address, channel.cells,
            self.piece, self.piece, ctypes.cast(call, ctypes.c_void_p).value or 0, address + at.reset_state,
        )  # fmt: skip
        self._runner.prepare()
        self._runner.run_here()
        take(0)
        made.put(None)
