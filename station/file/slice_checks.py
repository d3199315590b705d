"""The slice of a model that runs over several cycles: does it fit into its cycle? What needs the model is `scheduler.checks`."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.task import MIN_SLICE_NS, MOST_OF_PERIOD
from station.file.view import View
from station.terms.durations import format_duration
from station.terms.findings import Finding


def slice_findings(view: View) -> Iterator[Finding]:
    """What is wrong with the slices, by task."""
    for name, task in view.config.tasks.items():
        if task.slice_ns is None or not view.knows("tasks", name, "slice", "cycle"):
            continue
        path = ("tasks", name, "slice")
        most, cycle = format_duration(int(MOST_OF_PERIOD * task.cycle_ns)), format_duration(task.cycle_ns)
        if task.model is None:
            yield Finding(path, "is of no use without a model; leave it out")
        elif task.slice_ns >= task.cycle_ns:
            message = f"is not shorter than the cycle of {cycle}: a model that fits into a cycle needs none, others have up to {most}"
            yield Finding(path, message)
        elif task.slice_ns > MOST_OF_PERIOD * task.cycle_ns:
            yield Finding(path, f"leaves too little of the cycle for inputs, step and outputs: it can be up to {most}")
        elif task.slice_ns < MIN_SLICE_NS:
            least = format_duration(MIN_SLICE_NS)
            yield Finding(path, f"is too short: to go on with a run costs too much of it; it can be from {least} on")
        if task.on_late is not None:
            message = (
                "and on_late exclude each other: that asks whether a whole run fits into a cycle; leave one of them out"
            )
            yield Finding(path, message)
