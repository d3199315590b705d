"""A task's monitor, fallback and smaller model -> the memory that native code works on, and their views of their slots."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import InterfaceError
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.run.kept import keep, keep_states, set_needs
from rt_engine.run.slicing import Sliced, slice_runs, why_not
from rt_native.histogram import NBYTES, Histogram
from rt_native.memory import Block, offsets
from scheduler.envelope import Envelope, EnvelopeMemory
from scheduler.errors import TaskError
from scheduler.fallback_block import FALLBACK, LATE, Source, Use
from scheduler.instead_checks import Watch, model_of, same_states, value_of, watches
from scheduler.monitor_block import MONITOR, WATCHED, Kind
from scheduler.stats import Latency, MonitorStats
from scheduler.verdicts import NOT_OVER

if TYPE_CHECKING:
    from rt_engine import Model, ModelSlot
    from rt_engine.run.context import Context
    from rt_engine.slot import SlotReader
    from scheduler.task import Task

MEASURED_NS: Final = 100_000_000
"""A version is run for so long to find out what it needs, or `MEASURED_RUNS` times."""
MEASURED_RUNS: Final = 2_000
SHARE: Final = 99.9

SlotOf = Callable[[Any], "ModelSlot"]
"""Model or slot -> the slot that a scheduler has for it."""


def own_slot(model: Any, slots: dict[int, ModelSlot] | None = None) -> ModelSlot:
    """The slot that is given; of a plain model, the one that `slots` has for it: those who share the model share it."""
    from rt_engine import Model, ModelSlot

    if isinstance(model, Model):
        slots = {} if slots is None else slots
        return slots[id(model)] if id(model) in slots else slots.setdefault(id(model), ModelSlot(model))
    return model  # type: ignore[no-any-return]


class Instead:
    """The native memory beside a task: `fields` of its TASK, and `readers` of the slots of its other models."""

    def __init__(self, task: Task, model: Any, outputs: int, slot_of: SlotOf) -> None:
        self._task, self._parts = task, []  # type: tuple[Task, list[Block]]
        self._watched: list[Watch] = []
        self._envelopes: WeakKeyDictionary[Context, EnvelopeMemory] = WeakKeyDictionary()
        self._sliced: WeakKeyDictionary[Context, Sliced] = WeakKeyDictionary()
        self.readers: list[tuple[SlotReader, ModelSlot]] = []
        self.whose: list[str] = []
        """Of each reader: "monitor", "fallback" or "late"."""
        self.fields: dict[str, int] = {}
        self.monitor: NDArray[Any] | None = None
        self.fallback: NDArray[Any] | None = None
        self.late: NDArray[Any] | None = None
        self.cost = Histogram()
        self._outputs_nbytes = 8 * outputs
        if task.monitor is not None:
            self.monitor = self._struct("monitor", MONITOR)
            self._bind_monitor(task, model, slot_of)
        if task.fallback is not None:
            self.fallback = self._struct("fallback", FALLBACK)
            self._bind_fallback(task, outputs, slot_of)
        if task.on_late is not None:
            self.late = self._struct("late", LATE)
            self.late["reader"] = self._reader(slot_of(task.on_late.model), "late")
            self.late["reserve_ns"] = round(task.on_late.reserve_s * 1e9)
        self.clear()

    @property
    def undone(self) -> list[tuple[int, int]]:
        """(Address, bytes) of what a cycle changes here (`TaskMemory.undone`); not the states of the other models, which may change
        hands meanwhile: of a tick that is done again they have seen two."""
        monitor, fallback, places = offsets(MONITOR), offsets(FALLBACK), []
        if self.monitor is not None:
            places.append((self.fields["monitor"] + monitor.value, MONITOR.itemsize - monitor.value))
        if self.fallback is not None:
            places.append((self.fields["fallback"] + fallback.stands, FALLBACK.itemsize - fallback.stands))
            places.append((int(self.fallback["bumps"][0]), self._outputs_nbytes))
        return places

    def clear(self) -> None:
        """As new, for another start; the contexts of the readers are the caller's."""
        if self.monitor is not None:
            for name, value in (("over_since_ns", NOT_OVER), ("speaks", 0), ("looked_ns", 0), ("value", 0.0)):
                self.monitor[name] = value
        if self.fallback is not None:
            for name in ("stands", "stood", "blend_from_ns"):
                self.fallback[name] = 0
            self.fallback["source"] = Source.NONE
        if self.late is not None:
            self.late["is_late"] = 0
        self.forget()

    def forget(self) -> None:
        """The largest value and the costs of a task that does not run begin anew."""
        if self.monitor is not None:
            self.monitor["largest"] = -math.inf
            self.cost.reset()

    def prepare(self, model: Model, context: Context, line_ns: float) -> None:
        """What the task wants of every version of its model, where a cache line takes so long to a helper's core and back.

        Raises:
            InterfaceError: a new version has no envelope, not the states that are watched, or cannot run in slices.
        """
        task = self._task
        if task.guard.on_bad_state == "restore" or task.slice_ns or task.threads > 1:
            keep_states(context)
        if task.slice_ns:
            if why := why_not(context._executable.program):
                raise InterfaceError(f"task {task.name!r}, slice_s: {why}")
            self._sliced[context] = slice_runs(context, task.slice_ns, threads=task.threads, line_ns=line_ns)
        if task.on_late is not None:
            needs_s = task.on_late.needs_s
            set_needs(context, measured_ns(context) if needs_s is None else round(needs_s * 1e9))
        if why := same_states(self._watched, model):
            raise InterfaceError(f"task {task.name!r}: {why}")
        if task.monitor is not None and isinstance(task.monitor.model, Envelope):
            try:
                memory = EnvelopeMemory(model, task.monitor.model, f"task {task.name!r}, monitor")
            except TaskError as error:
                raise InterfaceError(str(error)) from error
            keep(context, "envelope", memory.block)
            self._envelopes[context] = memory

    def sliced(self, context: Context) -> Sliced | None:
        """What was measured of a version that runs in slices; None of one that runs whole."""
        return self._sliced.get(context)

    def monitored(self) -> tuple[float, float]:
        """(Newest value, largest value) of the monitor; zeros before its first look."""
        if self.monitor is None or self.monitor["looked_ns"][0] == 0:
            return 0.0, 0.0
        return float(self.monitor["value"][0]), float(self.monitor["largest"][0])

    def stats(self, reader: SlotReader | None) -> MonitorStats | None:
        """What the monitor found; `reader` is the task's of its own slot."""
        if self.monitor is None or self._task.monitor is None:
            return None
        envelope = self._envelopes.get(reader.context) if self._envelopes and reader is not None else None
        return MonitorStats(
            value=float(self.monitor["value"][0]),
            largest=float(self.monitor["largest"][0]),
            speaks=bool(self.monitor["speaks"][0]),
            worst=envelope.worst if envelope is not None else "",
            cost=Latency.of(self.cost),
        )

    def _struct(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        block = self._block(dtype.itemsize)
        self.fields[name] = block.address
        return block.view(dtype)

    def _block(self, nbytes: int) -> Block:
        block = Block(max(nbytes, 1))
        self._parts.append(block)
        return block

    def _reader(self, slot: ModelSlot, whose: str) -> int:
        reader = slot.reader()
        self.whose.append(whose)
        self.readers.append((reader, slot))
        return reader.address

    def _bind_monitor(self, task: Task, model: Any, slot_of: SlotOf) -> None:
        assert task.monitor is not None and self.monitor is not None
        monitor, cost = task.monitor, self._block(NBYTES)
        self.cost = Histogram(cost)
        self.monitor["cost"] = cost.address
        self.monitor["delay_ns"] = round(monitor.delay_s * 1e9)
        self.monitor["limit"], self.monitor["hysteresis"] = monitor.limit, monitor.hysteresis
        if isinstance(monitor.model, Envelope):
            return
        what, mine = f"task {task.name!r}, monitor", model_of(monitor.model)
        self._watched = watches(model, mine, what)
        rows = self._block(WATCHED.itemsize * len(self._watched))
        for row, one in zip(rows.view(WATCHED, 0, len(self._watched)), self._watched, strict=True):
            row["kind"], row["at"] = one.kind, 8 * one.at if one.kind is Kind.TENSOR else one.at
            row["tensor"] = 8 * one.tensor
            row["nbytes"] = math.prod(one.spec.shape) * np.dtype(one.spec.dtype).itemsize
        position, spec = value_of(mine, monitor.output, what)
        self.monitor["moves"], self.monitor["move_count"] = rows.address, len(self._watched)
        self.monitor["output"] = 8 * (len(mine.inputs) + position)
        self.monitor["dtype"] = CODE[np.dtype(spec.dtype)]
        self.monitor["reader"] = self._reader(slot_of(monitor.model), "monitor")

    def _bind_fallback(self, task: Task, outputs: int, slot_of: SlotOf) -> None:
        assert task.fallback is not None and self.fallback is not None
        fallback = task.fallback
        hold_s = task.guard.max_hold_s if fallback.hold_at_most_s is None else fallback.hold_at_most_s
        self.fallback["hold_ns"] = (1 << 62) - 1 if math.isinf(hold_s) else round(hold_s * 1e9)
        self.fallback["blend_ns"] = round(fallback.blend_s * 1e9)
        self.fallback["bumps"] = self._block(8 * outputs).address
        if isinstance(fallback.use, str):
            self.fallback["use"] = Use[fallback.use.upper()]
        else:
            self.fallback["use"], self.fallback["reader"] = Use.SLOT, self._reader(slot_of(fallback.use), "fallback")


def measured_ns(context: Context) -> int:
    """What a run takes at most, but for one in a thousand, measured here in native code; its states begin anew after that."""
    first = int(context.measure(1)[0])
    runs = max(3, min(MEASURED_RUNS, MEASURED_NS // max(first, 1)))
    longest = int(np.percentile(context.measure(runs), SHARE))
    context.reset()
    for view in context.outputs.values():
        view[...] = np.zeros((), view.dtype)
    return longest
