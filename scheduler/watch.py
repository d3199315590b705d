"""A task's two versions of a model -> the memory that native code works on (drawn in `scheduler.second_block`)."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.run.blocks import NEVER, STATE, Mode
from rt_native.histogram import NBYTES, Histogram
from rt_native.memory import Block
from scheduler.binding import TaskMemory
from scheduler.errors import SchedulerError
from scheduler.second import Difference, SecondStats, Terms
from scheduler.second_block import COPY, DIFFERENCE, SAVED, SECOND
from scheduler.stats import Latency
from scheduler.task import Output, Task
from scheduler.trace import tag_at

if TYPE_CHECKING:
    from rt_engine import Context

NEED_RUNS = 50
"""Where the terms do not say what a version needs, it is run so often: it needs twice the longest of the better half."""


class TaskWatch:
    """What a task has at hand while there are two versions of its model.

    Args:
        task, memory: whose.
        number: of the task, in the change.
        active, second, mode: of the arrangement that it belongs to.
        terms: what the new version must keep to.
    """

    def __init__(
        self,
        task: Task,
        memory: TaskMemory,
        number: int,
        active: "Context",
        second: "Context",
        mode: Mode,
        terms: Terms,
        never: str = "",
    ) -> None:
        self._task, self._mode, self._second, self._never = task, mode, second, never
        self._parts: list[Block] = []
        self._number = number
        self._names, tags = names_of(task.outputs), tags_of(task.outputs)
        block = self._block(SECOND.itemsize)
        self._address = block.address
        self._fields = block.view(SECOND)
        self._execution, self._judged = Histogram(self._block(NBYTES)), Histogram(self._block(NBYTES))
        count = len(self._names)
        rows = self._block(DIFFERENCE.itemsize * max(count, 1))
        self._differences = rows.view(DIFFERENCE, 0, count)
        self._differences["tolerance"] = by_name(terms.tolerance, self._names, tags, math.inf)
        need = terms.new_ns if mode is Mode.SHADOW else terms.old_ns
        need = (0 if task.slice_ns else needed_ns(second)) if need is None else need
        outputs = [self._tensors(context) for context in (active, second)]
        saved = memory.undone if mode is Mode.TRIAL else ()
        self._set(
            number=number, second=second.block_address, is_new=int(mode is Mode.SHADOW),
            base_ns=need, need_ns=need,
            budget_ns=budget_of(task, terms),
            inputs=self._copies(active, second), input_count=len(active.inputs),
            active_outputs=outputs[0], second_outputs=outputs[1], output_count=len(active.outputs),
            live=self._block(8 * count).address, other=self._block(8 * count).address, differences=rows.address,
            saved=self._saved(saved), saved_count=len(saved),
            execution=self._execution.address, judged=self._judged.address,
        )  # fmt: skip
        if terms.low or terms.high:
            low = by_name(terms.low, self._names, tags, -math.inf)
            high = by_name(terms.high, self._names, tags, math.inf)
            self._set(low=self._floats(low), high=self._floats(high))

    @property
    def address(self) -> int:
        """For native code."""
        return self._address

    @property
    def number(self) -> int:
        """Of the task, in the change."""
        return self._number

    def told(self, place: int) -> tuple[str, str]:
        """(Name of the task, name of its output number `place`, or nothing)."""
        return self._task.name, self._names[place] if 0 <= place < len(self._names) else ""

    def stats(self) -> SecondStats:
        """What was seen until now."""
        row = self._fields[0]
        given = [entry.tensor is not None for entry in self._task.outputs for _ in range(entry.count)]
        rows = self._differences.copy()
        return SecondStats(
            mode=self._mode.name.lower(),
            version=int(self._second._fields["version"][0]),
            never=self._never,
            execution=Latency.of(self._execution),
            judged=Latency.of(self._judged),
            differences=tuple(
                _difference(name, row) for name, row, is_given in zip(self._names, rows, given, strict=True) if is_given
            ),
            **{n: int(row[n]) for n in ("ran", "skipped", "failed", "not_finite", "outside", "need_ns")},
        )

    # --- memory -------------------------------------------------------------------------------------------------------

    def _set(self, **fields: int) -> None:
        for name, value in fields.items():
            self._fields[name] = value

    def _block(self, nbytes: int) -> Block:
        self._parts.append(Block(nbytes))
        return self._parts[-1]

    def _table(self, dtype: np.dtype[Any], rows: Sequence[tuple[int, ...]]) -> int:
        block = self._block(max(dtype.itemsize * len(rows), 1))
        block.view(dtype, 0, len(rows))[:] = np.array(rows, dtype) if rows else np.zeros(0, dtype)
        return block.address

    def _floats(self, values: NDArray[np.float64]) -> int:
        block = self._block(values.nbytes)
        block.view(np.float64, 0, len(values))[:] = values
        return block.address

    def _copies(self, active: "Context", second: "Context") -> int:
        ends = zip(active.inputs.values(), second.inputs.values(), strict=True)
        return self._table(COPY, [(a.ctypes.data, b.ctypes.data, a.nbytes) for a, b in ends])

    def _tensors(self, context: "Context") -> int:
        """Output tensors, as STATE: floats of a type that is known are looked at."""
        views = context.outputs.values()
        return self._table(STATE, [(v.ctypes.data, v.nbytes, _float_code(v.dtype), 0) for v in views])

    def _saved(self, places: Sequence[tuple[int, int]]) -> int:
        return self._table(SAVED, [(place, self._block(nbytes).address, nbytes) for place, nbytes in places])


def _float_code(dtype: np.dtype[Any]) -> int:
    return int(CODE[dtype]) if dtype.kind == "f" else 0


def _difference(name: str, row: Any) -> Difference:
    return Difference(
        name=name,
        histogram=row["bins"],
        largest=float(row["largest"]),
        largest_tick_ns=int(row["largest_tick_ns"]),
        tolerance=float(row["tolerance"]),
        beyond=int(row["beyond"]),
        not_finite=int(row["not_finite"]),
    )


def check_terms(task: Task, terms: Terms) -> None:
    """Raise SchedulerError if they say something of an output that the task does not have."""
    names = names_of(task.outputs)
    tolerance = terms.tolerance if isinstance(terms.tolerance, Mapping) else {}
    for what, values in (("low", terms.low), ("high", terms.high), ("tolerance", tolerance)):
        if unknown := sorted(values.keys() - {*names, *tags_of(task.outputs)}):
            raise SchedulerError(
                f"terms of a change for task {task.name!r}: {what} names {', '.join(map(repr, unknown))}; its outputs are "
                f"{', '.join(map(repr, names)) or 'none'}"
            )


def tags_of(outputs: Sequence[Output]) -> list[str]:
    """The tag of each output value of a task, in the order of `raw`."""
    return [entry.channel.tag_at(entry.cell + i)[0].name for entry in outputs for i in range(entry.count)]


def names_of(outputs: Sequence[Output]) -> list[str]:
    """The name of each output value of a task, in the order of `raw`: its tag, with the element where that has several."""
    return [tag_at(entry.channel, entry.cell + i) for entry in outputs for i in range(entry.count)]


def budget_of(task: Task, terms: Terms) -> int:
    """How long a run of a version on trial may take; one in slices takes as many cycles as it needs, unless the terms say more."""
    if terms.budget_ns is not None:
        return terms.budget_ns
    return NEVER if task.slice_ns else task.period_ns


def by_name(
    values: float | Mapping[str, float], names: Sequence[str], tags: Sequence[str], other: float
) -> NDArray[np.float64]:
    """A number for each name: its own, its tag's, or `other`; one number is everybody's."""
    if not isinstance(values, Mapping):
        return np.full(len(names), float(values))
    both = zip(names, tags, strict=True)
    return np.array([values.get(name, values.get(tag, other)) for name, tag in both], np.float64)


def needed_ns(context: "Context") -> int:
    """What a run of a version takes, with room; measured beside the context, which may be running at this moment."""
    times = np.sort(type(context)(context._executable).measure(NEED_RUNS))
    return 2 * int(times[NEED_RUNS // 2])
