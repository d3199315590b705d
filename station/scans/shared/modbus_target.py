"""Which device is meant, whether a running station holds it, and what would help where it is not reached."""

from __future__ import annotations

import errno
import grp
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from station.errors import AlreadyRunningError, ScanError, StationError
from station.links.shared.hosts import no_host, plain_host
from station.machine.claims import Holder, holder
from station.running.asking import fetch_status
from station.running.finding import Running, running_stations

PORT: Final = 502
_UNITS: Final = range(256)
_PORTS: Final = ("serial/by-id/*", "ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS[0-9]")


@dataclass(frozen=True, slots=True)
class Tcp:
    """A host, and the port of its Modbus server."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial port."""

    device: str

    def __str__(self) -> str:
        return self.device


Target = Tcp | Serial


def target_of(text: str) -> Target:
    """`192.168.10.5`, `plc.local:1502`, `[fe80::1]:502`, `/dev/ttyUSB0`; raises `ValueError`, which says what is wrong."""
    text = text.strip()
    if text.startswith(("/", "./")) or Path("/dev", text).exists():
        return Serial(text if "/" in text else f"/dev/{text}")
    found = re.fullmatch(
        r"(?:\w+://)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^\s:/\[\]]*)|(?P<bare>[0-9a-fA-F:]+))(?::(?P<port>\d+))?/?", text
    )
    if found is None or not (host := found["six"] or found["host"] or found["bare"] or ""):
        raise ValueError(f'"{text}" is neither a host, "192.168.10.5" or "plc:1502", nor a serial port, "/dev/ttyUSB0"')
    if why := no_host(host):
        raise ValueError(why)
    port = int(found["port"] or PORT)
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no TCP port; they go from 1 to 65535")
    return Tcp(host, port)


def refuse_if_held(target: Target) -> None:
    """Raises `AlreadyRunningError` if a running station of this computer has the device."""
    for name in _claims(target):
        by = holder("device", name)
        if by is not None:
            raise AlreadyRunningError(_held(target, f"it writes to {name}", by))
    for station in running_stations():
        if station.by.hears_us and any(_is_at(target, link) for link in _links_of(station)):
            raise AlreadyRunningError(_held(target, f"station {station.name}", station.by))


def _links_of(station: Running) -> list[str]:
    """How its links describe themselves; nothing while it does not answer."""
    with suppress(StationError):
        return [link.device for link in fetch_status(station.place).links]
    return []


def _held(target: Target, what: str, by: Holder) -> str:
    told = f"{target} is in use by a running station: {what}, {by}"
    if isinstance(target, Serial):
        return f"{told}; a serial line has one master: stop it first, rt-engine stop"
    return f"{told}; scanning costs it answers: stop it first, rt-engine stop, or say --shared to ask beside it, slowly"


def _claims(target: Target) -> list[str]:
    """How a station that writes to the device calls it; any unit of it: they share the way."""
    if isinstance(target, Serial):
        return [f"serial port {os.path.realpath(target.device)}"]
    return [f"modbus {host}:{target.port} unit {unit}" for host in sorted(_hosts(target)) for unit in _UNITS]


def _hosts(target: Tcp) -> set[str]:
    """The host's name, and its numbers."""
    hosts = {plain_host(target.host)}
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        hosts |= {plain_host(str(entry[4][0])) for entry in found}
    return hosts


def _is_at(target: Target, link: str) -> bool:
    """Does a link that describes itself so lead there? `modbus-tcp 192.168.10.5:502`, `modbus-rtu /dev/ttyUSB0 unit 1`."""
    kind, place = (*link.split(" ", 2), "", "")[:2]
    if isinstance(target, Serial):
        return kind == "modbus-rtu" and os.path.realpath(place) == os.path.realpath(target.device)
    host, _, port = place.rpartition(":")
    return kind == "modbus-tcp" and port == str(target.port) and plain_host(host.strip("[]")) in _hosts(target)


def not_reached(target: Target, error: Exception) -> ScanError:
    """Why a device cannot be connected to, and what would help."""
    system = error.__cause__ if error.__cause__ is not None else error
    helps = _serial_help(target, system) if isinstance(target, Serial) else _tcp_help(target, system)
    return ScanError(f"{error}; {helps}")


def _tcp_help(target: Tcp, system: BaseException) -> str:
    code = getattr(system, "errno", None)
    if isinstance(system, socket.gaierror):
        return f"is the name right? `getent hosts {target.host}` looks it up; its address does, too"
    if code == errno.ECONNREFUSED:
        return (
            f"{target.host} is there, but nothing listens on port {target.port}: is Modbus TCP switched on in it? "
            "Another port: HOST:PORT"
        )
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return f"no way leads there: is the cable in, and is this computer in its network? `ip route get {target.host}`"
    if isinstance(system, TimeoutError) or code == errno.ETIMEDOUT:
        return (
            f"nobody answers there: is it on, is the address right (`ping {target.host}`), does a firewall drop port "
            f"{target.port}, does another master hold its only connection?"
        )
    return f"`ping {target.host}` shows whether it is there"


def _serial_help(target: Serial, system: BaseException) -> str:
    code = getattr(system, "errno", None)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        here = sorted(set(map(str, chain.from_iterable(Path("/dev").glob(pattern) for pattern in _PORTS))))
        return (
            f"this computer has {', '.join(here)}"
            if here
            else "no serial port is here: is the adapter plugged in? `dmesg`"
        )
    if code in (errno.EACCES, errno.EPERM):
        return _rights_help(target.device)
    if code in (errno.EBUSY, errno.EAGAIN):
        return f"another program has it open: `fuser -v {target.device}` names it"
    return "is it a serial port, and can it do these settings?"


def _rights_help(device: str) -> str:
    try:
        gid = os.stat(device).st_gid
        group = grp.getgrgid(gid).gr_name
    except (OSError, KeyError):
        return "this user may not open it"
    if gid == 0:
        return f"only root may open it: a udev rule can give it to a group, `udevadm info {device}`"
    return f"it belongs to the group {group}: sudo usermod -aG {group} $USER, then log in again"
