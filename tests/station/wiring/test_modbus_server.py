"""A station's Modbus servers, with pymodbus' client: calls, tags of a plc link, silence, order, identity, RTU."""

import os
import struct
import time

import pytest
from pymodbus.client import ModbusTcpClient

from plc_bindings.modbus import rtu
from rt_native import version
from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import write_station
from tests.waiting import PATIENCE_S, wait_for

TEXT = """\
[station]
name = "cell"

[models.mean]
file = "mean.onnx"

[servers.modbus]
type = "modbus-tcp"
port = 0
order = "ORDER"
writable = ["Tags.*", "*.Reset"]

[links.plc]
type = "plc"
timeout = "200 ms"

[tags]
a = {}
b = {}
force = { direction = "out", safe = -1 }
enable = { type = "bool" }

[tasks.axis]
model = "mean"
cycle = "1 ms"
inputs = ["a", "b"]
outputs = ["force"]
"""
A, FORCE, ENABLE = 0, 4, 0
CALL, RESULT = 10_000, 10_004


class Plc:
    """A PLC program that speaks Modbus, in a byte order."""

    def __init__(self, station, order):
        host, port = station.snapshot().servers[0].address.split()[1].split(":")
        self.client = ModbusTcpClient(host, port=int(port))
        assert self.client.connect()
        self.low_word_first = order == "CDAB"

    def registers(self, *values):
        words = [struct.unpack(">2H", struct.pack(">f", value)) for value in values]
        return [word for pair in words for word in (reversed(pair) if self.low_word_first else pair)]

    def number(self, words, form=">f"):
        return struct.unpack(form, struct.pack(">2H", *(reversed(words) if self.low_word_first else words)))[0]

    def write(self, *values):
        assert not self.client.write_registers(A, self.registers(*values)).isError()
        assert not self.client.write_coil(ENABLE, True).isError()

    def force(self):
        return self.number(self.client.read_input_registers(FORCE, count=2).registers)


@pytest.fixture(params=["ABCD", "CDAB"])
def order(request):
    return request.param


@pytest.fixture
def station(tmp_path, order):
    with Station(read_station(write_station(tmp_path, TEXT.replace("ORDER", order)))) as station:
        yield station


@pytest.fixture
def plc(station, order):
    plc = Plc(station, order)
    yield plc
    plc.client.close()


def test_calls_through_a_hot_update(station, plc, tmp_path):
    def call(a, b):
        answer = plc.client.readwrite_registers(
            read_address=RESULT, read_count=6, write_address=CALL, values=plc.registers(a, b)
        ).registers
        return (*(plc.number(answer[i : i + 2], ">I") for i in (0, 2)), plc.number(answer[4:]))

    for i in range(5):
        assert call(i, i + 2) == (0, 1, i + 1)
    station.update("mean", tmp_path / "twice.onnx")
    assert call(1, 3) == (0, 2, 4)


def test_tags_go_through_the_task_until_the_plc_falls_silent(plc):
    """Then the output is its safe value, until the PLC writes again."""

    def works():
        plc.write(1, 3)
        return plc.force() == 2

    wait_for(works)
    wait_for(lambda: plc.force() == -1)
    wait_for(works)


def test_a_timeout_is_counted_and_the_counter_reset(station, plc):
    rows = {row.name: row for row in station._plc.servers["modbus"].map.rows()}
    counter, reset = rows["Links.plc.Timeouts"].register, rows["Links.plc.Reset"].coil

    def timeouts():
        return plc.client.read_holding_registers(counter, count=4).registers

    plc.write(1, 3)
    wait_for(lambda: sum(timeouts()) >= 1)
    assert not plc.client.write_coil(reset, True).isError()
    wait_for(lambda: sum(timeouts()) == 0)


def test_identity(plc, order):
    """The version, the byte order, and the station's name."""
    information = plc.client.read_device_information(read_code=2).information
    assert (information[2], information[5], information[6]) == (
        version.TEXT.encode(),
        f"byte order {order}".encode(),
        b"cell",
    )


def test_a_server_on_a_serial_line(tmp_path):
    """`modbus-rtu` of a station's file."""
    master, device = os.openpty()
    os.set_blocking(master, False)
    table = f'type = "modbus-rtu"\ndevice = "{os.ttyname(device)}"\nbaudrate = 115200\nparity = "N"\nunit = 7'
    text = TEXT.replace('type = "modbus-tcp"\nport = 0', table).replace("ORDER", "ABCD")
    with Station(read_station(write_station(tmp_path, text))) as station:
        data = struct.pack(">2f", 1, 3)
        os.write(master, rtu.frame(7, struct.pack(">BHHHHB", 23, RESULT, 6, CALL, 4, 8) + data))
        answer, end = b"", time.monotonic() + PATIENCE_S
        while len(answer) < 17 and time.monotonic() < end:
            try:
                answer += os.read(master, 100)
            except BlockingIOError:
                time.sleep(0.01)
        assert answer == rtu.frame(7, b"\x17\x0c" + struct.pack(">IIf", 0, 1, 2))
        assert station.snapshot().servers[0].requests == 1
    os.close(master)
    os.close(device)
