"""A station's small database behind an OPC UA server, and clients of it.

area 0   Tags.Speed REAL m/s (-10 to 10), Tags.Count DINT, Tags.Word UINT, Tags.Enabled BOOL, Tags.Name STRING(31),
         Tags.Curve ARRAY [0..7] OF REAL       writable but for Word; quality and time as the test says
area 1   Tasks.axis: CycleCount ULINT, State UINT with names, WakeUp (P50 LREAL us), Reset BOOL, a command
model 1  policy: x REAL[1, 16] -> y REAL[1, 4]
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.uaerrors import UaStatusCodeError

import rt_engine
from benchmarks.models import mlp
from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.own import make
from fieldbus.tags import Quality
from plc_bindings.data.database import Area, Database, Moment, Symbol
from plc_bindings.data.models import Models
from plc_bindings.data.types import BOOL, DINT, LREAL, REAL, UINT, ULINT, Array, Field, String, Struct, counted
from plc_bindings.net.serving import Serving
from plc_bindings.opcua.options import OpcUaOptions, Role
from plc_bindings.opcua.server import OpcUaServer
from plc_bindings.security.access import Access, Limits
from plc_bindings.security.tokens import hashed
from tests.waiting import PATIENCE_S

TAGS = Struct(
    "ST_Tags",
    (
        Field("Speed", REAL, "m/s", "of the belt"),
        Field("Count", DINT),
        Field("Word", UINT),
        Field("Enabled", BOOL),
        Field("Name", String(31)),
        Field("Curve", Array(REAL, 8)),
    ),
)
TASK = Struct(
    "ST_RtTask",
    (
        Field("CycleCount", ULINT),
        Field("State", UINT, names=counted("idle", "running", "stopped")),
        Field("WakeUp", Struct("ST_RtLatency", (Field("P50", LREAL, "us"),))),
        Field("Reset", BOOL, comment="write TRUE: counters from 0"),
    ),
)
WRITABLE = ("Tags.Speed", "Tags.Count", "Tags.Enabled", "Tags.Name", "Tags.Curve")
METHODS = ("Models.policy.Predict", "Tasks.*.Reset", "Models.policy.Update")
TOKENS = {"anna": "rt_of_anna", "otto": "rt_of_otto", "ines": "rt_of_ines"}
ROLES = {"anna": Role.OBSERVER, "otto": Role.OPERATOR, "ines": Role.ENGINEER}
START_S = 60.0


class Tags(Area):
    """Bytes, their quality and time."""

    def __init__(self) -> None:
        super().__init__("Tags", TAGS, can_write=True)
        self.looks = 0
        self.reset()

    def reset(self) -> None:
        """As they were at first."""
        self.data = struct.pack("<fiH?32s8f", 1.5, -7, 42, False, b"conveyor", *range(8))
        self.quality, self.timestamp_ns = Quality.GOOD, time.monotonic_ns()

    def read(self) -> bytes:
        return self.data

    def moment(self) -> Moment:
        self.looks += 1
        data = self.data
        return Moment(lambda: data, self.quality, self.timestamp_ns)

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        self.data = data

    def put(self, speed: float) -> None:
        """The belt has another speed."""
        self.data = struct.pack("<f", speed) + self.data[4:]


class Task(Area):
    """A task; `written`: by whom, and whether Reset was TRUE."""

    def __init__(self) -> None:
        super().__init__("Tasks.axis", TASK, can_write=True, writes=("Reset",))
        self.written: list[tuple[str, bool]] = []

    def read(self) -> bytes:
        return struct.pack("<QHd?", 123_456_789_012, 1, 27.5, False)

    def write_by(self, who: str, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        self.written.append((who, bool(data[TASK.offsets["Reset"]])))


@cache
def model() -> rt_engine.Model:
    return rt_engine.load(mlp((16, 64, 64, 4), "Relu"))


class Plant:
    """What the server shows, and what its audit log was told."""

    def __init__(self, writable: Sequence[str] = WRITABLE, limits: Limits | None = None) -> None:
        self.tags, self.task = Tags(), Task()
        limits_of = {"Speed": (-10.0, 10.0)}
        symbols = [
            Symbol(f"Tags.{f.name}", f.type, 0, TAGS.offsets[f.name], f.unit, f.comment, *limits_of.get(f.name, ()))
            for f in TAGS.fields
        ]
        self.database = Database((self.tags, self.task), [*symbols, Symbol("Tasks.axis", TASK, 1, 0)])
        self.models = Models({"policy": rt_engine.ModelSlot(model())})
        self.audit: list[tuple[str, str, str]] = []
        self.access = Access(writable=writable, limits=limits, audit=lambda *line: self.audit.append(line))

    def as_new(self) -> "Plant":
        """Values, and what was told, as they were at first; for tests that share a server."""
        self.tags.reset()
        self.task.written.clear()
        self.audit.clear()
        return self

    def refused(self) -> list[str]:
        return [f"{what}: {outcome}" for _, what, outcome in self.audit if outcome.startswith("refused")]


@contextlib.contextmanager
def serving(plant: Plant, options: OpcUaOptions, **more: Any) -> Iterator[OpcUaServer]:
    """A server in its thread, as a station runs it."""
    server = OpcUaServer(plant.database, plant.models, options, plant.access, **more)
    thread = Serving({"opcua": server})
    thread.start()
    try:
        yield server
    finally:
        thread.stop()


def options(folder: Path | None = None, **more: Any) -> OpcUaOptions:
    """Of a server on a free port, with three users."""
    given = {
        "port": 0,
        "station": "press",
        "certificates": folder,
        "user_certificates": folder and folder / "users",
        "tokens": {name: hashed(token) for name, token in TOKENS.items()},
        "roles": ROLES,
        "methods": METHODS,
        "identification": {"Manufacturer": "Press & Co", "SerialNumber": "4711"},
        **more,
    }
    return OpcUaOptions(**given)


def trusting(folder: Path) -> tuple[Path, Path]:
    """(the server's folder, a client's), each with a certificate that the other trusts."""
    server, client = folder / "server", folder / "client"
    make(server, "urn:test:server", "server", ("127.0.0.1",))
    make(client, "urn:test:client", "client", ("127.0.0.1",))
    Certificates(server).trust(str(client / "own.der"))
    Certificates(client).trust(str(server / "own.der"))
    return server, client


@contextlib.asynccontextmanager
async def connected(
    server: OpcUaServer,
    user: str = "",
    client: Path | None = None,
    policy: Any = SecurityPolicyBasic256Sha256,
    mode: Any = None,
    uri: str = "urn:test:client",
) -> AsyncIterator[Client]:
    """asyncua's client; waits until the server has filled its address space."""
    host, port = server.address
    made = Client(f"opc.tcp://{host}:{port}", timeout=START_S)
    made.application_uri = uri
    if user:
        made.set_user(user)
        made.set_password(TOKENS[user])
    if client is not None:
        mode = mode or ua.MessageSecurityMode.SignAndEncrypt
        await made.set_security(
            policy, client / "own.der", client / "own.pem", None, client.parent / "server" / "own.der", mode
        )
    async with made:
        yield made


def node(client: Client, name: str) -> Any:
    """One of ours."""
    return client.get_node(f"ns=2;s={name}")


def run(work: Any) -> Any:
    """A coroutine, to its end."""
    return asyncio.run(work)


def asked(served: Any, work: Any, user: str = "otto", **more: Any) -> Any:
    """What `work(client, plant)` gives, of a client that this user has connected."""
    plant, server, folder = served

    async def do() -> Any:
        async with connected(server, user, folder, **more) as client:
            return await work(client, plant)

    return run(do())


async def refusal(awaited: Any) -> str:
    """The name of the status that something is refused with."""
    try:
        await awaited
    except UaStatusCodeError as error:
        return type(error).__name__
    return "Good"


class Heard:
    """What a subscription tells."""

    def __init__(self) -> None:
        self.values: list[tuple[Any, Any, int]] = []

    def datachange_notification(self, node_: Any, value: Any, data: Any) -> None:
        self.values.append((node_.nodeid.Identifier, value, data.monitored_item.Value.StatusCode.value))

    async def until(self, wanted: Any) -> None:
        end = time.monotonic() + PATIENCE_S
        while not wanted(self.values):
            assert time.monotonic() < end, self.values
            await asyncio.sleep(0.02)
