"""A task's description -> the memory that its native code works on (drawn in `scheduler.task_block`)."""

import ctypes
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldbus.image.image import Channel
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.run.blocks import READER
from rt_engine.run.slicing import forget
from rt_native.histogram import NBYTES, Histogram
from rt_native.memory import Block, offsets
from scheduler.checks import limits_of, tensor_position
from scheduler.clock import Clock
from scheduler.instead_memory import Instead
from scheduler.native import NATIVE
from scheduler.runs import bounds_of, runs, spacing_of
from scheduler.slice_block import LIVE, SLICE
from scheduler.status import TaskStatus
from scheduler.steps import Step
from scheduler.task import Input, Output, Task
from scheduler.task_block import (
    INPUT,
    NO_TENSOR,
    OUTPUT,
    RANGES,
    SINK,
    SOURCE,
    STATS,
    STEP_HEADER,
    TASK,
    TRACE,
    OnFault,
    OnOverrun,
    OnState,
)

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.slot import SlotReader

NO_LIMIT_NS = (1 << 62) - 1
NOTHING_YET = -1
RESERVE = 20
"""One part in so many of a cycle is left for what comes behind a slice of the model."""
_ON_FAULT = {"pass": OnFault.PASS, "run": OnFault.PASS, "hold": OnFault.HOLD, "safe": OnFault.SAFE}


def _nanoseconds(seconds: float) -> int:
    return NO_LIMIT_NS if math.isinf(seconds) else round(seconds * 1e9)


