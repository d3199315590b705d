"""`rt-engine new`: what it makes is good, runs, and becomes a real station by taking comments away."""

import re

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from fieldbus.opcua.own import make
from rt_engine.contract import Contract, Element, TensorContract, attach
from station.cli import app
from station.commands.shared.first_station import CONTROLLERS
from station.file.reading import read_station
from station.links import link_tables, type_of
from station.running.station import Station
from station.wiring.parts import build
from tests.station.stations import gemm
from tests.waiting import wait_for

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
    if kind == "opcua":
        make(tmp_path / "a" / "opcua")  # its next step: rt-engine opcua certificate
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


LEGS = tuple(Element(f"leg[{i}]", "rad", low=-3.0, high=2.0) for i in range(3))
BELT = Element("belt speed", "m/s", low=-9.0, high=9.0, clip=True)
FORCE = Element("force", "N", low=1.0, high=5.0, max_rate=50.0)


def named(path, inputs=(*LEGS, BELT), outputs=(FORCE,), **more):
    """A model with a contract."""
    window = more.pop("window", 1)
    gemm(path, len(inputs) * window)
    parts = (TensorContract("x", inputs, window),) if inputs else ()
    attach(path, Contract(parts, (TensorContract("y", outputs),), **more))
    return path


def good(path):
    """The text of a station without an error or a warning, with its parts."""
    file = read_station(path)
    parts = build(file)
    assert (file.warnings, parts.warnings) == ((), ())
    return path.read_text(), parts


def test_a_contract_names_the_tags(tmp_path):
    """With units and limits, at its rate, wired by name; values of one name are one tag; it runs at once."""
    named(tmp_path / "policy.onnx", rate_hz=50.0)
    assert new(tmp_path / "policy.onnx", "--folder", tmp_path / "a").exit_code == 0
    text, parts = good(tmp_path / "a" / "station.toml")
    assert 'leg = { count = 3, unit = "rad", low = -3, high = 2 }' in text
    assert 'belt_speed = { unit = "m/s" }' in text  # what is clipped is no bad value
    assert 'force = { direction = "out", unit = "N", low = 1, high = 5, safe = 1 }' in text
    assert 'cycle = "20 ms"\ninputs = "contract"\noutputs = "contract"' in text
    (task,) = parts.tasks
    assert (task.period_ns, task.outputs[0].max_rate) == (20_000_000, 50.0)
    runs(tmp_path / "a" / "station.toml")


def test_the_folder_is_named_after_the_model(tmp_path, monkeypatch):
    """Where nobody says another."""
    monkeypatch.chdir(tmp_path)
    named(tmp_path / "walker.onnx")
    result = new("walker.onnx")
    assert result.exit_code == 0 and "next: rt-engine run walker/station.toml" in result.output
    assert 'name = "walker"' in (tmp_path / "walker" / "station.toml").read_text()


def test_names_that_tags_cannot_have(tmp_path):
    """An output called as an input, odd names and names that are there already are said in the task."""
    from tests.rt_engine.contract.contracts import MODEL  # two outputs

    onnx.save(MODEL, tmp_path / "m.onnx")
    ins = (Element("7th"), Element("a b"), Element("a/b"), Element("leg[0]", "rad"))
    outs = (Element("leg[0]", "rad"), Element("leg[1]", "rad"))
    attach(tmp_path / "m.onnx", Contract((TensorContract("x", ins),), (TensorContract("y", outs),)))
    assert new(tmp_path / "m.onnx", "--folder", tmp_path / "a").exit_code == 0
    text, parts = good(tmp_path / "a" / "station.toml")
    assert 'inputs = { contract = { "7th" = "_7th", "a/b" = "a_b_" } }' in text
    assert 'outputs = "contract"' in text
    assert [entry.index for entry in parts.tasks[0].inputs] == [0, 1, 2, 3]


