"""Errors of the scheduler.

SchedulerError
├── TaskError    a task's description contradicts itself, its model or its channels; raised before anything runs
├── StepError    a user's own step cannot be found, compiled or called
├── RingError    the ring of a task's tap cannot be made, or a file is no ring that can be read here
└── ReplayError  a recording cannot be repeated with this task and these models
"""


class SchedulerError(Exception):
    """Base of all errors of `scheduler`."""


class TaskError(SchedulerError, ValueError):
    """A task's description cannot work."""


class StepError(SchedulerError):
    """A user's own compiled step cannot be used."""


class RingError(SchedulerError):
    """A ring cannot be made, or read."""


class ReplayError(SchedulerError):
    """A recording does not fit the task, or the models, that are to repeat it."""
