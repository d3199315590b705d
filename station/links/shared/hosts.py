"""Names and numbers of computers, as links have them."""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from typing import Final

_THIS_COMPUTER: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who connects to no address in particular reaches this computer."""


def no_host(host: str) -> str:
    """Why this is neither a name nor an address of a computer; empty: it may be one."""
    name, colon, port = host.strip().rpartition(":")
    if "/" in host:
        return f'"{host}" is no host: its name or its address alone, "192.168.10.5"'
    if colon and ":" not in name and port.isdecimal():
        return f'"{host}" is no host: write "{name}", and port = {port}'
    if not re.fullmatch(r"\d+(\.\d+){3}", host):
        return ""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return ""
    return f'"{host}" is no address: four numbers from 0 to 255, without a 0 in front, "192.168.10.5"'


def plain_host(host: str) -> str:
    """The same text for the spellings of a number; a name stays a name, as nobody may be there yet who knows its number."""
    name = host.strip().rstrip(".").lower()
    name = "127.0.0.1" if name == "localhost" else name
    with suppress(OSError):  # 127.1, 0x7f000001, 010.0.0.1: as inet(3) reads them
        name = socket.inet_ntoa(socket.inet_aton(name))
    name = _THIS_COMPUTER.get(name, name)
    with suppress(ValueError):
        number = ipaddress.ip_address(name)
        mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
        return str(mapped or number)
    return name
