"""What is in a recording, as data for a table or for JSON."""

from dataclasses import dataclass
from typing import Any

from rt_engine.recording.moments import in_words
from rt_engine.recording.recording import Recording
from rt_engine.recording.task import TaskRecording


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What there is of a task.

    Args:
        period_ns: of its cycle.
        cycles: recorded; those in damaged chunks among them.
        begin_ns, end_ns: UTC of the first and the last; 0 without one.
        checkpoints: from which replay can begin.
        inputs, outputs: values in a cycle.
        nbytes: of a cycle, not compressed.
        gaps: where cycles are missing; None: not looked for.
        lost: how many ran that are not there; None: not looked for.
    """

    task: str
    period_ns: int
    cycles: int
    begin_ns: int
    end_ns: int
    checkpoints: int
    inputs: int
    outputs: int
    nbytes: int
    gaps: int | None
    lost: int | None


def summarise(recording: Recording, is_quick: bool = False) -> tuple[TaskSummary, ...]:
    """Of each task; what is damaged is in `recording.damaged` afterwards, unless `is_quick`: then no record is read."""
    if not is_quick:
        recording.check()
    return tuple(_of(recording.task(name), is_quick) for name in recording.tasks)


def _of(task: TaskRecording, is_quick: bool) -> TaskSummary:
    layout = task.layouts[-1]
    gaps = None if is_quick else task.gaps()
    _, _, begin_ns, end_ns = task.span
    return TaskSummary(
        task=task.name,
        period_ns=layout.period_ns,
        cycles=len(task),
        begin_ns=begin_ns,
        end_ns=end_ns,
        checkpoints=len(task.checkpoints),
        inputs=sum(source.cells for source in layout.sources),
        outputs=layout.output_count,
        nbytes=layout.nbytes,
        gaps=None if gaps is None else len(gaps),
        lost=None if gaps is None else sum(max(0, gap.lost) for gap in gaps),
    )


def to_plain(recording: Recording, found: tuple[TaskSummary, ...]) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "files": [
            {
                "path": file.path,
                "bytes": file.source.size,
                "readable": file.ending.at,
                "ending": file.ending.why or "whole",
            }
            for file in recording.files
        ],
        "about": recording.about,
        "tasks": [
            {
                **{name: getattr(task, name) for name in TaskSummary.__slots__},
                "begin": in_words(task.begin_ns) if task.cycles else "",
                "end": in_words(task.end_ns) if task.cycles else "",
                "columns": [column.path for column in recording.task(task.task).columns],
            }
            for task in found
        ],
        "versions": [
            {"task": version.task, "number": version.number, "sha256": version.sha256, "model": version.model}
            for versions in recording.versions.values()
            for version in versions.values()
        ],
        "events": [{**event, "utc": in_words(event["utc_ns"])} for event in recording.events],
        "attachments": [{"name": each.name, "bytes": each.nbytes} for each in recording.attachments.values()],
        "damaged": [{"path": part.path, "at": part.at, "why": part.why} for part in recording.damaged],
    }
