"""`rt-engine scan modbus`: what it finds, says and proposes; whom it refuses to disturb; what it says where nobody answers."""

import json
import os
import re
import struct
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest
from typer.testing import CliRunner

from fieldbus.modbus.scan import asking
from fieldbus.modbus.scan.asking import READS, Asker
from fieldbus.modbus.scan.wire import RtuWire
from station.cli import app
from station.file.reading import read_station
from station.machine.claims import claim
from station.scans.modbus import modbus
from station.scans.shared import modbus_search
from station.wiring.parts import build
from tests import ROOT
from tests.devices import SerialLine, TcpDevice
from tests.fieldbus.modbus.modbus_peers import libmodbus, process, pymodbus
from tests.fieldbus.modbus.scan.devices import Device, Paper, Time, words
from tests.waiting import PATIENCE_S, free_port, wait_for

FLOAT = struct.unpack(">HH", struct.pack(">f", 21.5))


def meter() -> Device:
    """Unit 3 behind a gateway: 21.5 as a float, low word first, at input 130; tenths at holding 40."""
    inputs, holding = words(100, 60), {a: 7 * a for a in range(30, 90)}
    inputs[130], inputs[131] = FLOAT[1], FLOAT[0]
    holding[40] = 215
    tables = {"input": inputs, "holding": holding, "coil": {a: a % 2 for a in range(16)}}
    return Device({3: tables}, stranger=11, most=20, objects={0: b"ACME", 1: b"PM-5", 2: b"2.1"})


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A device that has answered is waited for as long as the first time: it may be held up here."""
    monkeypatch.setattr(asking, "LEAST_PATIENCE_S", PATIENCE_S)


def scan(*options: object, typed: str = ""):
    """The command's result; what a scan of few units and addresses finds in a moment. Where nothing is to be silent, it waits."""
    patience = () if "--timeout" in options else ("--timeout", f"{PATIENCE_S:g} s")
    return CliRunner().invoke(app, ["scan", "modbus", *map(str, options), *patience], input=typed)


def scan_on_paper(monkeypatch, device: Device, *options: object):
    """The same of a device whose silences and pauses are of a time of its own."""
    clock = Time()
    monkeypatch.setattr(modbus_search, "TcpWire", lambda host, port: Paper(device, clock))
    monkeypatch.setattr(modbus_search, "Asker", partial(Asker, clock=clock))
    return scan("192.0.2.1", *options, "--timeout", "100 ms")


def checked(text: str, folder):
    """The proposal as a station: read, and built."""
    path = folder / "proposed.toml"
    path.write_text(text)
    file = read_station(path)
    build(file)
    assert [problem.message for problem in file.warnings] == [
        "there is no [tasks.NAME] yet: the station only reads its tags"
    ]
    return file.config


