"""What a cyclic task is made of: frozen descriptions. They run when a `Scheduler` is given them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from fieldbus.image.image import Channel
from scheduler.errors import TaskError
from scheduler.steps import Step

if TYPE_CHECKING:
    from rt_engine import Model, ModelSlot

MIN_PERIOD_NS = 50_000
DEFAULT_MAX_AGE_S = 1.0

OnNan = Literal["hold", "safe", "pass"]
OnBadInput = Literal["safe", "hold", "run"]
OnOverrun = Literal["skip", "hold", "safe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """`count` cells of an input channel, from `cell` on, into a tensor: `element = value * scale + offset`.

    Args:
        tensor: the model's input; None for a value that only the user's step reads.
        index: first element in the tensor, counted flat (row-major).
        channel, cell, count: where the values are.
        window: the last so many samples, oldest first: element `index + t * spacing + i` is cell i of sample t.
        stride: cycles from one sample of the window to the next.
        spacing: elements from one sample to the next; `count` by default. For a tensor [window, features] that several
            inputs fill, it is the number of features.
    """

    tensor: str | None
    channel: Channel
    index: int = 0
    cell: int = 0
    count: int = 1
    scale: float = 1.0
    offset: float = 0.0
    window: int = 1
    stride: int = 1
    spacing: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """`count` elements of a tensor of the model, from `index` on, to cells of an output channel.

    `value = element * scale + offset`, then clamped to `low`..`high`, then kept within `max_rate` per second of the
    last value. Limits and safe value that are None are those of the channel's tags.

    Args:
        tensor: the model's output; None for a value that the user's step computes (0 before it).
    """

    tensor: str | None
    channel: Channel
    index: int = 0
    cell: int = 0
    count: int = 1
    scale: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    max_rate: float = math.inf
    safe: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a task does with numbers that it should not trust. Hold and safe apply to all its outputs together.

    Args:
        on_nan: an input, or an output of the model, is NaN or infinite: hold the last outputs, take the safe values, or
            let it pass.
        on_bad_input: an input has bad quality or is older than `max_age_s`, or a window is not full: safe values, hold,
            or run the model anyway (then the first sample fills a whole window).
        max_age_s: how old an input may be; `math.inf` for any.
    """

    on_nan: OnNan = "hold"
    on_bad_input: OnBadInput = "safe"
    max_age_s: float = DEFAULT_MAX_AGE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Every `period_s`: inputs -> model -> step -> guard -> outputs.

    Args:
        name: unique in its scheduler.
        model: a `Model`; a `ModelSlot` if it is to be replaced at run time, or shared; None for a step alone.
        period_s: at least 50 us. Ticks of all tasks of a scheduler lie on one grid.
        priority: SCHED_FIFO, 1 to 99. `cpu`: the core it stays on, any if None.
        overrun: after a missed deadline, skip to the next tick (the late outputs are written), hold the outputs of the
            cycle before, or make them safe. Missed ticks are never made up for.
        watchdog: after so many late cycles in a row outputs are safe, until as many in a row were on time; 0: never.
        step: the user's own compiled function, called after the model.
    """

    name: str
    model: "Model | ModelSlot | None" = None
    period_s: float
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    priority: int = 80
    cpu: int | None = None
    overrun: OnOverrun = "skip"
    guard: Guard = Guard()
    watchdog: int = 10
    step: Step | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if self.period_ns < MIN_PERIOD_NS:
            raise TaskError(f"task {self.name!r}: period {self.period_s} s is below {MIN_PERIOD_NS / 1e9} s")
        if not 1 <= self.priority <= 99:
            raise TaskError(f"task {self.name!r}: priority {self.priority} is not in 1 to 99 (SCHED_FIFO)")
        if self.watchdog < 0:
            raise TaskError(f"task {self.name!r}: watchdog {self.watchdog} is negative; 0 switches it off")
        if not self.guard.max_age_s > 0:
            raise TaskError(f"task {self.name!r}: max_age_s {self.guard.max_age_s} must be above 0")
        policies = (
            ("overrun", self.overrun, OnOverrun),
            ("guard.on_nan", self.guard.on_nan, OnNan),
            ("guard.on_bad_input", self.guard.on_bad_input, OnBadInput),
        )
        for what, value, allowed in policies:
            if value not in get_args(allowed):
                raise TaskError(f"task {self.name!r}: {what} is {value!r}; it can be {', '.join(get_args(allowed))}")

    @property
    def period_ns(self) -> int:
        """The period in whole nanoseconds."""
        return round(self.period_s * 1e9)
