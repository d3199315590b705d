"""The demo on EtherCAT as a user runs it, and where it cannot be run."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.demo.axis import demo, network
from station.demo.processes import DemoError
from station.errors import ExitCode
from station.file.reading import read_station
from tests import ROOT, need


@pytest.fixture
def may_have_networks():
    need.program("ip")
    try:
        with network.cable():
            pass
    except (DemoError, OSError) as error:
        need.lacking("a network of its own", str(error))


@pytest.mark.timeout(240)
def test_the_whole_story(tmp_path, may_have_networks):
    """Every claim comes true; it leaves a report, a picture and its claims."""
    need.package("pysoem")
    command = [sys.executable, "-m", "station", "demo", "--ethercat", "--report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    record = json.loads((tmp_path / "demo.json").read_text())
    assert len(record["claims"]) >= 13 and all(claim["ok"] for claim in record["claims"])
    assert "is in OP again after" in (tmp_path / "station.log").read_text(), "the log tells of the drive's return"
    assert "<polyline" in (tmp_path / demo.PICTURE).read_text() and list(tmp_path.glob("*.html"))
    assert network.MASTER not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout


def test_its_station_file_is_good(tmp_path):
    """With all that it names beside it."""
    config = read_station(demo.station_file(tmp_path)).config
    assert config.links["bus"].interface == network.MASTER and list(config.models) == ["hold"]


def test_who_may_have_no_network_is_told_what_helps(monkeypatch):
    """Neither as root of this computer nor in a name space."""
    monkeypatch.setattr(network, "own_network", _denied)
    monkeypatch.setattr(network, "UNSHARE", ("false",))
    with pytest.raises(DemoError, match="run it with sudo"), network.cable():
        pass


def _denied():
    raise PermissionError("not allowed")


def test_options_of_the_other_machine_are_refused():
    """It has no port and no PLC."""
    result = CliRunner().invoke(app, ["demo", "--ethercat", "--plc", "ads"])
    assert result.exit_code == ExitCode.USAGE and "leave --plc" in result.output
