"""The tap of a task: what it is told, and what its records look like (`rt_engine.recording.layout`).

Scheduler(tasks, taps={"axis": TapTerms(path="/dev/shm/...", capacity=60_000)})
scheduler.rings["axis"].records()
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fieldbus.image.image import Channel
from rt_engine.recording.layout import Field, Regions, SourceFields, TaskLayout
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
