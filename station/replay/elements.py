"""What the elements of a task's tensors mean: tags with their units, samples of windows, and what is usual for them."""

from __future__ import annotations

from typing import Final

import numpy as np

from rt_engine import Model
from rt_engine.explain import Base, Label
from rt_engine.recording.layout import Records, TaskLayout
from scheduler.task import Input, Output, Task
from scheduler.trace import good_values, tag_at

USUAL: Final = 10_000
"""Cycles whose median says what is usual."""


def labels_of_task(task: Task) -> dict[str, dict[int, Label]]:
    """What the elements of the model's tensors are called: tags, with the sample of a window."""
    found: dict[str, dict[int, Label]] = {}
    for entry in task.inputs:
        for index, cell, sample in elements_of(entry):
            name, unit = _tag(entry, cell)
            age = (entry.window - 1 - sample) * entry.stride
            found.setdefault(entry.tensor or "", {})[index] = Label(name, unit, entry.scale, entry.offset, age)
    for output in task.outputs:
        for i in range(output.count if output.tensor is not None else 0):
            name, unit = _tag(output, output.cell + i)
            found.setdefault(output.tensor or "", {})[output.index + i] = Label(name, unit, output.scale, output.offset)
    return found


def elements_of(entry: Input) -> list[tuple[int, int, int]]:
    """(flat index, cell of the channel, sample of the window, the oldest 0) of each element that an entry fills."""
    if entry.tensor is None:
        return []
    spacing = entry.count if entry.spacing is None else entry.spacing
    return [
        (entry.index + sample * spacing + i, entry.cell + i, sample)
        for sample in range(entry.window)
        for i in range(entry.count)
    ]


def _tag(entry: Input | Output, cell: int) -> tuple[str, str]:
    return tag_at(entry.channel, cell), entry.channel.tag_at(cell)[0].unit


def usual_base(task: Task, model: Model, layout: TaskLayout, records: Records) -> Base:
    """The median of each tag while it was good, and how much it varied, as elements of the model's inputs."""
    shapes = {spec.name: spec.shape for spec in model.inputs}
    values, spread = ({name: np.zeros(shape) for name, shape in shapes.items()} for _ in range(2))
    channels, count = list(task.channels_read), 0
    for entry in task.inputs:
        seen = good_values(layout, records[-USUAL:], channels.index(entry.channel))
        seen = np.clip(seen, entry.low, entry.high) if entry.low is not None or entry.high is not None else seen
        seen = np.where(np.isfinite(seen), seen, np.nan) * entry.scale + entry.offset
        for index, cell, _ in elements_of(entry):
            known = seen[:, cell][np.isfinite(seen[:, cell])]
            count = max(count, known.size)
            if known.size:
                values[entry.tensor or ""].reshape(-1)[index] = np.median(known)
                spread[entry.tensor or ""].reshape(-1)[index] = known.std()
    return Base(values, spread, f"the median of its tag in {count:,} cycles of the recording in which it was good")
