"""Calls computed: a batch is as many runs of the model, in a context that is lent for it.

A model that is quick runs in the server's loop, for at most `SLICE_S` at a time; one that is slow, or that makes a context first, in a
thread, for `THREAD_SLICE_S`. A context is of one version, so that a whole batch is, whatever is updated meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from plc_bindings.calls.caller import ModelCaller
from plc_bindings.calls.pace import Paces
from plc_bindings.data.models import Served
from plc_bindings.http.question import Question
from plc_bindings.http.sequences import State
from plc_bindings.http.tensors import Raw
from scheduler.status import TaskStatus

SLICE_S: Final = 0.0005
MOST_CONTEXTS: Final = 4
"""Of one model; who comes when all are lent waits."""
THREAD_SLICE_S: Final = 0.05
"""The same in a thread: then calls of other models have their turn in it, and one that nobody waits for any more ends."""


@dataclass(slots=True)
class Result:
    """What a call gave.

    Attributes:
        status: 0, `NAN_OUTPUT`, or why the run `runs` (from 0) failed.
        version: of the model that computed.
        outputs: the bytes of each, run after run.
        state: after the last run; empty of a model without.
        seconds: of computing.
    """

    status: int
    version: int
    runs: int
    outputs: list[bytearray]
    state: State
    seconds: float

    @property
    def is_good(self) -> bool:
        """Are there outputs?"""
        return self.status in (0, TaskStatus.NAN_OUTPUT)


class _Batch:
    """One call's runs, as far as they are."""

    def __init__(self, caller: ModelCaller, inputs: Sequence[Raw], count: int) -> None:
        self._caller, self._count, self._at, self._worst = caller, count, 0, 0
        self._moves = [
            (target, memoryview(raw).cast("B"), len(target))
            for target, raw in zip(caller.inputs, inputs, strict=True)
            if len(target)
        ]
        self.outputs = [bytearray(len(source) * count) for source in caller.outputs]
        self.seconds = 0.0

    def work(self, seconds: float) -> bool:
        """Run for about so long; False: all is done."""
        caller, run, block = self._caller, self._caller.run, self._caller.block
        begin = time.perf_counter()
        while self._at < self._count:
            at = self._at
            for target, raw, size in self._moves:
                target[:] = raw[at * size : (at + 1) * size]
            status = run(block)
            if status:
                self._worst, self._count = int(status), at
                break
            for kept, source in zip(self.outputs, caller.outputs, strict=True):
                size = len(source)
                kept[at * size : (at + 1) * size] = source
            self._worst = caller.judged() or self._worst
            self._at = at + 1
            if time.perf_counter() - begin > seconds:
                break
        self.seconds += time.perf_counter() - begin
        return self._at < self._count

    def result(self) -> Result:
        """What came out."""
        caller = self._caller
        assert caller.context is not None
        state = caller.context.save() if caller.has_state else {}
        return Result(self._worst, caller.version, self._at, self.outputs, state, self.seconds)


class Runs:
    """Calls of one model. The server's thread only.

    Args:
        served: the model.
        paces: is it slow?
        pool: threads for what is.
    """

    def __init__(self, served: Served, paces: Paces, pool: ThreadPoolExecutor) -> None:
        self.served, self._paces, self._pool = served, paces, pool
        self._idle: list[ModelCaller] = []
        self._free = asyncio.Semaphore(MOST_CONTEXTS)

    def at_once(self, question: Question) -> Result | None:
        """A call of one run of a quick model without state, computed here and now; None: `run` it."""
        caller = self._idle[-1] if self._idle and question.count == 1 else None
        if caller is None or caller.has_state or caller.version != self.served.slot.version:
            return None
        number, version = self.served.number, caller.version
        if self._paces.is_slow(number, version):
            return None
        begin = time.perf_counter()
        for target, raw in zip(caller.inputs, question.inputs, strict=True):
            target[:] = raw
        status = int(caller.run(caller.block))
        outputs = [] if status else [bytearray(source) for source in caller.outputs]
        seconds = time.perf_counter() - begin
        self._paces.note(number, version, seconds)
        return Result(status or caller.judged(), version, int(not status), outputs, {}, seconds)

    async def run(self, inputs: Sequence[Raw], count: int, state: State | None = None) -> Result:
        """The runs of a call, on from a state, or from the initial one."""
        await self._free.acquire()
        try:
            caller = await self._lent()
            if caller.has_state and caller.context is not None:
                caller.context.reset()
                if state and {spec.name for spec in caller.context.state_specs} == set(state):
                    caller.context.restore(state)
            batch = _Batch(caller, inputs, count)
            if self._paces.is_slow(self.served.number, caller.version):
                loop = asyncio.get_running_loop()
                while await loop.run_in_executor(self._pool, batch.work, THREAD_SLICE_S):
                    pass
            else:
                while batch.work(SLICE_S):
                    await asyncio.sleep(0)
            result = batch.result()
            self._idle.append(caller)  # not of a call that was broken off: a thread may still compute in it
        finally:
            self._free.release()
        self._paces.note(self.served.number, result.version, result.seconds / max(result.runs, 1))
        return result

    async def _lent(self) -> ModelCaller:
        """A context of the newest version."""
        caller = self._idle.pop() if self._idle else None
        if caller is not None and caller.version == self.served.slot.version:
            return caller
        loop = asyncio.get_running_loop()
        if caller is None:
            return await loop.run_in_executor(self._pool, ModelCaller, self.served)
        await loop.run_in_executor(self._pool, caller.follow)
        return caller
