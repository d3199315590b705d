"""Which cycle of a recording is meant, and what is needed to repeat it: the records since the checkpoint before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rt_engine.errors import RecordingError
from rt_engine.recording.layout import Records
from rt_engine.recording.moments import in_words, time_ns
from rt_engine.recording.rows import Rows
from rt_engine.recording.task import By, Checkpoints, TaskRecording


def cycle_at(found: TaskRecording, at: str) -> tuple[Records, Records, int]:
    """The records from a checkpoint on until the cycle that is meant, that checkpoint, and UTC minus the clock of the tasks.

    Args:
        at: `#1200`, the number of a cycle; `2026-11-28T03:12:00.5Z`, the cycle in which that moment lies; else a tick in ns.

    Raises:
        RecordingError: there is no such cycle, or no checkpoint before it without a gap between.
    """
    rows = found.record_rows
    row = row_at(found, at)
    piece = rows.pieces[rows.piece_of(row)]
    record = _record(found, row)
    mine = Rows(tuple(p for p in found.checkpoint_rows.pieces if p.file.boot == piece.file.boot))
    checkpoint = Checkpoints(mine).before(int(record["tick_ns"]))
    back = -1 if checkpoint is None else int(record["number"]) - checkpoint.number
    records = found.records(max(row - max(back, 0), 0), row + 1, "row")
    if checkpoint is None or back < 0 or not (np.diff(records["number"]) == 1).all() or len(records) != back + 1:
        raise RecordingError(
            f"what task '{found.name}' remembered at cycle #{int(record['number'])} is not known: no checkpoint before it, or "
            f"cycles are missing behind that; choose one later than the next checkpoint"
        )
    return records, checkpoint.record, piece.file.offset_ns


def row_at(found: TaskRecording, at: str) -> int:
    """The row of a cycle; see `cycle_at`.

    Raises:
        RecordingError: there is none, or `at` is no number and no time.
    """
    by, value = _meant(at)
    row, _ = found.rows(value, None, by)
    many = len(found)
    if by == "utc" and (row == many or _utc_ns(found, row) > value):
        row -= 1
    first, last, first_utc, last_utc = found.span
    is_past = by == "utc" and value > last_utc + found.layout.period_ns
    if not 0 <= row < many or is_past or (by == "tick" and value < first):
        text = f"ticks {first} to {last}, {in_words(first_utc)} to {in_words(last_utc)}"
        raise RecordingError(f"task '{found.name}' has no cycle at {at}; the recording has {text}")
    record = _record(found, row)
    if by == "number" and int(record["number"]) != value:
        raise RecordingError(
            f"cycle {at} of task '{found.name}' is not in the recording; the next one is #{record['number']}"
        )
    return row


def _record(found: TaskRecording, row: int) -> Any:
    """The record of a row that the recording has; raises RecordingError where it lies in a damaged chunk."""
    records = found.records(row, row + 1, "row")
    if not len(records):
        raise RecordingError(
            f"that cycle of task '{found.name}' lies in a damaged part of the recording, which `rt-engine recording info` tells; "
            "choose another one"
        )
    return records[0]


def _utc_ns(found: TaskRecording, row: int) -> int:
    piece = found.record_rows.pieces[found.record_rows.piece_of(row)]
    return int(_record(found, row)["tick_ns"]) + piece.file.offset_ns


def _meant(at: str) -> tuple[By, int]:
    if at.isdigit():
        return "tick", int(at)
    if at[:1] == "#" and at[1:].isdigit():
        return "number", int(at[1:])
    return "utc", time_ns(at)
