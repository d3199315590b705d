"""What a station file may say and rarely means is a warning, which says what is meant."""

import pytest

from station.file.reading import read_station
from station.machine.computer import Computer
from station.wiring.parts import build
from tests.station.stations import gemm

TASK = """
[tasks.axis]
model = "m"
cycle = "10 ms"
inputs = ["a"]
outputs = ["u"]
"""
TCP = """
[links.plant]
type = "modbus-tcp"
host = "10.0.0.5"
"""
TAGS = """
[tags]
a = { address = "input 0", link = "plant" }
u = { address = "holding 10", link = "plant", direction = "out" }
"""
MODEL = """
[models.m]
file = "m.onnx"
"""
TWO = TCP + TCP.replace("plant", "other")
RTU = """
[links.plant]
type = "modbus-rtu"
device = "/dev/ttyUSB0"
"""
ADS = """
[links.plant]
type = "ads"
ams_net_id = "5.1.2.3.1.1"
"""
USED = 'outputs = ["u", "v"]\n'


def warnings(folder, *parts):
    gemm(folder / "m.onnx", 1)
    path = folder / "station.toml"
    path.write_text("\n".join((MODEL, *parts)), encoding="utf-8")
    return {p.key: p.message for p in read_station(path).warnings}


def test_a_usual_station_has_no_warning(tmp_path):
    assert warnings(tmp_path, TCP, TAGS, TASK) == {}


CASES = {
    "a core that is not here": ((TCP, TAGS, TASK + "cpu = 7\n"), "tasks.axis.cpu", "this computer has core 0, 1: "),
    "a task much faster than what it reads": (
        (TCP + 'cycle = "100 ms"\ntimeout = "1 s"\n', TAGS, TASK.replace("10 ms", "1 ms")),
        "tasks.axis.cycle",
        "100 cycles of 1 ms",
    ),
    "40003 as an address": ((TCP, TAGS.replace("holding 10", "holding 40003"), TASK), "tags.u.address", '"holding 2"'),
    "30001 as an address": ((TCP, TAGS.replace("input 0", "input 30001"), TASK), "tags.a.address", '"input 0"'),
    "two links to one register": (
        (
            TWO,
            TAGS + 'v = { address = "holding 11", link = "other", direction = "out" }',
            TASK.replace('["u"]', '["u"]'),
        ),
        "tags.v.address",
        "tag u is written to the same place of the same device, through link plant",
    ),
    "the port of another protocol": ((TCP + "port = 48898\n", TAGS, TASK), "links.plant.port", "ADS over TCP"),
    "TLS's port without TLS": ((TCP + "port = 802\n", TAGS, TASK), "links.plant.port", "Modbus over TLS"),
    "a TCP port for an AMS port": (
        (ADS + "port = 48898\n", TAGS.replace("input 0", "MAIN.a").replace("holding 10", "MAIN.u"), TASK),
        "links.plant.port",
        "as a rule 851",
    ),
    "an AMS port for a TCP port": (
        (TCP, TAGS, TASK, '[servers.s]\ntype = "ads"\nport = 851\n'),
        "servers.s.port",
        "this is the TCP port, as a rule 48898",
    ),
    "a serial line that is too slow": (
        (RTU + 'baudrate = 9600\ncycle = "20 ms"\n', TAGS, TASK),
        "links.plant.cycle",
        "at 9600 baud one exchange takes at least 55 ms",
    ),
    "pauses longer than the cycle": (
        (TCP + 'request_pause = "6 ms"\n', TAGS, TASK),
        "links.plant.cycle",
        "10 ms is too short for this device: with its pauses one exchange takes at least 12 ms",
    ),
    "a life sign's timeout without a life sign": (
        (TCP + 'life_sign_timeout = "2 s"\n', TAGS, TASK),
        "links.plant.life_sign_timeout",
        'has no effect without the key "life_sign"',
    ),
    "turns without a model": (
        (TCP, TAGS, TASK.replace('model = "m"', 'step = { type = "linear" }\nevery = 3')),
        "tasks.axis.every",
        "has no effect without a model",
    ),
    "a way to go without turns": ((TCP, TAGS, TASK + 'between = "linear"\n'), "tasks.axis.between", 'the key "every"'),
    "a bool in a line": (
        (TCP, TAGS.replace('"holding 10"', '"coil 1", type = "bool"'), TASK + 'every = 2\nbetween = "linear"\n'),
        "tasks.axis.outputs[0]",
        'write { tag = "u", between = "hold" }',
    ),
    "a bit of a word of others": (
        (TCP, TAGS.replace('"holding 10"', '"holding 10.3", type = "bool"'), TASK),
        "tags.u.address",
        "the other bits of holding 10 are read and written back: what the device does to them in between is undone; write "
        "mask_writes = true in [links.plant] if it has function code 22",
    ),
}


