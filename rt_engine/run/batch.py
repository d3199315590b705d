"""Many samples through a program: on all cores, a context for each thread, the loop over samples in native code.

Threads take pieces of the samples in order, so of the samples whose run fails the first is always among those that were run.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import InputError, RunError
from rt_engine.program.program import TensorSpec
from rt_engine.program.values import converted, unfit
from rt_engine.run.blocks import MOVE
from rt_engine.run.context import Context
from rt_engine.run.tensors import check_names
from rt_native.memory import Block

Arrays = list[NDArray[Any]]
Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""
PIECE_NS = 1_000_000
"""Pieces grow until one takes this long; what is done in this time needs no second thread."""
TOLD_NS = 100_000_000
"""Between two calls of `progress`."""


def run_batch(
    samples: Mapping[str, Any],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    borrow: Callable[[], AbstractContextManager[Context]],
    threads: int,
    progress: Progress | None,
) -> Arrays:
    """Run the samples, each in a context that `borrow` lends; gives an array of all results for each output.

    Raises:
        InputError: names, shapes, types or numbers of samples do not fit.
        RunError: a run ended with a status; it is of the first such sample.
    """
    given, drop = stacked(samples, inputs)
    made = [np.empty((len(given[0]), *spec.shape), spec.dtype) for spec in outputs]
    job = _Job(given, made, borrow, progress)
    helpers = [threading.Thread(target=job.work, daemon=True) for _ in range(threads - 1)]
    try:
        job.work(True, PIECE_NS if helpers else None)
        if job.is_left and helpers:
            with suppress(RuntimeError):  # the system gives no more threads: fewer do it
                for helper in helpers:
                    helper.start()
            job.work(True)
    finally:
        job.stop()
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
    if job.failed:
        raise min(job.failed, key=lambda error: error.sample or 0)
    job.tell()
    return [
        array[:, 0] if drop and spec.shape[:1] == (1,) else array for array, spec in zip(made, outputs, strict=True)
    ]


def stacked(samples: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> tuple[Arrays, bool]:
    """For each input all samples behind each other, [n, *shape]; and whether one of them was given without its batch of one.

    Raises:
        InputError: as `run_batch`.
    """
    check_names(samples, {spec.name: spec for spec in inputs}, "input")
    if not inputs:
        raise InputError("the model has no inputs, so nothing says how many samples there are")
    arrays, drop = [], False
    for spec in inputs:
        array = converted(samples[spec.name], spec, "input")
        if array.ndim == len(spec.shape) and spec.shape[:1] == (1,):
            array, drop = array[:, None], True
        if not array.ndim or array.shape[1:] != spec.shape:
            raise InputError(
                f"{unfit(np.asarray(samples[spec.name]), spec, 'input')}: samples lie along the first axis"
            )
        arrays.append(np.ascontiguousarray(array, spec.dtype))
    if len({len(array) for array in arrays}) > 1:
        counts = ", ".join(f"'{spec.name}' has {len(array)}" for spec, array in zip(inputs, arrays, strict=True))
        raise InputError(f"as many samples are needed of every input; {counts}")
    return arrays, drop


class _Job:
    """What the threads share."""

    def __init__(
        self,
        given: Arrays,
        made: Arrays,
        borrow: Callable[[], AbstractContextManager[Context]],
        progress: Progress | None,
    ) -> None:
        self._given, self._made, self._borrow, self._progress = given, made, borrow, progress
        self._count, self._lock = len(given[0]), threading.Lock()
        self._next = self._done = 0
        self._told_ns = time.monotonic_ns()
        self.failed: list[RunError] = []

    @property
    def is_left(self) -> bool:
        """Are there samples that no thread has taken?"""
        return self._next < self._count

    def stop(self) -> None:
        """No thread takes another piece."""
        with self._lock:
            self._next = self._count

    def work(self, tells: bool = False, budget_ns: int | None = None) -> None:
        """Take and run pieces until none is left, or the time is over; `tells`: and say how far all have come."""
        begin, size = time.monotonic_ns(), 1
        with self._borrow() as context:
            table = moves(context, self._given, self._made)
            now = begin
            while (budget_ns is None or now < begin + budget_ns) and (piece := self._take(size)):
                before = now
                try:
                    context.run_samples(table, piece.start, piece.stop)
                except RunError as error:
                    self.failed.append(error)
                    self.stop()
                with self._lock:
                    self._done += len(piece)
                now = time.monotonic_ns()
                size = size * 2 if now - before < PIECE_NS else size
                if tells and now > self._told_ns + TOLD_NS:
                    self.tell()

    def _take(self, size: int) -> range:
        with self._lock:
            piece = range(self._next, min(self._next + size, self._count))
            self._next = piece.stop
        return piece

    def tell(self) -> None:
        """Say how far all have come."""
        self._told_ns = time.monotonic_ns()
        if self._progress is not None:
            self._progress(self._done, self._count)


def moves(context: Context, given: Arrays, made: Arrays) -> Block:
    """The table for `run_samples`, as drawn in `batch_native`; nothing `made`: outputs stay where they are."""
    block = Block(16 + MOVE.itemsize * (len(given) + len(made)))
    at = 0
    for arrays, tensors in ((given, context.inputs), (made, context.outputs)):
        block.view(np.int64, at)[0] = len(arrays)
        rows = block.view(MOVE, at + 8, len(arrays))
        for i, (array, tensor) in enumerate(zip(arrays, tensors.values(), strict=bool(arrays))):
            rows[i] = array.ctypes.data, tensor.ctypes.data, tensor.nbytes
        at += 8 + rows.nbytes
    return block
