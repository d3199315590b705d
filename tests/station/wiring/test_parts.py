"""Station files become the right objects; what does not fit is named with its line."""

import re

import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.ads.link import AdsLink
from fieldbus.inprocess.link import InProcessLink
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Rtu, Tcp
from fieldbus.tags import Order
from station.errors import StationFileError
from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import STATION, gemm, write_station


def parts(tmp_path, text=STATION):
    return build(read_station(write_station(tmp_path, text)))


def fault(tmp_path, text):
    """The only problem of a file."""
    with pytest.raises(StationFileError) as caught:
        parts(tmp_path, text)
    (problem,) = caught.value.problems
    return problem


def test_task(tmp_path):
    """A task has the file's cycle and policies, its inputs in order, and its guard takes the link's timeout as age."""
    (task,) = parts(tmp_path).tasks
    assert (task.name, task.period_ns, task.priority, task.overrun, task.watchdog) == (
        "axis",
        1_000_000,
        80,
        "skip",
        10,
    )
    assert [(i.tensor, i.index, i.channel.tags[i.cell].name) for i in task.inputs] == [("x", 0, "a"), ("x", 1, "b")]
    assert task.guard.max_age_s == 10.0
    assert task.outputs[0].channel.tags[0].safe == -1


def test_two_tasks_share_one_slot_and_have_their_own_channels(tmp_path):
    """A model named by two tasks is loaded once; each task has input channels of its own."""
    text = STATION + '[tasks.other]\nmodel = "mean"\ncycle = "2 ms"\ninputs = ["b", "a"]\n'
    built = parts(tmp_path, text)
    first, second = built.tasks
    assert first.model is second.model is built.slots["mean"]
    assert first.inputs[0].channel is not second.inputs[0].channel
    assert second.inputs[0].cell == second.inputs[0].channel.index("b")


def test_links(tmp_path):
    """Each kind of link gets its device, timing and addresses; a tag's byte order wins over its link's."""
    tags = """[tags]
tcp = { link = "tcp", address = "holding 4" }
tcp2 = { link = "tcp", address = "input 6 DCBA" }
bit = { link = "rtu", address = "holding 7.3", type = "bool" }
plc = { link = "plc", address = "MAIN.fSpeed", type = "float64" }"""
    text = STATION.replace("[tags]", tags)
    text = text.replace("a = {}", "a = { link = 'sim' }").replace("b = {}", "b = { link = 'sim' }")
    text = text.replace("force = { direction", "force = { link = 'sim', direction")
    text += """
[links.tcp]
type = "modbus-tcp"
host = "192.168.0.7"
port = 1502
unit = 3
order = "CDAB"
cycle = "2 ms"
timeout = "40 ms"
[links.rtu]
type = "modbus-rtu"
device = "/dev/ttyS9"
baudrate = 115200
parity = "N"
[links.plc]
type = "ads"
ams_net_id = "10.1.2.3.1.1"
mode = "notify"
"""
    links = parts(tmp_path, text).links
    assert isinstance(links["sim"], InProcessLink)
    assert isinstance(links["tcp"], ModbusLink)
    assert (links["tcp"].transport, links["tcp"].cycle_s, links["tcp"].timeout_s) == (
        Tcp("192.168.0.7", 1502),
        0.002,
        0.04,
    )
    assert [tag.address for tag in links["tcp"].tags] == [
        ModbusAddress("holding", 4, Order.CDAB, 3),
        ModbusAddress("input", 6, Order.DCBA, 3),
    ]
    assert links["rtu"].transport == Rtu("/dev/ttyS9", 115200, "N", 1, 0.1)
    assert links["rtu"].tags[0].address == ModbusAddress("holding", 7, Order.ABCD, 1, 3)
    assert isinstance(links["plc"], AdsLink)
    assert links["plc"].mode == "notify"
    assert links["plc"].tags[0].address == AdsAddress("MAIN.fSpeed")


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('["a", "b"]', '["a"]', "tasks.axis.inputs", "has 2 elements, 1 are filled; nothing fills element 1"),
        ('["a", "b"]', '["a", "b", "a"]', "tasks.axis.inputs[2]", "no element is left for tag a"),
        ("b = {}", "b = { count = 2 }", "tasks.axis.inputs[1]", "needs elements 1 to 2 of x: float32[1, 2]"),
        ('["force"]', '[{ tag = "force", tensor = "z" }]', "tasks.axis.outputs[0]", 'unknown output tensor "z"'),
        ("device.py:device", "device.py:devise", "links.sim", 'has no function "devise"'),
        ('"mean.onnx"', '"device.py"', "models.mean", "is not an ONNX model"),
        ("[links.sim]", "shapes = { x = [1, 3] }\n[links.sim]", "models.mean", "x"),
        ("[links.sim]", 'state = { y = "h" }\n[links.sim]', "models.mean", "has no input 'h' for a state"),
        ("safe = -1", "safe = 0.5, type = 'int8', scale = 0.001", "tags.force", "does not fit int8"),
    ],
)  # fmt: skip
def test_what_does_not_fit(old, new, key, message, tmp_path):
    """Tags that do not fill the model, functions and models that do not exist: named with the key and its line."""
    assert STATION.count(old) == 1
    text = STATION.replace(old, new)
    problem = fault(tmp_path, text)
    assert problem.key == key
    assert message in problem.message
    assert text.splitlines()[problem.line - 1].strip()