def in_words(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


# --- what is found ----------------------------------------------------------------------------------------------------


def test_units_tables_identity_and_a_station_file(tmp_path):
    """All that the device has, its own limit, what it says that it is; the proposal is accepted by `check`."""
    device = meter()
    with device.tcp() as port:
        result = scan(f"127.0.0.1:{port}")
    assert result.exit_code == 0, result.stderr
    said = in_words(result.stderr)
    for words_ in (
        "3 holding 30..89 60 20",
        "input 100..159 60 20",
        "coil 0..15 16",
        "discrete the device does not have it",
        "unit 3 says that it is: ACME, PM-5, 2.1",
        "a gateway: for other unit numbers it says that nobody is there",
        "it gives at most 20 registers a request",
        "nothing was written",
        f"next: where is it? rt-engine scan modbus 127.0.0.1:{port} --value",
    ):
        assert words_ in said
    config = checked(result.stdout, tmp_path)
    (link,) = config.links.values()
    assert (link.host, link.port, link.unit) == ("127.0.0.1", port, 3)
    places = {name: (tag.address, tag.type, tag.count, tag.direction) for name, tag in config.tags.items()}
    assert places == {
        "holding_30": ("holding 30", "uint16", 60, "in"),
        "input_100": ("input 100", "uint16", 60, "in"),
        "coil_0": ("coil 0", "bool", 16, "in"),
    }
    assert {function for _, function in device.asked} <= READS


def test_a_value_is_found_in_its_word_order(tmp_path):
    """The float with its low word first comes first; the link gets that order; the other place stands in a comment."""
    path = tmp_path / "station.toml"
    with meter().tcp() as port:
        result = scan(
            f"127.0.0.1:{port}", "--units", 3, "--value", "21.5", "--unit", "degC", "--name", "oven", "-o", path
        )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    said = in_words(result.stderr)
    assert "Where 21.5 degC lies" in said
    assert "input 130 float32 CDAB 1 21.5" in said
    assert "holding 40 int16 or uint16 0.1 21.5" in said
    assert f"next: rt-engine check --connect {path}" in said
    text = path.read_text()
    config = checked(text, tmp_path)
    assert {n: (t.address, t.type, t.unit) for n, t in config.tags.items()} == {
        "oven": ("input 130", "float32", "degC")
    }
    assert [link.order for link in config.links.values()] == ["CDAB"]
    assert '# oven_2 = { type = "int16", address = "holding 40", scale = 0.1, unit = "degC" }' in text


def test_a_float_that_is_always_near_is_named(tmp_path):
    """Input 131 is the first half of the CDAB float at 130, and of an ABCD float: it is said, and that more digits tell."""
    with meter().tcp() as port:
        text = scan(f"127.0.0.1:{port}", "--units", 3, "--value", "21.5", "--unit", "degC").stdout
    assert "# float32 at input 131 ABCD shares its first half with it" in text
    assert 'value = { type = "float32", address = "input 130"' in text


def test_each_alternative_is_a_tag_that_is_accepted(tmp_path):
    """With the comments before them taken away, and units in links of their own."""
    with meter().tcp() as port:
        text = scan(f"127.0.0.1:{port}", "--units", 3, "--value", "21.5", "--unit", "degC").stdout
    config = checked(re.sub(r"(?m)^# (value_\d+ =)", r"\1", text), tmp_path)
    assert len(config.tags) >= 2
    assert "holding 40" in [tag.address for tag in config.tags.values()]


def test_it_is_run_again_when_the_value_has_changed(tmp_path):
    """Only the place that follows stays; the second run asks few questions, and the first says how to go on."""
    kept, device = tmp_path / "places.json", meter()
    with device.tcp() as port:
        where = f"127.0.0.1:{port}"
        first = scan(where, "--units", 3, "--value", "21.5", "--again", kept)
        assert "places are kept in" in first.stderr
        assert f"next: let it change, then rt-engine scan modbus {where} --again {kept} --value NEW" in in_words(
            first.stderr
        )
        holding = dict(device.units[3]["holding"])
        holding[40] = 231
        device.units = {3: {**device.units[3], "holding": holding}}
        device.asked.clear()
        second = scan(where, "--value", "23.1", "--again", kept)
    assert second.exit_code == 0, second.stderr
    (tag,) = checked(second.stdout, tmp_path).tags.values()
    assert (tag.address, tag.type, tag.scale) == ("holding 40", "int16", 0.1)
    assert len(device.asked) < 40


@pytest.mark.parametrize("text", ["", "{}", '{"format": "rt-engine scan modbus 1"}', '{"format": 7}', "[1]"])
def test_another_file_is_no_kept_one(tmp_path, text):
    """It is refused in a sentence, and stays as it is."""
    kept = tmp_path / "places.json"
    kept.write_text(text)
    result = scan("127.0.0.1:1", "--value", "1", "--again", kept)
    assert (result.exit_code, kept.read_text()) == (1, text)
    assert "is not what --again keeps" in result.stderr


def test_places_of_another_device_are_refused(tmp_path):
    """A file is of one device."""
    kept = tmp_path / "places.json"
    with meter().tcp() as port:
        scan(f"127.0.0.1:{port}", "--units", 3, "--value", "21.5", "--again", kept)
    assert json.loads(kept.read_text())["places"]
    result = scan("127.0.0.1:1", "--value", "1", "--again", kept)
    assert result.exit_code == 1
    assert "has places of 127.0.0.1:" in result.stderr


def test_on_a_terminal_it_asks_for_the_new_value(tmp_path, monkeypatch):
    """Until one place is left; a value that no place has does not lose them; Enter ends it."""
    device = meter()
    steps = iter(("99", "23.1", ""))

    def typed(console) -> str:
        step = next(steps)
        if step == "23.1":
            device.units[3]["holding"][40] = 231  # type: ignore[index]
        return step

    monkeypatch.setattr("station.scans.modbus._is_talking", lambda console: True)
    monkeypatch.setattr("station.scans.modbus._typed", typed)
    with device.tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 3, "--value", "21.5")
    assert result.exit_code == 0, result.stderr
    assert "None of these places has 99 now" in result.stderr
    assert [tag.address for tag in checked(result.stdout, tmp_path).tags.values()] == ["holding 40"]


