"""Cyclic real-time tasks: an ONNX model between input and output channels, on time.

task = Task(name="axis", model=model, period_s=0.001, inputs=(...), outputs=(...))
with Scheduler([task]) as scheduler:
    ...
    print(scheduler.stats()["axis"].wakeup.p99_ns)
"""

from typing import TYPE_CHECKING

from rt_native.lazily import lazily
from scheduler import errors

if TYPE_CHECKING:
    from scheduler.envelope import Envelope
    from scheduler.instead import Fallback, Monitor, OnLate
    from scheduler.rights import Grant
    from scheduler.scheduler import Scheduler
    from scheduler.stats import Latency, TaskStats, Usage
    from scheduler.status import Action, State, TaskStatus
    from scheduler.steps import Step
    from scheduler.task import Guard, Input, Output, Task, Trigger
    from scheduler.wakeup import measure_wakeup

__all__ = [
    "Action",
    "Envelope",
    "Fallback",
    "Grant",
    "Guard",
    "Input",
    "Latency",
    "Monitor",
    "OnLate",
    "Output",
    "Scheduler",
    "State",
    "Step",
    "Task",
    "TaskStats",
    "TaskStatus",
    "Trigger",
    "Usage",
    "errors",
    "measure_wakeup",
]

if not TYPE_CHECKING:  # or a name that is none would pass as any
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "envelope": "Envelope",
            "instead": "Fallback Monitor OnLate",
            "rights": "Grant",
            "scheduler": "Scheduler",
            "stats": "Latency TaskStats Usage",
            "status": "Action State TaskStatus",
            "steps": "Step",
            "task": "Guard Input Output Task Trigger",
            "wakeup": "measure_wakeup",
        },
    )
