"""A small database and a model for other people's clients to talk to.

Tags.SetPoint REAL, Tags.Count DINT, Tags.Word UINT, Tags.Enabled BOOL, Tags.Name STRING(31),
Tags.Curve ARRAY [0..7] OF REAL       writable, one area
Tasks.axis ST_RtTask                  read-only, with a structure inside
Models.policy                         number 1: 16 floats in, 4 floats out
"""

import contextlib
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import rt_engine
from benchmarks.models import mlp
from plc_bindings.ads.device import AdsOptions
from plc_bindings.ads.server import AdsServer
from plc_bindings.data.database import Area, Database, Symbol
from plc_bindings.data.models import Models
from plc_bindings.data.types import BOOL, DINT, LREAL, REAL, UDINT, UINT, ULINT, Array, Field, String, Struct
from plc_bindings.modbus.options import ModbusOptions, Rtu, Tcp
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.net.serving import Server, Serving
from plc_bindings.security.access import Access

TAGS = Struct(
    "ST_Tags",
    (
        Field("SetPoint", REAL, "m/s", "where to"),
        Field("Count", DINT),
        Field("Word", UINT),
        Field("Enabled", BOOL),
        Field("Name", String(31)),
        Field("Curve", Array(REAL, 8)),
    ),
)
LATENCY = Struct("ST_RtLatency", (Field("P50", LREAL, "us"), Field("P99", LREAL, "us"), Field("Count", ULINT)))
TASK = Struct("ST_RtTask", (Field("CycleTime", UDINT), Field("CycleCount", ULINT), Field("WakeUp", LATENCY)))
TASK_VALUES = (10_000, 123_456_789_012, 27.5, 40.25, 123_456)
AMS_TCP_PORT = 48898
CURVE = tuple(float(i) for i in range(1, 9))
INPUTS = (np.arange(16, dtype=np.float32) - 8) / 8
"""What every client calls the model with."""


class Memory(Area):
    """An area that keeps what is written to it."""

    def __init__(self, name: str, type_: Struct, data: bytes, can_write: bool) -> None:
        super().__init__(name, type_, can_write)
        self.data = data
        assert len(data) == self.size

    def read(self) -> bytes:
        """What was written last."""
        return self.data

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """Keep it."""
        self.data = data


def tags() -> bytes:
    """The tags as they are at the start."""
    return struct.pack("<fiH?32s8f", 1.5, -7, 42, False, b"conveyor", *CURVE)


def database() -> Database:
    """Tags and a task."""
    areas = (
        Memory("Tags", TAGS, tags(), can_write=True),
        Memory("Tasks.axis", TASK, struct.pack("<IQddQ", *TASK_VALUES), can_write=False),
    )
    symbols = [
        Symbol(f"Tags.{field.name}", field.type, 0, TAGS.offsets[field.name], field.unit, field.comment)
        for field in TAGS.fields
    ]
    return Database(areas, [*symbols, Symbol("Tasks.axis", TASK, 1, 0)])


def model() -> rt_engine.Model:
    """A perceptron 16-64-64-4."""
    return rt_engine.load(mlp((16, 64, 64, 4), "Relu"))


def models() -> Models:
    """The perceptron, under the name policy."""
    return Models({"policy": rt_engine.ModelSlot(model())})


def outputs() -> list[float]:
    """What the model gives for `INPUTS`."""
    (y,) = model().run({"x": INPUTS.reshape(1, 16)})
    return [float(value) for value in y.reshape(-1)]


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    """A server in the servers' thread, as a station runs it."""
    served: dict[str, Server] = {"peers": server}
    thread = Serving(served)
    thread.start()
    try:
        yield server
    finally:
        thread.stop()


def own_loopback() -> str:
    """127.0.0.x that nobody else serves AMS/TCP at: AdsLib knows no port other than 48898."""
    for last in random.sample(range(2, 255), 253):
        with contextlib.suppress(OSError), socket.create_server((f"127.0.0.{last}", AMS_TCP_PORT)):
            return f"127.0.0.{last}"
    raise OSError("no loopback address with a free port 48898")


@contextlib.contextmanager
def ads_server() -> Iterator[AdsServer]:
    """The ADS server on an address of its own; tags are writable."""
    options = AdsOptions(host=own_loopback(), port=AMS_TCP_PORT)
    with serving(AdsServer(database(), models(), options, Access(writable=["Tags.*"]))) as server:
        yield server


@contextlib.contextmanager
def modbus_server(transport: Tcp | Rtu | None = None) -> Iterator[ModbusServer]:
    """The Modbus server; tags are writable."""
    options = ModbusOptions(transport or Tcp(port=0))
    with serving(ModbusServer(database(), models(), options, Access(writable=["Tags.*"]))) as server:
        yield server


def places(server: ModbusServer) -> dict[str, int]:
    """Where a client finds what it tries."""
    found = {place.name: place for place in server.map.places}
    block, coil = server.map.block("policy"), found["Tags.Enabled"].coil
    assert block is not None and coil is not None
    return {
        "coil": coil,
        "word": found["Tags.Word"].register,
        "float": found["Tags.SetPoint"].register,
        "refused": found["Tasks.axis.CycleTime"].register,
        "inputs": block.inputs,
        "outputs": block.result,
    }
