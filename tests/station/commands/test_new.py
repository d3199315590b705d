"""`rt-engine new`: what it makes is good, runs, and becomes a real station by taking comments away."""

import re

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from station.cli import app
from station.commands.shared.first_station import CONTROLLERS
from station.file.reading import read_station
from station.links import link_tables, type_of
from station.running.station import Station
from tests.station.stations import gemm, wait_for

LINKS = [type_of(table) for table in link_tables() if table.first != ("", "")]


def new(*words):
    return CliRunner().invoke(app, ["new", *map(str, words)])


def runs(path):
    """Does the station control its simulated device?"""
    file = read_station(path)
    assert file.warnings == ()
    station = Station(file)
    with station:
        wait_for(lambda: station.snapshot().tasks[0].cycles > 20 and not station.snapshot().tasks[0].note)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_it_runs_at_once(tmp_path, controller):
    """No error, no warning; the next step is printed and right."""
    result = new(tmp_path / "first", "--controller", controller)
    assert result.exit_code == 0, result.output
    path = tmp_path / "first" / "station.toml"
    assert f"next: rt-engine run {path}" in result.output
    runs(path)


def test_the_next_step_can_be_pasted(tmp_path):
    """A shell takes the path as one word."""
    assert f"next: rt-engine run '{tmp_path}/my tank/station.toml'" in new(tmp_path / "my tank").output


def test_it_asks_nothing(tmp_path, monkeypatch):
    """Without a word: a PID in my-station."""
    monkeypatch.chdir(tmp_path)
    assert new().exit_code == 0
    assert '"pid"' in (tmp_path / "my-station" / "station.toml").read_text()


def test_a_model_gets_a_tag_for_each_tensor(tmp_path):
    """Beside the station, found from its folder, however tensors are called."""
    gemm(tmp_path / "mean.onnx", 3)
    assert new(tmp_path / "deep" / "er", "--model", tmp_path / "mean.onnx").exit_code == 0
    path = tmp_path / "deep" / "er" / "station.toml"
    assert "x = { count = 3 }" in path.read_text()
    runs(path)


def test_sizes_that_a_model_leaves_open_are_given(tmp_path):
    """As the message says, for the station's file too; without a model there are none."""
    path, folder = tmp_path / "open.onnx", tmp_path / "first"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "steps", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    refused = new(folder, "--model", path)
    assert refused.exit_code == 3 and "--shape x=batch,steps,4" in " ".join(refused.output.split())
    assert new(folder, "--model", path, "--shape", "x=1,5,4").exit_code == 0
    assert 'shapes = { "x" = [1, 5, 4] }' in (folder / "station.toml").read_text()
    runs(folder / "station.toml")
    alone = new(tmp_path / "second", "--shape", "x=1,5,4")
    assert alone.exit_code == 2 and "--model" in alone.output


@pytest.mark.parametrize("kind", LINKS)
def test_the_real_link_is_there_in_comments(tmp_path, kind):
    """With the dry run it is good; with its comments taken away, and the dry run, too."""
    assert new(tmp_path / "a", "--link", kind).exit_code == 0
    path = tmp_path / "a" / "station.toml"
    assert read_station(path).warnings == ()
    text = path.read_text()
    dry = text[text.index("[links.plant]") : text.index("# The real device")]
    real = "".join(re.findall(r"(?m)^# (?:\[links|[a-z_]+ = ).*\n", text))
    path.write_text(text.replace(dry, "").replace(real, re.sub("(?m)^# ", "", real)))
    file = read_station(path)
    assert file.warnings == ()
    assert file.config.links["plant"].type == kind


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--link", "profinet"], "modbus-rtu, ads"),
        (["--controller", "fuzzy"], "pid, two-point, ramp"),
        (["--controller", "pid", "--model", "x.onnx"], "either a model or a controller"),
    ],
)
def test_what_it_does_not_know_is_said(tmp_path, words, expected):
    """And nothing is made."""
    result = new(tmp_path / "a", *words)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "a").exists()


def test_it_overwrites_nothing(tmp_path):
    """The second time is refused."""
    assert new(tmp_path).exit_code == 0
    before = (tmp_path / "station.toml").read_text()
    result = new(tmp_path, "--controller", "ramp")
    assert result.exit_code == 2
    assert (tmp_path / "station.toml").read_text() == before
