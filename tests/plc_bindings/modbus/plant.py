"""A small station for Modbus tests: areas in memory, the demo's policy, a server in a thread."""

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rt_engine
from fieldbus.tags import Order
from plc_bindings.calls.predict import Predictor
from plc_bindings.calls.replay import ServerLoop
from plc_bindings.data.database import Area, Database, Session, Symbol
from plc_bindings.data.models import Models
from plc_bindings.data.types import BOOL, DINT, INT, LREAL, REAL, SINT, UINT, ULINT, USINT, Array, Field, String, Struct
from plc_bindings.modbus.map import RegisterMap
from plc_bindings.modbus.options import ModbusOptions, Tcp
from plc_bindings.modbus.plan import Planner
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.modbus.session import ModbusSession
from plc_bindings.security.access import Access
from rt_engine import ModelSlot
from tests import ROOT
from tests.waiting import PATIENCE_S

POLICY = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"

INPUTS = Struct(
    "ST_In",
    (
        Field("on", BOOL),
        Field("speed", REAL, "m/s"),
        Field("small", SINT),
        Field("count", UINT),
        Field("valves", Array(BOOL, 10)),
        Field("position", LREAL),
        Field("row", Array(REAL, 3)),
        Field("byte", USINT),
    ),
)
OUTPUTS = Struct("ST_Out", (Field("force", REAL), Field("step", INT), Field("total", ULINT), Field("alarm", BOOL)))
TASK = Struct("ST_Task", (Field("Cycles", DINT), Field("Name", String(8)), Field("Late", BOOL), Field("Reset", BOOL)))


class Memory(Area):
    """An area that is what was last written. `commits` are all writes, `reads` counts the snapshots."""

    def __init__(self, name, type_, can_write=False):
        super().__init__(name, type_, can_write)
        self.data = bytes(type_.size)
        self.commits = []
        self.reads = 0

    def read(self):
        self.reads += 1
        return self.data

    def write(self, data, changed):
        self.data = data
        self.commits.append(list(changed))


class Plant:
    """The database of the tests. Tags: on .. byte (writable), force .. alarm."""

    def __init__(self, models=None):
        self.inputs, self.outputs = Memory("In", INPUTS, can_write=True), Memory("Out", OUTPUTS)
        self.task = Memory("Tasks.axis", TASK, can_write=True)
        self.outputs.data = struct.pack("<fhQ?", 2.5, -2, 2**40 + 7, True)
        self.task.data = struct.pack("<i9s??", -70000, b"axis", True, False)
        symbols = [Symbol("Tasks.axis", TASK, 2, 0)]
        for area, type_ in enumerate((INPUTS, OUTPUTS)):
            symbols += [Symbol(f"Tags.{f.name}", f.type, area, type_.offsets[f.name], f.unit) for f in type_.fields]
        self.database = Database([self.inputs, self.outputs, self.task], symbols)
        self.slots = {"policy": ModelSlot(rt_engine.load(POLICY), "policy")} if models is None else models
        self.models = Models(self.slots)
        self.map = RegisterMap(self.database, self.models)
        self.refused = []

    def session(self, order=Order.ABCD, writable=("*",)):
        """A session without a server."""
        allowed = self.database.writable(writable)
        planner = Planner(self.map, allowed, order)
        values = Session(self.database, allowed, self.refused.append)
        return ModbusSession(planner, values, Predictor(self.models), (b"rt", b"engine", b"1"), self.refused.append)

    def register(self, name):
        """The first register of a value."""
        return next(place.register for place in self.map.places if place.name == name)

    def coil(self, name):
        """The first coil of a BOOL."""
        return next(place.coil for place in self.map.places if place.name == name)


@contextmanager
def serving(plant, options=None, access=None) -> Iterator[ModbusServer]:
    """A server in a thread of its own, as a station has it."""
    server = ModbusServer(
        plant.database, plant.models, options or ModbusOptions(Tcp(port=0)), access or Access(writable=("*",))
    )
    loop, ready, failed = ServerLoop(), threading.Event(), []

    def run():
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(lambda _, context: failed.append(context))
        loop.run_until_complete(server.start())
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(server.stop())
        left = asyncio.all_tasks(loop)  # handshakes that have not ended
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S), "the server did not start"
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the server does not end"
    assert not failed, failed
