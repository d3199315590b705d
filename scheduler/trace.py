"""What a task left behind for who asks later (`scheduler.trace_native` writes it): its cycles and its ranges of values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldbus.image.image import Channel
from fieldbus.tags import Quality
from rt_engine.recording.layout import Records, TaskLayout
from scheduler.status import Action, TaskStatus
from scheduler.task import Input, Output, Task


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle. Times are nanoseconds; `tick_ns` is CLOCK_MONOTONIC.

    Attributes:
        blame: what `status` is about: of BAD_INPUT the number of the input channel, of NAN_INPUT and NAN_OUTPUT that of the
            value; -1: of nothing. See `blamed`.
        age_ns: of BAD_INPUT: how old the values were; 0: their quality was bad.
        wakeup_ns, execution_ns: how late it woke, and how long it then worked.
        missed: ticks that it cost.
        switched: was it the first on a new version of the model?
    """

    tick_ns: int
    action: Action
    status: int
    blame: int
    age_ns: int
    wakeup_ns: int
    execution_ns: int
    missed: int
    switched: bool

    @classmethod
    def of(cls, row: Any) -> "Cycle":
        """From a row of `scheduler.task_block.CYCLE`."""
        values = dict(zip(row.dtype.names, row.item(), strict=True))
        return cls(**values | {"action": Action(values["action"]), "switched": bool(values["switched"])})

    @property
    def complete_ns(self) -> int:
        """From the tick to the written outputs."""
        return self.wakeup_ns + self.execution_ns


@dataclass(frozen=True, slots=True, eq=False)
class Latched:
    """What a task's model was given and made in the cycle of a tick: copies. `state` is what it began with."""

    version: int
    tick_ns: int
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    state: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Range:
    """Of the values that a tag had in a task's cycles: how many, least, mean, greatest, in the tag's unit."""

    seen: int
    least: float
    mean: float
    greatest: float

    def __or__(self, other: "Range") -> "Range":
        """Of both together."""
        seen = self.seen + other.seen
        mean = (self.mean * self.seen + other.mean * other.seen) / seen
        return Range(seen, min(self.least, other.least), mean, max(self.greatest, other.greatest))


def ranges(entries: Sequence[Input | Output], seen: int, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Range]:
    """Tag -> its range, for those that had a value, of a task's inputs or outputs.

    `seen`: how many cycles are in the ranges of single values, `arrays` (`RANGES` of `scheduler.task_block`).
    """
    if not entries:
        return {}
    first = np.cumsum([0, *(entry.count for entry in entries[:-1])])
    counts = np.array([entry.count for entry in entries]) * seen - np.add.reduceat(arrays["lost"], first)
    least, greatest = np.minimum.reduceat(arrays["least"], first), np.maximum.reduceat(arrays["greatest"], first)
    totals = np.add.reduceat(arrays["total"], first)
    found: dict[str, Range] = {}
    columns = (counts.tolist(), least.tolist(), totals.tolist(), greatest.tolist())
    names = (entry.channel.tag_at(entry.cell)[0].name for entry in entries)
    for name, count, low, total, high in zip(names, *columns, strict=True):
        if count:
            one = Range(count, low, total / count, high)
            found[name] = found[name] | one if name in found else one
    return found


def blamed(task: Task, cycle: Cycle) -> str:
    """What a cycle's status is about: the tag that was NaN, the device (the channel's writer) whose values were bad."""
    if cycle.blame < 0:
        return ""
    if cycle.status == TaskStatus.BAD_INPUT:
        return task.channels_read[cycle.blame].writer
    entries: tuple[Input | Output, ...] = task.inputs if cycle.status == TaskStatus.NAN_INPUT else task.outputs
    rest = cycle.blame
    for entry in entries:
        if rest < entry.count:
            return tag_at(entry.channel, entry.cell + rest)
        rest -= entry.count
    return ""


def tag_at(channel: Channel, cell: int) -> str:
    """The tag that a cell belongs to, with the number of the element where it has several: `curve[3]`."""
    tag, element = channel.tag_at(cell)
    return tag.name if tag.count == 1 else f"{tag.name}[{element}]"


def good_values(layout: TaskLayout, records: Records, source: int) -> NDArray[np.float64]:
    """What came from a source in each cycle, NaN where its quality was BAD."""
    values = layout.values(records, source)
    is_bad = layout.source_heads(records, source)["quality"] == Quality.BAD
    return np.where(is_bad[:, None], np.nan, values) if is_bad.any() else values
