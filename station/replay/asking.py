"""What another model makes of a recording: which tasks are meant, does it fit where the old one ran, and then the comparison.

Recording + Model --tasks of the slot--> does it fit? --each task--> WhatIf
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rt_engine.errors import EngineError
from rt_engine.gate.contracts import check_meaning, running_contract
from rt_engine.gate.interface import objection
from rt_engine.gate.job import GateJob
from rt_engine.gate.report import Outcome
from rt_engine.model import Model, load
from rt_engine.read.source import Source, opened
from rt_engine.recording import Recording, Segment, TaskRecording, Version
from scheduler.errors import ReplayError
from scheduler.replay import Piece
from station.replay.models import Search, versions_of
from station.replay.outputs import outputs_of
from station.replay.pieces import pieces_of
from station.replay.restored import Restored, restored
from station.replay.slots import binding_of, slot_of
from station.replay.whatif import Terms, WhatIf
from station.replay.whatif_run import Subject, what_if

STRETCHES = 64
"""Where there is no time for all of a recording, so many parts of it are run, spread evenly."""
FIRST = 2_000
"""Cycles by which it is known how many there is time for."""
SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is compared, and how strictly.

    Args:
        task: this one alone; None: all that run the slot.
        slot: whose model is replaced; None: the only one of the recording.
        tolerance, tolerances, disagreements: see `rt_engine.gate.job.Recorded`.
        most_s: for all tasks together; then parts of the recording that are spread over it.
        folders: where models are looked for besides, by their hash.
        steps, trusts_steps: see `station.replay.restored.restored`.
    """

    task: str | None = None
    slot: str | None = None
    tolerance: float | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)
    disagreements: int = 0
    most_s: float = np.inf
    folders: tuple[Path, ...] = ()
    steps: Path | None = None
    trusts_steps: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """One recording, and whose model is replaced in which of its tasks; made by `ask`."""

    recording: Recording
    asked: Asked
    slot: str
    tasks: tuple[str, ...]
    search: Search

    def load(self, path: Path) -> Model:
        """A new model, bound as the recording's station file binds the slot. Raises EngineError."""
        return self._loaded(opened(path))

    def _loaded(self, source: Source) -> Model:
        return load(source, **binding_of(self.recording, self.slot).options)

    @property
    def versions(self) -> tuple[Version, ...]:
        """Those of the slot that the recording tells of, in the order of their numbers."""
        known = versions_of(self.recording, self.tasks[0]).get(self.slot, {})
        return tuple(known[number] for number in sorted(known))

    def old(self) -> Model | None:
        """The newest version that ran; None: it is nowhere, or does not load here."""
        for version in reversed(self.versions):
            if (found := self.search.find(version.sha256)) is not None:
                try:
                    return self._loaded(found)
                except EngineError:
                    return None
        return None

    def run(self, model: Model) -> list[WhatIf]:
        """The comparison of each task.

        Raises:
            ReplayError: the model does not fit where the old one ran, with why; or something is missing that the tasks need.
            RecordingError: the recording is damaged where it is needed.
            EngineError, SchedulerError: the tasks cannot run this model.
        """
        old = self.old()
        self._refuse(model, old)
        found = [self._compared(self._restored(name, model), model, old) for name in self.tasks]
        damaged = [f"the recording is damaged: {damage}" for damage in self.recording.damaged]
        lost = [] if old is not None else [self._lost()]
        return [replace(one, notes=(*one.notes, *lost, *damaged)) for one in found]

    def _refuse(self, model: Model, old: Model | None) -> None:
        """Raises ReplayError where it is no model for the same place; what the old one was may not be known."""
        if old is None:
            return
        if why := objection(self.slot, old.inputs, old.outputs, old.classes, model):
            raise ReplayError(why)
        job = GateJob(running=old.metadata)
        meaning = check_meaning(model.contract, running_contract(model, job))
        if meaning.outcome is Outcome.FAILED:
            raise ReplayError(f"slot '{self.slot}': the new model means something else: {meaning.why}")

    def _restored(self, name: str, model: Model) -> Restored:
        steps, trusted = self.asked.steps, self.asked.trusts_steps
        return restored(self.recording, name, self.search, steps=steps, trusted=trusted, instead={self.slot: model})

    def _lost(self) -> str:
        hashes = dict.fromkeys(version.sha256 for version in self.versions)
        return f"the model that ran is not there (SHA-256 {', '.join(hashes) or 'unknown'}): what it put out is as recorded"

    def _compared(self, made: Restored, model: Model, old: Model | None) -> WhatIf:
        task, asked = made.task, self.asked
        recorded = self.recording.task(task.name)
        first_ns, last_ns, utc_ns, _ = recorded.span
        terms = Terms(
            task=task.name,
            period_ns=task.period_ns,
            first_ns=first_ns,
            last_ns=last_ns,
            outputs=outputs_of(task, model.contract, asked.tolerance, asked.tolerances),
            utc_ns=utc_ns - first_ns,
            monitor_limit=None if task.monitor is None else task.monitor.limit,
            disagreements=asked.disagreements,
        )
        versions = tuple(made.models) if self.versions else _versions(recorded)
        subject, most_s = Subject(task, made.layout, versions, old, made.others), asked.most_s / len(self.tasks)
        if most_s == np.inf:
            return what_if(subject, model, terms, pieces_of(recorded))
        pieces = _in_time(subject, model, terms, recorded, most_s)
        return replace(what_if(subject, model, terms, pieces, most_s), recorded=len(recorded))


