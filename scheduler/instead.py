"""What a task does where its model is not to be trusted, or has no time: frozen descriptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from scheduler.envelope import Envelope
from scheduler.errors import TaskError

if TYPE_CHECKING:
    from rt_engine import Model, ModelSlot

OfTheTask = Literal["step", "hold", "safe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Looks at every cycle of the task's model, after it has computed and before anything of it is published.

    Its value is compared with `limit`: over it for `delay_s`, the monitor speaks, and does until the value is at most
    `limit - hysteresis`. Then the task's `Fallback` decides what is published, in that very cycle; without one it is counted only.

    Args:
        model: one that takes tensors of the task's model, by their names, with equal shapes and types: inputs, outputs, states (by
            the name of the input), each as it is after the model has computed. Or an `Envelope`.
        limit: values above it are over. Of an envelope, 1 is the edge of the training data.
        delay_s: how long the value has to be over the limit, without a cycle between that is not.
        output: the output of the monitor's model whose first element is the value; None: its first output.
    """

    model: Model | ModelSlot | Envelope
    limit: float
    delay_s: float = 0.0
    hysteresis: float = 0.0
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What is published in a cycle in which the monitor speaks, or the model's (or step's) status, numbers or states are not good.

    Bad inputs, pauses and late cycles are none of these: the guard, and `overrun`, say what is published then.

    Args:
        use: a model (or slot) with the same inputs and outputs; "step": the task's step alone, to which the model's outputs are 0;
            "hold": the values before; "safe": the safe values. What stands in and is no number itself: as the guard says, and safe
            where the monitor speaks.
        hold_at_most_s: for how long "hold" holds, then the safe values come; None: as `Guard.max_hold_s`.
        blend_s: published values go over from one source to another in this time: they begin where they are, and what they are
            apart shrinks in equal steps to nothing. 0: at once. `Output.max_rate` holds in any case.
    """

    use: Model | ModelSlot | OfTheTask
    hold_at_most_s: float | None = None
    blend_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnLate:
    """A smaller model for cycles in which too little time is left: decided before anything computes.

    Args:
        model: has the same inputs and outputs.
        needs_s: what the task's model takes at most; None: each version is measured when it is prepared, here, by the longest of
            many runs but one in a thousand.
        reserve_s: so much of the period is for what follows the model: the step, publishing, devices.
    """

    model: Model | ModelSlot
    needs_s: float | None = None
    reserve_s: float = 0.0


def check_numbers(task: str, monitor: Monitor | None, fallback: Fallback | None, on_late: OnLate | None) -> None:
    """Raise `TaskError` unless every number is one that can be meant."""
    if monitor is not None:
        if math.isnan(monitor.limit):
            raise TaskError(f"task {task!r}, monitor: limit is NaN; every value would be over it")
        _at_least_0(task, "monitor", delay_s=monitor.delay_s, hysteresis=monitor.hysteresis)
    if fallback is not None:
        _at_least_0(task, "fallback", blend_s=fallback.blend_s, hold_at_most_s=fallback.hold_at_most_s or 0.0)
        if isinstance(fallback.use, str) and fallback.use not in get_args(OfTheTask):
            raise TaskError(
                f"task {task!r}, fallback: use is {fallback.use!r}; it can be a model, {', '.join(get_args(OfTheTask))}"
            )
    if on_late is not None:
        _at_least_0(task, "on_late", needs_s=on_late.needs_s or 0.0, reserve_s=on_late.reserve_s)


def _at_least_0(task: str, where: str, **numbers: float) -> None:
    for name, value in numbers.items():
        if not 0.0 <= value < math.inf:
            raise TaskError(f"task {task!r}, {where}: {name} is {value}; it must be 0 or more, and finite")