def test_a_value_that_lies_nowhere(tmp_path):
    """Said, with what may be the reason; the blocks are proposed all the same."""
    with meter().tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 3, "--value", "9876.54321")
    assert result.exit_code == 0
    assert "No place has 9876.54 within" in result.stderr
    assert checked(result.stdout, tmp_path).tags


def test_a_device_that_answers_to_any_unit(tmp_path):
    """It is said, and one number is proposed."""
    with Device({1: {"holding": words(0, 10)}}, any_unit=True).tcp() as port:
        result = scan(f"127.0.0.1:{port}")
    assert "it answers whatever the unit number: 1 will do" in result.stderr
    assert [link.unit for link in checked(result.stdout, tmp_path).links.values()] == [1]


def test_several_units_share_a_link(tmp_path):
    """A gateway, or a serial line, has one connection: the first unit is the link's, the others are in their addresses."""
    with Device({n: {"holding": words(0, n)} for n in (2, 5)}, stranger=10).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", "1-6")
    config = checked(result.stdout, tmp_path)
    assert {name: link.unit for name, link in config.links.items()} == {"device": 2}
    assert {name: (tag.address, tag.count) for name, tag in config.tags.items()} == {
        "holding_0": ("holding 0", 2),
        "u5_holding_0": ("unit 5 holding 0", 5),
    }


def test_limits_and_pauses_are_keys_of_the_link(tmp_path, monkeypatch):
    """At most 20 registers; 20 ms between questions."""
    result = scan_on_paper(monkeypatch, replace(meter(), gap_s=0.02), "--units", 3, "--addresses", "30-60")
    (link,) = checked(result.stdout, tmp_path).links.values()
    assert (link.max_read, link.any_transaction_id) == (20, False)
    assert link.request_pause_ns >= 20_000_000


def test_large_devices_are_not_read_as_a_whole(tmp_path):
    """65,536 registers: 500 are proposed, and the rest is said."""
    with Device({1: {"holding": words(0, 65536)}}).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 1)
    config = checked(result.stdout, tmp_path)
    assert sum(tag.count for tag in config.tags.values()) == 500
    assert "holding can be read up to 1999" in result.stdout
    assert "0..65535" in result.stderr


@pytest.mark.parametrize(
    ("habit", "said"),
    [
        ({"number": 2}, "its answers have transaction numbers of their own"),
        ({"unit_said": 0}, "its answers have another unit number than was asked"),
        ({"busy_every": 5}, "times it was busy, or the gateway did not reach it"),
    ],
)
def test_what_is_odd_is_said(tmp_path, habit, said):
    """And found out all the same."""
    with replace(Device({1: {"holding": words(0, 30)}}), **habit).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 1, "--addresses", "0-40")
    assert result.exit_code == 0, result.stderr
    assert said in result.stderr
    config = checked(result.stdout, tmp_path)
    assert [tag.address for tag in config.tags.values()] == ["holding 0"]
    assert [link.any_transaction_id for link in config.links.values()] == ["number" in habit]


