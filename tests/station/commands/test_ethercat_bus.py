"""`rt-engine ethercat scan` and `state` on a simulated bus."""

import json
import subprocess
import sys
import tomllib
from contextlib import closing

import pytest
from typer.testing import CliRunner

from fieldbus.ethercat.looking import look
from fieldbus.ethercat.protocol import Register
from fieldbus.ethercat.simulated.presets import make
from fieldbus.ethercat.wire import interface
from fieldbus.ethercat.wire.wire import Node, Wire
from station.cli import app
from station.errors import ExitCode
from tests import need
from tests.fieldbus.ethercat.buses import MASTER, network, simulated

SLAVES = "coupler,di8,do8,ai2,ao2,drive:alias=7:serial=5"


def run(*words, code=0):
    done = CliRunner().invoke(app, ["ethercat", *words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def bus():
    need.package("pysoem")
    with simulated(make(SLAVES.split(","))) as bus:
        yield bus


def test_scan_and_state(bus):
    """All slaves, their entries and a station file; then their states, in which nothing is wrong."""
    done = run("scan", MASTER)
    file = tomllib.loads(done.stdout)
    assert list(file["links"]["bus"]["slaves"]) == ["SIM_C", "SIM_DI8", "SIM_DO8", "SIM_AI2", "SIM_AO2", "SIM_DR1"]
    assert file["tags"]["SIM_DR1_Statusword"] == {"type": "uint16", "address": "SIM_DR1:0x6041:00"}
    assert (
        '\n# SIM_DR1_Target_position = { direction = "out", type = "int32", address = "SIM_DR1:0x607A:00" }'
        in done.stdout
    )
    assert "00FABE00:00C00014:00000001" in done.stderr
    drive = look(MASTER)[5]
    assert (drive.alias, drive.serial, drive.has_coe, drive.nbytes("in")) == (7, 5, True, 16)
    slaves = json.loads(run("state", MASTER, "--json").stdout)["slaves"]
    assert [slave["state_words"] for slave in slaves] == ["INIT"] * 6
    assert [slave["alias"] for slave in slaves] == [0, 0, 0, 0, 0, 7]


def test_what_is_proposed_works_as_it_is(bus, tmp_path):
    """`check` takes the station file, and with --connect every input of it is read, and good."""
    path = tmp_path / "bus.toml"
    run("scan", MASTER, "-o", str(path))
    done = CliRunner().invoke(app, ["check", "--json", "--connect", str(path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.count('"GOOD"') == len(tomllib.loads(path.read_text())["tags"]) == 32


def test_a_slave_that_hangs_costs_nobody_else(bus):
    """The others are listed; why it is not is told."""
    bus.order({"do": "hang", "slave": 5, "on": True})
    done = run("scan", MASTER)
    assert "slave 5: slave 5 (SIM-DR1) does not reach PRE-OP" in done.stderr
    assert "SIM_AI2_AI_TxPDO_Map_standard_channel_1_Value" in tomllib.loads(done.stdout)["tags"]


def test_what_was_ordered_is_found(bus):
    """Two damaged frames before a slave, and a cable that was cut: the slave, the port, the count, and what would help."""
    bus.order({"do": "damage", "slave": 2, "frames": 2})
    told = json.loads(run("state", MASTER, "--json", code=ExitCode.FAILED).stdout)
    found = [(f["position"], f["what"], f["hint"]) for f in told["findings"]]
    assert [position for position, _, _ in found] == [2]
    assert "2 damaged frames or symbols came into port 0" in found[0][1]
    assert "between it and slave 1" in found[0][2]
    bus.order({"do": "cut", "before": 4})
    told = json.loads(run("state", MASTER, "--json", code=ExitCode.FAILED).stdout)
    assert len(told["slaves"]) == 4
    assert any(f["position"] == 3 and "lost its link 1 times" in f["what"] for f in told["findings"]), told["findings"]


def test_a_slave_with_an_error(bus):
    """Its AL status code in words: PRE-OP is refused to who asks for OP from INIT."""
    run("scan", MASTER)
    with closing(Wire(MASTER)) as wire:
        wire.write(Node.at(1), Register.AL_CONTROL, b"\x08\0")
    told = run("state", MASTER, code=ExitCode.FAILED).stdout
    assert "INIT with an error" in told
    assert "it has no such state change (AL status code 0x0011)" in told


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def refused(*words):
    """What both commands say, which is one sentence."""
    told = {run(command, MASTER, code=ExitCode.FAILED).stderr.strip() for command in ("scan", "state")}
    assert len(told) == 1
    sentence = told.pop()
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
    return sentence


def test_interfaces_that_cannot_be_used(monkeypatch):
    """Down, with an address, with another master on it, without the right: one sentence, with the command that mends it."""
    with network():
        ip("link", "set", MASTER, "down")
        assert refused("is down").endswith(f"sudo ip link set {MASTER} up")
        ip("link", "set", MASTER, "up")
        ip("address", "add", "192.0.2.9/24", "dev", MASTER)
        assert refused("has the address 192.0.2.9").endswith(f"sudo ip addr flush dev {MASTER}")
        ip("addr", "flush", "dev", MASTER)
        code = f"import socket; s = socket.socket(17, 3, 0); s.bind(('{MASTER}', 0x88A4)); print(flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            assert refused("another EtherCAT master has").endswith(f"kill {other.pid}")
            other.stdin.close()
        monkeypatch.setattr(interface, "missing_rights", lambda status: ("CAP_NET_RAW",))
        assert "sudo setcap cap_net_raw+ep /" in refused("may not send frames", "CAP_NET_RAW")


def test_without_pysoem(monkeypatch):
    """`scan` names the command that installs it; `state` does without."""
    monkeypatch.setitem(sys.modules, "pysoem", None)
    with network():
        assert run("scan", MASTER, code=ExitCode.FAILED).stderr.strip().endswith("pip install 'rt-engine[ethercat]'")
        assert "is the cable plugged in" in run("state", MASTER, code=ExitCode.FAILED).stderr


def test_no_slave_answers():
    """A cable with nothing at its end: it says where to look."""
    need.package("pysoem")
    with network():
        assert (
            "is the cable plugged in, in the first slave's IN port" in run("state", MASTER, code=ExitCode.FAILED).stderr
        )
        assert "no slave answers" in run("scan", MASTER, code=ExitCode.FAILED).stderr
