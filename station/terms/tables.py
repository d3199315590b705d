"""The tables of a station file, but for links and servers: one frozen pydantic model each; and what all tables share.

Keys are those of the file; a name that carries a unit in Python has the plain key as its alias (`cycle_ns`, `cycle`).
What concerns one value is checked here; what concerns several (does this tag exist?) in `station.file.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from station.terms.durations import PATTERN, parse_duration
from station.terms.lengths import AGE_PATTERN, SPAN_PATTERN, parse_age, parse_span

if TYPE_CHECKING:
    from rt_engine.binding import Binding

TypeName = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"
]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["1 ms", "500 us", "2 s"]}),
]
Span = Annotated[
    tuple[int, int],
    BeforeValidator(parse_span),
    WithJsonSchema({"type": "string", "pattern": SPAN_PATTERN, "examples": ["10 min", "1 h", "5000 cycles"]}),
]
Array: Final = Field(strict=False)  # TOML arrays arrive as lists
NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Labels = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=128)]], Field(max_length=32)
]
"""What a station of a fleet is selected by."""
NET_ID_FORM: Final = "no AMS NetId; six numbers with dots, for example 5.12.34.56.1.1"


def _as_text(value: object) -> object:
    """A bare number is the text of it: what is meant by `address = 40001` its kind of link says."""
    return str(value) if type(value) is int else value


def _tolerance(value: Any) -> Any:
    """A number, or numbers by tag; none is below zero."""
    if value is None:
        return None
    numbers = list(value.values()) if isinstance(value, dict) else [value]
    if not all(type(number) in (int, float) and number >= 0 for number in numbers):
        raise ValueError("a tolerance is a number from 0, or a table of them by tag: { speed = 0.5 }")
    return {tag: float(number) for tag, number in value.items()} if isinstance(value, dict) else float(numbers[0])


def _age(text: str) -> str:
    """As it is written, if it is one."""
    parse_age(text)
    return text


class Table(BaseModel):
    """Any table of a station file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, populate_by_name=False)

    forms: ClassVar[Mapping[str, str]] = {}
    """Key -> what its text is not, and how it has to look, in words, where it has a pattern."""
    stand_ins: ClassVar[Mapping[str, object]] = {}
    """Key -> a value with which the rest of the table can be read when it is missing, or of no known type; else "?"."""


class StationTable(Table):
    """`[station]`: who this station is and where its reports go."""

    name: Name = Field(default="station", description="Names the control socket and the report.")
    report: str = Field(default="reports", description="Folder of the reports, relative to this file.")
    audit: str = Field(
        default="audit.jsonl",
        description="File that keeps who was refused what; beside it `.changes`, the hash chain of what was changed. "
        "Relative to this file.",
    )
    audit_keep: Annotated[
        str, AfterValidator(_age), WithJsonSchema({"type": "string", "pattern": AGE_PATTERN, "examples": ["5 years"]})
    ] = Field(default="5 years", description='How long the changes are kept at least: "90 days", "5 years".')
    store: str = Field(
        default="store",
        description='Folder that keeps every version of the models and what became of it, relative to this file; "": none.',
    )
    store_keep: int = Field(
        default=20,
        ge=0,
        description="So many versions of each model keep their files there, besides those that run, ran before, or are the file's.",
    )
    status_lines: bool | None = Field(
        default=None,
        description="Print a status line every 5 s; left out: where there is no terminal, but not in a service.",
    )
    keys: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="Public keys (`rt-engine keygen`) whose signature a model that clients bring must have: `ed25519:` for .sig "
        "files, `ecdsa:` for OpenSSF model-signing bundles.",
    )


class ChangeTable(Table):
    """`[models.NAME.change]`: what a new version of the model goes through before it stays."""

    shadow: Span | None = Field(
        default=None,
        description='How long, "10 min", or so many "5000 cycles", it computes beside the live one and is only compared.',
    )
    trial: Span | None = Field(
        default=None,
        description="How long it is live while the old one stands by, and takes over in the tick in which the new one is bad.",
    )
    commit: Literal["auto", "manual"] = Field(
        default="auto",
        description='When the trial is over: "auto" keeps it; "manual" takes it back unless somebody has said commit by then.',
    )
    tolerance: Annotated[float | dict[str, float] | None, BeforeValidator(_tolerance)] = Field(
        default=None,
        description="How far an output may lie from the live one's, in the tag's unit; or by tag: `{ speed = 0.5 }`. "
        "Left out: differences are shown, and only values that are not finite disagree.",
    )
    disagreements: int = Field(
        default=0, ge=0, description="So many values may disagree, in the shadow and again in the trial."
    )
    recording: str | None = Field(
        default=None,
        description="A recording, or a folder of them, relative to this file: the gate runs a new version over it and holds its "
        "outputs against what was recorded, by `tolerance` and `disagreements`.",
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
    values: dict[str, Any] = Field(
        default={},
        description="Inputs that always have the same value, such as `{ sr = 16000 }`: they are constants, and no inputs any more.",
    )
    bounds: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        description="The most that a length can be that is known at run time only, by the name of a tensor, a node or a symbolic "
        "dimension: `{ boxes = 100 }`.",
    )
    remote_update: bool = Field(
        default=False, description="ADS clients may replace it by a file that is signed with one of [station] keys."
    )
    change: ChangeTable = ChangeTable()

    @property
    def binding(self) -> Binding:
        """What it says that the model's file leaves open. Raises ShapeBindingError."""
        from rt_engine.binding import binding

        return binding(self.shapes, self.state, self.values, self.bounds)


class TagTable(Table):
    """`[tags.NAME]`: one value, or `count` values in a row, in a device. `value = raw * scale + offset`, in `unit`."""

    link: str | None = Field(
        default=None, description="The device; may be left out when the station has only one link."
    )
    direction: Literal["in", "out"] = Field(
        default="in", description='Seen from here: "in" is a sensor, "out" an actuator.'
    )
    type: TypeName = Field(default="float32", description="The type in the device.")
    address: Annotated[str, BeforeValidator(_as_text)] = Field(
        default="",
        description='Modbus: "TABLE REGISTER[.BIT] [ORDER]", from 0, like "holding 40 CDAB". ADS: the symbol\'s name. '
        'EtherCAT: "SLAVE:ENTRY", like "drive:0x6041:00" or "1:Input_1". OPC UA: "nsu=URI;s=NAME" or "ns=2;s=NAME".',
    )
    unit: str = Field(default="", description="Engineering unit, for people.")
    scale: float = Field(default=1.0, description="value = raw * scale + offset")
    offset: float = Field(default=0.0, description="value = raw * scale + offset")
    low: float = Field(
        default=float("-inf"), description="Least value, in `unit`: an output is clamped to it, an input below is bad."
    )
    high: float = Field(
        default=float("inf"),
        description="Greatest value, in `unit`: an output is clamped to it, an input above is bad.",
    )
    safe: float = Field(default=0.0, description="What an output becomes when nobody controls it any more, in `unit`.")
    not_available: Annotated[tuple[float, ...], Array] = Field(
        default=(),
        description='Raw numbers by which the device says "no value", like [0x8000]: the input is bad.',
    )
    count: int = Field(default=1, ge=1, le=2000, description="How many values in a row.")
