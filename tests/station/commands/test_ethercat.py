"""`rt-engine ethercat ...`, on a bus that is made up; and on interfaces that cannot be used."""

import json
import tomllib

import pytest
from typer.testing import CliRunner

from fieldbus.ethercat import looking
from fieldbus.ethercat.health import health_of
from fieldbus.ethercat.slaves.entries import found_by_sii
from fieldbus.ethercat.slaves.sii import parse_sii
from station.cli import app
from station.errors import ExitCode
from station.machine.claims import claim
from tests.fieldbus.ethercat import sii_images as images
from tests.fieldbus.ethercat.test_health import registers


def run(*words, code=0):
    done = CliRunner().invoke(app, ["ethercat", *words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def bus(monkeypatch):
    """A bus with a terminal and a drive."""
    found = [found_by_sii(0, parse_sii(images.digital())), found_by_sii(1, parse_sii(images.drive()))]
    monkeypatch.setattr(looking, "look", lambda interface, tell: found)
    return found


def test_scan_lists_and_proposes(bus):
    """Slaves and entries on the screen, the station file as output."""
    done = run("scan", "eth9")
    file = tomllib.loads(done.stdout)
    assert file["links"]["bus"]["interface"] == "eth9"
    assert "D1_Statusword" in file["tags"]
    assert "\n# D1_Controlword = {" in done.stdout
    for word in ("00001234:0000ABCD:00000001", "0x6041:00", "Channel_1_Output", "STRING of 64 bits is no number"):
        assert word in done.stderr


def test_scan_ethercat_is_the_same(bus):
    """Beside the other kinds of scan, for who looks there."""
    done = CliRunner().invoke(app, ["scan", "ethercat", "eth9"])
    assert done.exit_code == 0, done.output
    assert done.stdout.partition("\n")[2] == run("scan", "eth9").stdout.partition("\n")[2]


def test_scan_writes_a_file(bus, tmp_path):
    """It says what to do next, and never writes over a file."""
    path = tmp_path / "bus.toml"
    done = run("scan", "eth9", "-o", str(path))
    assert f"rt-engine check --connect {path}" in done.stderr
    assert tomllib.loads(path.read_text())["links"]["bus"]["slave_count"] == 2
    again = run("scan", "eth9", "-o", str(path), code=ExitCode.USAGE)
    assert "is there already" in again.output


def test_scan_for_programs(bus):
    """JSON has the slaves with their entries."""
    slaves = json.loads(run("scan", "eth9", "--json").stdout)
    assert slaves[1]["entries"][0]["entry"] == "0x6040:00"
    assert slaves[1]["entries"][0]["data_type"] == "UINT"


def test_state(monkeypatch):
    """A row for each slave; what is wrong, with a hint, makes the command fail."""
    well, ill = health_of(0, registers()), health_of(1, registers(features=4, state=0x14, code=0x1B, errors={0x301: 3}))
    monkeypatch.setattr(looking, "examine", lambda interface: [well])
    assert "1 slaves, nothing is wrong" in run("state", "eth9").stdout
    monkeypatch.setattr(looking, "examine", lambda interface: [well, ill])
    told = run("state", "eth9", code=ExitCode.FAILED).stdout
    assert "SAFE-OP with an error" in told
    assert "slave 1: 3 damaged frames or symbols came into port 0: look at cable and plugs" in told
    plain = json.loads(run("state", "eth9", "--json", code=ExitCode.FAILED).stdout)
    assert plain["slaves"][1]["code_words"].startswith("its watchdog expired")
    assert {finding["position"] for finding in plain["findings"]} == {None, 1}


@pytest.mark.parametrize("command", ["scan", "state"])
def test_an_interface_that_is_not_there(command):
    """One sentence, with the command that shows those that are."""
    told = run(command, "nothing9", code=ExitCode.FAILED).stderr
    assert told.startswith('there is no network interface "nothing9"')
    assert told.rstrip().endswith("ip -br link")
    assert "Traceback" not in told


@pytest.mark.parametrize("command", ["scan", "state"])
def test_a_bus_that_a_station_has(command, bus):
    """A bus has one master: it says who, and what to do."""
    held = claim("device", "ethercat eth9")
    try:
        told = run(command, "eth9", code=ExitCode.NOT_RUNNING).stderr
    finally:
        held.close()
    assert "a running station has the bus on eth9, process" in told
    assert "rt-engine stop" in told
