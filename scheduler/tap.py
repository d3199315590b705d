"""The tap of a task: what it is told, and what its records look like (`rt_engine.recording.layout`).

Scheduler(tasks, taps={"axis": TapTerms(path="/dev/shm/...", capacity=60_000)})
scheduler.rings["axis"].records()
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fieldbus.image.image import Channel
from rt_engine.recording.layout import Field, Regions, SourceFields, TaskLayout
from rt_native.memory import Block
from scheduler.binding import TaskMemory
from scheduler.kept import Kept
from scheduler.native import NATIVE
from scheduler.ring import Ring
from scheduler.tap_block import AT_ONCE, TAP
from scheduler.task import Output, Task

CHECKPOINT_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TapTerms:
    """Where and how much of a task is kept.

    Args:
        path: of the ring, which must not be there yet; in /dev/shm, where it is memory and survives the process.
        capacity: cycles. If nobody takes them in time, later ones are dropped whole, and counted.
        checkpoint_ns: from one checkpoint to the next; more are made where the record alone does not tell how to go on.
        checkpoints: that the ring has room for.
    """

    path: Path | str
    capacity: int
    checkpoint_ns: int = CHECKPOINT_NS
    checkpoints: int = 8


class Tap:
    """The tap of a task that a runner has bound: from its next cycle on each is recorded.

    Raises:
        RingError: the ring cannot be made.
        RecordingError: a record would be too large.
    """

    def __init__(self, task: Task, memory: TaskMemory, terms: TapTerms) -> None:
        self._memory, self.kept = memory, Kept(memory)
        layout = layout_of(task, self.kept.regions)
        self.ring = Ring.create(terms.path, layout, terms.capacity, terms.checkpoints)
        self._block = Block(TAP.itemsize)
        self._fields = self._block.view(TAP)
        values = {
            "record": NATIVE.address("tap_record"), "write_checkpoint": NATIVE.address("tap_checkpoint"),
            "ring": self.ring.address, "kept": self.kept.address, "checkpoint_ns": terms.checkpoint_ns,
            **self.ring.places,
        }  # fmt: skip
        for name, value in values.items():
            self._fields[name] = value
        self.begin()
        memory.task["tap"] = self._block.address

    def begin(self) -> None:
        """The task, which does not cycle, begins anew: cycles are numbered from 0, and the first has a checkpoint."""
        self._fields["number"], self._fields["next_checkpoint_ns"] = 0, AT_ONCE

    def close(self) -> None:
        """The task, which does not cycle any more, has no tap; what the ring holds stays in its file."""
        self._memory.task["tap"] = 0
        self.ring.close()


def layout_of(task: Task, regions: Regions = ()) -> TaskLayout:
    """What a record of a task has. `regions`: of its checkpoints (`scheduler.kept.Kept.regions`).

    Raises:
        RecordingError: a record would be too large.
    """
    sources = tuple(_source(channel) for channel in task.channels_read)
    return TaskLayout(task.name, task.period_ns, sources, tuple(_outputs(task.outputs)), regions)


def _source(channel: Channel) -> SourceFields:
    return SourceFields(channel.writer, tuple(Field(tag.name, tag.count, tag.unit) for tag in channel.tags))


def _outputs(outputs: tuple[Output, ...]) -> Iterator[Field]:
    """A field for each tag; of one that is not driven whole, or not in a row, one for each part: `name[3]`, `name[4:8]`."""
    for entry in outputs:
        cell, end = entry.cell, entry.cell + entry.count
        while cell < end:
            tag, first = entry.channel.tag_at(cell)
            count = min(tag.count - first, end - cell)
            part = f"{first}:{first + count}" if count > 1 else f"{first}"
            yield Field(tag.name if count == tag.count else f"{tag.name}[{part}]", count, tag.unit)
            cell += count
