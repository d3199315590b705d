"""One cycle of a recording, explained: what the model saw, thought and did, with the names and units of tags.

    records, checkpoints --scheduler.replay, the real cycle, up to the cycle before--> states of the model
                         --the cycle itself--> its inputs, as scaled, windowed, limited
    inputs, states --rt_engine.explain, in a context of its own--> tensors, influence

The run that is explained is compared with the one in the cycle: the same bits, or it says that they are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import rt_engine.recording
from rt_engine import Model
from rt_engine.errors import RecordingError
from rt_engine.explain import Explanation, explain
from rt_engine.recording.layout import Records, TaskLayout
from rt_engine.recording.moments import in_words, utc_ns
from scheduler.errors import ReplayError
from scheduler.replay import NOT_REPEATED, Piece, Replay
from scheduler.status import Action, describe
from scheduler.task import Task
from station.replay.arithmetic import other_arithmetic
from station.replay.elements import USUAL, labels_of_task, usual_base
from station.replay.models import Search
from station.replay.moment import cycle_at, row_at
from station.replay.pieces import lives
from station.replay.repeat import How, utc
from station.replay.restored import WHAT_HELPS, restored
from station.replay.whatif import COMPUTED, SPOKEN

Arrays = dict[str, NDArray[Any]]
Facts = list[tuple[str, str]]
STATES: Final = "states"
"""The region of a checkpoint with the states of the task's model."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The model of one cycle: what it was given, its states before, what it gave."""

    inputs: Arrays
    state: Arrays
    outputs: Arrays


def explain_recording(
    where: Path | Sequence[Path], at: str, how: How, outputs: Sequence[str] = ()
) -> tuple[Model, Explanation, Facts]:
    """Explain a cycle of a recording.

    Args:
        where: its file, its files, or their folder.
        at: which cycle, as `rt_engine.recording.moments.FORMS` says it.
        how: where models and steps are; `tasks` has one task, or none if the recording has one only.
        outputs: names of outputs or tags; all by default.

    Raises:
        RecordingError: there is no such cycle, or it cannot be repeated.
        ReplayError: the task cannot be made of the recording: a model is missing, a step is not trusted.
    """
    wrong: RecordingError | None = None
    recording = rt_engine.recording.open(where if isinstance(where, Path) else list(where))
    if at[:1] in ("@", "+"):
        at = in_words(utc_ns(recording, at))
    for life in lives(recording):
        recorded = life.task(next(iter(how.tasks), None))
        try:
            records, checkpoints, offset_ns = cycle_at(recorded, at)
        except RecordingError as error:
            wrong = error
            continue
        name = recorded.name
        made = restored(life, name, Search(life, how.models), steps=how.steps, trusted=how.trusted)
        if made.slot and int(records["version"][-1]) not in made.models:
            wanted = "; ".join(map(str, made.missing)) or f"version {records['version'][-1]}"
            raise ReplayError(f"the model of this cycle is not found: {wanted}. {WHAT_HELPS}")
        row = row_at(recorded, at)
        with _of_this_machine(life.about):
            return explained(
                made.task,
                {number: Model(model.program, made.slot) for number, model in made.models.items()},
                made.layout,
                records,
                checkpoints,
                usual=recorded.records(max(row + 1 - USUAL, 0), row + 1, "row"),
                outputs=outputs,
                offset_ns=offset_ns,
            )
    raise wrong or RecordingError("the recording has no cycle")


@contextmanager
def _of_this_machine(about: Mapping[str, str]) -> Iterator[None]:
    """A cycle that is not as recorded is said to be so for the reason that there is, where it is the machine's arithmetic."""
    try:
        yield
    except RecordingError as error:
        why = other_arithmetic(about)
        raise RecordingError(f"{error}; {why}") if why else error from None


def explained(
    task: Task,
    models: Mapping[int, Model],
    layout: TaskLayout,
    records: Records,
    checkpoints: Records,
    *,
    usual: Records | None = None,
    outputs: Sequence[str] = (),
    offset_ns: int = 0,
) -> tuple[Model, Explanation, Facts]:
    """Explain the last of `records`.

    Args:
        task: as it ran.
        models: version -> its model; that of the last record is there.
        layout: of the records.
        records: of cycles that follow each other, the first of which has a checkpoint.
        checkpoints: of these cycles; others are not used.
        usual: more records, whose median inputs are replaced by; the same ones by default. The model's training data go before.
        outputs: names of outputs or tags; all by default.
        offset_ns: UTC minus the clock of the tasks; 0: not known.

    Raises:
        RecordingError: the cycle cannot be repeated, or no model ran in it.
        ReplayError: task, models and layout do not fit each other.
    """
    last = records[-1]
    seen = see(task, models, layout, records, checkpoints)
    model = models[int(last["version"])]
    base = None if _has_statistics(model) else usual_base(task, model, layout, records if usual is None else usual)
    labels = labels_of_task(task)
    state, was_reset = _state_before(model, seen)
    found = explain(model, seen.inputs, state, base=base, labels=labels, outputs=outputs)
    facts = _facts(layout, last, offset_ns)
    if was_reset:
        facts.append(("states", "were reset in this cycle, before the model ran"))
    same = all(found.tensor(name).values.tobytes() == value.tobytes() for name, value in seen.outputs.items())
    facts.append(
        ("this run", "the same bits as in the cycle" if same else "NOT the same bits as in the cycle: do not trust it")
    )
    return model, found, facts


