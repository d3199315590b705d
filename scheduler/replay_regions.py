"""Where the parts of a checkpoint lie in the memory of a task."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.recording.layout import TaskLayout
from scheduler.errors import ReplayError
from scheduler.replay_block import REGION
from scheduler.runner import TaskRunner
from scheduler.task import Task


def region_rows(task: Task, runner: TaskRunner, layout: TaskLayout) -> NDArray[Any]:
    """A row for each part that lies in a row; raises `ReplayError` if the recorded checkpoints have other regions."""
    if layout.regions:
        raise ReplayError(f"task {task.name!r}: its checkpoints cannot be read yet")
    return np.zeros(0, REGION)
