"""A station with servers: what is wrong with its file, what clients see, calls, tags of a plc link, updates, audit."""

import hashlib
import itertools
import json
import socket
import struct
from ctypes import c_ubyte
from pathlib import Path

import pyads
import pytest
from typer.testing import CliRunner

from plc_bindings.ads.groups import PREDICT, UPLOAD_ACTIVATE, UPLOAD_BEGIN, UPLOAD_DATA
from plc_bindings.errors import ServerError
from plc_bindings.security.signing import generate, load_private, sign
from plc_bindings.status import CallStatus
from rt_native.version import VERSION
from station.cli import app
from station.errors import ExitCode, RefusedError, StationFileError
from station.file.reading import read_station
from station.running.station import Station
from station.servers.ads import AdsServerTable
from station.servers.modbus import ModbusRtuServer, ModbusTcpServer
from station.show.symbols import headings, of_station
from station.wiring.parts import build
from station.wiring.plc_side import plc_side_at_rest
from tests.station.stations import AXIS, PLC, gemm, station_text, write_station
from tests.waiting import wait_for

ADS = """\
[servers.ads]
type = "ads"
host = "HOST"
"""
CALLED = station_text("calls", ADS)
TAGS = station_text("calls", f'{ADS}writable = ["Tags.*"]\n', PLC, AXIS)


@pytest.fixture
def start(tmp_path, host):
    """Make a station of a text."""

    def start(text):
        return Station(read_station(write_station(tmp_path, text.replace("HOST", host))))

    return start


@pytest.fixture
def plc(host):
    """A PLC program's connection, opened when the station runs."""
    connection = pyads.Connection(f"{host}.1.1", 851, host)
    yield connection
    connection.close()


def call(plc, *values):
    """Predict by one ReadWrite: (status, version, outputs)."""
    data = struct.pack(f"<{len(values)}f", *values)
    answer = bytes(
        plc.read_write(PREDICT, 1, c_ubyte * 12, (c_ubyte * len(data)).from_buffer_copy(data), c_ubyte * len(data))
    )
    return struct.unpack("<IIf", answer)


def test_a_station_without_tasks_answers_calls_through_an_update(start, plc, tmp_path):
    station = start(CALLED)
    with station:
        plc.open()
        assert call(plc, 1.0, 3.0) == (0, 1, 2.0)
        station.update("mean", tmp_path / "twice.onnx")
        assert call(plc, 1.0, 3.0) == (0, 2, 4.0)
        with pytest.raises(RefusedError):
            station.update("mean", tmp_path / "wide.onnx")
        assert plc.read_by_name("Models.mean.Refused", pyads.PLCTYPE_UDINT) == 1
        assert plc.read_by_name("Models.mean.File") == "twice.onnx"
    assert station.report().level == "ok"
    assert station.snapshot().servers[0].requests >= 3
    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [entry["what"] for entry in entries] == ["model mean", "model mean"]
    assert "replaced by twice.onnx" in entries[0]["outcome"]
    assert "wide.onnx refused" in entries[1]["outcome"]


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: gemm(path, 2, 3.0)], ids=["removed", "replaced"])
def test_an_update_is_told_with_the_hash_of_what_was_loaded(start, plc, tmp_path, monkeypatch, lose):
    """Whatever becomes of the file once it was read: the command succeeds, and the audit log names the bytes that are live."""
    station, file = start(CALLED), tmp_path / "twice.onnx"
    sha256, tasks = hashlib.sha256(file.read_bytes()).hexdigest(), station.changes._tasks
    replace = tasks.replace
    monkeypatch.setattr(tasks, "replace", lambda change: (replace(change), lose(file))[0])
    with station:
        plc.open()
        assert station.update("mean", file).version == 2
        assert call(plc, 1.0, 3.0) == (0, 2, 4.0)
        assert plc.read_by_name("Models.mean.Hash") == sha256
    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [entry["outcome"] for entry in entries] == [f"replaced by twice.onnx, SHA-256 {sha256}"]


def test_the_hash_shown_at_the_start_is_of_what_was_loaded(tmp_path, host):
    """The file is replaced between loading and the first client."""
    file = read_station(write_station(tmp_path, CALLED.replace("HOST", host)))
    sha256 = hashlib.sha256((tmp_path / "mean.onnx").read_bytes()).hexdigest()
    parts = build(file)
    gemm(tmp_path / "mean.onnx", 2, 3.0)
    assert plc_side_at_rest(file, parts).files["mean"].hash == sha256


def test_tags_of_a_plc_link_go_through_the_task_until_the_plc_falls_silent(start, plc):
    station = start(TAGS)
    with station:
        plc.open()

        def write_and_read():
            plc.write_list_by_name({"Tags.a": 1.0, "Tags.b": 3.0})
            return plc.read_by_name("Tags.force") == 2.0

        wait_for(write_and_read)
        wait_for(lambda: plc.read_by_name("Tags.force") == -1.0)
        wait_for(lambda: plc.read_by_name("Links.plc.Timeouts", pyads.PLCTYPE_ULINT) >= 1)
        wait_for(write_and_read)
        with pytest.raises(pyads.ADSError, match="not permitted"):
            plc.write_by_name("Tags.force", 1.0, pyads.PLCTYPE_REAL)
    assert station.report().level != "ok"
    assert any("PLC clients stopped writing" in remark.text for remark in station.report().remarks)