def test_a_state_and_a_history_are_the_contracts(tmp_path):
    """The state is in the table of the model; a window needs no more tags."""
    from tests.rt_engine.contract.contracts import stateful

    onnx.save(stateful(), tmp_path / "s.onnx")
    pairs = [TensorContract(name, (Element(f"{name}0"), Element(f"{name}1"))) for name in "xy"]
    attach(tmp_path / "s.onnx", Contract((pairs[0],), (pairs[1],), state={"n": "h"}))
    assert new(tmp_path / "s.onnx", "--folder", tmp_path / "a").exit_code == 0
    text, _ = good(tmp_path / "a" / "station.toml")
    assert 'state = { "n" = "h" }' in text and "also = " in text  # of the output n nothing is said
    named(tmp_path / "w.onnx", LEGS, window=4, rate_hz=50.0)
    assert new(tmp_path / "w.onnx", "--folder", tmp_path / "b").exit_code == 0
    _, parts = good(tmp_path / "b" / "station.toml")
    assert [(entry.window, entry.count) for entry in parts.tasks[0].inputs] == [(4, 3)]


@pytest.mark.parametrize(
    ("url", "kind", "keys"),
    [
        ("modbus://10.0.0.7", "modbus-tcp", {"host": "10.0.0.7"}),
        ("modbus://press-4:1502/17", "modbus-tcp", {"host": "press-4", "port": 1502, "unit": 17}),
        ("modbus://[::1]:1502", "modbus-tcp", {"host": "::1", "port": 1502}),
        ("modbus-rtu:///dev/ttyUSB0/7", "modbus-rtu", {"device": "/dev/ttyUSB0", "unit": 7}),
        ("ads://10.0.0.7", "ads", {"ams_net_id": "10.0.0.7.1.1", "host": "10.0.0.7"}),
        ("ads://5.12.34.56.1.1@plc:852", "ads", {"ams_net_id": "5.12.34.56.1.1", "host": "plc", "port": 852}),
    ],
)
def test_a_url_says_where_the_device_is(tmp_path, url, kind, keys):
    """The station has the real link; the dry run is in comments, and good when they are taken away."""
    named(tmp_path / "policy.onnx", rate_hz=50.0)
    result = new(tmp_path / "policy.onnx", "--folder", tmp_path / "a", "--link", url)
    assert result.exit_code == 0 and "check --connect" in " ".join(result.output.split())
    path = tmp_path / "a" / "station.toml"
    text, _ = good(path)
    link = read_station(path).config.links["plant"]
    assert link.type == kind and {key: getattr(link, key) for key in keys} == keys
    slow = kind == "modbus-rtu"
    assert (link.cycle_ns, link.timeout_ns) == ((50_000_000, 1_000_000_000) if slow else (20_000_000, 100_000_000))
    real = text[text.index("[links.plant]") : text.index("# A dry run")]
    dry = text[text.index("# [links.plant]") : text.index("[tags]")]
    path.write_text(text.replace(real, "").replace(dry, re.sub("(?m)^# ", "", dry)))
    good(path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--link", "profinet://x"], "ads://, ethercat://, opc.tcp://, in-process"),
        (["--link", "modbus://"], "modbus://HOST[:PORT][/UNIT]"),
        (["--link", "modbus://10.0.0.999"], "four numbers from 0 to 255"),
        (["--link", 'modbus://a"b'], "modbus://HOST[:PORT][/UNIT]"),
        (["--link", "ads://plc"], "ads://NETID[@HOST][:PORT]"),
        (["--link", "modbus-rtu://ttyUSB0"], "modbus-rtu:///dev/PORT[/UNIT]"),
        (["--link", "opc.tcp://a b"], "opc.tcp://HOST[:PORT][/PATH]"),
        (["--folder", "x"], "the folder is"),
    ],
)
def test_a_url_that_is_not_understood_is_told_its_form(tmp_path, words, expected):
    """And nothing is made."""
    result = new(tmp_path / "a", *words)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "a").exists()


def test_a_model_that_no_task_is_fast_enough_for(tmp_path):
    """Is told so."""
    named(tmp_path / "m.onnx", rate_hz=50_000.0)
    result = new(tmp_path / "m.onnx", "--folder", tmp_path / "a")
    assert result.exit_code == 2 and "trained for 50000 Hz" in " ".join(result.output.replace("│", " ").split())


def test_a_second_station_of_a_model_needs_a_folder_of_its_own(tmp_path, monkeypatch):
    """The option that names it is said, as the place of the folder is the model's."""
    monkeypatch.chdir(tmp_path)
    gemm(tmp_path / "mean.onnx", 3)
    assert new("mean.onnx").exit_code == 0
    again = new("mean.onnx")
    assert again.exit_code == 2
    assert "with --folder" in " ".join(again.output.split())
    assert new("mean.onnx", "--folder", "other").exit_code == 0
