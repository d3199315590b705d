"""Why a cycle's outputs are what they are: one number, the same in Python, C and Structured Text.

0 is good and 1 to 99 are the model's own (`rt_engine.status`); tasks count from 100. They never change their meaning.
"""

from enum import IntEnum

import rt_engine.status


class TaskStatus(IntEnum):
    """What kept a cycle from giving the model's own outputs; the first that applies."""

    OK = 0
    PAUSED = 100
    """The task was told to pause: outputs are safe."""
    WATCHDOG = 101
    """Too many overruns in a row: outputs are safe until as many cycles in a row were on time."""
    BAD_INPUT = 102
    """An input has bad quality, was never written, or is older than `Guard.max_age_s`."""
    NAN_INPUT = 103
    """An input is NaN or infinite."""
    WINDOW_FILLING = 104
    """An input window does not hold enough samples yet."""
    STEP_FAILED = 105
    """The user's step gave a number other than 0: outputs are safe."""
    NAN_OUTPUT = 106
    """The model or the step gave NaN or infinity."""
    OVERRUN = 107
    """The cycle was late, and the task's overrun policy is `hold` or `safe`."""
    STOPPED = 108
    """The task has ended; its last outputs are the safe values, with quality BAD."""
    HUNG = 109
    """The task stopped ticking inside a cycle; its outputs were taken from it and made safe."""
    BAD_STATE = 110
    """A state of the model became NaN or infinite."""
    ROLLED_BACK = 111
    """A version on trial was found bad, and no time was left in that cycle to run the one before it."""
    MONITOR = 112
    """The task's monitor speaks: the model is not to be trusted with these inputs."""
    NO_RESULT = 113
    """The model runs in slices, and no run on good inputs is done yet."""


class State(IntEnum):
    """Where in its life a task is."""

    IDLE = 0
    RUNNING = 1
    STOPPED = 2
    HUNG = 3


class Action(IntEnum):
    """What a cycle wrote to its outputs."""

    LIVE = 0
    """The model's values, guarded. Quality GOOD."""
    HOLD = 1
    """The same values as the cycle before. Quality STALE."""
    SAFE = 2
    """The safe values. Quality STALE while the task lives, BAD when it has ended."""
    FALLBACK = 3
    """The values of what stands in for the model (`Fallback`), guarded. Quality GOOD."""


def describe(number: int) -> str:
    """A status number in words: `102 BAD_INPUT`."""
    for kind in (TaskStatus, rt_engine.status.Status):
        if number in kind._value2member_map_:
            return f"{number} {kind(number).name}"
    return f"{number} (unknown)"
