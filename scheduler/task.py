"""What a cyclic task is made of: frozen descriptions. They run when a `Scheduler` is given them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from fieldbus.image.image import Channel
from scheduler.errors import TaskError
from scheduler.instead import Fallback, Monitor, OnLate, check_numbers
from scheduler.steps import Step

if TYPE_CHECKING:
    from fieldbus.exchange.link import NativeLink
    from rt_engine import Model, ModelSlot

MIN_PERIOD_NS = 50_000
DEFAULT_MAX_AGE_S = 1.0
DEFAULT_MAX_HOLD_S = 10.0

OnNan = Literal["hold", "safe", "pass"]
OnBadInput = Literal["safe", "hold", "run"]
OnBadState = Literal["reset", "restore", "hold", "safe", "pass"]
OnOverrun = Literal["skip", "hold", "safe"]
Between = Literal["hold", "linear"]
MOST_EVERY = 1 << 20
MOST_THREADS = 8
"""As `rt_engine.run.team` has it."""
MIN_SLICE_NS = 20_000
MOST_OF_PERIOD = 0.9
"""The longest slice of a model; the rest is for what a cycle does besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """`count` cells of an input channel, from `cell` on, into a tensor: `element = value * scale + offset`.

    Args:
        tensor: the model's input; None for a value that only the user's step reads.
        index: first element in the tensor, counted flat (row-major).
        channel, cell, count: where the values are.
        low, high: the model gets no value beyond, in the channel's unit: what is below `low` counts as `low`.
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
    low: float | None = None
    high: float | None = None
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
        between: of a model that runs every so many cycles: hold its value until its next turn, or go to it in a line, so that it
            is reached when the next one comes.
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
    between: Between = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a task does with numbers that it should not trust. Hold and safe apply to all its outputs together.

    Args:
        on_nan: an input, or an output of the model, is NaN or infinite: hold the last outputs, take the safe values, or
            let it pass.
        on_bad_input: an input has bad quality or is older than `max_age_s`, or a window is not full: safe values, hold,
            or run the model anyway (then the first sample fills a whole window).
        max_age_s: how old an input may be; `math.inf` for any.
        on_bad_state: a state of the model became NaN or infinite: reset it to its initial value, or restore all states as they
            were before this cycle, for the next one, and hold the outputs of this one; hold them, or take the safe values, until
            `Scheduler.reset_state`; or let it pass. With "reset" and "restore", outputs that are NaN or infinite, and states that
            had to be restored, in ten cycles in a row reset it too.
        max_hold_s: how long outputs are held at most, whatever for: then they take the safe values; `math.inf` for ever.
    """

    on_nan: OnNan = "hold"
    on_bad_input: OnBadInput = "safe"
    max_age_s: float = DEFAULT_MAX_AGE_S
    on_bad_state: OnBadState = "reset"
    max_hold_s: float = DEFAULT_MAX_HOLD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A cell of an input channel: when it is no longer 0, what it triggers happens once."""

    channel: Channel
    cell: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Every `period_s`: inputs -> model -> step -> guard -> outputs.

    Args:
        name: unique in its scheduler.
        model: a `Model`; a `ModelSlot` if it is to be replaced at run time, or shared; None for a step alone.
        every: the model runs in each `every`-th cycle, within it; inputs, step, guard and outputs are the matter of each.
        slice_s: of a model that takes longer than a cycle: it runs for so long in each, until it is done. Its inputs are those of the
            cycle in which the run began; its outputs come all at once.
        period_s: at least 50 us. Ticks of all tasks of a scheduler lie on one grid.
        priority: SCHED_FIFO, 1 to 99. `cpu`: the core it stays on, any if None.
        threads: so many cores run the model together, the same bits; `helper_cpus`: those of the helpers, one less, any if empty.
            Models that take less than about 50 us, or are too short for cores that far apart, stay on one.
        thread: tasks that name the same thread run in it one after the other at each tick, by priority; their period and core
            must be equal. None: those of equal core, period and priority share one; a task without a core, or with `exchanges`,
            has its own.
        overrun: after a missed deadline, skip to the next tick (the late outputs are written), hold the outputs of the
            cycle before, or make them safe. Missed ticks are never made up for.
        watchdog: after so many late cycles in a row outputs are safe, until as many in a row were on time; 0: never.
        step: the user's own compiled function, called after the model.
        reset: puts the states of model and step back to where they began. Its channel counts as one of the inputs' where
            that is bad.
        monitor: looks whether the model is to be trusted, in every cycle. `fallback`: what is published where it is not.
        on_late: a smaller model for cycles in which too little time is left.
        exchanges: links made with `exchange="in-cycle"`: read from at the tick, written to as soon as the outputs are there.
        io_deadline_s: so long the cycle waits for devices' answers, before the model and again after it; a quarter of the
            period by default. What comes later counts in the next cycle.
    """

    name: str
    model: "Model | ModelSlot | None" = None
    period_s: float
    every: int = 1
    slice_s: float | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    priority: int = 80
    cpu: int | None = None
    thread: str | None = None
    overrun: OnOverrun = "skip"
    guard: Guard = Guard()
    watchdog: int = 10
    step: Step | None = None
    reset: Trigger | None = None
    monitor: Monitor | None = None
    fallback: Fallback | None = None
    on_late: OnLate | None = None
    exchanges: "tuple[NativeLink, ...]" = ()
    io_deadline_s: float | None = None
    threads: int = 1
    helper_cpus: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "exchanges", tuple(self.exchanges))
        if self.period_ns < MIN_PERIOD_NS:
            raise TaskError(f"task {self.name!r}: period {self.period_s} s is below {MIN_PERIOD_NS / 1e9} s")
        if not 1 <= self.priority <= 99:
            raise TaskError(f"task {self.name!r}: priority {self.priority} is not in 1 to 99 (SCHED_FIFO)")
        if not 0.0 < self.io_deadline_ns <= self.period_ns:
            raise TaskError(
                f"task {self.name!r}: io_deadline_s {self.io_deadline_s} must be above 0, at most the period"
            )
        if not 1 <= self.every <= MOST_EVERY:
            raise TaskError(f"task {self.name!r}: every {self.every} is not in 1 to {MOST_EVERY}")
        self._check_slice()
        self._check_threads()
        if self.watchdog < 0:
            raise TaskError(f"task {self.name!r}: watchdog {self.watchdog} is negative; 0 switches it off")
        if not self.guard.max_age_s > 0:
            raise TaskError(f"task {self.name!r}: max_age_s {self.guard.max_age_s} must be above 0")
        if not self.guard.max_hold_s >= 0:
            raise TaskError(f"task {self.name!r}: max_hold_s {self.guard.max_hold_s} must be 0 or more")
        check_numbers(self.name, self.monitor, self.fallback, self.on_late)
        policies: tuple[tuple[str, str, object], ...] = (
            ("overrun", self.overrun, OnOverrun),
            ("guard.on_nan", self.guard.on_nan, OnNan),
            ("guard.on_bad_input", self.guard.on_bad_input, OnBadInput),
            ("guard.on_bad_state", self.guard.on_bad_state, OnBadState),
        )
        for number, output in enumerate(self.outputs):
            policies += ((f"output {number}: between", output.between, Between),)
        for what, value, allowed in policies:
            if value not in get_args(allowed):
                raise TaskError(f"task {self.name!r}: {what} is {value!r}; it can be {', '.join(get_args(allowed))}")

    def _check_slice(self) -> None:
        if self.slice_s is None:
            return
        most_s = MOST_OF_PERIOD * self.period_s
        complaints = (
            (
                self.slice_ns < MIN_SLICE_NS,
                f"is below {MIN_SLICE_NS / 1e9:g} s: to go on with a run costs too much of it",
            ),
            (
                self.slice_ns >= self.period_ns,
                f"is not shorter than the period of {self.period_s:g} s: leave it out where the model fits into a cycle; else it "
                f"can be up to {most_s:g} s",
            ),
            (
                self.slice_ns > round(most_s * 1e9),
                f"leaves too little of the period for inputs, step and outputs: it can be up to {most_s:g} s",
            ),
            (
                self.on_late is not None,
                "and on_late: that asks whether a whole run fits into a cycle; leave one of them out",
            ),
        )
        for is_wrong, why in complaints:
            if is_wrong:
                raise TaskError(f"task {self.name!r}: slice_s {self.slice_s:g} {why}")

    def _check_threads(self) -> None:
        object.__setattr__(self, "helper_cpus", tuple(self.helper_cpus))
        cpus, wanted = list(self.helper_cpus), self.threads - 1
        complaints = (
            (not 1 <= self.threads <= MOST_THREADS, f"threads {self.threads} is not in 1 to {MOST_THREADS}"),
            (
                bool(cpus) and len(cpus) != wanted,
                f"helper_cpus {cpus}: {self.threads} threads have {wanted} helpers, so name {wanted} cores, or none",
            ),
            (len(set(cpus)) != len(cpus), f"helper_cpus {cpus} names a core twice; each helper needs its own"),
            (
                self.cpu is not None and self.cpu in cpus,
                f"helper_cpus {cpus} names core {self.cpu}, on which the task itself runs; give the helper another",
            ),
        )
        for is_wrong, why in complaints:
            if is_wrong:
                raise TaskError(f"task {self.name!r}: {why}")

    @property
    def cpus(self) -> frozenset[int]:
        """The cores that it was given: its own, and its helpers'."""
        return frozenset(self.helper_cpus if self.cpu is None else (self.cpu, *self.helper_cpus))

    @property
    def slice_ns(self) -> int:
        """How long the model runs in a cycle, in whole nanoseconds; 0: whole."""
        return 0 if self.slice_s is None else round(self.slice_s * 1e9)

    @property
    def has_turns(self) -> bool:
        """Are there cycles in which the model gives no result?"""
        return self.every > 1 or self.slice_s is not None

    @property
    def channels_read(self) -> tuple[Channel, ...]:
        """The different channels that it reads, in the order of their entries."""
        channels = [entry.channel for entry in self.inputs] + ([self.reset.channel] if self.reset else [])
        return tuple({id(channel): channel for channel in channels}.values())

    @property
    def channels_written(self) -> tuple[Channel, ...]:
        """The different channels that it writes, in the order of their entries."""
        return tuple({id(entry.channel): entry.channel for entry in self.outputs}.values())

    @property
    def io_deadline_ns(self) -> int:
        """How long each half of the cycle waits for devices."""
        return self.period_ns // 4 if self.io_deadline_s is None else round(self.io_deadline_s * 1e9)

    @property
    def period_ns(self) -> int:
        """The period in whole nanoseconds."""
        return round(self.period_s * 1e9)
