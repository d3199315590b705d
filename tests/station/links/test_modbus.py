"""Links of Modbus kinds: what a station file can say of a device, and what is made of it."""

import pytest

from fieldbus.modbus.habits import Habits
from fieldbus.modbus.plan import Options
from station.errors import StationFileError
from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import gemm

HEAD = """\
[models.m]
file = "m.onnx"
"""
TASK = """
[tasks.axis]
model = "m"
cycle = "50 ms"
inputs = ["a", "b"]
outputs = ["u"]
"""
RTU = """
[links.line]
type = "modbus-rtu"
device = "/dev/ttyUSB0"
"""
TCP = """
[links.line]
type = "modbus-tcp"
host = "10.0.0.5"
"""
TAGS = """
[tags]
a = { address = "input 0", link = "line" }
b = { address = "unit 2 input 0", link = "line" }
u = { address = "unit 2 holding 10", link = "line", direction = "out" }
"""


def read(folder, *parts):
    gemm(folder / "m.onnx", 2)
    path = folder / "station.toml"
    path.write_text("\n".join((HEAD, *parts)), encoding="utf-8")
    return read_station(path)


def errors(folder, *parts):
    with pytest.raises(StationFileError) as caught:
        read(folder, *parts)
    return {p.key: p.message for p in caught.value.problems if p.severity == "error"}


@pytest.mark.parametrize("link", [RTU, TCP])
def test_one_link_speaks_to_several_units(link, tmp_path):
    """The unit stands in a tag's address; without one it is the link's. The same register of two units is no overlap."""
    file = read(tmp_path, link + "unit = 7\n", TAGS, TASK)
    assert file.warnings == ()
    requests = build(file).links["line"].requests
    assert [str(r) for r in requests] == [
        "unit 2 FC 16, holding 10..11 (u)",
        "unit 7 FC 4, input 0..1 (a)",
        "unit 2 FC 4, input 0..1 (b)",
    ]


@pytest.mark.parametrize("other", ["/dev/ttyUSB0", "{folder}/by-id"])
def test_a_serial_port_has_one_link(other, tmp_path):
    """By whatever name: two links are refused, with the words to write."""
    (tmp_path / "tty").write_text("")
    (tmp_path / "by-id").symlink_to(tmp_path / "tty")
    first = RTU if other.startswith("/") else RTU.replace("/dev/ttyUSB0", str(tmp_path / "tty"))
    second = RTU.replace("line", "drive").replace("/dev/ttyUSB0", other.format(folder=tmp_path)) + "unit = 2\n"
    tags = TAGS.replace('"unit 2 input 0", link = "line"', '"input 0", link = "drive"')
    found = errors(tmp_path, first, second, tags, TASK)
    assert "a serial port has one master" in found["links.drive"]
    assert 'write link = "line" in the tags of this one' in found["links.drive"]
    assert 'for example address = "unit 2 holding 40"' in found["links.drive"]


def test_two_serial_ports_are_two_links(tmp_path):
    """Of different ports nothing is said."""
    second = RTU.replace("line", "drive").replace("USB0", "USB1")
    tags = TAGS.replace('"unit 2 input 0", link = "line"', '"input 0", link = "drive"')
    assert read(tmp_path, RTU, second, tags, TASK).warnings == ()


def test_nothing_is_read_from_every_device_at_once(tmp_path):
    """Unit 0 of a serial line: outputs are taken, inputs and kept bits refused. Of TCP it is a unit."""
    tags = TAGS.replace("unit 2", "unit 0")
    assert set(errors(tmp_path, RTU, tags, TASK)) == {"tags.b.address"}
    assert "the number of one, 1 to 247" in errors(tmp_path, RTU, tags, TASK)["tags.b.address"]
    outputs = TAGS.replace("unit 2 holding", "unit 0 holding")
    link = build(read(tmp_path, RTU + 'cycle = "200 ms"\n', outputs, TASK)).links["line"]
    assert [r.answered for r in link.requests] == [False, True, True]
    assert not link.confirms
    assert read(tmp_path, TCP, tags, TASK).warnings == ()
    bit = outputs.replace('holding 10"', 'holding 10.1", type = "bool"')
    assert "cannot be read from unit 0" in errors(tmp_path, RTU, bit, TASK)["tags.u.address"]
    read(tmp_path, RTU + 'other_bits = "zero"\n', bit, TASK)


def test_what_a_link_says_reaches_the_device(tmp_path):
    """Each key, and the default of each."""
    keys = """\
gap = 3
fc23 = true
single_writes = false
mask_writes = true
other_bits = "zero"
max_read = 20
max_write = 10
max_bits = 100
connect_pause = "300 ms"
request_pause = "2 ms"
"""
    link = build(read(tmp_path, TCP + keys + "any_transaction_id = true\nany_unit = true\n", TAGS, TASK)).links["line"]
    assert link.lengths.options == Options(
        gap=3,
        read_write=True,
        single_writes=False,
        mask_writes=True,
        keep_bits=False,
        max_read=20,
        max_write=10,
        max_read_bits=100,
        max_write_bits=100,
    )
    assert link.habits == Habits(connect_pause_s=0.3, request_pause_s=0.002, any_transaction_id=True, any_unit=True)
    assert (link.connect_pause_ns, link.request_pause_ns) == (300_000_000, 2_000_000)
    line = build(read(tmp_path, RTU + 'echo = true\nbroadcast_pause = "20 ms"\n', TAGS, TASK)).links["line"]
    assert line.habits == Habits(echo=True, broadcast_pause_s=0.02)
    plain = build(read(tmp_path, TCP, TAGS, TASK)).links["line"]
    assert (plain.lengths.options, plain.habits) == (Options(), Habits())


def test_a_life_sign_and_numbers_of_nothing_reach_the_link(tmp_path):
    """`life_sign`, `not_available` and limits of an input."""
    keys = 'life_sign = "a"\nlife_sign_timeout = "3 s"\n'
    tags = TAGS.replace('"input 0"', '"input 0", type = "int16", not_available = [0x8000], low = -5, high = 9')
    link = build(read(tmp_path, TCP + keys, tags, TASK)).links["line"]
    (tag,) = [tag for tag in link.tags if tag.name == "a"]
    assert (tag.unavailable, tag.low, tag.high) == ((-32768.0,), -5.0, 9.0)
    assert (link._life.tag, link._life.timeout_s) == (tag, 3.0)


def test_a_life_sign_is_one_value(tmp_path):
    """An array would not say which of its values must change."""
    tags = TAGS.replace('"input 0", link', '"input 0", count = 3, link')
    assert (
        "tag a has 3 values; a life sign is one"
        in errors(tmp_path, TCP + 'life_sign = "a"\n', tags, TASK)["links.line.life_sign"]
    )