class TaskMemory:
    """The native memory of one task that fits its model and channels (`scheduler.checks`).

    `address` is what `tasks_run` takes in its table; `task`, `stats`, `trace`, the tables `inputs` and `outputs`
    and the arrays of `input_ranges` and `output_ranges` are views of the structs.
    """

    def __init__(
        self, task: Task, model: "Model | None", reader: "SlotReader | None", clock: Clock, instead: Instead
    ) -> None:
        self._parts: list[Block] = []
        self._task, self._model, self._instead, self._reader = task, model, instead, reader
        block = self._block(TASK.itemsize)
        self.address = block.address
        self.task = block.view(TASK)
        self.wakeup, self.execution = Histogram(self._block(NBYTES)), Histogram(self._block(NBYTES))
        stats = self._block(STATS.itemsize)
        self.stats = stats.view(STATS)
        trace = self._block(TRACE.itemsize)
        self.trace = trace.view(TRACE)
        self.trace["action"] = NOTHING_YET
        self.slice: NDArray[Any] | None = None
        """Of a model that runs in slices."""
        self.input_ranges: dict[str, NDArray[Any]] = {}
        self.output_ranges: dict[str, NDArray[Any]] = {}
        self.inputs = self._bind_inputs(task)
        self.outputs = self._bind_outputs(task)
        self._set(
            period_ns=task.period_ns,
            on_overrun=OnOverrun[task.overrun.upper()],
            watchdog=task.watchdog,
            on_nan=_ON_FAULT[task.guard.on_nan],
            on_bad_input=_ON_FAULT[task.guard.on_bad_input],
            on_bad_state=OnState[task.guard.on_bad_state.upper()],
            max_hold_ns=_nanoseconds(task.guard.max_hold_s),
            held_since_ns=-1,
            reset_before=1,
            clock=clock.state,
            clock_now=clock.now,
            clock_sleep=clock.sleep,
            execute=NATIVE.address("execute"),
            reader=reader.address if reader else 0,
            stats=stats.address,
            wakeup=self.wakeup.address,
            execution=self.execution.address,
            trace=trace.address,
            **instead.fields,
        )
        if task.has_turns:
            self._bind_turns(task)
        if task.slice_ns:
            self._bind_slices(task)
        if task.step is not None:
            self._bind_step(task.step)
        if task.exchanges:
            self._bind_exchanges(task)
        self.undone = self._undone()
        """(Address, bytes) of all that a cycle changes from its inputs on until it publishes: a tick that is done again, by the
        version before the one that was found bad, begins with it as it was (`scheduler.second_native`)."""

    @property
    def instead(self) -> Instead:
        """Of its monitor, fallback and smaller model."""
        return self._instead

    def _undone(self) -> list[tuple[int, int]]:
        task, stats = offsets(TASK), offsets(STATS)
        count = int(self.task["raw_count"][0])
        places = [
            (self.address + task.tick_ns, TASK.itemsize - task.tick_ns),
            (int(self.task["stats"][0]) + stats.overruns_in_a_row, stats.status - stats.overruns_in_a_row),
            (int(self.task["last"][0]), 8 * count),
            (int(self.task["output_ranges"][0]), 8 * len(RANGES) * count),
        ]
        if self._task.has_turns:
            places += [(int(self.task[name][0]), 8 * count) for name in ("ramp_from", "ramp_to")]
        if self._task.step is not None:
            size = STEP_HEADER.itemsize
            places.append((int(self.task["step_state"][0]) - size, size + int(self.task["step_bytes"][0])))
        return [*places, *self._instead.undone]

    def _bind_exchanges(self, task: Task) -> None:
        from fieldbus.exchange.block import AREA_BYTES
        from fieldbus.exchange.link import together
        from fieldbus.exchange.memory import NATIVE as EXCHANGE

        table = together(task.exchanges)
        block, area = self._block(table.nbytes), self._block(AREA_BYTES)
        block.view(np.int64, 0, len(table))[:] = table
        self._set(
            exchanges=block.address,
            exchange_count=len(table),
            exchange_phase=EXCHANGE.address("exchange_phase"),
            exchange_area=area.address,
            io_ns=task.io_deadline_ns,
        )

    def clear(self) -> None:
        """As new, for another start: counters, windows and the step's state."""
        turns = ("next_turn_ns", "turn_ns")
        fresh = ("control", "reset", "owner", "state", "tick_ns", "tripped", "on_time")
        self._set(
            **dict.fromkeys((*fresh, "reset_state", "model_wrong", "step_wrong", "restored", *turns), 0),
            held_since_ns=-1,
            reset_before=1,
            turn_fault=TaskStatus.NO_RESULT if self._task.slice_ns else TaskStatus.OK,
            way_ns=self.task["every_ns"][0],
        )
        self.stats[:] = np.zeros(1, STATS)
        self.trace["noted"] = 0
        self.trace["action"] = NOTHING_YET
        self.forget_trace()
        self.inputs["filled"] = self.inputs["next_sample_ns"] = 0
        self._instead.clear()
        self.clear_step()
        if self.slice is not None and self._reader is not None:
            forget(ctypes.c_int64.from_address(self._reader.address + offsets(READER).active).value)

    def forget_trace(self) -> None:
        """Start the worst cycles and the ranges of a task that does not run anew."""
        self.trace["bar_ns"] = 0
        self.trace["worst"] = np.zeros(1, self.trace.dtype["worst"])
        for ranges in (self.input_ranges, self.output_ranges):
            ranges["least"][:], ranges["greatest"][:] = math.inf, -math.inf
            ranges["total"][:] = ranges["lost"][:] = 0
        self._set(inputs_seen=0, outputs_seen=0)
        self._instead.forget()

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

    def _channels(self, different: Sequence[Channel], dtype: np.dtype[Any]) -> tuple[NDArray[Any], dict[int, int]]:
        """A row per channel, and where each row is: id of channel -> address."""
        rows, address = self._table(dtype, len(different))
        rows["channel"] = [channel.address for channel in different]
        return rows, {id(channel): address + i * dtype.itemsize for i, channel in enumerate(different)}

    def _floats(self, values: Sequence[float] | int) -> int:
        """Address of a block of float64; so many zeros, if a number is given."""
        count = values if isinstance(values, int) else len(values)
        block = self._block(8 * count)
        if not isinstance(values, int):
            block.view(np.float64, 0, count)[:] = values
        return block.address

    def _ranges(self, count: int) -> tuple[dict[str, NDArray[Any]], int]:
        block = self._block(8 * len(RANGES) * count)
        views = {
            name: block.view(np.int64 if name == "lost" else np.float64, 8 * count * place, count)
            for place, name in enumerate(RANGES)
        }
        return views, block.address

    def _bind_inputs(self, task: Task) -> NDArray[Any]:
        inputs, max_age_s = task.inputs, task.guard.max_age_s
        sources, source_at = self._channels(task.channels_read, SOURCE)
        sources["max_age_ns"] = _nanoseconds(max_age_s)
        moved = list(runs(inputs))
        rows, address = self._table(INPUT, len(moved))
        count = sum(e.count for e in inputs)
        values = self._floats(count)
        self.input_ranges, ranges = self._ranges(count)
        self._set(
            sources=next(iter(source_at.values()), 0), source_count=len(sources), inputs=address,
            input_count=len(moved), values=values, value_count=count, input_ranges=ranges,
        )  # fmt: skip
        if (trigger := task.reset) is not None:
            self._set(reset_source=source_at[id(trigger.channel)], reset_cell=trigger.cell)
        for row, run in zip(rows, moved, strict=True):
            entry, is_direct = run.entry, run.entry.window == run.entry.stride == 1
            row["source"], row["cell"], row["count"] = source_at[id(entry.channel)], entry.cell, entry.count
            row["number"], row["values"] = run.number, values + 8 * run.number
            row["tensor"], row["dtype"] = self._input_tensor(entry, run.number)
            row["first"], row["spacing"] = entry.index, spacing_of(entry)
            row["scale"], row["offset"] = entry.scale, entry.offset
            row["low"], row["high"] = bounds_of(entry)
            row["window"], row["stride_ns"] = entry.window, entry.stride * task.period_ns
            row["ring"] = 0 if is_direct else self._floats(2 * entry.window * entry.count)
            row["is_direct"], row["is_kept"] = is_direct, task.step is not None or not is_direct
        return rows

    def _bind_outputs(self, task: Task) -> NDArray[Any]:
        outputs = task.outputs
        sinks, sink_at = self._channels(task.channels_written, SINK)
        moved = list(runs(outputs))
        rows, address = self._table(OUTPUT, len(moved))
        count = sum(e.count for e in outputs)
        raw, last = self._floats(count), self._floats(count)
        self.output_ranges, ranges = self._ranges(count)
        self._set(
            sinks=next(iter(sink_at.values()), 0), sink_count=len(sinks), outputs=address,
            output_count=len(moved), raw=raw, last=last, raw_count=count, output_ranges=ranges,
        )  # fmt: skip
        self._bind_guard(outputs)
        for row, run in zip(rows, moved, strict=True):
            entry = run.entry
            row["sink"], row["cell"], row["count"] = sink_at[id(entry.channel)], entry.cell, entry.count
            row["number"], row["raw"] = run.number, raw + 8 * run.number
            row["tensor"], row["dtype"] = self._output_tensor(entry, run.number)
            row["first"], row["scale"], row["offset"] = entry.index, entry.scale, entry.offset
        return rows

    def _bind_guard(self, outputs: Sequence[Output]) -> None:
        """What the guard wants of each value."""
        counts = [entry.count for entry in outputs]
        limits = np.array([limits_of(entry) for entry in outputs], np.float64).reshape(-1, 3)
        low, high, safe = (np.repeat(column, counts) for column in limits.T)
        rates = np.repeat(np.array([entry.max_rate for entry in outputs], np.float64), counts)
        self._set(
            low=self._floats(low.tolist()), high=self._floats(high.tolist()), safe=self._floats(safe.tolist()),
            max_rate=self._floats(rates.tolist()), is_limited=int(np.isfinite(rates).any()),
        )  # fmt: skip

    def _bind_turns(self, task: Task) -> None:
        """What lies between two turns of a model that does not run in each cycle."""
        count = sum(entry.count for entry in task.outputs)
        lines = self._block(8 * max(count, 1))
        lines.view(np.int64, 0, count)[:] = np.repeat(
            [int(entry.between == "linear") for entry in task.outputs], [entry.count for entry in task.outputs]
        ).astype(np.int64)
        self._set(
            every_ns=task.every * task.period_ns,
            way_ns=task.every * task.period_ns,
            is_linear=lines.address,
            ramp_from=self._floats(count),
            ramp_to=self._floats(count),
        )

    def _bind_slices(self, task: Task) -> None:
        block = self._block(SLICE.itemsize)
        self.slice = block.view(SLICE)
        self.slice["execute"], self.slice["slice_ns"] = NATIVE.address("execute_slice"), task.slice_ns
        self.slice["reserve_ns"] = task.period_ns // RESERVE + (task.io_deadline_ns if task.exchanges else 0)
        self.slice["told"] = LIVE
        self._set(sliced=block.address, turn_fault=TaskStatus.NO_RESULT)

    def _bind_step(self, step: Step) -> None:
        """The step's state, with its header before it; `last` is bound already."""
        size = STEP_HEADER.itemsize
        block = self._block(size + max(step.state_bytes, len(step.initial)))
        self._step_header = block.view(STEP_HEADER)
        self._step_header["period_ns"], self._step_header["published"] = self._task.period_ns, self.task["last"]
        self._step_state = block.view(np.uint8, size, block.nbytes - size)
        initial = self._block(max(self._step_state.nbytes, 1))
        self._step_initial = initial.view(np.uint8, 0, self._step_state.nbytes)
        self._step_initial[: len(step.initial)] = np.frombuffer(step.initial, np.uint8)
        self._set(
            step=step.address, step_state=block.address + size,
            step_initial=initial.address, step_bytes=self._step_state.nbytes,
        )  # fmt: skip
        self.clear_step()

    def clear_step(self) -> int:
        """Put the state of a step that does not run back to where it began; gives its bytes."""
        if self._task.step is None:
            return 0
        self._step_header["tick_ns"] = 0
        self._step_state[:] = self._step_initial
        return self._step_state.nbytes

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
