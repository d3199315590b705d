"""What a station file may say: one frozen pydantic model per table of station.toml.

Keys are those of the file; a name that carries a unit in Python has the plain key as its alias (`cycle_ns`, `cycle`).
What concerns one value is checked here; what concerns several (does this tag exist?) in `station.file.checks`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from station.file.durations import PATTERN, parse_duration

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


def _cycle(ns: int) -> int:
    if ns < MIN_CYCLE_NS:
        raise ValueError(f"a task's cycle is at least {MIN_CYCLE_NS // 1000} us")
    return ns


def _tag_only(value: object) -> object:
    """A plain string stands for a table with only the key `tag`."""
    return {"tag": value} if isinstance(value, str) else value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, populate_by_name=False)


class StationTable(_Table):
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


class ModelTable(_Table):
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


class _Link(_Table):
    cycle_ns: Duration = Field(default="10 ms", alias="cycle", description="How often the device is read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "100 ms",
        alias="timeout",
        description="A device silent for so long is lost; an output older than this is sent as its safe value.",
    )


class _ModbusLink(_Link):
    unit: int = Field(default=1, ge=0, le=255, description="Unit (slave) number of the device.")
    order: Order = Field(
        default="ABCD", description="Byte order of values wider than a register, unless a tag's address says otherwise."
    )
    gap: int = Field(default=0, ge=0, le=120, description="Read over holes of at most so many registers.")
    single_writes: bool = Field(default=True, description="Write a lone register with function code 5 or 6.")
    fc23: bool = Field(
        default=False, description="Read and write in one request (function code 23); the device must support it."
    )


class ModbusTcpLink(_ModbusLink):
    """A Modbus TCP device."""

    type: Literal["modbus-tcp"]
    host: str = Field(description="Name or address of the device.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port.")


class ModbusTlsLink(_ModbusLink):
    """A Modbus device behind TLS."""

    type: Literal["modbus-tls"]
    host: str = Field(description="Name or address of the device.")
    port: int = Field(default=802, ge=1, le=65535, description="TCP port.")
    ca_file: str | None = Field(default=None, description="Certificate authority that signed the device's certificate.")
    cert_file: str | None = Field(default=None, description="Our own certificate.")
    key_file: str | None = Field(default=None, description="Key of our own certificate.")
    server_name: str | None = Field(
        default=None, description="Name in the device's certificate, when it is not `host`."
    )


class ModbusRtuLink(_ModbusLink):
    """A Modbus device on a serial line."""

    cycle_ns: Duration = Field(default="50 ms", alias="cycle", description="How often the device is read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(default="1 s", alias="timeout", description="A device silent for so long is lost.")  # type: ignore[assignment]
    answer_ns: Duration = Field(default="100 ms", alias="answer", description="Ask again after so long.")  # type: ignore[assignment]

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, for example /dev/ttyUSB0.")
    baudrate: int = Field(default=19200, ge=300, le=4_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1


class AdsLink(_Link):
    """A TwinCAT PLC, over ADS."""

    type: Literal["ads"]
    ams_net_id: str = Field(
        pattern=r"^\d{1,3}(\.\d{1,3}){5}$", description="AMS NetId of the PLC, for example 5.12.34.56.1.1."
    )
    host: str = Field(default="", description="Name or address of the PLC; left out: the NetId's first four numbers.")
    port: int = Field(default=851, ge=1, le=65535, description="AMS port of the PLC's run time.")
    mode: Literal["read", "notify"] = Field(
        default="read", description="Inputs: one sum read per cycle, or the PLC notifies of what changes."
    )


class InProcessLink(_Link):
    """A device that is a Python function, for simulations and dry runs."""

    type: Literal["in-process"]
    device: str | None = Field(
        default=None,
        description='"file.py:function", called every cycle with {output tag: value}, gives {input tag: value}; '
        "left out: every input stays 0.",
    )


class PlcLink(_Table):
    """Tags that PLC clients write and read, through the servers. They need no address: `rt-engine symbols` lists them."""

    type: Literal["plc"]
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "100 ms",
        alias="timeout",
        description="When no client has written any input for so long, all are bad; an output older than this is safe.",
    )

    @property
    def cycle_ns(self) -> int:
        """Clients write when they like."""
        return 0


LinkTable = Annotated[
    ModbusTcpLink | ModbusTlsLink | ModbusRtuLink | AdsLink | InProcessLink | PlcLink, Field(discriminator="type")
]
ModbusLink = (ModbusTcpLink, ModbusTlsLink, ModbusRtuLink)


class _Server(_Table):
    writable: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='What clients may write: names as `rt-engine symbols` lists them, `*` for any part: "Tags.*", '
        '"Tasks.axis.Reset". Nothing by default.',
    )
    requests_per_second: int = Field(default=5000, ge=1, le=1_000_000, description="Of one client, at most.")


class _NetworkServer(_Server):
    host: str = Field(default="127.0.0.1", description="Address to listen at; by default this computer alone.")
    allow: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Who may connect, "192.168.10.5" or "192.168.10.0/24". Required unless `host` is this computer.',
    )
    connections: int = Field(default=32, ge=1, le=1000, description="At the same time, at most.")


class AdsServerTable(_NetworkServer):
    """An ADS server, for TwinCAT and everything else that speaks ADS."""

    type: Literal["ads"]
    port: int = Field(default=48898, ge=0, le=65535, description="TCP port; AdsLib's clients know no other than 48898.")
    ams_net_id: str = Field(
        default="",
        pattern=r"^(\d{1,3}(\.\d{1,3}){5})?$",
        description="AMS NetId of this server; left out: `host` and .1.1.",
    )
    ams_port: int = Field(default=851, ge=1, le=65535, description="AMS port of the symbols, as of a PLC's run time.")
    allow_net_ids: Annotated[tuple[str, ...], Array] = Field(
        default=(), description="AMS NetIds of those who may ask; left out: any from an allowed address."
    )
    handles: int = Field(default=10_000, ge=1, le=1_000_000, description="Of one client, at most.")
    notifications: int = Field(default=500, ge=0, le=100_000, description="Of one client, at most.")


class _ModbusServer(_Server):
    unit: int = Field(default=1, ge=1, le=247, description="Unit (slave) number of this server.")
    order: Order = Field(default="ABCD", description="Byte order of values wider than a register.")


class ModbusTcpServer(_NetworkServer, _ModbusServer):
    """A Modbus TCP server."""

    type: Literal["modbus-tcp"]
    port: int = Field(default=502, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")


class ModbusTlsServer(_NetworkServer, _ModbusServer):
    """A Modbus server behind TLS; clients must have a certificate."""

    type: Literal["modbus-tls"]
    port: int = Field(default=802, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")
    cert_file: str = Field(description="Certificate of this server.")
    key_file: str = Field(description="Its key.")
    ca_file: str = Field(description="Certificate authority that signs the clients' certificates.")
    allow_certificates: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="SHA-256 fingerprints or common names of the clients' certificates; left out: any that `ca_file` signed.",
    )


class ModbusRtuServer(_ModbusServer):
    """A Modbus server on a serial line."""

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, for example /dev/ttyUSB0.")
    baudrate: int = Field(default=19200, ge=300, le=4_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1


ServerTable = Annotated[
    AdsServerTable | ModbusTcpServer | ModbusTlsServer | ModbusRtuServer, Field(discriminator="type")
]


class TagTable(_Table):
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


class _Entry(_Table):
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


class GuardTable(_Table):
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


class TaskTable(_Table):
    """`[tasks.NAME]`: every `cycle`, tags go into the model and its outputs into tags."""

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


class StationConfig(_Table):
    """A whole station file."""

    station: StationTable = StationTable()
    models: dict[Name, ModelTable] = {}
    links: dict[Name, LinkTable] = {}
    tags: dict[Name, TagTable] = {}
    servers: dict[Name, ServerTable] = {}
    tasks: dict[Name, TaskTable] = {}
