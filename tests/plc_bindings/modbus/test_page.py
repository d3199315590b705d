"""docs/modbus-server.md tells the truth: its example, its tables, its station file."""

import re
import ssl
import struct
import subprocess
import tomllib

import pytest

from fieldbus.tags import Order
from plc_bindings.data.types import REAL
from plc_bindings.modbus import mbap
from plc_bindings.modbus.convert import Converter
from plc_bindings.modbus.map import KINDS, PREDICT
from plc_bindings.modbus.session import Job
from station.servers.modbus import ModbusTcpServer, ModbusTlsServer
from tests import ROOT
from tests.plc_bindings.modbus.plant import serving

PAGE = (ROOT / "docs" / "modbus-server.md").read_text()


def frames():
    """The example's request and answer: hex digits in groups of two, without the remarks behind them."""
    found, block = {}, re.search(r"```\n(request .*?)```", PAGE, re.S)[1]
    name = ""
    for line in block.splitlines():
        name = line.split()[0] if line[0] != " " else name
        digits = re.match(r"(?:[0-9a-f]{2} {1,2}|[0-9a-f]{2}$)+", line[10:])[0]
        found[name] = found.get(name, b"") + bytes.fromhex(digits)
    return found["request"], found["answer"]


def test_the_worked_example_is_what_the_server_does(plant):
    request, answer = frames()
    frame = mbap.next_frame(request, 0)
    assert frame.end == len(request)
    got = plant.session().answer(frame.pdu)
    if isinstance(got, Job):
        got.run()
        got = got.finish()
    got = mbap.frame(frame.transaction, frame.unit, got)
    assert got[:-4] == answer[:-4]
    assert struct.unpack(">f", got[-4:]) == pytest.approx(struct.unpack(">f", answer[-4:]), rel=1e-5)


def test_the_python_runs(plant):
    """With pymodbus, against a server at a port of its own."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    found: dict[str, object] = {}
    with serving(plant) as server:
        host, port = server.address
        here = program.replace("192.168.10.2", host).replace("port=502", f"port={port}")
        exec(compile(here, "modbus-server.md", "exec"), found)
        found["plc"].close()
    assert (found["status"], found["version"]) == (0, 1)
    _, answer = frames()
    assert found["force"] == pytest.approx(struct.unpack(">f", answer[-4:])[0], rel=1e-5)


@pytest.mark.peer("openssl")
def test_the_certificates_are_good(tmp_path):
    """Each is signed by the authority, and has its name."""
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
    assert ModbusTlsServer.model_fields.keys() >= {"cert_file", "key_file", "ca_file", "allow_certificates"}
    for name in ("station", "press-plc"):
        verify = ["openssl", "verify", "-CAfile", "ca.pem", f"{name}.pem"]
        subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True)
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")


def test_the_table_of_orders():
    rows = re.findall(r"^\| ([A-D]{4}) \| ([0-9a-f]{4}) ([0-9a-f]{4}) \|", PAGE, re.M)
    assert [order for order, _, _ in rows] == list(Order)
    for order, first, second in rows:
        assert Converter([REAL], Order(order)).to_wire(struct.pack("<f", 2.5)).hex() == first + second


def test_the_table_of_addresses():
    rows = re.findall(r"^\| (\d+) \| (\d*) ?\| (?:tags|predict|the server|tasks|links|models)", PAGE, re.M)
    kinds = [(str(register), str(coil)) for _, register, coil in KINDS]
    assert rows == [("0", "0"), (str(PREDICT), ""), *kinds]


def test_the_station_file():
    table = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, re.S)[1])["servers"]["modbus"]
    assert ModbusTcpServer.model_validate(table).order == "ABCD"