def test_a_question_after_which_it_is_silent_is_said(tmp_path, monkeypatch):
    """A new connection brings it back."""
    device = Device({1: {"holding": words(0, 30)}}, hangs_on=(17,))
    result = scan_on_paper(monkeypatch, device, "--units", 1, "--addresses", "0-40")
    assert "it stopped answering after a question that it does not know" in result.stderr
    assert [tag.address for tag in checked(result.stdout, tmp_path).tags.values()] == ["holding 0"]


def test_what_a_device_says_steers_no_terminal(tmp_path):
    """Nor does it end a comment of the station file."""
    evil = b'x\x1b[2J"\n[links.evil]\ntype = "modbus-tcp"\r'
    with replace(meter(), objects={0: evil}).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 3, "--addresses", "0-50")
    assert "\x1b" not in result.stderr + result.stdout
    assert list(checked(result.stdout, tmp_path).links) == ["device"]


# --- peers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [pymodbus, pytest.param(libmodbus, marks=pytest.mark.peer("gcc"))])
def test_servers_of_others(peer, tmp_path):
    """2,000 addresses in each table, input n holds n: all found, and where 1234 lies."""
    with peer() as port:
        result = scan(f"127.0.0.1:{port}", "--value", "1234")
    assert result.exit_code == 0, result.stderr
    said = in_words(result.stderr)
    assert re.search(r"1 holding 0\.\.1999 2000 input 0\.\.1999 2000 coil 0\.\.1999 2000 discrete 0\.\.1999 2000", said)
    tag = checked(result.stdout, tmp_path).tags["value"]
    assert (tag.address, tag.type) == ("input 1234", "int16")


def test_a_serial_line(tmp_path):
    """Units 4 and 17 of a line, and silent ones; the settings are in the station file."""
    device = Device({4: {"input": words(100, 8)}, 17: {"holding": {**words(0, 12), 7: 215}}})
    with device.line() as port:
        result = scan(
            port, "--baud", "9600", "--parity", "N", "--units", "4,3,5,6,7,17", "--addresses", "0-120", "--value", "21.5",
            "--timeout", "400 ms",
        )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert f"{port}, 9600 8N1" in result.stderr
    config = checked(result.stdout, tmp_path)
    (link,) = config.links.values()
    assert (link.device, link.baudrate, link.parity, link.unit) == (port, 9600, "N", 17)
    assert config.tags["value"].address == "holding 7"


