"""The tables of a task, its entries, its guard.

One check of a value, as in `station.terms.tables`; relations are in `station.file.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from station.terms.instead import ENVELOPE, SLOT, FallbackTable, MonitorTable, OnLateEntry
from station.terms.steps import StepEntry, Surroundings
from station.terms.tables import Array, Duration, Table, TagTable

MIN_CYCLE_NS: Final = 50_000


def _cycle(ns: int) -> int:
    if ns < MIN_CYCLE_NS:
        raise ValueError(f"a task's cycle is at least {MIN_CYCLE_NS // 1000} us")
    return ns


def _tag_only(value: object) -> object:
    """A plain string stands for a table with only the key `tag`."""
    return {"tag": value} if isinstance(value, str) else value


class _Entry(Table):
    tag: str = Field(description="One of [tags].")
    tensor: str | None = Field(default=None, description="The model's tensor; left out: the first one not yet full.")
    index: int | None = Field(
        default=None, ge=0, description="First element in the tensor, counted flat; left out: the next free one."
    )
    cell: int | None = Field(
        default=None, ge=0, description="One value of a tag that has several, counted from 0; left out: all of them."
    )
    step_only: bool = Field(default=False, description="Only the task's own step sees it, not the model.")

    def values(self, count: int) -> int:
        """How many values it has of a tag with `count`."""
        return count if self.cell is None else 1


class InputTable(_Entry):
    """One entry of a task's `inputs`: a tag, and where it goes in the model. A plain string is the tag's name."""

    scale: float = Field(default=1.0, description="element = value * scale + offset")
    offset: float = Field(default=0.0, description="element = value * scale + offset")
    low: float | None = Field(
        default=None, description="Least value that the model gets, in the tag's unit: what is below counts as this."
    )
    high: float | None = Field(
        default=None, description="Greatest value that the model gets, in the tag's unit: what is above counts as this."
    )
    window: int = Field(default=1, ge=1, le=2**20, description="The last so many samples, oldest first.")
    stride: int = Field(default=1, ge=1, le=2**16, description="Every so many cycles a sample enters the window.")
    spacing: int | None = Field(
        default=None, ge=1, description="Elements from one sample to the next; left out: they lie in a row."
    )


class OutputTable(_Entry):
    """One entry of a task's `outputs`: an element of the model, the tag it drives. A plain string is the tag's name."""

    scale: float = Field(default=1.0, description="value = element * scale + offset")
    offset: float = Field(default=0.0, description="value = element * scale + offset")
    low: float | None = Field(default=None, description="Least value; left out: the tag's.")
    high: float | None = Field(default=None, description="Greatest value; left out: the tag's.")
    max_rate: float = Field(default=float("inf"), gt=0, description="Greatest change, in the tag's unit per second.")
    safe: float | None = Field(
        default=None,
        description="Safe value while the task ticks; left out: the tag's, which applies when the task has ended or hangs.",
    )
    between: Literal["hold", "linear"] | None = Field(
        default=None, description="As of the task, for this output; left out: the task's."
    )


class GuardTable(Table):
    """`[tasks.NAME.guard]`: what a task does with numbers it should not trust."""

    on_nan: Literal["hold", "safe", "pass"] = Field(default="hold", description="The model gave NaN or infinity.")
    on_bad_state: Literal["reset", "restore", "hold", "safe", "pass"] = Field(
        default="reset",
        description="The model's state became NaN or infinite: reset it, or restore the last good one, and hold for a cycle; hold, "
        "or safe, until it is reset.",
    )
    max_hold_ns: Duration = Field(
        default="10 s",  # type: ignore[assignment]
        alias="max_hold",
        description="How long outputs are held at most, whatever for; then they are the safe values.",
    )
    on_bad_input: Literal["safe", "hold", "run"] = Field(
        default="safe", description="An input is bad, or older than `max_age`."
    )
    max_age_ns: Duration | None = Field(
        default=None,
        alias="max_age",
        description="An input older than this is bad; left out: the longest timeout of its links.",
    )


def _written_out(value: object) -> object:
    return value


InputEntry = Annotated[InputTable, BeforeValidator(_tag_only, json_schema_input_type=str | InputTable)]
OutputEntry = Annotated[OutputTable, BeforeValidator(_tag_only, json_schema_input_type=str | OutputTable)]


class InputsByContract(Table):
    """Inputs by the names of the model's contract: element -> tag where they differ; and others, for the step."""

    contract: dict[str, InputEntry]
    also: tuple[InputEntry, ...] = ()


class OutputsByContract(Table):
    """Outputs by the names of the model's contract: element -> tag where they differ, "" where nobody takes it; and others."""

    contract: dict[str, OutputEntry]
    also: tuple[OutputEntry, ...] = ()


_InputEntries = Annotated[
    tuple[InputEntry, ...],
    Array,
    BeforeValidator(
        _written_out, json_schema_input_type=tuple[InputEntry, ...] | Literal["contract"] | InputsByContract
    ),
]
_OutputEntries = Annotated[
    tuple[OutputEntry, ...],
    Array,
    BeforeValidator(
        _written_out, json_schema_input_type=tuple[OutputEntry, ...] | Literal["contract"] | OutputsByContract
    ),
]
"""What `station.file.by_contract` writes out before values are checked."""