def _in_time(subject: Subject, model: Model, terms: Terms, recorded: TaskRecording, most_s: float) -> Iterator[Piece]:
    """All of a recording, or as much as there is time for, in stretches that are spread over it."""
    segments = recorded.segments(STRETCHES)
    first = what_if(subject, model, terms, _beginnings(recorded, segments[:1], FIRST), most_s)
    rate = first.recorded / max(first.seconds, 1e-9)
    most = int(rate * max(most_s - first.seconds, 0.0) * SHARE)
    if most >= len(recorded):
        return pieces_of(recorded)
    return _beginnings(recorded, segments, max(most // max(len(segments), 1), 1))


def _beginnings(recorded: TaskRecording, segments: Iterable[Segment], most: int) -> Iterator[Piece]:
    """Of each segment up to so many cycles."""
    for segment in segments:
        yield from pieces_of(recorded, (segment.start, min(segment.stop, segment.start + most)))


def ask(recording: Recording, asked: Asked) -> Asking:
    """Which tasks of a recording are meant.

    Raises:
        ReplayError: it has no task, none that runs the slot, or several models where none was named.
    """
    names = [name for name in recording.tasks if len(recording.task(name))]
    if not names:
        raise ReplayError("the recording has no cycle of any task")
    if asked.task is not None and asked.task not in names:
        raise ReplayError(f"the recording has no cycles of task '{asked.task}'; it has those of {', '.join(names)}")
    slots = {name: slot_of(recording, name) for name in names if asked.task in (None, name)}
    known = dict.fromkeys(slot for slot in slots.values() if slot is not None)
    slot = asked.slot if asked.slot else next(iter(known), None)
    if slot is None or slot not in known:
        which = ", ".join(f"{name} runs {mine or 'no model'}" for name, mine in slots.items())
        raise ReplayError(f"no task of the recording runs {f'the model {slot!r}' if slot else 'a model'}: {which}")
    if not asked.slot and len(known) > 1:
        raise ReplayError(
            f"its tasks run several models ({', '.join(known)}): say which one is replaced, --slot NAME or --task NAME"
        )
    tasks = tuple(name for name, mine in slots.items() if mine == slot)
    return Asking(recording, asked, slot, tasks, Search(recording, asked.folders))


def _versions(recorded: TaskRecording) -> tuple[int, ...]:
    """The numbers of the versions in its records."""
    found: set[int] = set()
    for block in recorded.blocks():
        found |= {int(number) for number in np.unique(block["version"])}
    return tuple(sorted(found))
