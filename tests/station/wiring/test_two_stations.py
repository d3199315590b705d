"""Two stations of ours: one reads and writes the other over OPC UA, with certificates that the commands make and trust."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from plc_bindings.security.tokens import hashed
from station.cli import app
from station.file.reading import read_station
from station.running.station import Station
from tests import need
from tests.station.stations import PLC, SIM, station_text, write_station
from tests.waiting import free_port, wait_for

need.package("asyncua")

TIMEOUT_S = 1.0
LINE = """\
[servers.scada]
type = "opcua"
host = "127.0.0.1"
port = PORT
tokens = { cell = "TOKEN" }
roles = { cell = "operator" }
writable = ["Tags.setpoint"]

[tags]
speed = { link = "sim", unit = "m/s", low = 0, high = 8 }
stands = { link = "sim", type = "int32" }
setpoint = { link = "plc" }
"""
DEVICE = """\
from pathlib import Path

def device(outputs):
    if Path(__file__).with_name("broken").exists():
        raise OSError("the cable is out")
    return {"speed": 1.5, "stands": 7}
"""
DRIVEN = """
[tags.wanted]
direction = "out"
type = "float32"
address = "nsu=urn:rt-engine:station;s=Tags.setpoint"
safe = 2.5

[tasks.loop]
cycle = "20 ms"
inputs = ["speed"]
outputs = ["wanted"]
step = { type = "linear", matrix = [[2]] }
"""


SOON_S = 60.0
"""A station that has just been started fills an address space before it answers over OPC UA."""


def asked(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def run(*words):
    said = asked(*words)
    assert said.exit_code == 0, said.output
    return said.output


def rejected(certificates: Path) -> str:
    """The thumbprint of the only one."""
    (one,) = json.loads(run("opcua", "trust", "-f", certificates, "--json"))["rejected"]
    return one["thumbprint"]


class Line:
    """The station that is read, started as often as needed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.certificates, port = folder, folder / "opcua", free_port()
        self.url = f"opc.tcp://127.0.0.1:{port}"
        text = station_text("line", SIM, PLC, LINE).replace("PORT", str(port)).replace("TOKEN", hashed("rt_secret"))
        self.path = write_station(folder, text)
        (folder / "device.py").write_text(DEVICE)
        run("opcua", "certificate", "-f", self.certificates, "--host", "127.0.0.1")

    def started(self) -> Station:
        return Station(read_station(self.path))


class Cell:
    """The station that reads, proposed by `rt-engine opcua browse`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.path, self.certificates, self.password = folder / "cell.toml", folder / "opcua", folder / "line.password"
        run("opcua", "certificate", "-f", self.certificates, "--host", "127.0.0.2")
        self.password.write_text("rt_secret\n")
        who = ("--user", "cell", "--password-file", self.password)
        self.browse = ("opcua", "browse", url, "-f", self.certificates, *who, "--under", "Tags", "-o", self.path)


def tag(station: Station, name: str):
    (one,) = station.tags([name])
    return one


def has(station: Station, name: str, value: float) -> bool:
    return (found := tag(station, name)).quality == "GOOD" and found.values == (value,)


def link(station: Station):
    (one,) = station.snapshot().links
    return one


def is_told(station: Station, words: str) -> bool:
    """In the note of its link, which is up?"""
    return (one := link(station)).state == "up" and words in one.note


def trust_each_other(line: Line, cell: Cell) -> None:
    """First the cell does not know the line, then the line not the cell; then a station file comes, with units and ranges."""
    wait_for(lambda: f"rt-engine opcua trust -f {cell.certificates}" in asked(*cell.browse).output, SOON_S)
    run("opcua", "trust", "-f", cell.certificates, rejected(cell.certificates))
    helps = "does it trust our certificate, own.der? Where it is a station: `rt-engine opcua trust`"
    wait_for(lambda: helps in asked(*cell.browse).output, SOON_S)
    run("opcua", "trust", "-f", line.certificates, rejected(line.certificates))
    wait_for(lambda: asked(*cell.browse).exit_code == 0, SOON_S)
    proposed = cell.path.read_text()
    assert 'unit = "m/s"' in proposed and "0 to 8" in proposed
    cell.path.write_text(proposed.replace("[links.server]", f'[links.server]\ntimeout = "{TIMEOUT_S:g} s"') + DRIVEN)


def values_cross(line: Line, there: Station, here: Station) -> None:
    """With unit and quality; what the line cannot measure the cell does not have, and its task's output is safe."""
    wait_for(lambda: has(here, "speed", 1.5) and has(here, "stands", 7.0) and has(there, "setpoint", 3.0), SOON_S)
    assert tag(here, "speed").unit == "m/s"
    wait_for(lambda: (tag(here, "speed").age_ns or 0) < TIMEOUT_S * 1e9)
    (value,) = here._parts.links["server"].values(["speed"])
    assert abs((datetime.now(UTC) - value.source_time).total_seconds()) < 5.0
    broken = line.folder / "broken"
    broken.touch()
    wait_for(lambda: tag(here, "speed").quality == "BAD" and is_told(here, "BadNoCommunication"))
    wait_for(lambda: has(there, "setpoint", 2.5))
    broken.unlink()
    wait_for(lambda: has(here, "speed", 1.5) and has(there, "setpoint", 3.0))


def test_a_station_reads_and_writes_another_is_told_when_it_is_lost_and_when_it_has_another_certificate(tmp_path):
    """A certificate that was replaced is one that nobody knows, with the same key too; the link says which command trusts it."""
    line = Line(tmp_path / "line")
    cell = Cell(tmp_path, line.url)
    with ExitStack() as first:
        there = first.enter_context(line.started())
        trust_each_other(line, cell)
        with Station(read_station(cell.path)) as here:
            values_cross(line, there, here)
            first.close()
            assert wait_for(lambda: tag(here, "speed").quality == "BAD") < TIMEOUT_S + 1.0
            run("opcua", "certificate", "-f", line.certificates, "--host", "127.0.0.1", "--renew")
            with line.started() as again:
                wait_for(lambda: "is not trusted" in link(here).last_error, SOON_S)
                other = rejected(cell.certificates)
                helps = f"rt-engine opcua trust -f {cell.certificates} {other}"
                wait_for(lambda: helps in link(here).last_error, SOON_S)
                assert link(here).state in ("down", "connecting")
                run("opcua", "trust", "-f", cell.certificates, other)
                wait_for(lambda: has(here, "speed", 1.5) and has(again, "setpoint", 3.0), SOON_S)
                assert link(here).reconnects >= 1