@pytest.mark.peer("socat")
def test_libmodbus_on_a_serial_line(tmp_path):
    """A C program's RTU answers, through socat."""
    pytest.importorskip("pty")
    with ExitStack() as stack:
        ends = [str(tmp_path / name) for name in ("ours", "theirs")]
        socat = subprocess.Popen(["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)])
        stack.callback(socat.kill)
        while not all(os.path.exists(end) for end in ends):
            assert socat.poll() is None
        from tests.fieldbus.modbus.modbus_peers import libmodbus_program

        stack.enter_context(process(libmodbus_program(), "rtu", ends[1]))
        result = scan(
            ends[0], "--baud", "19200", "--parity", "N", "--units", "1", "--addresses", "100-140", "--value", "123",
            "--timeout", "2 s",
        )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert checked(result.stdout, tmp_path).tags["value"].address == "input 123"


# --- whom it does not disturb -------------------------------------------------------------------------------------------


def test_a_device_that_a_station_drives_is_left_alone():
    """Whatever unit of it: refused with who holds it, nothing is asked; with --shared it is asked, with pauses."""
    device = meter()
    with device.tcp() as port, claim("device", f"modbus 127.0.0.1:{port} unit 1"):  # type: ignore[union-attr]
        refused = scan(f"localhost:{port}", "--units", 3)
        assert refused.exit_code == 4
        assert (
            f"is in use by a running station: it writes to modbus 127.0.0.1:{port} unit 1, process {os.getpid()}"
            in (refused.stderr)
        )
        assert "--shared" in refused.stderr
        assert device.asked == []
        shared = scan(f"127.0.0.1:{port}", "--units", 3, "--addresses", "30-34", "--shared", "--pause", "1 ms")
        assert shared.exit_code == 0, shared.stderr


def test_a_device_that_a_station_only_reads_is_left_alone(tmp_path):
    """The station that the scan itself proposed runs: no claim, but a link that leads there."""
    device = meter()
    with device.tcp() as port:
        text = scan(f"127.0.0.1:{port}", "--units", 3, "--addresses", "30-34").stdout
        path = tmp_path / "station.toml"
        path.write_text(text.replace('"scanned"', f'"scanned-{os.getpid()}"'))
        with subprocess.Popen(
            [sys.executable, "-m", "station", "run", path, "--report", tmp_path], stdout=subprocess.DEVNULL
        ) as run:
            try:
                said: list[str] = []
                wait_for(lambda: refused(port, said), 120.0)
            finally:
                run.terminate()
    assert f"is in use by a running station: station scanned-{os.getpid()}, process {run.pid}" in said[-1]


def refused(port: int, said: list[str]) -> bool:
    """Is a scan refused? It is as soon as the station answers who asks what it has."""
    result = scan(f"localhost:{port}", "--units", 3, "--addresses", "30-34")
    said.append(result.stderr)
    return result.exit_code == 4


def test_a_serial_port_that_a_station_holds_is_left_alone():
    """A line has one master."""
    device = meter()
    with device.line() as port, claim("device", f"serial port {os.path.realpath(port)}"):  # type: ignore[union-attr]
        refused = scan(port)
        assert refused.exit_code == 4
        assert "one master" in refused.stderr
        assert device.asked == []


def test_another_master_on_the_line_is_heard(monkeypatch):
    """Somebody talks before we have asked: refused, and nothing is sent."""
    line = SerialLine()

    class Overhearing(RtuWire):
        def listen(self, for_s: float) -> bytes:
            line.write(bytes.fromhex("010300000001840a"))
            return super().listen(for_s)

    monkeypatch.setattr(modbus_search, "RtuWire", Overhearing)
    try:
        result = scan(line.port, "--parity", "N", "--baud", "9600")
    finally:
        line.close()
    assert result.exit_code == 4
    assert "somebody else talks on this line" in result.stderr


# --- where nobody answers -----------------------------------------------------------------------------------------------


def test_a_closed_port():
    """The computer is there, and what may be wrong is said."""
    port = free_port()
    result = scan(f"127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"127.0.0.1 is there, but nothing listens on port {port}: is Modbus TCP switched on" in result.stderr


def test_a_server_that_closes_each_connection():
    """A list of masters, or its only connection taken."""
    device = TcpDevice(lambda _: None)
    try:
        result = scan(f"127.0.0.1:{device.port}", "--units", "1-2")
    finally:
        device.close()
    assert result.exit_code == 1
    assert "does it allow this computer" in result.stderr


def test_a_silent_server():
    """It takes connections and says nothing."""
    with Device({}).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", "1-2", "--timeout", "20 ms")
    assert result.exit_code == 1
    assert "takes connections, and no unit of 1..2 answers" in result.stderr


def test_a_gateway_without_units():
    """The line behind it is the one to look at."""
    with Device({}, stranger=11).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", "1-3")
    assert result.exit_code == 1
    assert "a gateway says that no unit of 1..3 is there: is the serial line behind it right?" in result.stderr


def test_a_name_that_nobody_has():
    """How to look it up."""
    result = scan("no-such-host.invalid")
    assert result.exit_code == 1
    assert "getent hosts no-such-host.invalid" in result.stderr


def test_a_serial_port_that_is_not_there():
    """Which ports there are, or that there is none."""
    result = scan("/dev/ttyUSB77")
    assert result.exit_code == 1
    assert "cannot open the serial port /dev/ttyUSB77: No such file or directory; " in result.stderr
    assert "this computer has" in result.stderr or "is the adapter plugged in?" in result.stderr


def test_a_silent_serial_line():
    """Which settings were tried, and what to look at."""
    with Device({}).line() as port:
        result = scan(port, "--baud", "9600,19200", "--parity", "N", "--units", "1-2", "--timeout", "20 ms")
    assert result.exit_code == 1
    assert "no unit of 1..2 answers at 9600 8N1, 19200 8N1; nothing came; is the device on, are A and B" in in_words(
        result.stderr
    )


def test_an_adapter_that_hears_only_itself():
    """It is not taken for a device."""
    with Device({}, echo=True).line() as port:
        result = scan(port, "--baud", "9600", "--parity", "N", "--units", "1-6", "--timeout", "200 ms")
    assert result.exit_code == 1
    assert "only what was sent came back" in result.stderr


# --- what is typed wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["192.168.10.500"], "is no address"),
        (["plc:99999"], "99999 is no TCP port"),
        (["a b"], "neither a host"),
        (["plc", "--units", "0-300"], "numbers from 0 to 255"),
        (["plc", "--units", "five"], "numbers from 0 to 255"),
        (["plc", "--addresses", "9-1"], "numbers from 0 to 65535"),
        (["plc", "--baud", "fast"], "numbers from 300"),
        (["plc", "--parity", "X"], "write N, E or O"),
        (["plc", "--timeout", "5"], "is no duration"),
        (["plc", "--value", "hot"], '"hot" is no number'),
        (["plc", "--value", "nan"], '"nan" is no number'),
        (["plc", "--name", "a b"], '"a b" is no name of a tag'),
        (["plc", "--again", "x.json"], "give --value, too"),
        (["plc", "-o", "/dev/null/folder.toml"], "its folder /dev/null cannot be made"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_asked(options, said):
    """With what is allowed."""
    result = scan(*options)
    assert result.exit_code == 2, result.stderr
    assert said in in_words(result.stderr)


def test_it_overwrites_nothing(tmp_path):
    """A file that is there stays."""
    path = tmp_path / "station.toml"
    path.write_text("mine")
    assert scan("127.0.0.1:1", "-o", path).exit_code == 2
    assert path.read_text() == "mine"


PATIENT = "from fieldbus.modbus.scan import asking; asking.LEAST_PATIENCE_S = 60; from station.cli import main; main()"


def test_a_narrow_screen_has_all_of_it(tmp_path):
    """40 columns: columns go, and it is said which; blocks are folded, not cut."""
    with meter().tcp() as port:
        words_ = [
            *(sys.executable, "-c", PATIENT, "scan", "modbus", f"127.0.0.1:{port}"),
            *("--units", "3", "--addresses", "0-99", "--timeout", "60 s"),
        ]
        environment = {**os.environ, "COLUMNS": "40"}
        done = subprocess.run(words_, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert "30..89" in done.stderr
    assert "…" not in done.stderr


def test_its_help_says_that_it_writes_nothing():
    """In the first line."""
    assert "It writes nothing" in (modbus.__doc__ or "").splitlines()[0]
    listed = CliRunner().invoke(app, ["scan", "--help"]).output
    assert "modbus" in listed and "Nothing is written" in in_words(listed)


def test_a_device_that_gives_nothing_away():
    """It answers and refuses everything: a sentence, and no station file."""
    with Device({1: {"holding": {}}}).tcp() as port:
        result = scan(f"127.0.0.1:{port}", "--units", 1, "--addresses", "0-9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "answers, but nothing can be read where it was asked" in result.stderr
