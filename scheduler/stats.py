"""What a task counts, as frozen values; readable while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from fieldbus.statistic import Statistic, counted, declared
from scheduler.status import Action, State, describe

if TYPE_CHECKING:
    from rt_native.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Latency:
    """A histogram in numbers: nanoseconds."""

    count: int
    last_ns: int
    min_ns: int
    mean_ns: float
    p50_ns: float
    p99_ns: float
    p99_9_ns: float
    p99_99_ns: float
    max_ns: int

    @classmethod
    def of(cls, histogram: Histogram) -> Latency:
        """The numbers of a histogram as it is now."""
        p50, p99, p99_9, p99_99 = histogram.percentiles(50, 99, 99.9, 99.99)
        h = histogram
        return cls(h.count, h.last, h.min, h.mean, p50, p99, p99_9, p99_99, h.max)


NO_LATENCY: Final = Latency(0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel counted for the task's thread since its first cycle, or since the last reset."""

    minor_faults: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.minor_faults - other.minor_faults,
            self.major_faults - other.major_faults,
            self.voluntary_switches - other.voluntary_switches,
            self.involuntary_switches - other.involuntary_switches,
        )


@dataclass(frozen=True, slots=True)
class MonitorStats:
    """What a task's monitor found."""

    value: float
    """Of the newest look; infinite where there was no number."""
    largest: float
    """Since the start or the last reset; -inf before the first look."""
    speaks: bool
    """Did it speak against the model when it last looked?"""
    worst: str
    """Of an envelope: the element that is furthest out, where one is beyond its range; else empty."""
    cost: Latency
    """How long a look takes."""


@dataclass(frozen=True, slots=True)
class SliceStats:
    """How the runs of a model are spread over cycles, since the start or the last reset."""

    slice_ns: int
    cycles: int
    """Of the newest run that is done."""
    most_cycles: int
    run_ns: int
    """Of the newest run: what its slices took together."""
    most_run_ns: int
    longest_ns: int
    """Of the longest slice, to be compared with `slice_ns`."""
    complaint: str = ""
    """Of the newest version: which layer does not fit into a slice, and what helps; empty where all do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStats:
    """One task at one moment. `cycles + missed` ticks have come since `first_due_ns`; the next is due at `due_ns`."""

    name: str
    state: State
    status: int
    """Why the newest cycle's outputs are what they are: `TaskStatus`, or the model's own status. See `status_text`."""
    action: Action
    last_fault: int
    """The newest status that was not OK; 0 if there was none."""
    period_ns: int
    first_due_ns: int
    due_ns: int
    overruns_in_a_row: int
    cycles: int = counted("CycleCount", heading="cycles", is_live=True)
    overruns: int = counted(
        *("ExceedCounter", "UDINT"),
        meaning="deadlines missed since the start or the last reset",
        heading="over-\nruns",
        is_live=True,
        is_fault=True,
    )
    """Each costs one missed tick or more."""
    missed: int = counted("MissedTicks", heading="missed", is_live=True, is_fault=True)
    """Ticks that no cycle served."""
    watchdog_trips: int = counted(meaning="times that too many overruns in a row made the outputs safe")
    held: int = counted(meaning="cycles whose outputs were the ones before")
    safe: int = counted(meaning="cycles whose outputs were the safe ones")
    bad_inputs: int = counted(meaning="cycles with an input of bad quality, or too old")
    nan_inputs: int = counted(meaning="input values that were NaN or infinite")
    nan_outputs: int = counted(meaning="values from the model or the step that were NaN or infinite")
    failed: int = counted(meaning="cycles in which the model or the step gave a status other than 0")
    clamped: int = counted(meaning="output values outside low..high")
    filling: int = counted(meaning="cycles in which a window was not full")
    limited: int = counted(meaning="output values that changed faster than max_rate")
    state_resets: int = counted(
        "StateResets", meaning="times that the state of the model, or of the step, was put back to its start"
    )
    monitor_over: int = counted(
        *("MonitorOver", "UDINT"), meaning="cycles in which the monitor's value was over its limit"
    )
    monitor_verdicts: int = counted(meaning="times that the monitor began to speak against the model")
    fallbacks: int = counted(*("Fallbacks", "UDINT"), meaning="cycles in which the fallback decided what was published")
    smaller_models: int = counted(
        *("SmallerModels", "UDINT"), meaning="cycles that the smaller model computed, as too little time was left"
    )
    state_restores: int = counted(meaning="times that the state of the model was put back to the last good one")
    runs: int = counted(meaning="runs of a model in slices that were done")
    given_up_runs: int = counted(
        meaning="runs of a model in slices that were given up: bad inputs, a pause, a reset, a version found bad"
    )
    late_runs: int = counted(meaning="turns of a model in slices that came while its run was not done")
    slice_overruns: int = counted(meaning="cycles in which the model ran for longer than its slice")
    pieces_taken_back: int = counted(
        meaning="pieces of the model that the task's core did itself, as no helper had come to the layer"
    )
    helpers_late: int = counted(
        meaning="times that a helper had begun a piece and not done it in time, which ended the run of the model, or its slice"
    )
    model_version: int
    switches: int
    """Model versions taken while running."""
    switched_ns: int
    """The tick of the newest switch; 0 before the first."""
    usage: Usage
    wakeup: Latency
    execution: Latency
    reaction: Latency
    """From when an input came to when the first output that was computed from it was sent, by native exchanges."""
    monitor: MonitorStats | None = None
    slices: SliceStats | None = None
    barrier: Latency | None = None
    """Of a task with helpers: how long it waited for pieces that they had begun, where it had to."""

    @property
    def page_faults(self) -> int:
        """See `USED`."""
        return self.usage.minor_faults + self.usage.major_faults

    @property
    def involuntary_switches(self) -> int:
        """See `USED`."""
        return self.usage.involuntary_switches

    @property
    def status_text(self) -> str:
        """The status with its name."""
        return describe(self.status)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and names, for JSON."""
        return {**asdict(self), "state": self.state.name, "action": self.action.name, "status_text": self.status_text}


COUNTED: Final = declared(TaskStats)
"""What the cycle counts, under the same names in `scheduler.task_block.STATS`."""
USED: Final = (
    Statistic(name="page_faults", meaning="page faults of the task's thread", heading="page faults"),
    Statistic(name="involuntary_switches", meaning="times that the system took the processor away"),
)
"""What the system counts."""
TASK_STATISTICS: Final = (*USED, *COUNTED)
"""Each is an attribute of `TaskStats`."""
