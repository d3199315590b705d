"""What concerns `[models.NAME.change]` and the tasks that run the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from station.file.view import View
from station.terms.findings import Finding, unknown


def outputs_of(view: View, model: str) -> set[str]:
    """The tags that tasks with this model drive."""
    return {entry.tag for task in view.config.tasks.values() if task.model == model for entry in task.outputs}


def _has_a_task(view: View) -> Iterator[Finding]:
    """Shadow and trial are kept by tasks; a model that only clients call has none."""
    for name, model in view.config.models.items():
        has_task = any(task.model == name for task in view.config.tasks.values()) or "tasks" in {
            section for section, _ in view.broken
        }
        for key in ("shadow", "trial"):
            if getattr(model.change, key) is not None and not has_task:
                message = f"no task runs model {name} as its own model: there is no cycle for a {key}; remove the key"
                yield Finding(("models", name, "change", key), message)


def _tolerances(view: View) -> Iterator[Finding]:
    """Each is of a tag that the model drives; a shadow without any rejects only what is not finite."""
    for name, model in view.config.models.items():
        change, known = model.change, outputs_of(view, name)
        if isinstance(change.tolerance, dict):
            for tag in change.tolerance.keys() - known:
                yield Finding(("models", name, "change", "tolerance", tag), unknown("output", tag, known))
        elif change.tolerance is None and change.shadow is not None:
            message = (
                "there is no `tolerance`: differences are shown, and only values that are not finite reject a version"
            )
            yield Finding(("models", name, "change", "shadow"), message, "warning")


def _word(view: View) -> Iterator[Finding]:
    """Who waits for a word needs a time in which it can come."""
    for name, model in view.config.models.items():
        if model.change.commit == "manual" and model.change.trial is None:
            message = 'commit = "manual" waits for a word during the trial, and there is no `trial`; write for example trial = "1 h"'
            yield Finding(("models", name, "change", "commit"), message)


def _recordings(view: View) -> Iterator[Finding]:
    """A recording is of a task: it has the inputs of the model that the task runs as its own."""
    for name, model in view.config.models.items():
        has_task = any(task.model == name for task in view.config.tasks.values()) or "tasks" in {
            section for section, _ in view.broken
        }
        place = ("models", name, "change", "recording")
        if model.change.recording is None:
            continue
        if not has_task:
            message = f"no task runs model {name} as its own model: nothing is recorded of it; remove the key"
            yield Finding(place, message)
        elif not (view.folder / model.change.recording).exists() and not _is_own(view, model.change.recording):
            message = f"there is no '{model.change.recording}' yet: until there is, the gate refuses every new version"
            yield Finding(place, message, "warning")


def _is_own(view: View, recording: str) -> bool:
    """Is it the folder of the station's own recorder, which makes it when it starts?"""
    recorder = view.config.recorder
    return recorder is not None and view.folder / recorder.folder == view.folder / recording


CHANGE_CHECKS: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (_has_a_task, _tolerances, _word, _recordings)
