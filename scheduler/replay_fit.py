"""Does a recording fit the task that is to repeat it?"""

from typing import Any

import numpy as np

from rt_engine.recording.layout import Records, TaskLayout
from scheduler.errors import ReplayError
from scheduler.tap import layout_of
from scheduler.task import Task


def check_fit(task: Task, layout: TaskLayout) -> None:
    """Raise `ReplayError` unless the task reads and writes what the records hold, in their order."""
    mine = layout_of(task)
    where = f"task {task.name!r}"
    if task.period_ns != layout.period_ns:
        raise ReplayError(f"{where}: its cycle is {task.period_ns} ns; {layout.period_ns} ns were recorded")
    pairs: list[tuple[str, Any, Any]] = [("outputs", mine.outputs, layout.outputs)]
    if len(mine.sources) != len(layout.sources):
        raise ReplayError(f"{where}: it reads {len(mine.sources)} channels; {len(layout.sources)} were recorded")
    for number, (one, other) in enumerate(zip(mine.sources, layout.sources, strict=True)):
        pairs.append((f"input channel {number} (link {other.link!r})", one.tags, other.tags))
    for what, got, wanted in pairs:
        names = [[f"{field.name} ({field.count})" for field in fields] for fields in (got, wanted)]
        if names[0] != names[1]:
            raise ReplayError(
                f"{where}, {what}: it has {', '.join(names[0]) or 'none'}; {', '.join(names[1]) or 'none'} were recorded"
            )


def checked(rows: Records, nbytes: int, what: str) -> Records:
    """Rows that native code may take: in one piece, of the size that the layout says; raises `ReplayError`."""
    if rows.ndim != 1 or rows.dtype.itemsize != nbytes:
        raise ReplayError(f"a {what} has {rows.dtype.itemsize} bytes; the layout says {nbytes}")
    return np.ascontiguousarray(rows.view(f"V{nbytes}")).view(
        rows.dtype
    )  # without names: as they are, not field by field
