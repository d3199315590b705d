"""Names in foreign models, stations and devices steer no terminal, break no command and lose no report."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from station.cli import app
from station.file.reading import read_station
from station.running.control import ControlServer
from station.running.station import Station
from tests.station.stations import running
from tests.waiting import free_port, wait_for

STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m[red]\u202e"
IN_TOML = STEERING.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").replace("\x9b", "\\u009b")
STATION = f"""
[station]
name = "hostile"

[models.mean]
file = "mean.onnx"

[links.sim]
type = "in-process"
device = "device.py:device"
cycle = "1 ms"

[links.broken]
type = "in-process"
device = "device.py:broken"

[links.plc]
type = "plc"

[servers.modbus]
type = "modbus-tcp"
host = "127.0.0.1"
port = PORT
writable = ["Tags.*"]

[tags]
a = {{ link = "sim", unit = "=cmd|{IN_TOML}" }}
b = {{ link = "sim", unit = "{IN_TOML}" }}
c = {{ link = "broken" }}
set = {{ link = "plc", unit = "+1{IN_TOML}" }}
force = {{ link = "sim", direction = "out", low = -10, high = 10 }}

[tasks.axis]
model = "mean"
cycle = "1 ms"
inputs = [
    {{ tag = "a", tensor = "x{IN_TOML}" }},
    {{ tag = "b", tensor = "x{IN_TOML}" }},
    {{ tag = "c", step_only = true }},
]
outputs = ["force"]
"""
WRONG = f"""
["{IN_TOML}"]
x = 1

[models."{IN_TOML}"]
file = "{IN_TOML}"

[links.sim]
type = "{IN_TOML}"

[tags.t]
address = "{IN_TOML}"
type = "{IN_TOML}"
"""
DEVICE = f"""
def device(outputs):
    return {{"a": 1.0, "b": 2.0}}

def broken(outputs):
    raise ValueError({STEERING!r})
"""


def hostile_model(path, operator="Gemm"):
    """A model with such a name wherever a file may have one."""
    x = helper.make_tensor_value_info(f"x{STEERING}", TensorProto.FLOAT, [1, 2])
    y = helper.make_tensor_value_info(f"y{STEERING}", TensorProto.FLOAT, [1, 1])
    weights = numpy_helper.from_array(np.full((2, 1), 0.5, np.float32), f"w{STEERING}")
    inputs = [x.name, weights.name] if operator == "Gemm" else [x.name]
    node = helper.make_node(operator, inputs, [y.name], name=f"n{STEERING}")
    graph = helper.make_graph([node], f"g{STEERING}", [x], [y], [weights])
    model = helper.make_model(graph, producer_name=STEERING, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.doc_string = STEERING
    onnx.save(model, path)
    return path


@pytest.fixture
def cell(socket_folder):
    """A folder whose name is no UTF-8 and steers a terminal, with such a station and such models."""
    folder = socket_folder / os.fsdecode(b"cell\xff" + STEERING.encode())
    folder.mkdir()
    hostile_model(folder / "mean.onnx")
    hostile_model(folder / "refused.onnx", "NoSuchOperator")
    (folder / "device.py").write_text(DEVICE, encoding="utf-8")
    (folder / "station.toml").write_text(STATION.replace("PORT", str(free_port())), encoding="utf-8")
    (folder / "wrong.toml").write_text(WRONG, encoding="utf-8")
    np.savez(folder / "data.npz", **{f"x{STEERING}": np.ones((4, 2), np.float32)})
    return folder


def rt_engine(*words, codes=(0,)):
    """Run a command; what it printed, which is seen to be harmless."""
    done = CliRunner().invoke(app, [*map(str, words)])
    assert not isinstance(done.exception, Exception), repr(done.exception)
    text = done.stdout_bytes.decode() + done.stderr_bytes.decode()
    assert done.exit_code in codes, text
    assert_harmless(text)
    return text


def assert_harmless(text):
    unseen = {c for c in text if not c.isprintable() and c != "\n"}
    assert not unseen, unseen


COMMANDS = {
    "check station": (["check", "station.toml"], 0),
    "check wrong": (["check", "wrong.toml"], 3),
    "check json": (["check", "--json", "station.toml", "wrong.toml", "mean.onnx", "refused.onnx"], 3),
    "check model": (["check", "mean.onnx"], 0),
    "check refused": (["check", "refused.onnx"], 3),
    "check nothing": (["check", "nothing.toml", "nothing.onnx"], 3),
    "inspect": (["inspect", "mean.onnx", "--seconds", "0.01", "--html", "page.html", "--json", "found.json"], 0),
    "inspect refused": (["inspect", "refused.onnx"], 3),
    "compile": (["compile", "mean.onnx", "-o", "mean.rtp"], 0),
    "bench": (["bench", "mean.onnx", "--seconds", "0.1", "--plot", "plot.html", "--json", "times.json"], 0),
    "quantize": (["quantize", "mean.onnx", "--calibrate", "data.npz", "-o", "small.onnx"], 0),
    "keygen": (["keygen", "-o", "key"], 0),
    "sign": (["sign", "mean.onnx", "--key", "nothing.pem", "--slot", "mean"], 3),
    "sbom": (["sbom", "station.toml", "-o", "bill.json"], 0),
    "symbols": (["symbols", "station.toml"], 0),
    "symbols csv": (["symbols", "station.toml", "--csv", "list.csv"], 0),
    "symbols none": (["symbols", "station.toml", "--name", STEERING], 2),
    "export st": (["export", "st", "station.toml", "-o", "folder.d"], 0),
    "export inline": (["export", "st", "mean.onnx", "--inline", "-o", "out.st"], 0),
    "status": (["status", "--station", STEERING], 4),
    "update": (["update", STEERING, "mean.onnx"], 4),
    "run": (["run", "station.toml", "--seconds", "0.3", "--report", "reports"], 1),
    "usage": ([STEERING], 2),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_prints_what_steers_a_terminal(cell, monkeypatch, name):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(cell.parent))
    monkeypatch.chdir(cell)
    words, code = COMMANDS[name]
    rt_engine(*(cell / word if Path(word).suffix[1:].isalpha() else word for word in words), codes=(code,))
    for path in cell.rglob("*"):
        if path.suffix in (".html", ".json", ".csv", ".st", ".xml", ".jsonl"):
            assert_harmless(path.read_text(encoding="utf-8").replace("\r\n", "\n"))


def test_a_running_station_shows_them_as_escapes_and_keeps_its_report(cell, monkeypatch, capfd):
    """Status, live lines, log, update, refusal and report."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(cell.parent))
    station = Station(read_station(cell / "station.toml"))
    place = cell.parent / "control.sock"
    asked = ("--socket", place)
    with running(station), ControlServer(station, place):
        wait_for(lambda: station.snapshot().links[1].last_error)
        assert r"\x1b" in rt_engine("status", *asked)
        rt_engine("status", "--json", *asked)
        rt_engine("update", "mean", cell / "mean.onnx", *asked)
        assert r"\x1b" in rt_engine("update", "mean", cell / "refused.onnx", *asked, codes=(5,))
    said = capfd.readouterr()
    assert_harmless(said.out + said.err)


def test_cells_of_a_list_are_no_formulas(cell):
    rt_engine("symbols", cell / "station.toml", "--csv", cell / "list.csv")
    rows = list(csv.reader(io.StringIO((cell / "list.csv").read_text(encoding="utf-8"))))
    assert sum("cmd|" in one for row in rows for one in row) >= 1
    assert not [one for row in rows for one in row if one.startswith(("=", "+", "-", "@", "\t", "\r"))]
