"""A part of a recording as a recording of its own, which can be replayed."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rt_engine.errors import RecordingError
from rt_engine.recording.file import Piece
from rt_engine.recording.layout import TaskLayout
from rt_engine.recording.recording import Recording
from rt_engine.recording.task import TaskRecording
from rt_engine.recording.writer import Writer


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken of a task: its rows, and whether they begin at a checkpoint."""

    task: str
    layout: TaskLayout
    start: int
    stop: int
    has_checkpoint: bool


def cut(
    recording: Recording,
    path: Path,
    start_ns: int,
    stop_ns: int,
    *,
    tasks: Sequence[str] = (),
    is_exact: bool = False,
    compression: str = "zstd",
) -> tuple[Part, ...]:
    """Write what is between two moments of UTC, with all that was said with it and all that is attached, to a new file.

    Each task begins at its newest checkpoint before `start_ns`, so that it can be replayed from its first cycle on.

    Args:
        tasks: those that are taken; empty: all.
        is_exact: begin at `start_ns`, whatever that means for replay.

    Raises:
        RecordingError: nothing is there in that time, or it goes over a boot or a change of the station file.
        OSError: the file is there already, or cannot be written.
    """
    names = tasks or recording.tasks
    parts = [part for name in names if (part := _part(recording.task(name), start_ns, stop_ns, is_exact)) is not None]
    if not parts:
        raise RecordingError("there is no cycle of these tasks in that time")
    first = _file(recording, parts)
    writer = Writer(
        path,
        [part.layout for part in parts],
        offset_ns=first.file.offset_ns,
        about={**first.file.about, "cut_of": ", ".join(Path(name).name for name in recording.paths)},
        station=recording.station_text,
        versions=[version for task in names for version in recording.versions.get(task, {}).values()],
        attachments=dict(_attachments(recording)),
        compression=compression,
    )
    try:
        with writer:
            for part in parts:
                _copy(recording.task(part.task), part, writer)
            begin_ns = min(
                int(recording.task(part.task).utc_ns(part.start, part.start + 1, "row")[0]) for part in parts
            )
            for event in recording.events:
                if begin_ns <= event["utc_ns"] < stop_ns and event["kind"] != "version":
                    writer.add_event({name: value for name, value in event.items() if name != "utc_ns"})
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return tuple(parts)


def _attachments(recording: Recording) -> Iterator[tuple[str, bytes]]:
    """Those that can be read; of the others `Recording.damaged` tells."""
    for name, attached in recording.attachments.items():
        with suppress(RecordingError):
            yield name, attached.read()


def _part(task: TaskRecording, start_ns: int, stop_ns: int, is_exact: bool) -> Part | None:
    start, stop = task.rows(start_ns, stop_ns, "utc")
    ticks = task.records(start, start + 1, "row")["tick_ns"]
    if stop <= start or not len(ticks):
        return None
    checkpoint = task.checkpoints.before(int(ticks[0]))
    row = None
    if checkpoint is not None:
        boot = task.record_rows.pieces[task.record_rows.piece_of(start)].file.boot
        row = task.record_rows.row_at(boot, checkpoint.tick_ns)
    if row is not None and row <= start and (not is_exact or row == start):
        return Part(task.name, task.layout, row, stop, True)
    return Part(task.name, task.layout, start, stop, False)


def _file(recording: Recording, parts: list[Part]) -> Piece:
    """The first piece of all parts, where they are all of one boot and have one layout each."""
    pieces = [
        piece for part in parts for _, piece, _ in recording.task(part.task).record_rows.blocks(part.start, part.stop)
    ]
    if len({piece.file.boot for piece in pieces}) > 1:
        raise RecordingError(
            "that time goes over a start of the computer, and its clock began anew: cut before or after it"
        )
    for part in parts:
        if len(recording.task(part.task).layouts) > 1:
            raise RecordingError(f"task '{part.task}' changed in these files: open those before and after apart")
    return pieces[0]


def _copy(task: TaskRecording, part: Part, writer: Writer) -> None:
    """Records and checkpoints of a part."""
    rows = task.record_rows
    first, last = rows.tick(part.start, part.stop), rows.tick(part.start, part.stop, is_last=True)
    assert first is not None and last is not None
    boot = rows.pieces[rows.piece_of(part.start)].file.boot
    for _, checkpoints in task.checkpoints.blocks(boot, first, last):
        writer.add_checkpoints(part.layout, checkpoints)
    for block in task.blocks(part.start, part.stop, "row"):
        writer.add_records(part.layout, block)
