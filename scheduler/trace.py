"""What a task left behind for who asks later (`scheduler.trace_native` writes it): its cycles and its ranges of values."""

from dataclasses import dataclass
from typing import Any

from fieldbus.image.image import Channel
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


def ranges(task: Task, inputs: Any, outputs: Any) -> dict[str, Range]:
    """Tag -> its range, for those of a task that had a value; `inputs`, `outputs`: the tables of its memory."""
    found: dict[str, Range] = {}
    entries: tuple[Input | Output, ...] = (*task.inputs, *task.outputs)
    for entry, row in zip(entries, (*inputs, *outputs), strict=True):
        seen, total = int(row["seen"]), float(row["total"])
        if seen:
            one = Range(seen, float(row["least"]), total / seen, float(row["greatest"]))
            name = tag_at(entry.channel, entry.cell).partition("[")[0]
            found[name] = found[name] | one if name in found else one
    return found


def blamed(task: Task, cycle: Cycle) -> str:
    """What a cycle's status is about: the tag that was NaN, the device (the channel's writer) whose values were bad."""
    if cycle.blame < 0:
        return ""
    if cycle.status == TaskStatus.BAD_INPUT:
        channels = list({id(entry.channel): entry.channel for entry in task.inputs}.values())
        return channels[cycle.blame].writer
    entries: tuple[Input | Output, ...] = task.inputs if cycle.status == TaskStatus.NAN_INPUT else task.outputs
    rest = cycle.blame
    for entry in entries:
        if rest < entry.count:
            return tag_at(entry.channel, entry.cell + rest)
        rest -= entry.count
    return ""


def tag_at(channel: Channel, cell: int) -> str:
    """The tag that a cell belongs to, with the number of the element where it has several: `curve[3]`."""
    for tag in channel.tags:
        if cell < tag.count:
            return tag.name if tag.count == 1 else f"{tag.name}[{cell}]"
        cell -= tag.count
    raise IndexError(f"channel {channel.name!r} has no such cell")
