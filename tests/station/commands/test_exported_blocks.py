"""Blocks exported from a station's file call that very station, through a hot update: over ADS and over Modbus."""

import socket
import struct

import pytest

from fieldbus.ads import frames
from plc_bindings.st import twincat
from plc_bindings.status import CallStatus
from station.commands.shared.exporting import exported
from station.file.reading import read_station
from station.running.station import Station
from tests.plc_bindings.st.exported import portable_program, twincat_program
from tests.plc_bindings.st.test_portable import Transport
from tests.plc_bindings.st.test_twincat import LIBRARY, Ads
from tests.station.stations import write_station

FILE = """\
[station]
name = "calls"

[models.spare]
file = "wide.onnx"

[models.mean]
file = "mean.onnx"

[servers.ads]
type = "ads"
port = 0

[servers.modbus]
type = "modbus-tcp"
port = 0
order = "CDAB"
"""


class Wire:
    """A connection to the ADS server, in the place of its session."""

    job = None

    def __init__(self, address):
        self.socket = socket.create_connection(address)

    def feed(self, packet):
        self.socket.sendall(packet)
        head = self.socket.recv(frames.TCP.size, socket.MSG_WAITALL)
        return head + self.socket.recv(struct.unpack("<HI", head)[1], socket.MSG_WAITALL)


@pytest.fixture
def station(tmp_path):
    with Station(read_station(write_station(tmp_path, FILE))) as running:
        yield running


def address(station, name):
    return station._plc.servers[name].address


def run(call, block, first, second, update):
    """A call, a hot update, a call."""
    block.stIn.x = [1.0, 3.0]
    call(block)
    assert block.bValid, block.hrErrorCode
    assert block.stOut.y == first and block.nVersion == 1
    update()
    call(block)
    assert block.bValid and block.stOut.y == second and block.nVersion == 2


def test_over_ads(station, tmp_path):
    found, ads = exported(tmp_path / "station.toml", "twincat")
    native = Ads.__new__(Ads)
    native.session, native.delay, native.broken = Wire(address(station, "ads")), 1, 0
    native.requests, native._running = [], {}
    program = twincat_program(twincat.units(found, ads), LIBRARY, natives={"ADSRDWRTEX": native})

    def call(block):
        block(bExecute=False)
        for _ in range(6):
            block(bExecute=True)

    update = lambda: station.update("mean", tmp_path / "twice.onnx")  # noqa: E731
    run(call, program.new("FB_mean"), 2.0, 4.0, update)
    native.session.socket.close()


def test_over_modbus(station, tmp_path):
    found, modbus = exported(tmp_path / "station.toml", "portable")
    program = portable_program(found, modbus)
    transport, connection = Transport(address(station, "modbus")), program.new("ST_RtConnection")

    def call(block):
        for executed in (False, True, True, True, True, True):
            transport.cycle(connection)
            block(bExecute=executed, stConnection=connection)

    update = lambda: station.update("mean", tmp_path / "twice.onnx")  # noqa: E731
    run(call, program.new("FB_mean"), 2.0, 4.0, update)
    transport.close()


def test_blocks_of_an_older_file_are_refused(station, tmp_path):
    """Exported when the model was another: nothing is computed."""
    (tmp_path / "older").mkdir()
    write_station(tmp_path / "older", FILE.replace('"mean.onnx"', '"wide.onnx"'))
    found, modbus = exported(tmp_path / "older" / "station.toml", "portable")
    program = portable_program(found, modbus)
    transport, connection = Transport(address(station, "modbus")), program.new("ST_RtConnection")
    block = program.new("FB_mean")
    for _ in range(6):
        transport.cycle(connection)
        block(bExecute=True, stConnection=connection)
    transport.close()
    assert block.bError and block.hrErrorCode == CallStatus.OTHER_INTERFACE