def test_all_models_and_mappings_at_once(tmp_path):
    """Every model that cannot run and every tag that does not fit is named in one go."""
    text = STATION.replace('["a", "b"]', '["a"]') + '[models.broken]\nfile = "device.py"\n'
    with pytest.raises(StationFileError) as caught:
        parts(tmp_path, text)
    assert [problem.key for problem in caught.value.problems] == ["tasks.axis.inputs", "models.broken"]


def test_windows(tmp_path):
    """A window takes its elements in a row; the task gets window and stride."""
    text = STATION.replace('["a", "b"]', '[{ tag = "a", window = 2, stride = 5 }]')
    (entry,) = parts(tmp_path, text).tasks[0].inputs
    assert (entry.window, entry.stride, entry.index, entry.spacing) == (2, 5, 0, 1)


def test_shapes_bind_open_dimensions(tmp_path):
    """`shapes` reaches the loader."""
    write_station(tmp_path)
    gemm(tmp_path / "wide.onnx", 5)
    text = STATION.replace('"mean.onnx"', '"wide.onnx"\nshapes = { x = [1, 5] }').replace("b = {}", "b = { count = 4 }")
    assert parts(tmp_path, text).models["mean"].inputs[0].shape == (1, 5)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("broken.py", "def device(:", "cannot be imported: SyntaxError"),
        ("ends.py", "raise SystemExit(3)", r"cannot be imported: SystemExit\(3\)"),
        ("text.txt", "hello", "its name must end in .py"),
    ],
)
def test_a_device_file_that_cannot_be_imported(tmp_path, name, code, message):
    """Whatever the user's file does when it is imported is a problem at the link's line."""
    (tmp_path / name).write_text(code)
    problem = fault(tmp_path, STATION.replace("device.py:", f"{name}:"))
    assert re.search(message, problem.message)
    assert problem.key == "links.sim"


def test_a_window_longer_than_its_tensor_is_refused_at_once(tmp_path):
    """Its elements are counted, not listed."""
    wide = '{ tag = "a", window = 1_000_000, spacing = 1_000_000_000 }'
    problem = fault(tmp_path, STATION.replace('inputs = ["a", "b"]', f"inputs = [{wide}]"))
    assert "needs elements 0 to 999999000000000 of x" in problem.message


def test_a_device_that_everybody_may_write_is_not_run(tmp_path):
    """It would be run as the user of the station; the link's problem has the command that mends it."""
    write_station(tmp_path)
    device = tmp_path / "device.py"
    device.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    device.chmod(0o666)
    with pytest.raises(StationFileError) as found:
        build(read_station(tmp_path / "station.toml"))
    [problem] = found.value.problems
    assert problem.key == "links.sim" and f"chmod go-w {device}" in problem.message
    assert not (tmp_path / "ran").exists()