def test_a_task_never_sees_half_of_a_sum_write_nor_a_client_half_of_a_cycle(start, plc):
    """Inputs of opposite sign, written together, always cancel; two outputs of one element are always equal."""
    text = TAGS.replace("force =", 'twin = { direction = "out", safe = -1 }\nforce =')
    station = start(
        text.replace('outputs = ["force"]', 'outputs = [{ tag = "twin", index = 0 }, { tag = "force", index = 0 }]')
    )
    with station:
        plc.open()
        zeros = seen_while(plc, -1.0, lambda seen: (0.0, 0.0) in seen)
        assert zeros <= {(0.0, 0.0), (-1.0, -1.0)}  # the second: safe values, before a write and long after one
        pairs = seen_while(plc, 1.0, lambda seen: len(seen) > 4)
        assert all(twin == force for twin, force in pairs)


def seen_while(plc, sign, is_enough):
    """Pairs of outputs that a client reads while it writes inputs again and again, the second the first times `sign`."""
    seen, turns = set(), itertools.count(1)

    def turn():
        k = next(turns)
        plc.write_list_by_name({"Tags.a": float(k % 7 + 1), "Tags.b": sign * (k % 7 + 1)})
        seen.add(tuple(plc.read_list_by_name(["Tags.twin", "Tags.force"]).values()))
        return k >= 400 and is_enough(seen)

    wait_for(turn)
    return seen


def upload(plc, file, signature):
    """Send a file to model 1 and activate it: (status, version, message)."""
    data = file.read_bytes()
    begin = struct.pack("<I", len(data)) + signature
    plc.write(UPLOAD_BEGIN, 1, (c_ubyte * len(begin)).from_buffer_copy(begin), c_ubyte * len(begin))
    for at in range(0, len(data), 64):
        part = data[at : at + 64]
        plc.write(UPLOAD_DATA, at, (c_ubyte * len(part)).from_buffer_copy(part), c_ubyte * len(part))
    answer = bytes(
        plc.read_write(UPLOAD_ACTIVATE, 1, c_ubyte * 264, None, None, return_ctypes=True, check_length=False)
    )
    return (*struct.unpack_from("<II", answer), answer[8:].split(b"\0")[0].decode())


def test_a_signed_model_that_comes_over_ads_goes_live_and_any_other_changes_nothing(start, plc, tmp_path):
    """Signed with the station's key: live. With another, or for another slot: refused, the old one answers on."""
    key = generate(tmp_path / "key.pem").text
    generate(tmp_path / "other.pem")
    text = CALLED.replace('name = "calls"', f'name = "calls"\nkeys = ["{key}"]')
    station = start(text.replace('file = "mean.onnx"', 'file = "mean.onnx"\nremote_update = true'))
    twice = tmp_path / "twice.onnx"
    ours, other = (load_private(tmp_path / name) for name in ("key.pem", "other.pem"))
    with station:
        plc.open()
        plc.set_timeout(60_000)  # a model is compiled at a low priority, beside whatever else runs here
        status, version, message = upload(plc, twice, sign(other, "mean", twice.read_bytes()))
        assert (status, version) == (CallStatus.BAD_SIGNATURE, 0)
        assert "nothing was changed" in message
        assert upload(plc, twice, sign(ours, "spare", twice.read_bytes()))[0] == CallStatus.BAD_SIGNATURE
        wide = tmp_path / "wide.onnx"
        assert upload(plc, wide, sign(ours, "mean", wide.read_bytes()))[0] == CallStatus.REFUSED
        assert call(plc, 1.0, 3.0) == (0, 1, 2.0)
        assert upload(plc, twice, sign(ours, "mean", twice.read_bytes()))[:2] == (0, 2)
        assert call(plc, 1.0, 3.0) == (0, 2, 4.0)
    assert "signed by ed25519:" in (tmp_path / "audit.jsonl").read_text()


def test_a_port_that_is_taken_is_said_and_nothing_runs(start, host):
    station = start(CALLED)
    with socket.create_server((host, 48898)), pytest.raises(ServerError, match="ads cannot listen"), station:
        pass


