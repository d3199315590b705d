"""A station that drives an axis on a simulated EtherCAT bus: enabled, told of a fault, reset by command, braked at the end."""

import pytest
from typer.testing import CliRunner

from fieldbus.ethercat.drives.cia402 import DriveState
from fieldbus.ethercat.simulated.presets import make
from station.cli import app
from station.file.reading import read_station
from station.running.control import ControlServer
from station.running.station import Station
from tests.fieldbus.ethercat.buses import MASTER, simulated
from tests.station.stations import running, write_station
from tests.waiting import wait_for

pytest.importorskip("pysoem", reason="pip install 'rt-engine[ethercat]'")

STATION = f"""\
[station]
name = "driving"

[links.bus]
type = "ethercat"
interface = "{MASTER}"
timeout = "10 s"
exchange = "in-cycle"

[links.bus.drives.x]
slave = 1
mode = "csv"
unit = "turn"
scale = 9.5367431640625e-07
velocity_unit = "turn/s"

[links.bus.slaves.servo]
position = 1
pdos = [0x1601, 0x1A00]
watchdog = "6 s"

[tasks.axis]
cycle = "2 ms"
inputs = ["x.position", "x.velocity"]
outputs = ["x.target", "x.enable"]
step = {{ type = "linear", matrix = [[0, 0], [0, 0]], offset = [3.0, 1.0] }}
"""


def test_an_axis_turns_stands_after_a_fault_and_turns_again_once_it_is_reset(tmp_path):
    """Nobody but the task's two outputs brings it up; the fault is in the link's note, and no word in it once it is gone."""
    with simulated(make(["coupler", "drive"])) as bus:
        device = bus.escs[1].device
        station = Station(read_station(write_station(tmp_path, STATION)))
        socket = tmp_path / "s"

        def told(drive):
            return CliRunner().invoke(app, ["reset-drive", drive, "--socket", str(socket)])

        def turns():
            tags = {tag.name: tag for tag in station.tags()}
            return tags["x.velocity"].values[0] == pytest.approx(3.0, abs=0.2) and tags["x.state"].values == (4.0,)

        with running(station), ControlServer(station, socket):
            wait_for(turns)
            bus.order({"do": "fault", "slave": 1, "code": 0x8400})
            wait_for(lambda: "x: fault 0x8400: velocity controller" in station.snapshot().links[0].note)
            wait_for(lambda: device.state == DriveState.FAULT)
            result = told("x")
            assert result.exit_code == 0
            assert "drive x is told to reset its fault" in result.output
            wait_for(turns)
            wait_for(lambda: not station.snapshot().links[0].note)
            wrong = told("y")
            assert wrong.exit_code != 0
            assert 'unknown drive "y"; allowed: x' in wrong.output
        assert device.state == DriveState.SWITCH_ON_DISABLED
        assert abs(float(device.now["velocity"])) < 0.1 * (1 << 20)
        assert device.objects.number(0x603F) == 0
        assert (tmp_path / "audit.changes.jsonl").read_text().count("drive x") == 1
