"""`check --hardening`: each door that it lists, open and closed."""

import json

import pytest
from typer.testing import CliRunner

from plc_bindings.security import signing
from plc_bindings.security.tokens import hashed
from station.cli import app
from station.file.hardening import open_doors
from station.file.reading import read_station
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.stations import AXIS, SIM, station_text, write_station

AT = 'host = "192.0.2.1"\nallow = ["192.0.2.5"]\n'
HASH = hashed("rt_secret")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "press"
    place.mkdir(0o755)
    return place


def doors(folder, *tables, head=""):
    """(where, what) of each that is open."""
    text = station_text("press", SIM, AXIS, *tables).replace('name = "press"\n', f'name = "press"\n{head}')
    return [(door.where, door.what) for door in open_doors(read_station(write_station(folder, text)))]


def test_a_station_without_servers_is_closed(folder):
    assert doors(folder) == []


@pytest.mark.parametrize("kind", ["ads", "modbus-tcp", "web", "http"])
def test_a_server_that_others_reach_and_read(folder, kind):
    found = doors(folder, f'[servers.s]\ntype = "{kind}"\n{AT}')
    assert [where for where, _ in found] == ["servers.s"] * 2
    assert "on the wire" in found[0][1] and "whoever he is" in found[1][1]
    assert doors(folder, f'[servers.s]\ntype = "{kind}"\n') == []


@pytest.mark.parametrize(("keys", "count"), [("", 2), ("tls = true", 1), ('tls = true\nuser = "press"', 0)])
def test_a_broker_elsewhere(folder, keys, count):
    head = f'[servers.s]\ntype = "mqtt"\n{keys}\n'
    assert len(doors(folder, f'{head}broker = "192.0.2.1"\n')) == count
    assert doors(folder, f'{head}broker = "localhost"\n') == []


@pytest.mark.parametrize("kind", ["web", "http", "modbus-tls"])
def test_tls_and_tokens_or_certificates_close_it(folder, authority, kind):
    cert, key, _ = authority.issue(kind, (-1, 300))
    tls = f'cert_file = "{cert}"\nkey_file = "{key}"\n'
    head = f'[servers.s]\ntype = "{kind}"\n{AT}{tls}'
    assert doors(folder, f'{head}ca_file = "{authority.file}"\n') == []
    if kind != "modbus-tls":
        assert [what.partition(" ")[0] for _, what in doors(folder, head)] == ["who"]
        assert doors(folder, f'{head}tokens = {{ anna = "{HASH}" }}\n') == []


def test_everything_is_writable(folder):
    assert doors(folder, '[servers.s]\ntype = "ads"\nwritable = ["*"]\n') == [
        ("servers.s.writable", '"*" is everything')
    ]
    assert doors(folder, '[servers.s]\ntype = "ads"\nwritable = ["Tags.*"]\n') == []


def test_no_store(folder):
    assert [where for where, _ in doors(folder, head='store = ""\n')] == ["station.store"]


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_folder_or_file_that_everybody_may_write(folder, place):
    text = write_station(folder, station_text("press", SIM, AXIS))
    (folder if place == "folder" else text).chmod(0o777 if place == "folder" else 0o666)
    assert any("written by everybody" in door.what for door in open_doors(read_station(text)))


def test_the_key_that_signs_models_lies_on_the_station(folder):
    """And keys that others can read; a key that is not trusted here is none of those."""
    public = signing.generate(folder / "plant.pem", signing.ECDSA)
    signing.generate(folder / "other.pem")
    assert [where for where, _ in doors(folder, head=f'keys = ["{public.text}"]\n')] == ["station.keys"]
    (folder / "other.pem").chmod(0o640)
    found = doors(folder)
    assert [what for _, what in found] == ["other.pem is a private key that others can read"]
    (folder / "big.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----" * 10_000)
    assert doors(folder) == found


def test_the_command_lists_them_with_the_requirement(folder):
    path = write_station(folder, station_text("press", SIM, AXIS, f'[servers.s]\ntype = "ads"\n{AT}'))
    shown = CliRunner().invoke(app, ["check", str(path), "--hardening"])
    text = " ".join(shown.output.split())
    assert shown.exit_code == 0 and "2 open" in text and "CR 4.1" in text and "CRA" in text
    (told,) = json.loads(CliRunner().invoke(app, ["check", str(path), "--hardening", "--json"]).stdout)
    assert [door["where"] for door in told["open"]] == ["servers.s"] * 2
    assert "open" not in json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)[0]
