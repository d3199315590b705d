"""A task's recording -> pieces for `scheduler.replay`, as the files have them; and where one recording is of several models' lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from rt_engine.recording import Recording, Segment, TaskRecording
from rt_engine.recording.contents import version_of
from rt_engine.recording.file import RecordingFile
from rt_engine.recording.layout import Records
from rt_engine.recording.rows import Rows
from scheduler.replay import Piece

MOST_BYTES: Final = 8 << 20
"""Of the records of a piece, about."""


def pieces_of(task: TaskRecording, part: Segment | tuple[int, int] | None = None) -> Iterator[Piece]:
    """A task's recording in order, read as it is taken: all of it, a segment, or the rows from the one up to the other."""
    start, stop = (0, len(task)) if part is None else (part.start, part.stop) if isinstance(part, Segment) else part
    before: tuple[str, int] | None = None
    for boot, records in _groups(task.record_rows, start, stop):
        first = int(records["number"][0])
        checkpoints = _checkpoints(task, boot, int(records["tick_ns"][0]), int(records["tick_ns"][-1]))
        yield Piece(records, checkpoints, goes_on=before == (boot, first - 1))
        before = boot, int(records["number"][-1])


def _groups(rows: Rows, start: int, stop: int) -> Iterator[tuple[str, Records]]:
    """Chunks that follow each other in one boot, several in one array."""
    waiting, boot = list[Records](), ""
    for _, piece, part in rows.blocks(start, stop):
        if waiting and (piece.file.boot != boot or sum(map(_nbytes, waiting)) >= MOST_BYTES):
            yield boot, joined(waiting)
            waiting = []
        boot = piece.file.boot
        waiting.append(part)
    if waiting:
        yield boot, joined(waiting)


def _nbytes(part: Records) -> int:
    return len(part) * part.dtype.itemsize


def _checkpoints(task: TaskRecording, boot: str, first_ns: int, last_ns: int) -> Records:
    """Those of the ticks from the first to the last."""
    found = [np.zeros(0, task.layout.checkpoint_dtype)]
    near = Rows(
        tuple(
            piece
            for piece in task.checkpoint_rows.pieces
            if piece.file.boot == boot and piece.last_ns >= first_ns and piece.first_ns <= last_ns
        )
    )
    for _, _, part in near.blocks(0, len(near)):
        ticks = part["tick_ns"]
        found.append(part[(ticks >= first_ns) & (ticks <= last_ns)])
    return joined(found)


def joined(parts: list[Records]) -> Records:
    """One behind the other: without names, as NumPy would copy field by field."""
    dtype = parts[0].dtype
    return np.concatenate([part.view(f"V{dtype.itemsize}") for part in parts]).view(dtype)


def lives(recording: Recording) -> list[Recording]:
    """The recording, cut where the number of a version came to mean another model: each can be replayed as a whole."""
    found: list[list[RecordingFile]] = []
    known: dict[tuple[str, str, int], str] = {}
    for file in recording.files:
        mine = dict(_versions(file))
        if not found or any(known.get(key, sha256) != sha256 for key, sha256 in mine.items()):
            found.append([])
            known = {}
        known |= mine
        found[-1].append(file)
    return [recording] if len(found) == 1 else [Recording(tuple(files)) for files in found]


def _versions(file: RecordingFile) -> Iterable[tuple[tuple[str, str, int], str]]:
    told = (version for event in file.events() if (version := version_of(event)) is not None)
    for version in (*file.versions, *told):
        yield (version.task, version.model, version.number), version.sha256
