"""A station on a simulated EtherCAT bus: the fastest task exchanges in its cycle, another has the newest values."""

import pytest

from fieldbus.ethercat.simulated.presets import make
from station.errors import AlreadyRunningError
from station.file.reading import read_station
from station.running.connecting import connect
from station.running.holding import Held
from station.running.station import Station
from tests.fieldbus.ethercat.buses import MASTER, simulated
from tests.station.stations import running, write_station
from tests.waiting import wait_for

pytest.importorskip("pysoem", reason="pip install 'rt-engine[ethercat]'")

STATION = f"""\
[station]
name = "axis"

[links.bus]
type = "ethercat"
interface = "{MASTER}"
timeout = "10 s"
exchange = "in-cycle"
slave_count = 3

[links.bus.slaves.volts]
position = 1
vendor = 0x00FABE00
watchdog = "100 ms"

[tags]
near = {{ address = "2:0x6000:11", type = "int16" }}
far = {{ address = "2:0x6010:11", type = "int16" }}
fast = {{ address = "volts:0x7000:01", type = "int16", direction = "out", safe = -7 }}
slow = {{ address = "volts:0x7010:01", type = "int16", direction = "out", safe = -8 }}

[tasks.fast]
cycle = "2 ms"
inputs = ["near"]
outputs = ["fast"]
step = {{ type = "linear", matrix = [[0.5]], offset = [1000.0] }}

[tasks.slow]
cycle = "20 ms"
inputs = ["far"]
outputs = ["slow"]
step = {{ type = "linear", matrix = [[0.5]], offset = [300.0] }}
"""


def test_two_tasks_of_different_speed_share_a_bus(tmp_path):
    """Outputs are wired to inputs: each finds where its own line and the wire's meet; a lost slave costs both, and comes back.

    At the end the outputs are safe.
    """
    with simulated(make(["coupler", "ao2", "ai2"])) as bus:
        station = Station(read_station(write_station(tmp_path, STATION)))
        with running(station):
            link = station._parts.links["bus"]

            def values():
                return [value.values[0] for value in link.values(["fast", "slow"])]

            wait_for(lambda: values()[0] == pytest.approx(2000, abs=8) and values()[1] == pytest.approx(600, abs=8))
            bus.order({"do": "power", "slave": 1, "on": False})
            wait_for(lambda: link.status().state == "degraded" and "slave 1 'volts'" in link.status().note)
            bus.order({"do": "power", "slave": 1, "on": True})
            wait_for(lambda: link.status().state == "up" and link.status().slaves_back >= 1)
            wait_for(lambda: values()[0] == pytest.approx(2000, abs=8) and values()[1] == pytest.approx(600, abs=8))
        assert link.status().state == "stopped"
        assert values() == [-7, -8]


def test_a_second_station_does_not_get_the_interface(tmp_path):
    """Not even to read."""
    reads = STATION[: STATION.index("[tasks.fast]")].replace("fast =", "# fast =").replace("slow =", "# slow =")
    reads = reads.replace("in-cycle", "own-thread")
    files = [read_station(write_station(tmp_path / name, text)) for name, text in (("a", STATION), ("b", reads))]
    with (
        Held(files[0]),
        pytest.raises(AlreadyRunningError, match=f"ethercat {MASTER} is used by process .*: a bus has one master"),
        Held(files[1]),
    ):
        pass


def test_what_the_slaves_have_is_asked_without_a_station(tmp_path):
    """Every input; an output is no value of the slave's."""
    with simulated(make(["coupler", "ao2", "ai2"])):
        (heard,) = connect(read_station(write_station(tmp_path, STATION)))
    assert heard.problem == ""
    assert [tag.name for tag in heard.tags] == ["near", "far"]
    assert heard.unshown == dict.fromkeys(("fast", "slow"), "devices of this kind do not say what they were sent")
