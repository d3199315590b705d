"""The unit of a station: systemd itself reads it."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from station.errors import ExitCode, ServiceError
from station.machine.service import SHARED, UDEV_RULE, Service, user_in
from tests import need


def service(folder=Path("/opt/cell"), **more):
    return Service("cell-4", folder / "station.toml", Path(sys.executable), **more)


def parsed(text):
    unit = ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    return unit["Service"]


def verify(tmp_path, text):
    """What systemd says against a unit."""
    path = tmp_path / "rt-engine-cell-4.service"
    path.write_text(text)
    program = need.program("systemd-analyze")
    done = subprocess.run([program, "verify", "--man=no", path], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if "rt-engine-cell-4" in line]


@pytest.mark.peer("systemd-analyze")
@pytest.mark.parametrize("folder", ["cell", "my cell", "100% $HOME", 'a "quoted" \\ one', "größe"])
def test_systemd_takes_it(tmp_path, folder):
    """No word against the unit, whatever the folder of the station is called."""
    (tmp_path / folder).mkdir()
    assert verify(tmp_path, service(tmp_path / folder, groups=("tty",), has_low_ports=True).text()) == []


@pytest.mark.peer("systemd-analyze")
def test_systemd_would_say_so(tmp_path):
    """A key that does not exist is complained of, so silence means something."""
    assert verify(tmp_path, service(tmp_path).text().replace("WatchdogSec=", "WatchdogSeconds="))


def test_rights_and_folders():
    """What a task needs, for this station alone; ports below 1024 only where a server has one."""
    found = parsed(service().text())
    assert (found["LimitRTPRIO"], found["LimitMEMLOCK"], found["User"]) == ("99", "infinity", "rt-engine")
    assert found["AmbientCapabilities"].split() == ["CAP_SYS_NICE", "CAP_IPC_LOCK"]
    assert found["RuntimeDirectory"] == "rt-engine-cell-4"
    assert service().cache == Path("/var/cache") / found["CacheDirectory"]
    more = parsed(service(user="control", groups=("dialout",), has_low_ports=True).text())
    assert more["AmbientCapabilities"].split()[-1] == "CAP_NET_BIND_SERVICE"
    raw = parsed(service(rights=("CAP_NET_RAW", "CAP_NET_ADMIN")).text())
    assert raw["CapabilityBoundingSet"].split()[-2:] == ["CAP_NET_RAW", "CAP_NET_ADMIN"]
    assert more["SupplementaryGroups"].split() == ["rt-engine", "dialout"]
    assert 'GROUP="rt-engine"' in SHARED[UDEV_RULE]


def test_how_it_ends_and_begins_again():
    """After a failure it is started again, but not where that cannot help; nothing is compiled at its start."""
    found = parsed(service().text())
    assert (found["Type"], found["Restart"], found["WatchdogSignal"]) == ("notify", "on-failure", "SIGTERM")
    prevented = {ExitCode(int(code)) for code in found["RestartPreventExitStatus"].split()}
    assert prevented == {ExitCode.USAGE, ExitCode.BAD_FILE, ExitCode.NOT_RUNNING, ExitCode.NO_KERNELS}
    assert found["Environment"] == "RT_ENGINE_COMPILE=never"


def test_a_folder_that_would_write_lines_of_its_own():
    """A unit is made of lines: a path with one in it is refused."""
    with pytest.raises(ServiceError, match="cannot name a file"):
        service(Path("/opt/x\nExecStart=/bin/sh"))


def test_who_runs_it():
    """Read back from a unit."""
    assert user_in(service(user="control").text()) == "control"
    assert user_in("[Service]\n") == ""
