"""A station over real Modbus TCP, against pymodbus' server in a thread: closed loop, cut, return, safe values."""

import asyncio
import struct
import threading

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import STATION, running, write_station
from tests.waiting import free_port, wait_for


class Device:
    """A Modbus server with inputs 1.0 and 3.0, which can be switched off and on again at the same port."""

    def __init__(self):
        words = list(struct.unpack(">4H", struct.pack(">2f", 1.0, 3.0)))
        inputs = [SimData(0, values=words, datatype=DataType.REGISTERS)]
        holding = [SimData(0, values=[0] * 10, datatype=DataType.REGISTERS)]
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        self._device = SimDevice(1, simdata=(bits, bits, holding, inputs))
        self.port = free_port()  # it has to get it again
        self.on()

    def on(self):
        """Listen, at the port of the last time."""
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve():
            self._server = ModbusTcpServer(self._device, address=("127.0.0.1", self.port))
            await self._server.listen()
            ready.set()
            await self._server.serving

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True)
        self._thread.start()
        assert ready.wait(60)

    def off(self):
        """Close every connection, and the port."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(10)
            self._thread.join(10)
            self._loop.close()

    @property
    def force(self):
        """The float that the station wrote, as another client reads it."""
        with ModbusTcpClient("127.0.0.1", port=self.port) as other:
            registers = other.read_holding_registers(0, count=2, device_id=1).registers
        return struct.unpack(">f", struct.pack(">2H", *registers))[0]


@pytest.fixture
def device():
    device = Device()
    yield device
    device.off()


def events(station):
    """Whether each event was good, and what it said, without its reason."""
    return [(event.good, event.text.split(":")[0]) for event in station.report().events]


def test_loop_cut_and_return(device, tmp_path):
    """The loop closes; after a cut the tasks tick on with safe outputs; after the return the loop closes again."""
    table = f'type = "modbus-tcp"\nhost = "127.0.0.1"\nport = {device.port}'
    text = STATION.replace('type = "in-process"\ndevice = "device.py:device"', table)
    text = text.replace("a = {}", 'a = { address = "input 0" }').replace("b = {}", 'b = { address = "input 2" }')
    text = text.replace("{ direction", '{ address = "holding 0", direction')
    station = Station(read_station(write_station(tmp_path, text)))
    with running(station):
        wait_for(lambda: device.force == 2.0 and (True, "stopped -> up") in events(station))
        device.off()
        wait_for(lambda: "inputs bad" in station.snapshot().tasks[0].note)
        cycles = station.snapshot().tasks[0].cycles
        wait_for(lambda: station.snapshot().tasks[0].cycles > cycles + 20)
        wait_for(lambda: (False, "up -> down") in events(station))
        device.on()
        wait_for(lambda: station.snapshot().links[0].state == "up" and station.snapshot().tasks[0].note == "")
        wait_for(lambda: device.force == 2.0)
    assert device.force == -1.0
    assert (True, "down -> up") in events(station)
    assert events(station)[-2:] == [(True, "safe values written, confirmed by the device"), (True, "stopped")]
    assert station.snapshot().links[0].reconnects == 1
