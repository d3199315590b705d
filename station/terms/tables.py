"""The tables of a station file, but for links and servers: one frozen pydantic model each; and what all tables share.

Keys are those of the file; a name that carries a unit in Python has the plain key as its alias (`cycle_ns`, `cycle`).
What concerns one value is checked here; what concerns several (does this tag exist?) in `station.file.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from station.terms.durations import PATTERN, parse_duration

MIN_CYCLE_NS: Final = 50_000

TypeName = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"
]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["1 ms", "500 us", "2 s"]}),
]
Array: Final = Field(strict=False)  # TOML arrays arrive as lists
NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
NET_ID_FORM: Final = "no AMS NetId; six numbers with dots, for example 5.12.34.56.1.1"


def _cycle(ns: int) -> int:
    if ns < MIN_CYCLE_NS:
        raise ValueError(f"a task's cycle is at least {MIN_CYCLE_NS // 1000} us")
    return ns


def _tag_only(value: object) -> object:
    """A plain string stands for a table with only the key `tag`."""
    return {"tag": value} if isinstance(value, str) else value


class Table(BaseModel):
    """Any table of a station file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, populate_by_name=False)

    forms: ClassVar[Mapping[str, str]] = {}
    """Key -> what its text is not, and how it has to look, in words, where it has a pattern."""
    stand_ins: ClassVar[Mapping[str, object]] = {}
    """Required key -> a value with which the rest of the table can be read when it is missing; else "?"."""


class StationTable(Table):
    """`[station]`: who this station is and where its reports go."""

    name: Name = Field(default="station", description="Names the control socket and the report.")
    report: str = Field(default="reports", description="Folder of the reports, relative to this file.")
    audit: str = Field(
        default="audit.jsonl",
        description="File that keeps what clients of the servers changed, or were refused; relative to this file.",
    )
    keys: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="Public keys (`rt-engine keygen`) whose signature a model that comes over ADS must have.",
    )


class ModelTable(Table):
    """`[models.NAME]`: a model in a slot, where `rt-engine update NAME` can replace it."""

    file: str = Field(description="The model, .onnx or .rtp (compiled), relative to this file.")
    shapes: dict[str, Annotated[tuple[Annotated[int, Field(ge=1)], ...], Array]] = Field(
        default={},
        description="Shape of an input whose dimensions the file leaves open; an open batch dimension becomes 1.",
    )
    state: dict[str, str] = Field(
        default={},
        description='Outputs that are inputs of the next cycle: `{ h_out = "h_in" }`. They start at zero; updates keep them.',
    )
    remote_update: bool = Field(
        default=False, description="ADS clients may replace it by a file that is signed with one of [station] keys."
    )


class TagTable(Table):
    """`[tags.NAME]`: one value, or `count` values in a row, in a device. `value = raw * scale + offset`, in `unit`."""

    link: str | None = Field(
        default=None, description="The device; may be left out when the station has only one link."
    )
    direction: Literal["in", "out"] = Field(
        default="in", description='Seen from here: "in" is a sensor, "out" an actuator.'
    )
    type: TypeName = Field(default="float32", description="The type in the device.")
    address: str = Field(
        default="",
        description='Modbus: "TABLE REGISTER[.BIT] [ORDER]", from 0, like "holding 40 CDAB". ADS: the symbol\'s name.',
    )
    unit: str = Field(default="", description="Engineering unit, for people.")
    scale: float = Field(default=1.0, description="value = raw * scale + offset")
    offset: float = Field(default=0.0, description="value = raw * scale + offset")
    low: float = Field(default=float("-inf"), description="Least value, in `unit`; an output is clamped to it.")
    high: float = Field(default=float("inf"), description="Greatest value, in `unit`; an output is clamped to it.")
    safe: float = Field(default=0.0, description="What an output becomes when nobody controls it any more, in `unit`.")
    count: int = Field(default=1, ge=1, le=2000, description="How many values in a row.")


class _Entry(Table):
    tag: str = Field(description="One of [tags].")
    tensor: str | None = Field(default=None, description="The model's tensor; left out: the first one not yet full.")
    index: int | None = Field(
        default=None, ge=0, description="First element in the tensor, counted flat; left out: the next free one."
    )
    step_only: bool = Field(default=False, description="Only the task's own step sees it, not the model.")


class InputTable(_Entry):
    """One entry of a task's `inputs`: a tag, and where it goes in the model. A plain string is the tag's name."""

    scale: float = Field(default=1.0, description="element = value * scale + offset")
    offset: float = Field(default=0.0, description="element = value * scale + offset")
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


class GuardTable(Table):
    """`[tasks.NAME.guard]`: what a task does with numbers it should not trust."""

    on_nan: Literal["hold", "safe", "pass"] = Field(default="hold", description="The model gave NaN or infinity.")
    on_bad_input: Literal["safe", "hold", "run"] = Field(
        default="safe", description="An input is bad, or older than `max_age`."
    )
    max_age_ns: Duration | None = Field(
        default=None,
        alias="max_age",
        description="An input older than this is bad; left out: the longest timeout of its links.",
    )


InputEntry = Annotated[InputTable, BeforeValidator(_tag_only, json_schema_input_type=str | InputTable)]
OutputEntry = Annotated[OutputTable, BeforeValidator(_tag_only, json_schema_input_type=str | OutputTable)]


class TaskTable(Table):
    """`[tasks.NAME]`: every `cycle`, tags go into the model and its outputs into tags."""

    stand_ins = {"cycle": "1 s", "inputs": ["?"]}

    model: str | None = Field(
        default=None, description="One of [models]; left out: the step alone computes the outputs."
    )
    cycle_ns: Annotated[Duration, AfterValidator(_cycle)] = Field(
        alias="cycle", description="Cycle time; at least 50 us."
    )
    priority: int = Field(default=80, ge=1, le=99, description="SCHED_FIFO priority.")
    cpu: int | None = Field(default=None, ge=0, le=4095, description="Core that the task stays on; left out: any.")
    overrun: Literal["skip", "hold", "safe"] = Field(
        default="skip",
        description="After a missed deadline: skip to the next tick, hold the outputs a cycle, or make them safe.",
    )
    watchdog: int = Field(default=10, ge=0, description="Overruns in a row after which the outputs go safe; 0: never.")
    inputs: Annotated[tuple[InputEntry, ...], Array] = Field(
        description="Tags in the order of the model's input elements.", min_length=1
    )
    outputs: Annotated[tuple[OutputEntry, ...], Array] = Field(
        default=(), description="Tags in the order of the model's output elements."
    )
    guard: GuardTable = GuardTable()
    step: str | None = Field(
        default=None, description='Your own compiled function after the model, "file.py:function".'
    )
    step_state: int = Field(default=0, ge=0, le=2**20, description="Bytes that the step keeps from cycle to cycle.")
