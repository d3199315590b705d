"""Which device a word means, and what would help where it is not reached."""

import errno
import grp
import os
import socket

import pytest

from fieldbus.errors import ConnectionLostError
from fieldbus.modbus.scan.wire import RtuWire
from station.scans.shared.modbus_target import Serial, Tcp, _is_at, not_reached, target_of
from tests.fieldbus.modbus.scan.devices import Device


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("192.168.10.5", Tcp("192.168.10.5", 502)),
        (" plc.local:1502 ", Tcp("plc.local", 1502)),
        ("tcp://plc:503/", Tcp("plc", 503)),
        ("[fe80::1]:1502", Tcp("fe80::1", 1502)),
        ("::1", Tcp("::1", 502)),
        ("/dev/ttyUSB0", Serial("/dev/ttyUSB0")),
        ("null", Serial("/dev/null")),
    ],
)
def test_hosts_and_ports(text, target):
    """As people write them."""
    assert target_of(text) == target


def test_a_target_is_shown_as_it_can_be_typed():
    """Also an address of IPv6."""
    for target in (Tcp("plc", 502), Tcp("fe80::1", 1502), Serial("/dev/ttyS0")):
        assert target_of(str(target)) == target


def helped(target: Tcp | Serial, cause: OSError) -> str:
    error = ConnectionLostError("cannot connect")
    error.__cause__ = cause
    return str(not_reached(target, error))


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "nothing listens on port 1502"),
        (OSError(errno.EHOSTUNREACH, ""), "ip route get plc"),
        (OSError(errno.ENETUNREACH, ""), "no way leads there"),
        (TimeoutError(), "ping plc"),
        (socket.gaierror(-2, ""), "getent hosts plc"),
        (OSError(errno.EPROTO, ""), "ping plc"),
    ],
)
def test_what_helps_in_a_network(cause, words):
    """Each of the ways in which a host is not reached has its own."""
    assert words in helped(Tcp("plc", 1502), cause)


def test_what_helps_where_the_port_may_not_be_opened(tmp_path, monkeypatch):
    """The group that it belongs to, in a command; root's alone is said."""
    port = tmp_path / "ttyUSB0"
    port.touch()
    group = next(entry for entry in grp.getgrall() if entry.gr_gid != 0)
    denied = PermissionError(errno.EACCES, "")
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((0, 0, 0, 0, 0, group.gr_gid, 0, 0, 0, 0)))
    assert f"sudo usermod -aG {group.gr_name} $USER" in helped(Serial(str(port)), denied)
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((0,) * 10))
    assert "only root may open it" in helped(Serial(str(port)), denied)


def test_a_port_that_is_open_elsewhere():
    """Whoever has it can be found."""
    with Device({}).line() as port:
        first, second = RtuWire(port, 9600, "N"), RtuWire(port, 9600, "N")
        first.open(1.0)
        with pytest.raises(ConnectionLostError) as taken:
            second.open(1.0)
        first.close()
    assert f"`fuser -v {port}`" in str(not_reached(Serial(port), taken.value))


def test_a_file_that_is_no_port(tmp_path):
    """It says so."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ConnectionLostError) as refused:
        RtuWire(str(path), 9600, "N").open(1.0)
    assert "is it a serial port" in str(not_reached(Serial(str(path)), refused.value))


@pytest.mark.parametrize(
    ("target", "link", "is_it"),
    [
        (Tcp("localhost", 502), "modbus-tcp 127.0.0.1:502", True),
        (Tcp("127.0.0.1", 502), "modbus-tcp localhost:502", True),
        (Tcp("127.0.0.1", 503), "modbus-tcp 127.0.0.1:502", False),
        (Tcp("127.0.0.1", 502), "modbus-tls 127.0.0.1:502", False),
        (Tcp("127.0.0.1", 502), "", False),
        (Serial("/dev/../dev/null"), "modbus-rtu /dev/null unit 1", True),
        (Serial("/dev/zero"), "modbus-rtu /dev/null unit 1", False),
        (Serial("/dev/null"), "in-process zeros", False),
    ],
)
def test_a_link_of_a_running_station_is_known_by_what_it_says(target, link, is_it):
    """Whatever spelling of the same place."""
    assert _is_at(target, link) is is_it
