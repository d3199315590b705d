"""Names and numbers of computers, as links have them."""

from __future__ import annotations

import ipaddress
from contextlib import suppress


def plain_host(host: str) -> str:
    """The same text for the spellings of a number; a name stays a name, as nobody may be there yet who knows its number."""
    name = host.strip().rstrip(".").lower()
    name = "127.0.0.1" if name == "localhost" else name
    with suppress(ValueError):
        number = ipaddress.ip_address(name)
        mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
        return str(mapped or number)
    return name
