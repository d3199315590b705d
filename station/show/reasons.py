"""Why outputs are not the model's own, in words that an operator reads: from a status, and from a task's counters."""

from __future__ import annotations

from typing import Final

from rt_engine.errors import MEANING
from rt_engine.status import Status
from scheduler.status import Action, TaskStatus, describe
from scheduler.trace import Cycle
from station.show.snapshot import TaskView
from station.terms.durations import format_duration

STATUS: Final = {
    TaskStatus.PAUSED: "paused",
    TaskStatus.WATCHDOG: "too many overruns in a row (watchdog)",
    TaskStatus.BAD_INPUT: "inputs bad",
    TaskStatus.NAN_INPUT: "an input is NaN or infinite",
    TaskStatus.WINDOW_FILLING: "a window is filling",
    TaskStatus.STEP_FAILED: "the step failed",
    TaskStatus.NAN_OUTPUT: "the model or the step gave NaN or infinity",
    TaskStatus.BAD_STATE: "the model's state became NaN or infinite",
    TaskStatus.ROLLED_BACK: "a version on trial was found bad, and no time was left for the one before it",
    TaskStatus.MONITOR: "the monitor does not trust the model with these inputs",
    TaskStatus.NO_RESULT: "no run of the model in slices is done yet",
    TaskStatus.OVERRUN: "the cycle was late",
    TaskStatus.STOPPED: "the task has ended",
    TaskStatus.HUNG: "the task hangs inside a cycle",
}
REASONS: Final = {
    "bad_inputs": STATUS[TaskStatus.BAD_INPUT],
    "nan_inputs": STATUS[TaskStatus.NAN_INPUT],
    "filling": STATUS[TaskStatus.WINDOW_FILLING],
    "failed": "the model or the step failed",
    "nan_outputs": STATUS[TaskStatus.NAN_OUTPUT],
    "state_resets": "a state was reset",
    "state_restores": "a state was restored",
    "given_up_runs": "a run of the model in slices was given up",
    "helpers_late": "a helper core was late",
    "monitor_verdicts": STATUS[TaskStatus.MONITOR],
    "watchdog_trips": STATUS[TaskStatus.WATCHDOG],
}


def _words(status: int) -> str:
    """Of a task, or of a run of its model."""
    if status in STATUS:
        return STATUS[TaskStatus(status)]
    if status in MEANING:
        return f"the model gave no result: {MEANING[Status(status)]}"
    return describe(status)


def note(action: Action, status: int) -> str:
    """`outputs safe, inputs bad`."""
    words = _words(status)
    return f"outputs {'of the fallback' if action is Action.FALLBACK else action.name.lower()}, {words}"


def cause(cycle: Cycle, about: str) -> str:
    """Why one cycle's outputs were not the model's own: `bottom is NaN or infinite`, `the values of plant are bad`."""
    words = _words(cycle.status)
    if not about:
        return words
    if cycle.status == TaskStatus.NAN_INPUT:
        return f"{about} is NaN or infinite"
    if cycle.status == TaskStatus.NAN_OUTPUT:
        return f"{words}, for {about}"
    return f"the values of {about} are " + (f"{format_duration(cycle.age_ns, 3)} old" if cycle.age_ns else "bad")


def reasons(task: TaskView) -> str:
    """Why outputs were safe or held in a run, by what was counted: `inputs bad, a window is filling`."""
    found = [words for name, words in REASONS.items() if task.counters.get(name)]
    return ", ".join(found) or ("cycles were late" if task.overruns else STATUS[TaskStatus.BAD_STATE])
