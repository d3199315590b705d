"""The server on a serial line: a pair of pseudo-terminals, our own bytes and pymodbus' client."""

import asyncio
import os
import struct
import threading
import time

import pytest
from pymodbus.client import ModbusSerialClient

from plc_bindings.calls.predict import Predictor
from plc_bindings.modbus import rtu, serial_line
from plc_bindings.modbus.options import ModbusOptions, Rtu
from plc_bindings.modbus.server import ModbusServer
from tests.plc_bindings.modbus.plant import serving
from tests.terminals import joined_terminals
from tests.waiting import PATIENCE_S, wait_for

READ = bytes.fromhex("03 001a 0002")
FORCE = bytes.fromhex("03 04 40 20 00 00")


class Line:
    """The master's end of the line. `heard`: what a server at its other end has taken in, if it is `watch`ed."""

    def __init__(self, master, device):
        self.file, self.device, self.heard = master, device, b""

    def watch(self, server):
        self.reader = server._line._reader
        feed = self.reader.feed

        def heard(data):
            found = feed(data)
            self.heard += data
            return found

        self.reader.feed = heard

    def until_forgotten(self, data):
        """`data` was taken in, and silence has ended it."""
        wait_for(lambda: self.heard.endswith(data) and not self.reader.is_waiting)

    def send(self, data):
        os.write(self.file, data)

    def answer(self, seconds=PATIENCE_S):
        """What comes until a frame is whole, or nothing comes any more."""
        data, end = b"", time.monotonic() + seconds
        while time.monotonic() < end and not (len(data) >= 4 and not rtu.crc(data)):
            try:
                data += os.read(self.file, 256)
            except BlockingIOError:
                time.sleep(0.001)
        return data


@pytest.fixture
def line():
    master, device = os.openpty()
    os.set_blocking(master, False)
    yield Line(master, os.ttyname(device))
    os.close(master)
    os.close(device)


@pytest.fixture
def server(plant, line):
    options = ModbusOptions(Rtu(line.device, 115200, "N", silence_s=0.05))
    with serving(plant, options) as server:
        line.watch(server)
        yield server


def test_the_address_is_the_device(server, line):
    assert server.address == line.device


def test_a_request(server, line):
    line.send(rtu.frame(1, READ))
    assert line.answer() == rtu.frame(1, FORCE)


def test_byte_by_byte(plant, line):
    """With pauses that are no silence yet."""
    with serving(plant, ModbusOptions(Rtu(line.device, 115200, "N", silence_s=PATIENCE_S))) as server:
        line.watch(server)
        for i, byte in enumerate(rtu.frame(1, READ)):
            line.send(bytes((byte,)))
            wait_for(lambda i=i: len(line.heard) == i + 1)
        assert line.answer() == rtu.frame(1, FORCE)


@pytest.mark.parametrize(
    "bad",
    [
        rtu.frame(1, READ)[:-1] + b"\0",
        rtu.frame(1, READ)[:5],
        rtu.frame(2, READ),
        rtu.frame(0, READ),
        b"\xff" * 600,
        b"\0",
    ],
    ids=["wrong CRC", "half a frame", "another unit", "read broadcast", "noise", "one byte"],
)
def test_what_gets_no_answer_and_the_next_request_that_does(server, line, bad):
    line.send(bad)
    line.until_forgotten(bad)
    assert line.answer(0.1) == b""
    line.send(rtu.frame(1, READ))
    assert line.answer() == rtu.frame(1, FORCE)


def test_a_broadcast_writes_and_is_not_answered(plant, server, line):
    line.send(rtu.frame(0, bytes.fromhex("06 0004 1234")))
    assert line.answer(0.1) == b""
    line.send(rtu.frame(1, bytes.fromhex("03 0004 0001")))
    assert line.answer() == rtu.frame(1, bytes.fromhex("03 02 1234"))


def test_an_unknown_function_is_refused(server, line):
    line.send(rtu.frame(1, b"\x64\1\2\3"))
    assert line.answer() == rtu.frame(1, b"\xe4\1")


def test_who_asks_again_during_a_slow_call_gets_one_answer(plant, server, line, monkeypatch):
    """That to the newest request: the master has given up the older one."""
    call, gate = Predictor.call, threading.Event()
    monkeypatch.setattr(Predictor, "call", lambda *args: (gate.wait(PATIENCE_S), call(*args))[1])
    block = plant.map.blocks[0]
    data = struct.pack(">7f", *[0.5] * 7)
    for request in (struct.pack(">BHHHHB", 23, block.result, 6, block.inputs, 14, 28) + data, READ):
        line.send(rtu.frame(1, request))
        wait_for(lambda request=request: line.heard.endswith(rtu.frame(1, request)))
    wait_for(lambda: server._line._requests)
    gate.set()
    assert line.answer() == rtu.frame(1, FORCE)
    assert line.answer(0.1) == b""


def test_a_port_that_does_not_exist_cannot_be_had(plant):
    async def start():
        await ModbusServer(plant.database, plant.models, ModbusOptions(Rtu("/dev/no-such-port"))).start()

    with pytest.raises(OSError, match="no-such-port"):
        asyncio.run(start())


def test_a_port_that_is_lost_is_opened_again(plant, tmp_path, monkeypatch):
    """An adapter is unplugged, and plugged in again."""
    monkeypatch.setattr(serial_line, "REOPEN_S", 0.05)
    name = tmp_path / "port"
    master, device = os.openpty()
    name.symlink_to(os.ttyname(device))
    with serving(plant, ModbusOptions(Rtu(str(name), 115200, "N"))) as server:
        name.unlink()  # first: the number may be another's at once
        os.close(device)
        os.close(master)
        wait_for(lambda: server._line._port is None)
        master, device = os.openpty()
        os.set_blocking(master, False)
        name.symlink_to(os.ttyname(device))
        wait_for(lambda: server._line._port is not None)
        line = Line(master, str(name))
        line.send(rtu.frame(1, READ))
        assert line.answer() == rtu.frame(1, FORCE)
    os.close(device)
    os.close(master)


@pytest.mark.peer
def test_pymodbus_predicts_by_fc23(plant):
    """Two pseudo-terminals joined by socat, as two ends of a line."""
    with joined_terminals() as (master, device), serving(plant, ModbusOptions(Rtu(device, parity="N", silence_s=10.0))):
        client = ModbusSerialClient(port=master, baudrate=19200, timeout=PATIENCE_S, retries=0)
        assert client.connect()
        block = plant.map.blocks[0]
        answer = client.readwrite_registers(
            read_address=block.result, read_count=6, write_address=block.inputs, values=[0x3F00, 0] * 7
        )
        client.close()
        assert answer.registers[:4] == [0, 0, 0, 1]
