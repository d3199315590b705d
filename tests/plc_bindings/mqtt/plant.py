"""A small station for MQTT tests: areas in memory whose quality and time can be set, one link that clients write."""

import asyncio
import contextlib
import struct
import threading
import time

from fieldbus.tags import Quality
from plc_bindings.calls.replay import ServerLoop
from plc_bindings.data.database import Area, Database, Moment, Symbol
from plc_bindings.data.types import (
    BOOL,
    DINT,
    INT,
    LINT,
    LREAL,
    REAL,
    SINT,
    UDINT,
    UINT,
    ULINT,
    USINT,
    Array,
    Field,
    String,
    Struct,
)
from plc_bindings.mqtt.broker import BrokerOptions
from plc_bindings.mqtt.options import MqttOptions
from plc_bindings.mqtt.server import MqttServer
from plc_bindings.security.access import Access, Limits
from tests.waiting import PATIENCE_S

SENSORS = Struct(
    "ST_Sensors", (Field("temperature", LREAL, "degC"), Field("running", BOOL), Field("row", Array(INT, 3), "mm"))
)
ORDERS = Struct("ST_Orders", (Field("setpoint", REAL, "bar"), Field("steps", DINT), Field("on", BOOL)))
NUMBERS = (SINT, INT, DINT, LINT, USINT, UINT, UDINT, ULINT, REAL, LREAL, BOOL)
TASK = Struct("ST_Task", (*(Field(f"n_{s.name}", s) for s in NUMBERS), Field("Name", String(8)), Field("Reset", BOOL)))


class Memory(Area):
    """An area that is what was last written or set."""

    def __init__(self, name, type_, can_write=False, writes=()):
        super().__init__(name, type_, can_write, writes)
        self.data, self.quality, self.timestamp_ns = bytes(type_.size), Quality.GOOD, 1
        self.written = []

    def read(self):
        return self.data

    def moment(self):
        data = self.data
        return Moment(lambda: data, self.quality, self.timestamp_ns and time.monotonic_ns())

    def write(self, data, changed):
        self.data = data
        self.written.append(list(changed))


class Plant:
    """Tags.temperature, running, row (link press); setpoint 0..10, steps, on (link orders, written by clients); Tasks.axis."""

    def __init__(self):
        self.sensors, self.orders = Memory("press.In", SENSORS), Memory("orders.In", ORDERS, can_write=True)
        self.task = Memory("Tasks.axis", TASK, can_write=True, writes=("Reset",))
        self.set(21.5)
        symbols = [Symbol("Tasks.axis", TASK, 2, 0)]
        for area, type_ in enumerate((SENSORS, ORDERS)):
            for field in type_.fields:
                limits = (0.0, 10.0) if field.name == "setpoint" else ()
                symbols.append(
                    Symbol(f"Tags.{field.name}", field.type, area, type_.offsets[field.name], field.unit, "", *limits)
                )
        self.database = Database([self.sensors, self.orders, self.task], symbols)
        self.audit = []

    def set(self, temperature, running=True, row=(1, -2, 3)):
        """New values of the sensors."""
        self.sensors.data = struct.pack("<d?3h", temperature, running, *row)


@contextlib.contextmanager
def serving(
    plant,
    port,
    writable=("Tags.setpoint", "Tags.steps", "Tags.on", "Tasks.axis.Reset"),
    rate=100,
    broker=None,
    **options,
):
    """A server in a thread as a station has it."""
    made = MqttOptions(
        BrokerOptions("127.0.0.1", port, "press", retry_s=0.05, retry_most_s=0.2, keepalive_s=5, **(broker or {})),
        **{"group": "plant", "node": "press", "publish": ("Tags.*", "Tasks.*"), "period_s": 0.02, **options},
    )
    access = Access(
        writable=writable, limits=Limits(requests_per_second=rate), audit=lambda *line: plant.audit.append(line)
    )
    server = MqttServer(plant.database, made, access)
    loop, ready = ServerLoop(), threading.Event()

    def run():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.start())
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the server does not end"


def wait(condition, why="did not happen", seconds=PATIENCE_S):
    """Until it is so; gives what the condition gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(why() if callable(why) else why)
