"""What a station's servers refuse, over real connections, and what the audit log says of it afterwards."""

import json
import socket
import struct

import pyads
import pytest
from pymodbus.client import ModbusTcpClient

from station.errors import StationFileError
from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import AXIS, PLC, station_text, write_station
from tests.waiting import wait_for

ALLOWED, OTHER = "127.0.0.1", "127.0.0.99"
SERVERS = """\
[servers.ads]
type = "ads"
host = "HOST"
allow = ["127.0.0.1"]
allow_net_ids = ["127.0.0.1.7.7"]
writable = ["Tags.a"]
connections = 3

[servers.modbus]
type = "modbus-tcp"
host = "HOST"
port = 5020
allow = ["127.0.0.1"]
writable = ["Tags.a"]
connections = 3
requests_per_second = 20
"""
TEXT = station_text("closed", PLC, AXIS, SERVERS)


@pytest.fixture
def station(tmp_path, host):
    with Station(read_station(write_station(tmp_path, TEXT.replace("HOST", host)))) as station:
        yield station


def audited(station):
    """(who, what, outcome) of all lines."""
    station._audit._flush(is_last=True)
    path = station._audit.path
    lines = path.read_text().splitlines() if path.exists() else []
    return [(entry["who"], entry["what"], entry["outcome"]) for entry in map(json.loads, lines)]


def request(source, port, group=0xF003, offset=0, data=b"Tags.a"):
    """An AMS packet: ReadWrite from a NetId."""
    net_id = bytes(map(int, source.split(".")))
    body = struct.pack("<4I", group, offset, 4, len(data)) + data
    target = bytes(map(int, f"{port}.1.1".split(".")))
    head = target + struct.pack("<H", 851) + net_id + struct.pack("<HHHIII", 30000, 9, 4, len(body), 0, 1)
    return struct.pack("<HI", 0, len(head) + len(body)) + head + body


def connect(address, source=ALLOWED):
    return socket.create_connection(address, timeout=60, source_address=(source, 0))


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("port", [48898, 5020])
def test_another_address_is_turned_away_and_noted(station, host, port):
    with connect((host, port), OTHER) as connection:
        assert is_closed(connection)
    assert (OTHER, "connect", "refused: address not allowed") in audited(station)
    with connect((host, port)) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_too_many_connections_are_turned_away_and_a_place_is_free_again_afterwards(station, host):
    connections = [connect((host, 48898)) for _ in range(4)]
    assert is_closed(connections[3])
    assert (ALLOWED, "connect", "refused: too many connections") in audited(station)
    for connection in connections:
        connection.close()
    wait_for(lambda: not station._plc.servers["ads"].access.clients)
    with connect((host, 48898)) as connection:
        connection.sendall(request("127.0.0.1.7.7", host))
        assert connection.recv(100)


def test_the_file_says_how_many_connections_a_modbus_server_takes(station, host):
    connections = [connect((host, 5020)) for _ in range(4)]
    assert is_closed(connections[3])
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(("net_id", "error"), [("127.0.0.1.7.7", 0), ("127.0.0.1.7.8", 1)])
def test_another_net_id_gets_an_error_and_is_noted(station, host, net_id, error):
    with connect((host, 48898)) as connection:
        connection.sendall(request(net_id, host))
        answer = connection.recv(200)
    assert bool(struct.unpack_from("<I", answer, 6 + 24)[0]) == bool(error)
    refused = (f"{ALLOWED} {net_id}", "ask", "refused: AMS NetId not allowed")
    assert (refused in audited(station)) == bool(error)


def test_writes_over_modbus_go_where_they_may_and_nowhere_else(station, host):
    """Tag a may be written, b may not, nor can both by one request: then neither is."""
    client = ModbusTcpClient(host, port=5020, timeout=60)
    assert client.connect()
    try:
        assert not client.write_registers(0, [0x4040, 0]).isError()
        assert client.write_registers(2, [0x4040, 0]).exception_code == 2
        assert client.write_registers(0, [0x4080, 0, 0x4080, 0]).exception_code == 2
        assert client.read_holding_registers(0, count=4).registers == [0x4040, 0, 0, 0]
        assert client.write_registers(40000, [1]).exception_code == 2
    finally:
        client.close()
    noted = [line for line in audited(station) if "refused" in line[2]]
    assert noted and all(who.startswith(ALLOWED) for who, _, _ in noted)
    assert any("tags.b" in what.lower() for _, what, _ in noted), noted


def test_writes_over_ads_likewise(station, host):
    pyads.open_port()
    try:
        pyads.set_local_address("127.0.0.1.7.7")
    finally:
        pyads.close_port()
    plc = pyads.Connection(f"{host}.1.1", 851, host)
    plc.open()
    try:
        plc.write_by_name("Tags.a", 3.0, pyads.PLCTYPE_REAL)
        with pytest.raises(pyads.ADSError, match="not permitted"):
            plc.write_by_name("Tags.b", 3.0, pyads.PLCTYPE_REAL)
        for name in ("Tags.force", "Models.mean.Version", "Server.Tasks"):
            with pytest.raises(pyads.ADSError, match="not permitted"):
                plc.write_by_name(name, 3, pyads.PLCTYPE_UDINT)
        assert plc.read_by_name("Tags.b", pyads.PLCTYPE_REAL) == 0.0
        assert plc.read_by_name("Tags.a", pyads.PLCTYPE_REAL) == 3.0
    finally:
        plc.close()
    noted = {what for _, what, outcome in audited(station) if "not writable" in outcome}
    assert noted == {f"write of {name}" for name in ("Tags.b", "Tags.force", "Models.mean.Version", "Server.Tasks")}


def test_requests_beyond_the_rate_are_answered_with_busy_and_others_are_not_hindered(station, host):
    greedy, modest = (ModbusTcpClient(host, port=5020, timeout=60) for _ in range(2))
    assert greedy.connect() and modest.connect()
    try:
        good = 0
        while not (answer := greedy.read_holding_registers(0, count=2)).isError() and good < 5000:
            good += 1
        assert answer.exception_code == 6 and good >= 20
        assert not modest.read_holding_registers(0, count=2).isError()
    finally:
        greedy.close()
        modest.close()


def test_an_audit_log_that_cannot_be_written_is_told_and_stops_nothing(station, host):
    station._audit.path.mkdir()
    with connect((host, 5020), OTHER) as connection:
        assert is_closed(connection)
    station._audit._flush()
    station._watch()
    station._watch()
    told = [event for event in station.report().events if event.subject == "audit log"]
    assert len(told) == 1 and "Is a directory" in told[0].text
    with connect((host, 5020)) as connection:
        connection.sendall(bytes([0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]))
        assert len(connection.recv(100)) == 11


@pytest.mark.parametrize("net_id", ["1.2.3", "1.2.3.4.5.256", "01.2.3.4.5.6", "1.2.3.4.5.6.7", "a.b.c.d.e.f", ""])
def test_a_net_id_that_would_let_nobody_in_is_found_by_the_check(tmp_path, net_id):
    text = TEXT.replace("HOST", "127.0.0.1").replace("127.0.0.1.7.7", net_id)
    with pytest.raises(StationFileError, match="no AMS NetId"):
        read_station(write_station(tmp_path, text))


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_everybody_is_worth_a_warning(tmp_path, everybody):
    text = TEXT.replace("HOST", "127.0.0.1").replace('allow = ["127.0.0.1"]', f'allow = ["{everybody}"]', 1)
    warnings = read_station(write_station(tmp_path, text)).warnings
    assert [warning.key for warning in warnings if "everybody" in warning.message] == ["servers.ads.allow[0]"]