def computer(root, monkeypatch, files):
    """The station is checked on a computer with two cores and these files."""
    for path, text in {"sys/devices/system/cpu/online": "0-1", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    monkeypatch.setattr("station.file.advice.Computer", lambda: Computer(root))


def test_a_core_that_the_control_group_does_not_leave(tmp_path, monkeypatch):
    group = {"proc/self/cgroup": "0::/cell", "sys/fs/cgroup/cell/cpuset.cpus.effective": "0"}
    computer(tmp_path / "root", monkeypatch, group)
    assert "leaves core 0" in warnings(tmp_path, TCP, TAGS, TASK + "cpu = 1\n")["tasks.axis.cpu"]
    assert warnings(tmp_path, TCP, TAGS, TASK + "cpu = 0\n") == {}


@pytest.mark.parametrize("case", CASES)
def test_one_warning(case, tmp_path, monkeypatch):
    computer(tmp_path / "root", monkeypatch, {})
    parts, key, words = CASES[case]
    found = warnings(tmp_path, *parts)
    assert words in found.pop(key), found
    assert not {k for k in found if k != "tags.v"}, found


@pytest.mark.parametrize("key", ["mask_writes = true", 'other_bits = "keep"', 'other_bits = "zero"'])
def test_who_said_what_becomes_of_other_bits_is_not_warned(key, tmp_path):
    """Each of the keys that the warning names silences it."""
    tags = TAGS.replace('"holding 10"', '"holding 10.3", type = "bool"')
    assert warnings(tmp_path, TCP + key + "\n", tags, TASK) == {}


def test_a_word_of_which_all_bits_are_outputs_is_not_warned_of(tmp_path):
    """Sixteen tags own it."""
    bits = "".join(f'b{n} = {{ address = "holding 10.{n}", type = "bool", direction = "out" }}\n' for n in range(16))
    tags = '[tags]\na = { address = "input 0" }\n' + bits
    outputs = ", ".join(f'"b{n}"' for n in range(16))
    assert warnings(tmp_path, TCP, tags, TASK.replace('"u"', outputs)) == {}
    assert "tags.b0.address" in warnings(tmp_path, TCP, tags.replace("10.9", "11.9"), TASK.replace('"u"', outputs))


@pytest.mark.parametrize(
    ("keys", "is_told"),
    [("unit = 2\n", True), ('unit = 2\ncycle = "20 ms"\n', False), ("unit = 2\nport = 503\n", False), ("", False)],
)
def test_two_links_to_one_gateway(keys, is_told, tmp_path):
    """Two units behind one address, read as often: one link does it, and the gateway may have one connection only."""
    links = TCP + TCP.replace("plant", "other") + keys
    tags = TAGS + 'b = { address = "input 0", link = "other" }\n'
    found = warnings(tmp_path, links, tags, TASK.replace('["a"]', '["a", "b"]'))
    assert ("links.other" in found) == is_told
    if is_told:
        assert "many gateways take one connection only" in found["links.other"]
        assert 'write link = "plant"' in found["links.other"]
        assert 'address = "unit 2 holding 40"' in found["links.other"]


def test_a_second_link_to_one_controller_is_never_up(tmp_path):
    tags = (
        TAGS.replace("input 0", "MAIN.a")
        .replace("holding 10", "MAIN.u")
        .replace('MAIN.u", link = "plant"', 'MAIN.u", link = "two"')
    )
    found = warnings(tmp_path, ADS, ADS.replace("plant", "two"), tags, TASK)
    assert "put its tags on link plant" in found["links.two"]


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ('host = "10.0.0.5"', True),
        ('host = "10.0.0.5"\nunit = 2', False),
        ('host = "10.0.0.5"\nport = 503', False),
        ('host = "10.0.0.6"', False),
    ],
)
def test_only_one_device_has_one_place(other, is_same, tmp_path):
    links = TCP + '[links.other]\ntype = "modbus-tcp"\n' + other + "\n"
    tags = TAGS + 'v = { address = "holding 11", link = "other", direction = "out" }'
    assert ("tags.v.address" in warnings(tmp_path, links, tags, TASK)) == is_same


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("40003", 'what manuals call 40003 is "holding 2"'),
        ("300010", 'what manuals call 300010 is "input 9"'),
        ("holding 400003", "what manuals call 400003 is holding 2"),
        ("holding 65536", "what manuals call 40001 is holding 0"),
    ],
)
def test_a_number_of_a_manual_is_told_in_our_words(address, meant, tmp_path):
    from station.errors import StationFileError

    with pytest.raises(StationFileError) as caught:
        warnings(tmp_path, TCP, TAGS.replace("input 0", address), TASK)
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("number", "meant"), [("40003", '"holding 2"'), ("7", '"holding 7"'), ("0x10", '"holding 16"')]
)
def test_a_bare_number_is_told_what_it_means(number, meant, tmp_path):
    """Without quotes too, in one message."""
    from station.errors import StationFileError

    with pytest.raises(StationFileError) as caught:
        warnings(tmp_path, TCP, TAGS.replace('"input 0"', number), TASK)
    assert meant in str(caught.value)
    assert "quotes" not in str(caught.value)


def windows(folder, shape, *entries):
    """The warnings of a task whose windows go into a tensor of this shape."""
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "w.onnx")
    tags = "[tags]\n" + "".join(f"t{i} = {{}}\n" for i in range(len(entries)))
    inputs = ", ".join(f'{{ tag = "t{i}", {entry} }}' for i, entry in enumerate(entries))
    text = f'[models.m]\nfile = "w.onnx"\n[links.sim]\ntype = "in-process"\n{tags}'
    path = folder / "station.toml"
    path.write_text(f'{text}[tasks.axis]\nmodel = "m"\ncycle = "10 ms"\ninputs = [{inputs}]\n', encoding="utf-8")
    return [problem.message for problem in build(read_station(path)).warnings]


def test_windows_in_a_row_where_samples_have_rows(tmp_path):
    """Four windows of 50 fill [1, 50, 4] whole, and each sample of the model would hold four of one tag."""
    found = windows(tmp_path, [1, 50, 4], *["window = 50"] * 4)
    assert len(found) == 4
    assert "write spacing = 4, and index = 0 to 3" in found[0]


def test_windows_that_lie_right_have_no_warning(tmp_path):
    assert windows(tmp_path, [1, 50, 4], *[f"window = 50, spacing = 4, index = {i}" for i in range(4)]) == []
    assert windows(tmp_path, [1, 4, 50], *["window = 50"] * 4) == []
    assert windows(tmp_path, [1, 50, 1], "window = 50") == []
    assert windows(tmp_path, [1, 50], "window = 50") == []
