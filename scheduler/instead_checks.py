"""Do a task's monitor, fallback and smaller model fit its model? Complaints say what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE
from scheduler.envelope import Envelope, EnvelopeMemory
from scheduler.errors import TaskError
from scheduler.monitor_block import Kind
from scheduler.task_block import TYPES

if TYPE_CHECKING:
    from rt_engine import TensorSpec
    from scheduler.task import Task


@dataclass(frozen=True, slots=True)
class Watch:
    """One tensor of the task's model that goes into input `tensor` of the monitor's: number `at` of its kind."""

    kind: Kind
    at: int
    tensor: int
    spec: TensorSpec


def model_of(named: Any) -> Any:
    """The model of a slot; a model itself."""
    return named.model if hasattr(named, "reader") else named


def check_instead(task: Task, model: Any) -> None:
    """Raise `TaskError` unless every other model of the task fits `model`, the one that it runs."""
    what = f"task {task.name!r}"
    if task.monitor is not None:
        _check_monitor(task, model, f"{what}, monitor")
    if task.fallback is not None and task.fallback.use == "step" and task.step is None:
        raise TaskError(f'{what}, fallback: use is "step", but the task has no step')
    if task.fallback is not None and not isinstance(task.fallback.use, str):
        _check_same(model, model_of(task.fallback.use), f"{what}, fallback")
    if task.on_late is not None:
        _check_same(model, model_of(task.on_late.model), f"{what}, on_late")


def _check_monitor(task: Task, model: Any, what: str) -> None:
    assert task.monitor is not None
    if model is None:
        raise TaskError(f"{what}: the task has no model that could be watched")
    if isinstance(task.monitor.model, Envelope):
        EnvelopeMemory(model, task.monitor.model, what)
        return
    mine = model_of(task.monitor.model)
    watches(model, mine, what)
    position, spec = value_of(mine, task.monitor.output, what)
    if CODE.get(np.dtype(spec.dtype)) not in TYPES:
        raise TaskError(f"{what}: output {spec.name!r} is {spec.dtype}; it can be {', '.join(t.numpy for t in TYPES)}")
    if 0 in spec.shape:
        raise TaskError(f"{what}: output {position}, {spec}, has no element that could be compared with the limit")


def watches(model: Any, monitor: Any, what: str) -> list[Watch]:
    """Which tensor of the task's model each input of the monitor's is.

    Raises:
        TaskError: there is none of that name, or its shape or type is another.
    """
    tensors, states = [*model.inputs, *model.outputs], list(getattr(model, "state", ()))
    found = []
    for number, wanted in enumerate(monitor.inputs):
        names = [spec.name for spec in tensors]
        kind, there = (Kind.TENSOR, tensors) if wanted.name in names else (Kind.STATE, states)
        at = next((i for i, spec in enumerate(there) if spec.name == wanted.name), None)
        if at is None:
            has = ", ".join(map(str, [*tensors, *states]))
            raise TaskError(
                f"{what}: its model wants {wanted}, and the task's model has no tensor of that name: it has {has}. Name the "
                "monitor's inputs as what they are to see: inputs, outputs or states of the task's model"
            )
        if there[at] != wanted:
            raise TaskError(f"{what}: its model wants {wanted}, but the task's model has {there[at]}")
        found.append(Watch(kind, at, number, wanted))
    return found


def value_of(monitor: Any, output: str | None, what: str) -> tuple[int, TensorSpec]:
    """Which output of the monitor's model is compared with the limit."""
    names = [spec.name for spec in monitor.outputs]
    if not names or (output is not None and output not in names):
        raise TaskError(f"{what}: its model has no output {output or ''!r}; it has {', '.join(names) or 'none'}")
    position = 0 if output is None else names.index(output)
    return position, monitor.outputs[position]


def same_states(watched: Sequence[Watch], model: Any) -> str:
    """Why a new version of the task's model does not have the states that its monitor watches; empty: it has them."""
    states = list(getattr(model, "state", ()))
    for one in watched:
        if one.kind is Kind.STATE and (one.at >= len(states) or states[one.at] != one.spec):
            return (
                f"the monitor watches the state {one.spec}; the new version has {', '.join(map(str, states)) or 'none'}"
            )
    return ""


def _check_same(model: Any, other: Any, what: str) -> None:
    if model is None:
        raise TaskError(f"{what}: a model is named, but the task itself has none")
    for kind in ("inputs", "outputs"):
        mine, theirs = getattr(model, kind), getattr(other, kind)
        if tuple(mine) != tuple(theirs):
            raise TaskError(
                f"{what}: its model's {kind} are ({', '.join(map(str, theirs))}), those of the task's are "
                f"({', '.join(map(str, mine))}); export it with the same names, shapes and types"
            )
