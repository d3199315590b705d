"""Devices asked once: what they gave, why they gave nothing, and that nothing is written."""

import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import ExitCode
from station.file.reading import read_station
from station.machine.claims import claim
from station.running.connecting import connect
from tests.fieldbus.ads.ads_plc import AdsPlc, Symbol
from tests.station.registers_device import RegistersDevice, floats
from tests.station.stations import write_station
from tests.waiting import free_port

TASK = """\
[tasks.axis]
cycle = "10 ms"
inputs = ["level"]
outputs = ["valve"]
step = { type = "linear", matrix = [[1.0]] }
"""
PATIENT = 'timeout = "10 s"\n'
"""A device here is a thread, which a busy machine holds up."""
VALVE = 'valve = { address = "holding 20", direction = "out", safe = 5 }'


def modbus(name, port, *lines):
    return f'[links.{name}]\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {port}\n' + "\n".join(lines)


def station(folder, *parts):
    return write_station(folder, "\n".join(('[station]\nname = "asks"\n', *parts, TASK)))


def one_device(folder, port, *tags, link=()):
    return station(folder, modbus("plant", port, PATIENT, *link), "[tags]", *tags, VALVE)


LEVEL = 'level = { address = "holding 0", unit = "%", low = 0, high = 100 }'


def test_what_a_device_has_is_read_and_nothing_is_written(tmp_path):
    """Inputs and, read back, outputs: value, unit, raw bytes; no request that writes; nothing is odd."""
    with RegistersDevice(floats(0, 21.5, low_first=False) | floats(20, 7.0, low_first=False)) as device:
        (heard,) = connect(read_station(one_device(tmp_path, device.port, LEVEL)))
        assert device.functions == {3}
    assert [(tag.name, tag.direction, tag.value, tag.unit, tag.raw, tag.place) for tag in heard.tags] == [
        ("level", "in", "21.5", "%", "41ac0000", "holding 0"),
        ("valve", "out", "7", "", "40e00000", "holding 20"),
    ]
    assert (heard.is_complete, heard.doubts, heard.refused, heard.unshown) == (True, {}, {}, {})


def test_a_link_in_a_tasks_cycle_is_read_without_the_task(tmp_path):
    """Nothing of the station runs: the link has a thread of its own for it."""
    with RegistersDevice(floats(0, 21.5, low_first=False) | floats(20, 7.0, low_first=False)) as device:
        (heard,) = connect(read_station(one_device(tmp_path, device.port, LEVEL, link=['exchange = "in-cycle"', ""])))
    assert [tag.value for tag in heard.tags] == ["21.5", "7"]
    assert heard.took_ns > 0


def test_a_device_that_is_slower_than_a_task_waits_is_told_with_figures(tmp_path):
    """How long it took, how long the task waits, and what such a device is better left to; silent where it is quick enough."""
    registers = floats(0, 21.5, low_first=False) | floats(20, 7.0, low_first=False)
    for deadline, told in (("50 us", True), ("10 ms", False)):
        with RegistersDevice(registers) as device:
            path = one_device(tmp_path, device.port, LEVEL, link=['exchange = "in-cycle"', ""])
            path.write_text(path.read_text().replace('cycle = "10 ms"', f'cycle = "40 ms"\nio_deadline = "{deadline}"'))
            (heard,) = connect(read_station(path))
        notes = [note for note in heard.notes if "task axis waits" in note]
        assert bool(notes) is ((told and heard.took_ns > 50_000) or heard.took_ns > 10_000_000)
        assert all(f"waits {deadline} for it (io_deadline)" in note and '"own-thread"' in note for note in notes)


def test_floats_in_the_other_order_are_seen(tmp_path):
    """The remark names the order and the value that it gives, and that several tags have it in common."""
    other = 'pressure = { address = "holding 2", unit = "bar" }'
    with RegistersDevice(floats(0, 21.5, 3.14159) | dict.fromkeys(range(4, 22), 0)) as device:
        path = one_device(tmp_path, device.port, LEVEL, other)
        ran = CliRunner().invoke(app, ["check", "--connect", str(path)])
    text = " ".join(ran.output.split())
    assert ran.exit_code == 0
    assert "level: 2.35586e-41 % is too small to be measured: in order CDAB it would be 21.5 %" in text
    assert "pressure: 2.05351e-29 bar is too small to be measured: in order CDAB it would be 3.14159 bar" in text
    assert '2 of these would be plausible in order CDAB: order = "CDAB" in [links.plant]?' in text
    assert "nothing was written" in text


def test_an_address_that_is_off_by_one_is_seen(tmp_path):
    """The register before is looked at, and named."""
    far = 'far = { address = "holding 11", low = 40, high = 60, type = "int16" }'
    with RegistersDevice({**dict.fromkeys(range(30), 0), 10: 47} | floats(0, 21.5, low_first=False)) as device:
        (heard,) = connect(read_station(one_device(tmp_path, device.port, LEVEL, far)))
    assert heard.doubts["far"].text == "0 is outside 40..60: one register earlier (holding 10) it would be 47"
    assert heard.doubts["far"].shifts == (-1,)
    assert heard.refused == {}


