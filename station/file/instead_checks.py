"""Do the monitor, fallback and smaller model of a task name what there is? What needs the models is `scheduler.instead_checks`."""

from __future__ import annotations

from collections.abc import Iterator

from station.file.view import View
from station.terms.findings import Finding, unknown
from station.terms.instead import ENVELOPE, SLOT
from station.terms.tasks import TaskTable

USES = ("step", "hold", "safe")


def instead_findings(view: View) -> Iterator[Finding]:
    """What is wrong with them, by task."""
    for name, task in view.config.tasks.items():
        yield from _monitor(view, name, task)
        yield from _fallback(view, name, task)
        if task.on_late is not None and not view.declares("models", task.on_late.model):
            yield Finding(("tasks", name, "on_late"), unknown("model", task.on_late.model, view.names("models")))


def _monitor(view: View, name: str, task: TaskTable) -> Iterator[Finding]:
    path, monitor = ("tasks", name, "monitor"), task.monitor
    if monitor is None:
        return
    if monitor.model != ENVELOPE:
        if not view.declares("models", monitor.model):
            known = [*view.names("models"), ENVELOPE]
            yield Finding((*path, "model"), unknown("model", monitor.model, known))
        if monitor.limit is None:
            yield Finding(
                path, f'needs the key "limit": what model {monitor.model} gives above it is not to be trusted'
            )
        if monitor.quantile is not None:
            yield Finding((*path, "quantile"), f'is of model = "{ENVELOPE}"; model {monitor.model} has none')
    else:
        if view.declares("models", ENVELOPE):
            message = (
                f'"{ENVELOPE}" is the training data of the contract; give the model of that name in [models] another'
            )
            yield Finding((*path, "model"), message)
        if monitor.output is not None:
            yield Finding((*path, "output"), f'is of a model; "{ENVELOPE}" has none')
    if task.fallback is None:
        message = "it only counts, and ends a trial: without [tasks.NAME.fallback] the model's outputs are published all the same"
        yield Finding(path, message.replace("NAME", name), "warning")


def _fallback(view: View, name: str, task: TaskTable) -> Iterator[Finding]:
    path, fallback = ("tasks", name, "fallback"), task.fallback
    if fallback is None:
        return
    if fallback.use.startswith(SLOT):
        slot = fallback.use.removeprefix(SLOT)
        if not view.declares("models", slot):
            yield Finding((*path, "use"), unknown("model", slot, view.names("models")))
    elif fallback.use not in USES:
        also = (
            f'; for the model of that name write "{SLOT}{fallback.use}"'
            if view.declares("models", fallback.use)
            else ""
        )
        yield Finding((*path, "use"), f'"{fallback.use}" is none of "{SLOT}NAME", "step", "hold", "safe"{also}')
    elif fallback.use == "step" and task.step is None:
        yield Finding((*path, "use"), "the task has no step that could compute without the model")
    if fallback.hold_at_most_ns is not None and fallback.use != "hold":
        yield Finding((*path, "hold_at_most"), f'has no effect with use = "{fallback.use}"', "warning")
