"""A task of a recording with another model: what it did, and what it does, side by side.

pieces of the recording --scheduler.replay, the real cycle--> rows --> Comparison --> WhatIf
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rt_engine.model import Model
from rt_engine.recording.layout import Flag, Records, TaskLayout
from scheduler.replay import NOT_REPEATED, Piece, Replay, Replayed
from scheduler.task import Task
from station.replay.judging import many
from station.replay.whatif import Comparison, Cycles, Terms, WhatIf


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A task of a recording, as `scheduler.replay` repeats it.

    Args:
        task: as the recording's station file has it.
        layout: of its records.
        versions: the numbers of the model's versions in the records.
        model: the one that ran; None: it is not there, which only means that less is told.
    """

    task: Task
    layout: TaskLayout
    versions: tuple[int, ...]
    model: Model | None = None


def what_if(subject: Subject, model: Model, terms: Terms, pieces: Iterable[Piece], most_s: float = np.inf) -> WhatIf:
    """Run `model` over the pieces, in the place of every version that ran; ends after the piece in which `most_s` are over.

    Raises:
        ReplayError: task, model and records do not fit each other.
        SchedulerError, EngineError: the task cannot run this model, with why.
    """
    comparison = Comparison(terms)

    def each(piece: Piece, rows: Records) -> None:
        done, records = rows["what"] != NOT_REPEATED, piece.records
        if not done.all():
            records, rows = records[done], rows[done]
        comparison.add(recorded(subject.layout, records), repeated(records, rows))

    models = dict.fromkeys(subject.versions, model)
    found = Replay(subject.task, models, subject.layout, what_if=True).run(_in_time(pieces, most_s), each=each)
    notes = [*states(subject.model, model), *_left_out(found)]
    return replace(comparison.result(notes), recorded=found.recorded, seconds=found.seconds)


def recorded(layout: TaskLayout, records: Records) -> Cycles:
    """What records say that a task did."""
    return Cycles(
        tick_ns=np.ascontiguousarray(records["tick_ns"]),
        raw=layout.raw(records),
        published=layout.published(records),
        status=np.ascontiguousarray(records["status"]),
        action=np.ascontiguousarray(records["action"]),
        monitor=np.ascontiguousarray(records["monitor"]),
        smaller=records["flags"] & Flag.SMALLER != 0,
    )


def repeated(records: Records, rows: Records) -> Cycles:
    """What came of the same cycles now."""
    return Cycles(
        tick_ns=np.ascontiguousarray(records["tick_ns"]),
        raw=rows["raw"],
        published=rows["published"],
        status=np.ascontiguousarray(rows["status"]),
        action=np.ascontiguousarray(rows["action"]),
        monitor=np.ascontiguousarray(rows["monitor"]),
        smaller=records["flags"] & Flag.SMALLER != 0,
    )


def states(old: Model | None, new: Model) -> Iterator[str]:
    """What the new model's states begin with, where it has any."""
    if not new.state:
        return
    theirs = None if old is None else {spec.name: (spec.shape, spec.dtype) for spec in old.state}
    if theirs == {spec.name: (spec.shape, spec.dtype) for spec in new.state}:
        yield "its states are those of the old model: they begin as recorded, and go on as its own"
    else:
        yield "its states are not those of the old model: they begin fresh, so its first cycles are not yet what it would give later"


def _in_time(pieces: Iterable[Piece], most_s: float) -> Iterator[Piece]:
    begin = time.monotonic()
    for piece in pieces:
        yield piece
        if time.monotonic() - begin >= most_s:
            return


def _left_out(found: Replayed) -> Iterator[str]:
    for why, count in found.left_out.items():
        yield f"{many(count, 'cycle')} of the recording cannot be run again: {why.value}"