class TaskTable(Table):
    """`[tasks.NAME]`: every `cycle`, tags go into the model and its outputs into tags."""

    stand_ins: ClassVar[Mapping[str, object]] = {"cycle": "1 s", "inputs": ["?"], "step": {"type": "linear"}}

    model: str | None = Field(
        default=None, description="One of [models]; left out: the step alone computes the outputs."
    )
    cycle_ns: Annotated[Duration, AfterValidator(_cycle)] = Field(
        alias="cycle", description="Cycle time; at least 50 us."
    )
    every: int = Field(
        default=1,
        ge=1,
        le=2**20,
        description="The model runs in every so many cycles, within one; inputs, step and outputs are the matter of each.",
    )
    between: Literal["hold", "linear"] = Field(
        default="hold",
        description="With `every` or `slice`, the outputs until the model's next: held, or in a line, there when that comes.",
    )
    slice_ns: Duration | None = Field(
        default=None,
        alias="slice",
        description="A model that takes longer than a cycle runs for so long in each, and goes on in the next; its outputs come "
        "all at once when it is done. Up to nine tenths of the cycle; left out: it runs whole.",
    )
    priority: int = Field(default=80, ge=1, le=99, description="SCHED_FIFO priority.")
    cpu: int | None = Field(default=None, ge=0, le=4095, description="Core that the task stays on; left out: any.")
    threads: int = Field(
        default=1,
        ge=1,
        le=8,
        description="So many cores run the model together, the same bits; one that takes less than about 50 us, or is too short "
        "for cores that far apart, stays on one.",
    )
    helper_cpus: Annotated[tuple[Annotated[int, Field(ge=0, le=4095)], ...], Array] = Field(
        default=(),
        description="Cores of the helpers, one less than `threads`, for nobody else; left out: any.",
    )
    thread: str | None = Field(
        default=None,
        min_length=1,
        description="Tasks that name the same one run in it one after the other, by priority; their cycle and cpu are equal. "
        "Left out: tasks of equal cpu, cycle and priority share one.",
    )
    overrun: Literal["skip", "hold", "safe"] = Field(
        default="skip",
        description="After a missed deadline: skip to the next tick, hold the outputs a cycle, or make them safe.",
    )
    watchdog: int = Field(default=10, ge=0, description="Overruns in a row after which the outputs go safe; 0: never.")
    io_deadline_ns: Duration | None = Field(
        default=None,
        alias="io_deadline",
        description='How long the cycle waits for devices of links with exchange = "in-cycle", before the model and again '
        "after it; left out: a quarter of the cycle.",
    )
    inputs: _InputEntries = Field(
        description='Tags in the order of the model\'s input elements; "contract": by the names in its contract.',
        min_length=1,
    )
    outputs: _OutputEntries = Field(
        default=(),
        description='Tags in the order of the model\'s output elements; "contract": by the names in its contract.',
    )
    guard: GuardTable = GuardTable()
    monitor: MonitorTable | None = Field(default=None, description="Looks whether the model is to be trusted.")
    fallback: FallbackTable | None = Field(
        default=None, description="What is published where the model is not to be trusted."
    )
    on_late: OnLateEntry | None = Field(
        default=None, description="A smaller model for cycles whose time left is less than the task's model needs."
    )
    reset: str | None = Field(
        default=None,
        description="An input tag: when it is no longer 0, what model and step keep from cycle to cycle begins anew.",
    )
    step: StepEntry | None = Field(
        default=None, description='After the model: a ready step, or your own function, "file.py:function".'
    )
    step_state: int = Field(
        default=0,
        ge=0,
        le=2**20,
        description="Bytes that a function keeps from cycle to cycle, if it does not say so itself.",
    )

    @property
    def has_turns(self) -> bool:
        """Are there cycles in which the model gives no result?"""
        return self.every > 1 or self.slice_ns is not None

    @property
    def others(self) -> Mapping[str, str]:
        """The models that it runs besides its own: "monitor", "fallback", "on_late" -> one of [models]."""
        found = {
            "monitor": self.monitor.model if self.monitor is not None and self.monitor.model != ENVELOPE else "",
            "fallback": self.fallback.use if self.fallback is not None else "",
            "on_late": self.on_late.model if self.on_late is not None else "",
        }
        found["fallback"] = found["fallback"].removeprefix(SLOT) if found["fallback"].startswith(SLOT) else ""
        return {role: slot for role, slot in found.items() if slot}


def surroundings(task: TaskTable, tags: Mapping[str, TagTable]) -> Surroundings:
    """What the task's step finds; every tag of the task is in `tags`."""
    low, high = float("-inf"), float("inf")
    if task.outputs:
        first, tag = task.outputs[0], tags[task.outputs[0].tag]
        low, high = tag.low if first.low is None else first.low, tag.high if first.high is None else first.high
    return Surroundings(
        inputs=tuple(entry.tag for entry in task.inputs for _ in range(entry.values(tags[entry.tag].count))),
        outputs=tuple(entry.tag for entry in task.outputs for _ in range(entry.values(tags[entry.tag].count))),
        low=low,
        high=high,
        has_model=task.model is not None,
    )