def see(task: Task, models: Mapping[int, Model], layout: TaskLayout, records: Records, checkpoints: Records) -> Seen:
    """Repeat cycles, and look at the model in the last one.

    Raises:
        RecordingError: the last cycle cannot be repeated, is not the same, or no model ran in it.
    """
    number, ran = int(records["version"][-1]), int(records["status"][-1])
    if task.model is None:
        raise RecordingError(f"task '{task.name}' has no model, only a step; there is nothing to explain")
    if ran not in (*COMPUTED, SPOKEN):
        raise RecordingError(
            f"the model did not run in this cycle of task '{task.name}': {describe(ran)}; choose one in which it did"
        )
    replay = Replay(task, models, layout)
    context = replay.context(number)
    before: list[Arrays] = []
    pieces = [Piece(records[:-1], checkpoints), Piece(records[-1:], checkpoints, goes_on=True)]

    def each(piece: Piece, rows: Records) -> None:
        if not piece.goes_on and len(rows) and rows["what"][-1] != NOT_REPEATED:
            before.append(context.save())

    found = replay.run(pieces, keep=True, each=each)
    assert found.rows is not None
    if found.rows["what"][-1] == NOT_REPEATED:
        why = next((why.value for why in found.left_out), "it has no checkpoint before it")
        raise RecordingError(f"this cycle cannot be repeated: {why}")
    if found.rows["what"][-1] != 0:
        raise RecordingError(
            f"this cycle, repeated, is not as recorded ({found.first}); nothing true can be said of it"
        )
    state = before[0] if before else _checkpointed(models[number], layout, records[-1], checkpoints)
    return Seen(_copied(context.inputs), state, _copied(context.outputs))


def _copied(views: Mapping[str, NDArray[Any]]) -> Arrays:
    return {name: view.copy() for name, view in views.items()}


def _checkpointed(model: Model, layout: TaskLayout, record: Any, checkpoints: Records) -> Arrays:
    """States as the checkpoint of a record has them."""
    names = [name for name, _ in layout.regions]
    mine = np.flatnonzero(checkpoints["number"] == record["number"])
    if not model.state or STATES not in names or not len(mine):
        return {}
    first = len(checkpoints.dtype.names or ()) - len(names)
    field = (checkpoints.dtype.names or ())[first + names.index(STATES)]
    data, at, found = checkpoints[mine[0]][field].tobytes(), 0, {}
    for spec in model.state:
        size = prod(spec.shape) * spec.dtype.itemsize
        found[spec.name] = np.frombuffer(data[at : at + size], spec.dtype).reshape(spec.shape)
        at += size
    return found


def _state_before(model: Model, seen: Seen) -> tuple[Arrays, bool]:
    """The states with which the model gives what it gave, and whether those are the initial ones, not those that it had."""
    if not model.state:
        return {}, False
    for state, was_reset in ((seen.state, False), ({}, True)):
        context = model.context()
        context.inputs.assign(seen.inputs, "input")
        context.state.update(state)
        context.run()
        if all(context.outputs[name].tobytes() == value.tobytes() for name, value in seen.outputs.items()):
            return state, was_reset
    return seen.state, False


def _has_statistics(model: Model) -> bool:
    return model.contract is not None and bool(model.contract.statistics)


def _facts(layout: TaskLayout, record: Any, offset_ns: int) -> Facts:
    tick = int(record["tick_ns"])
    found = [("task", layout.task), ("cycle", f"#{int(record['number'])}, tick {tick}")]
    if offset_ns:
        found.append(("time", utc(tick + offset_ns)))
    action = int(record["action"])
    did = Action(action).name if action in Action._value2member_map_ else str(action)
    found.append(("version", str(int(record["version"]))))
    found.append(("status", f"{describe(int(record['status']))}; outputs {did}"))
    one = np.array([record], layout.dtype)
    pairs = zip(layout.raw(one)[0].tolist(), layout.published(one)[0].tolist(), _names(layout), strict=True)
    for raw, published, (name, unit) in pairs:
        text = f"{raw:.6g} {unit}".strip()
        found.append((name, text if raw == published else f"{text}, published as {published:.6g} {unit}".strip()))
    return found


def _names(layout: TaskLayout) -> list[tuple[str, str]]:
    return [
        (field.name if field.count == 1 else f"{field.name}[{i}]", field.unit)
        for field in layout.outputs
        for i in range(field.count)
    ]
