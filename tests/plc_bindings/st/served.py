"""A station for blocks to call: models behind a Modbus server, in a thread of its own."""

import struct
from contextlib import ExitStack

from fieldbus.tags import Order
from plc_bindings.data.areas import ServerArea
from plc_bindings.data.database import Area, Database, Symbol
from plc_bindings.data.models import Models
from plc_bindings.data.types import UDINT, Field, Struct
from plc_bindings.modbus.options import ModbusOptions, Tcp
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.st.project import Modbus, Registers
from rt_engine import ModelSlot
from tests.loops import running


class Hash(Area):
    """A model's hash, where the block compares it."""

    def __init__(self, served):
        super().__init__(served.name, Struct("ST_Model", (Field("SignatureHash", UDINT),)))
        self.served = served

    def read(self):
        return struct.pack("<I", self.served.signature.hash)


class Station:
    """Models behind a Modbus server on a free port of this computer."""

    def __init__(self, models, order="ABCD"):
        self.slots = {name: ModelSlot(model, name) for name, model in models.items()}
        served = Models(self.slots)
        whole = ServerArea("cell", "1", (0, 0, len(models)), lambda: (0, ""))
        areas: list[Area] = [*(Hash(one) for one in served.all), whole]
        symbols = [Symbol(f"Models.{area.name}", area.type, i, 0) for i, area in enumerate(areas[:-1])]
        symbols.append(Symbol("Server", whole.type, len(models), 0))
        options = ModbusOptions(Tcp("127.0.0.1", 0), order=Order(order))
        self.server = ModbusServer(Database(areas, symbols), served, options)
        self._ends = ExitStack()
        self._ends.enter_context(running(self.server))
        self.close = self._ends.close
        places = {place.name: place.register for place in self.server.map.places}
        self.modbus = Modbus(
            "127.0.0.1",
            502,
            1,
            order,
            {
                b.served.name: Registers(places[f"Models.{b.served.name}.SignatureHash"], b.inputs, b.result)
                for b in self.server.map.blocks
            },
            places["Server.RunningSeconds"],
        )
