"""What a station file may say of its MQTT server."""

import re

import pytest

from station.file.reading import read_station
from tests import ROOT
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.stations import problems_of_server


def problems(tmp_path, keys):
    """(key, message) of each error and warning about the server."""
    return problems_of_server(tmp_path, "bus", "mqtt", keys)


def test_the_station_of_the_documentation_reads(tmp_path):
    text = (ROOT / "docs" / "mqtt.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (tmp_path / "station.toml").write_text(block)
    table = read_station(tmp_path / "station.toml").config.servers["bus"]
    assert table.place() == "mqtt sparkplug at mqtt://127.0.0.1:1883, works/(the station's name)"
    assert (table.period_ns, table.store, table.port) == (10**9, 16 * 10**6, 1883)


@pytest.mark.parametrize(
    "keys",
    [
        'broker = "10.0.0.1"',
        'broker = "b"\npayload = "json"\ngroup = "works/hall"\nversion = "3.1.1"',
        'broker = "b"\nuser = "press"\npassword_file = "secret"\nca_file = "authority"\ncert_file = "bus.pem"\n'
        'key_file = "bus.key"\nport = 8883',
        'broker = "b"\nprimary_host = "scada"\nperiod = "10 ms"\nrefresh = "1 min"\nstore = "100 MB"\nstore_file = "kept"',
    ],
)
def test_what_fits_together_is_good(tmp_path, keys):
    Authority(tmp_path).issue("bus", days=(-1, 300))
    (tmp_path / "secret").touch(0o600)
    assert problems(tmp_path, keys) == []


def test_a_missing_package_is_told_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems(tmp_path, 'broker = "127.0.0.1"') == [
        ("servers.bus.type", 'MQTT needs aiomqtt: pip install "rt-engine[mqtt]"')
    ]


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ("", "servers.bus.broker", ""),
        ('broker = "b"\ngroup = "works/hall"', "servers.bus.group", "cannot stand in topics"),
        ('broker = "b"\npayload = "json"\ngroup = "works/#"', "servers.bus.group", "cannot stand in topics"),
        ('broker = "b"\nnode = "a/b"', "servers.bus.node", "a/b"),
        ('broker = "b"\nperiod = "1 ms"', "servers.bus.period", "10 ms at least"),
        ('broker = "b"\nkeepalive = "10 ms"', "servers.bus.keepalive", "1 s to 1 h"),
        ('broker = "b"\npublish = []', "servers.bus.publish", "publishes nothing"),
        ('broker = "b"\npayload = "json"\nprimary_host = "a"', "servers.bus.primary_host", "Sparkplug"),
        ('broker = "b"\ndeadband = { "Tags.x" = -1.0 }', 'servers.bus.deadband."Tags.x"', "no width"),
        ('broker = "b"\ncert_file = "device.py"', "servers.bus", "needs the key key_file"),
        ('broker = "b"\npassword_file = "device.py"', "servers.bus.password_file", "whose password"),
        ('broker = "b"\nca_file = "gone.pem"', "servers.bus.ca_file", "no such file"),
        ('broker = "b"\nuser = "press"', "servers.bus.user", "unencrypted"),
    ],
)
def test_what_does_not_is_said(tmp_path, keys, key, words):
    assert [found for found, message in problems(tmp_path, keys) if words in message] == [key]


def test_a_password_that_others_can_read_is_said(tmp_path):
    (tmp_path / "secret").touch()
    (tmp_path / "secret").chmod(0o640)
    found = problems(tmp_path, 'broker = "localhost"\nuser = "press"\npassword_file = "secret"')
    words = "secret can be read by other users of this computer: chmod 600 secret"
    assert found == [("servers.bus.password_file", words)]
