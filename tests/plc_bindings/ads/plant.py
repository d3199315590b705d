"""A small device for an ADS session to serve, and what an ADS client sends.

area 0   Tags.SetPoint REAL, Tags.Count DINT, Tags.Name STRING(31), Tags.Curve ARRAY [0..7] OF REAL    writable: Tags.S*, C*
area 1   Tasks.axis ST_RtTask: CycleTime UDINT, WakeUp ST_RtLatency (P50 LREAL, Count ULINT)           read-only
model 1  policy: x REAL[1, 16] -> y REAL[1, 4]
"""

import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import rt_engine
from benchmarks.models import mlp
from fieldbus.ads import frames
from fieldbus.ads.protocol import REQUEST, Command, Group
from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.groups import AREA
from plc_bindings.ads.session import AdsSession
from plc_bindings.data.database import Area, Database, Symbol
from plc_bindings.data.models import Models
from plc_bindings.data.types import DINT, LREAL, REAL, UDINT, ULINT, Array, Field, String, Struct
from plc_bindings.security.access import Access, Limits

TAGS = Struct(
    "ST_Tags",
    (
        Field("SetPoint", REAL, "m/s", "where to"),
        Field("Count", DINT),
        Field("Name", String(31)),
        Field("Curve", Array(REAL, 8)),
    ),
)
LATENCY = Struct("ST_RtLatency", (Field("P50", LREAL, "us"), Field("Count", ULINT)))
TASK = Struct("ST_RtTask", (Field("CycleTime", UDINT), Field("WakeUp", LATENCY)))
TASKS_AT = AREA + 1
SERVER, CLIENT = bytes((127, 0, 0, 1, 1, 1)), bytes((127, 0, 0, 1, 9, 9))
PORT, CLIENT_PORT = 851, 33_000


class Memory(Area):
    """Bytes. `reads` counts; `fails` makes it raise what a mistake of ours would."""

    def __init__(self, name: str, type_: Struct, data: bytes, can_write: bool) -> None:
        super().__init__(name, type_, can_write)
        self.data, self.reads, self.writes, self.fails = data, 0, 0, False

    def read(self) -> bytes:
        self.reads += 1
        if self.fails:
            raise RuntimeError("a mistake")
        return self.data

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        self.writes += 1
        self.data = data


@cache
def model() -> rt_engine.Model:
    return rt_engine.load(mlp((16, 64, 64, 4), "Relu"))


class Plant:
    """A device, its areas, and what its audit log was told."""

    def __init__(self, limits: Limits | None = None, net_ids: Sequence[str] = (), **device: Any) -> None:
        self.tags = Memory("Tags", TAGS, struct.pack("<fi32s8f", 1.5, -7, b"belt", *range(8)), can_write=True)
        self.task = Memory("Tasks.axis", TASK, struct.pack("<IdQ", 10_000, 27.5, 99), can_write=False)
        symbols = [
            Symbol(f"Tags.{field.name}", field.type, 0, TAGS.offsets[field.name], field.unit, field.comment)
            for field in TAGS.fields
        ]
        self.database = Database((self.tags, self.task), [*symbols, Symbol("Tasks.axis", TASK, 1, 0)])
        self.slot = rt_engine.ModelSlot(model())
        self.models = Models({"policy": self.slot})
        self.audit: list[tuple[str, str, str]] = []
        self.access = Access(
            net_ids=net_ids,
            writable=("Tags.S*", "Tags.C*"),
            limits=limits or Limits(),
            audit=lambda *line: self.audit.append(line),
        )
        self.device = Device(self.database, self.models, AdsOptions(), self.access)
        for name, value in device.items():
            setattr(self.device, name, value)

    def session(self, now: Callable[[], float] = lambda: 0.0) -> AdsSession:
        """A client's; time stands still."""
        client = self.access.admit("127.0.0.1")
        assert client is not None
        return AdsSession(self.device, client, self.database.writable(self.access.writable), SERVER, now)


# --- what a client sends ----------------------------------------------------------------------------------------------


def packet(command: int, data: bytes = b"", invoke: int = 1, port: int = PORT, **other: Any) -> bytes:
    """A request. `other`: target, source, source_port, flags, size."""
    head = (
        other.get("target", SERVER),
        port,
        other.get("source", CLIENT),
        other.get("source_port", CLIENT_PORT),
        command,
        other.get("flags", REQUEST),
        other.get("size", len(data)),
        0,
        invoke,
    )
    return frames.HEAD.pack(0, frames.AMS.size + len(data), *head) + data


def read(group: int, offset: int, size: int, **other: Any) -> bytes:
    return packet(Command.READ, struct.pack("<III", group, offset, size), **other)


def write(group: int, offset: int, data: bytes, **other: Any) -> bytes:
    return packet(Command.WRITE, struct.pack("<III", group, offset, len(data)) + data, **other)


def read_write(group: int, offset: int, size: int, data: bytes, **other: Any) -> bytes:
    return packet(Command.READ_WRITE, struct.pack("<IIII", group, offset, size, len(data)) + data, **other)


def add_note(group: int, offset: int, size: int, mode: int = 4, delay: int = 0, cycle: int = 100_000) -> bytes:
    """`delay` and `cycle` in 100 ns."""
    data = struct.pack("<IIIIII16x", group, offset, size, mode, delay, cycle)
    return packet(Command.ADD_NOTIFICATION, data)


# --- what it gets -----------------------------------------------------------------------------------------------------


def split(stream: bytes) -> list[tuple[int, int, int, bytes]]:
    """(command, AMS error, invoke id, data) of each packet; every header is checked."""
    found, at = [], 0
    while at < len(stream):
        _, length, target, _, _, _, command, flags, size, error, invoke = frames.HEAD.unpack_from(stream, at)
        assert length == size + frames.AMS.size
        assert flags == 5 or (flags, command, invoke) == (4, Command.NOTIFICATION, 0)
        assert target == CLIENT
        found.append((command, error, invoke, stream[at + frames.HEAD.size : at + frames.TCP.size + length]))
        at += frames.TCP.size + length
    assert at == len(stream)
    return found


def ask(session: AdsSession, request: bytes) -> tuple[int, bytes]:
    """(error code, data without its length) of the only answer, jobs done at once."""
    stream = session.feed(request)
    while session.job is not None:
        stream += session.resume(session.job())
    ((command, error, _, data),) = split(stream)
    if error:
        assert data == b""
        return error, b""
    code = struct.unpack_from("<I", data)[0]
    if command not in (Command.READ, Command.READ_WRITE):
        return code, data[4:]
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    return code, data[8:]


def handle(session: AdsSession, name: str) -> int:
    code, data = ask(session, read_write(Group.HANDLE_BY_NAME, 0, 4, name.encode() + b"\0"))
    assert code == 0, hex(code)
    return struct.unpack("<I", data)[0]