def test_a_port_that_is_taken_may_be_free_later(tmp_path, host):
    """Not the exit code of a wrong file, after which systemd does not start the station again."""
    path = write_station(tmp_path, CALLED.replace("HOST", host))
    with socket.create_server((host, 48898)):
        ran = CliRunner().invoke(app, ["run", str(path), "--socket", str(tmp_path / "control.sock")])
    assert ran.exit_code == ExitCode.FAILED
    assert "another program listens there" in ran.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"HOST"', '"0.0.0.0"'), "reached by other computers: say which may connect"),
        (('"HOST"', '"plc.example"'), "is no IP address"),
        (('"HOST"', '"::1"'), "makes no AMS NetId"),
        (('"HOST"', '"127.0.0.1"\nams_net_id = "300.1.1.1.1.1"'), "above 255"),
        (('type = "ads"', 'type = "adds"'), "unknown server type 'adds'; allowed: 'ads', 'modbus-tcp'"),
        (
            ('type = "ads"', ""),
            'needs the key "type": ads, modbus-tcp, modbus-tls, modbus-rtu, opcua, web, mqtt, fleet or http',
        ),
        (('writable = ["Tags.*"]', 'allow = ["192.168.1.1/24"]'), "has host bits set"),
        (('writable = ["Tags.*"]', ""), "nobody may write it: no server names it"),
        (("a = {}", 'a = { address = "holding 1" }'), "has no address of its own"),
        (('file = "mean.onnx"', 'file = "mean.onnx"\nremote_update = true'), "needs a key that signs such files"),
        (("force =", "A = {}\nforce ="), "Tags.A is there twice"),
        (('["Tags.*"]', '["Tags.*", "Tags.force"]'), '"Tags.force" names nothing that can be written'),
        (('["Tags.*"]', '["Tags.*", "Task.*.Reset"]'), '"Task.*.Reset" names nothing that can be written'),
    ],
)
def test_what_is_wrong_is_named(start, tmp_path, change, message):
    text = TAGS.replace(*change)
    try:
        file = read_station(write_station(tmp_path, text.replace("HOST", "127.0.0.1")))
        Station(file)
        found = file.warnings
    except StationFileError as error:
        found = error.problems
    assert any(message in str(problem) for problem in found), [str(problem) for problem in found]


def test_symbols_are_listed(tmp_path, host):
    path = write_station(tmp_path, TAGS.replace("HOST", host))
    shown = CliRunner().invoke(app, ["symbols", str(path), "--name", "tags.*"])
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith("Tags.")]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("Tags.a", "REAL", "write"),
        ("Tags.b", "REAL", "write"),
        ("Tags.force", "REAL", "read"),
    ]
    assert shown.stdout.splitlines()[-1] == f"server ads: ads at {host}:48898, AMS NetId {host}.1.1, AMS port 851"
    assert CliRunner().invoke(app, ["symbols", str(path), "--name", "tag.*"]).exit_code == 2
    csv = tmp_path / "map.csv"
    assert CliRunner().invoke(app, ["symbols", str(path), "--csv", str(csv)]).exit_code == 0
    assert csv.read_text().count("\n") > 50
    assert CliRunner().invoke(app, ["symbols", str(path), "--csv", str(path)]).exit_code == 2


def test_calls_are_listed_for_whom_there_are_no_registers(tmp_path, host):
    listed = of_station(write_station(tmp_path, CALLED.replace("HOST", host)))
    calls = [row for row in listed.rows if row["access"] == "call"]
    first = (calls[0]["symbol"], calls[0]["type"], "", "call", "0x52540001", "1", "8", "", "", "")
    assert calls[0] == dict(zip(headings(), first, strict=True))
    assert [row["symbol"].split("Predict.")[1] for row in calls[1:3]] == ["Status", "Version"]


def test_without_an_ads_server_there_are_no_groups(tmp_path):
    tags = TAGS.replace('type = "ads"', 'type = "modbus-tcp"').replace("HOST", "127.0.0.1")
    listed = of_station(write_station(tmp_path, tags))
    assert {row["ads_group"] + row["ads_offset"] for row in listed.rows} == {""}
    assert listed.servers == ("server ads: modbus-tcp at 127.0.0.1:502, unit 1, byte order ABCD",)


def test_where_servers_are():
    """What a PLC's programmer has to know, in a line."""
    assert (
        AdsServerTable(type="ads", host="0.0.0.0")
        .place()
        .startswith("ads at 0.0.0.0:48898, AMS NetId the address that a client connects to and .1.1")
    )
    assert "AMS NetId 5.1.2.3.4.1," in AdsServerTable(type="ads", ams_net_id="5.1.2.3.4.1").place()
    assert ModbusTcpServer(type="modbus-tcp", host="::1").place().startswith("modbus-tcp at [::1]:502, unit 1")
    assert (
        ModbusRtuServer(type="modbus-rtu", device="/dev/ttyS1")
        .place()
        .startswith("modbus-rtu at /dev/ttyS1, 19200 baud, parity E, 1 stop bits, unit 1")
    )


def test_names_stay_whole_on_a_narrow_terminal(tmp_path, host):
    path = write_station(tmp_path, TAGS.replace("HOST", host))
    shown = CliRunner().invoke(app, ["symbols", str(path)], env={"FORCE_COLOR": "1", "COLUMNS": "60"})
    assert "Tasks.axis.CycleTimeExceeded" in shown.output


def test_clients_see_the_version_of_the_project(start, plc):
    with start(CALLED):
        plc.open()
        name, seen = plc.read_device_info()
    assert (name, (seen.version, seen.revision, seen.build)) == ("calls", VERSION)
