"""A task of a recording with another model: what it did, and what it does, side by side.

pieces of the recording --scheduler.replay, the real cycle--> rows --> Comparison --> WhatIf
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rt_engine.model import Model
from rt_engine.recording.layout import CHECKPOINT_HEAD, Flag, Records, TaskLayout
from rt_native.memory import offsets
from scheduler.replay import NOT_REPEATED, Piece, Replay, Replayed
from scheduler.tap_block import ABOUT, Whose
from scheduler.task import Task
from station.replay.whatif import Comparison, Cycles, Terms, WhatIf
from station.terms.counting import many

_NEEDS = offsets(ABOUT).needs + 8 * Whose.TASK
"""Where the region "about", the first of a checkpoint, says how many bytes the states of the task's model have."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A task of a recording, as `scheduler.replay` repeats it.

    Args:
        task: as the recording's station file has it.
        layout: of its records.
        versions: the numbers of the model's versions in the records.
        model: the one that ran; None: it is not there, which only means that less is told.
        others: see `station.replay.restored.Restored`.
    """

    task: Task
    layout: TaskLayout
    versions: tuple[int, ...]
    model: Model | None = None
    others: Mapping[str, Mapping[int, Model]] = field(default_factory=dict)


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
    if not are_alike(subject.model, model):
        pieces = (replace(piece, checkpoints=_without_states(piece.checkpoints, subject.layout)) for piece in pieces)
    replay = Replay(subject.task, models, subject.layout, others=subject.others, what_if=True)
    found = replay.run(_in_time(pieces, most_s), each=each)
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


def are_alike(old: Model | None, new: Model) -> bool:
    """Has the new model the states of the old one: names, shapes, types? Of one that is not there nobody knows."""
    return old is not None and old.state == new.state


def _without_states(checkpoints: Records, layout: TaskLayout) -> Records:
    """The same, with the states of the task's model being those of another one, so that they are not taken."""
    made = np.array(checkpoints.view(f"V{layout.checkpoint_bytes}"))
    if layout.regions:
        at = CHECKPOINT_HEAD.itemsize + _NEEDS
        word = np.dtype({"names": ["needs"], "formats": ["<i8"], "offsets": [at], "itemsize": layout.checkpoint_bytes})
        made.view(word)["needs"] = -1
    return made.view(checkpoints.dtype)


def states(old: Model | None, new: Model) -> Iterator[str]:
    """What the new model's states begin with, where it has any."""
    if not new.state:
        return
    if are_alike(old, new):
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
