"""A task's description -> the memory that its native code works on (drawn in `scheduler.task_block`)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldbus.image.image import Channel
from rt_engine.kernels.interface.dtypes import CODE
from rt_native.histogram import NBYTES, Histogram
from rt_native.memory import Block, align
from scheduler.checks import limits_of, tensor_position
from scheduler.clock import Clock
from scheduler.native import NATIVE
from scheduler.steps import Step
from scheduler.task import Input, Output, Task
from scheduler.task_block import (
    INPUT,
    NO_TENSOR,
    OUTPUT,
    SINK,
    SOURCE,
    STATS,
    STEP_HEADER,
    TASK,
    TRACE,
    OnFault,
    OnOverrun,
)

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.slot import SlotReader

NO_LIMIT_NS = (1 << 62) - 1
NOTHING_YET = -1
_ON_FAULT = {"pass": OnFault.PASS, "run": OnFault.PASS, "hold": OnFault.HOLD, "safe": OnFault.SAFE}


class TaskMemory:
    """The native memory of one task that fits its model and channels (`scheduler.checks`).

    `address` is what `tasks_run` takes in its table; `task`, `stats`, `trace` and the tables `inputs` and
    `outputs` are views of the structs.
    """

    def __init__(self, task: Task, model: "Model | None", reader: "SlotReader | None", clock: Clock) -> None:
        self._parts: list[Block] = []
        self._task, self._model = task, model
        block = self._block(TASK.itemsize)
        self.address = block.address
        self.task = block.view(TASK)
        self.wakeup, self.execution = Histogram(self._block(NBYTES)), Histogram(self._block(NBYTES))
        stats = self._block(STATS.itemsize)
        self.stats = stats.view(STATS)
        trace = self._block(TRACE.itemsize)
        self.trace = trace.view(TRACE)
        self.trace["action"] = NOTHING_YET
        self.inputs = self._bind_inputs(task.inputs, task.period_ns, task.guard.max_age_s)
        self.outputs = self._bind_outputs(task.outputs)
        self._set(
            period_ns=task.period_ns,
            on_overrun=OnOverrun[task.overrun.upper()],
            watchdog=task.watchdog,
            on_nan=_ON_FAULT[task.guard.on_nan],
            on_bad_input=_ON_FAULT[task.guard.on_bad_input],
            clock=clock.state,
            clock_now=clock.now,
            clock_sleep=clock.sleep,
            execute=NATIVE.address("execute"),
            reader=reader.address if reader else 0,
            stats=stats.address,
            wakeup=self.wakeup.address,
            execution=self.execution.address,
            trace=trace.address,
        )
        if task.step is not None:
            self._bind_step(task.step)

    def clear(self) -> None:
        """As new, for another start: counters, windows and the step's state."""
        fresh = ("control", "reset", "owner", "state", "tick_ns", "tripped", "on_time")
        self._set(**dict.fromkeys(fresh, 0))
        self.stats[:] = np.zeros(1, STATS)
        self.trace["noted"] = 0
        self.trace["action"] = NOTHING_YET
        self.forget_trace()
        self.inputs["filled"] = self.inputs["next_sample_ns"] = 0
        if self._task.step is not None:
            self._clear_step(self._task.step)

    def forget_trace(self) -> None:
        """Start the worst cycles and the ranges of a task that does not run anew."""
        self.trace["bar_ns"] = 0
        self.trace["worst"] = np.zeros(1, self.trace.dtype["worst"])
        for table in (self.inputs, self.outputs):
            table["seen"] = table["total"] = 0

    def _set(self, **fields: int) -> None:
        for name, value in fields.items():
            self.task[name] = value

    def _block(self, nbytes: int) -> Block:
        block = Block(nbytes)
        self._parts.append(block)
        return block

    def _table(self, dtype: np.dtype[Any], count: int) -> tuple[NDArray[Any], int]:
        block = self._block(max(dtype.itemsize * count, 1))
        return block.view(dtype, 0, count), block.address

    def _channels(
        self, entries: Sequence[Input] | Sequence[Output], dtype: np.dtype[Any]
    ) -> tuple[NDArray[Any], dict[int, int]]:
        """A row per different channel, and where each row is: id of channel -> address."""
        different: dict[int, Channel] = {id(e.channel): e.channel for e in entries}
        rows, address = self._table(dtype, len(different))
        rows["channel"] = [channel.address for channel in different.values()]
        return rows, {key: address + i * dtype.itemsize for i, key in enumerate(different)}

    def _bind_inputs(self, inputs: Sequence[Input], period_ns: int, max_age_s: float) -> NDArray[Any]:
        sources, source_at = self._channels(inputs, SOURCE)
        sources["max_age_ns"] = NO_LIMIT_NS if math.isinf(max_age_s) else round(max_age_s * 1e9)
        rows, address = self._table(INPUT, len(inputs))
        value_count = sum(e.count for e in inputs)
        values = self._block(max(8 * value_count, 1)).address
        self._set(
            sources=next(iter(source_at.values()), 0), source_count=len(sources),
            inputs=address, input_count=len(inputs), values=values, value_count=value_count,
        )  # fmt: skip
        for number, (row, entry) in enumerate(zip(rows, inputs, strict=True)):
            row["source"], row["cell"], row["count"], row["values"] = (
                source_at[id(entry.channel)],
                entry.cell,
                entry.count,
                values,
            )
            row["tensor"], row["dtype"] = self._input_tensor(entry, number)
            row["first"], row["spacing"] = entry.index, entry.spacing or entry.count
            row["scale"], row["offset"] = entry.scale, entry.offset
            row["window"], row["stride_ns"] = entry.window, entry.stride * period_ns
            row["ring"] = self._block(align(2 * 8 * entry.window * entry.count)).address
            values += 8 * entry.count
        return rows

    def _bind_outputs(self, outputs: Sequence[Output]) -> NDArray[Any]:
        sinks, sink_at = self._channels(outputs, SINK)
        rows, address = self._table(OUTPUT, len(outputs))
        count = sum(e.count for e in outputs)
        raw, last = self._block(max(8 * count, 1)).address, self._block(max(8 * count, 1)).address
        self._set(
            sinks=next(iter(sink_at.values()), 0), sink_count=len(sinks),
            outputs=address, output_count=len(outputs), raw=raw, last=last, raw_count=count,
        )  # fmt: skip
        for number, (row, entry) in enumerate(zip(rows, outputs, strict=True)):
            row["sink"], row["cell"], row["count"] = sink_at[id(entry.channel)], entry.cell, entry.count
            row["raw"], row["last"] = raw, last
            row["tensor"], row["dtype"] = self._output_tensor(entry, number)
            row["first"], row["scale"], row["offset"] = entry.index, entry.scale, entry.offset
            row["low"], row["high"], row["safe"] = limits_of(entry)
            row["max_rate"] = entry.max_rate
            raw, last = raw + 8 * entry.count, last + 8 * entry.count
        return rows

    def _bind_step(self, step: Step) -> None:
        """The step's state, with its header before it; `last` is bound already."""
        size = STEP_HEADER.itemsize
        block = self._block(size + max(step.state_bytes, len(step.initial)))
        self._step_header = block.view(STEP_HEADER)
        self._step_header["period_ns"], self._step_header["published"] = self._task.period_ns, self.task["last"]
        self._step_state = block.view(np.uint8, size, block.nbytes - size)
        self._set(step=step.address, step_state=block.address + size)
        self._clear_step(step)

    def _clear_step(self, step: Step) -> None:
        self._step_header["tick_ns"] = 0
        self._step_state[:] = 0
        self._step_state[: len(step.initial)] = np.frombuffer(step.initial, np.uint8)

    def _input_tensor(self, entry: Input, number: int) -> tuple[int, int]:
        if entry.tensor is None or self._model is None:
            return NO_TENSOR, 0
        position = tensor_position(self._model.inputs, entry.tensor, f"input {number}")
        return 8 * position, CODE[np.dtype(self._model.inputs[position].dtype)]

    def _output_tensor(self, entry: Output, number: int) -> tuple[int, int]:
        if entry.tensor is None or self._model is None:
            return NO_TENSOR, 0
        position = tensor_position(self._model.outputs, entry.tensor, f"output {number}")
        offset = 8 * (len(self._model.inputs) + position)
        return offset, CODE[np.dtype(self._model.outputs[position].dtype)]