def test_one_wrong_address_does_not_hide_the_others(tmp_path):
    """Each tag that the device refuses is named with its reason; an output that cannot be read back is no fault."""
    wrong = 'wrong = { address = "holding 500" }\nalso = { address = "input 600" }'
    with RegistersDevice(floats(0, 21.5, low_first=False)) as device:
        path = one_device(tmp_path, device.port, LEVEL, wrong)
        (heard,) = connect(read_station(path))
        ran = CliRunner().invoke(app, ["check", "--connect", "--json", str(path)])
    assert [tag.name for tag in heard.tags] == ["level"]
    assert {name: "illegal data address" in why for name, why in heard.refused.items()} == {"wrong": True, "also": True}
    assert list(heard.unshown) == ["valve"]
    (found,) = json.loads(ran.stdout)
    assert ran.exit_code == ExitCode.FAILED
    assert sorted(found["devices"][0]["not_read"]) == ["also", "wrong"]
    assert found["devices"][0]["tags"][0]["values"] == [21.5]


def test_a_dead_device_does_not_hide_the_others(tmp_path):
    """One that is not there and one that is silent: the reason, the next step, exit code 1; the third is shown."""
    with (
        RegistersDevice(floats(0, 21.5, low_first=False)) as device,
        RegistersDevice({}, silent=True) as silent,
    ):
        links = [modbus("dead", free_port()), modbus("plant", device.port, PATIENT), modbus("silent", silent.port)]
        tags = [LEVEL.replace("{", '{ link = "plant",'), VALVE.replace("{", '{ link = "plant",')]
        tags += ['a = { link = "dead", address = "holding 0" }', 'b = { link = "silent", address = "holding 0" }']
        path = station(tmp_path, *links, "[tags]", *tags)
        dead, plant, mute = connect(read_station(path))
        ran = CliRunner().invoke(app, ["check", "--connect", str(path)])
    assert "Connection refused" in dead.problem
    assert "nothing listens at this port" in dead.help
    assert (plant.problem, plant.tags[0].value) == ("", "21.5")
    assert "no answer in time" in mute.problem
    assert "is `unit` right" in mute.help
    text = " ".join(ran.output.split())
    assert ran.exit_code == ExitCode.FAILED
    assert "Connection refused" in text and "21.5" in text and "nothing listens at this port" in text


def test_a_device_of_a_running_station_is_read_too_and_that_is_said(tmp_path):
    """TCP has room for two."""
    with RegistersDevice(floats(0, 21.5, low_first=False)) as device:
        path = one_device(tmp_path, device.port, LEVEL)
        with claim("device", f"modbus 127.0.0.1:{device.port} unit 1"):
            (heard,) = connect(read_station(path))
    assert heard.tags[0].value == "21.5"
    assert any(
        "a running station writes to it (process " in note and "both read it now" in note for note in heard.notes
    )


def test_a_serial_line_of_a_running_station_is_left_alone(tmp_path):
    """Two masters on one line disturb each other: it is not opened, which is said; exit code 4."""
    link = '[links.plant]\ntype = "modbus-rtu"\ndevice = "/dev/rt-engine-none"\n'
    path = station(tmp_path, link, "[tags]", LEVEL, VALVE)
    with claim("device", "serial port /dev/rt-engine-none"):
        (heard,) = connect(read_station(path))
        ran = CliRunner().invoke(app, ["check", "--connect", str(path)])
    assert heard.is_held
    assert "not asked: a running station writes to it" in heard.problem
    assert "rt-engine watch" in heard.help
    assert ran.exit_code == ExitCode.NOT_RUNNING
    (free,) = connect(read_station(path))
    assert "No such file" in free.problem


def test_a_controller_that_lacks_a_symbol_shows_the_others(tmp_path):
    """ADS: the symbol is named; nothing is written."""
    with AdsPlc([Symbol("MAIN.fX", "REAL"), Symbol("MAIN.fU", "LREAL")]) as plc:
        plc.set("MAIN.fX", 12.5)
        link = f'[links.plc]\ntype = "ads"\nams_net_id = "{plc.host}.1.1"\n{PATIENT}'
        tags = ['level = { address = "MAIN.fX", low = 0, high = 10 }', 'gone = { address = "MAIN.fGone" }']
        tags += ['valve = { address = "MAIN.fU", type = "float64", direction = "out" }']
        (heard,) = connect(read_station(station(tmp_path, link, "[tags]", *tags)))
        before = plc.get("MAIN.fU")
    assert {tag.name: tag.value for tag in heard.tags} == {"level": "12.5", "valve": "0"}
    assert before == 0.0
    assert "MAIN.fGone" in heard.refused["gone"]
    assert heard.doubts["level"].text == "12.5 is outside 0..10: with scale = 0.1 it would be 1.25"


@pytest.mark.parametrize("words", [["mean.onnx"], ["mean.onnx", "twice.onnx"]])
def test_models_have_no_devices(tmp_path, words):
    """A wrong command line."""
    write_station(tmp_path)
    ran = CliRunner().invoke(app, ["check", "--connect", *(str(tmp_path / word) for word in words)])
    assert ran.exit_code == ExitCode.USAGE


def test_a_station_without_devices_says_so(tmp_path):
    """A function in Python is not called: it would be run without its outputs."""
    ran = CliRunner().invoke(app, ["check", "--connect", str(write_station(tmp_path))])
    assert ran.exit_code == 0
    assert "there is nothing to connect to" in ran.output


def test_a_station_file_that_is_wrong_connects_to_nothing(tmp_path):
    """What is wrong is said, and no device is touched."""
    with RegistersDevice({}) as device:
        ran = CliRunner().invoke(
            app, ["check", "--connect", str(one_device(tmp_path, device.port, 'level = { adress = "x" }'))]
        )
        assert device.asked == []
    assert ran.exit_code == ExitCode.BAD_FILE
